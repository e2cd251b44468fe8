/* SPDX-License-Identifier: MIT */
/* Intel SDM, "Checks on Guest Segment Registers". */
#include "vmx/rules/rule.h"

#define DATA_SEGMENTS (BIT(SEG_ES) | BIT(SEG_DS) | BIT(SEG_FS) | BIT(SEG_GS))
#define CS	      BIT(SEG_CS)
#define SS	      BIT(SEG_SS)
#define LDTR	      BIT(SEG_LDTR)
#define TR	      BIT(SEG_TR)
#define CODE_AND_DATA (DATA_SEGMENTS | CS | SS)	/* virtual-8086 mode has rules of its own for them */

static bool virtual_8086(const struct vmx_check *c)
{
	return c->s->rflags & RFLAGS_VM;
}

static bool unrestricted(const struct vmx_check *c)
{
	return vmx_control(c->s, SECONDARY(UNRESTRICTED_GUEST));
}

static bool ia32e(const struct vmx_check *c)
{
	return vmx_control(c->s, ENTRY(IA32E_GUEST));
}

static bool usable(const struct vmx_check *c)
{
	return !(c->segment->rights & ACCESS_RIGHTS_UNUSABLE);
}

/*
 * Do the rules about access rights apply? To usable segments, and to CS and TR in any case; but in
 * virtual-8086 mode other rules replace them for CS, SS and the data segments.
 */
static bool rights_apply(const struct vmx_check *c)
{
	bool always = c->index == SEG_CS || c->index == SEG_TR;

	return (always || usable(c)) && !((BIT(c->index) & CODE_AND_DATA) && virtual_8086(c));
}

static unsigned type_of(const struct vmx_segment_fields *segment)
{
	return segment->rights & ACCESS_RIGHTS_TYPE;
}

static unsigned dpl_of(const struct vmx_segment_fields *segment)
{
	return ACCESS_RIGHTS_DPL(segment->rights);
}

static unsigned rpl_of(const struct vmx_segment_fields *segment)
{
	return segment->selector & 3;
}

static const struct vmx_segment_fields *cs(const struct vmx_check *c)
{
	return &c->s->segments[SEG_CS];
}

static const struct vmx_segment_fields *ss(const struct vmx_check *c)
{
	return &c->s->segments[SEG_SS];
}

/* --- selectors --- */

static bool local(const struct vmx_check *c)
{
	return (c->index == SEG_TR || usable(c)) && (c->segment->selector & BIT(2));
}

static bool ss_rpl(const struct vmx_check *c)
{
	return !virtual_8086(c) && !unrestricted(c) && rpl_of(ss(c)) != rpl_of(cs(c));
}

/* --- bases and limits --- */

static bool v86_base(const struct vmx_check *c)
{
	return virtual_8086(c) && c->segment->base != c->segment->selector << 4;
}

static bool base_canonical(const struct vmx_check *c)
{
	return (c->index != SEG_LDTR || usable(c)) && !vmx_canonical(c->s, c->segment->base);
}

static bool base_high(const struct vmx_check *c)
{
	return (c->index == SEG_CS || usable(c)) && c->segment->base >> 32;
}

static bool v86_limit(const struct vmx_check *c)
{
	return virtual_8086(c) && c->segment->limit != 0xffff;
}

/* --- access rights --- */

static bool v86_rights(const struct vmx_check *c)
{
	return virtual_8086(c) && c->segment->rights != 0xf3;
}

static bool cs_type(const struct vmx_check *c)
{
	unsigned type = type_of(c->segment);

	return rights_apply(c) && (type & 9) != 9 && !(type == 3 && unrestricted(c));
}

static bool ss_type(const struct vmx_check *c)
{
	return rights_apply(c) && type_of(c->segment) != 3 && type_of(c->segment) != 7;
}

static bool data_type(const struct vmx_check *c)
{
	unsigned type = type_of(c->segment);

	return rights_apply(c) && (!(type & 1) || ((type & 8) && !(type & 2)));
}

static bool system_segment(const struct vmx_check *c)
{
	return rights_apply(c) && !(c->segment->rights & ACCESS_RIGHTS_S);
}

static bool memory_segment(const struct vmx_check *c)
{
	return rights_apply(c) && (c->segment->rights & ACCESS_RIGHTS_S);
}

static bool cs_dpl_flat(const struct vmx_check *c)
{
	return rights_apply(c) && type_of(c->segment) == 3 && dpl_of(c->segment);
}

static bool cs_dpl_nonconforming(const struct vmx_check *c)
{
	unsigned type = type_of(c->segment);

	return rights_apply(c) && (type == 9 || type == 11) && dpl_of(c->segment) != dpl_of(ss(c));
}

static bool cs_dpl_conforming(const struct vmx_check *c)
{
	unsigned type = type_of(c->segment);

	return rights_apply(c) && (type == 13 || type == 15) && dpl_of(c->segment) > dpl_of(ss(c));
}

static bool ss_dpl_rpl(const struct vmx_check *c)
{
	return !virtual_8086(c) && !unrestricted(c) && dpl_of(c->segment) != rpl_of(c->segment);
}

static bool ss_dpl_real(const struct vmx_check *c)
{
	return !virtual_8086(c) && (type_of(cs(c)) == 3 || !(c->s->cr0 & CR0_PE)) &&
	       dpl_of(c->segment);
}

static bool data_dpl(const struct vmx_check *c)
{
	return rights_apply(c) && !unrestricted(c) && type_of(c->segment) <= 11 &&
	       dpl_of(c->segment) < rpl_of(c->segment);
}

static bool absent(const struct vmx_check *c)
{
	return rights_apply(c) && !(c->segment->rights & ACCESS_RIGHTS_PRESENT);
}

static bool reserved(const struct vmx_check *c)
{
	return rights_apply(c) && (c->segment->rights & 0xfffe0f00);
}

static bool cs_default_size(const struct vmx_check *c)
{
	const u64 both = ACCESS_RIGHTS_L | ACCESS_RIGHTS_DB;

	return rights_apply(c) && ia32e(c) && (c->segment->rights & both) == both;
}

static bool granularity(const struct vmx_check *c)
{
	bool g = c->segment->rights & ACCESS_RIGHTS_G;

	return rights_apply(c) && ((g && (c->segment->limit & 0xfff) != 0xfff) ||
				(!g && c->segment->limit >> 20));
}

static bool tr_type(const struct vmx_check *c)
{
	unsigned type = type_of(c->segment);

	return type != 11 && !(type == 3 && !ia32e(c));
}

static bool tr_unusable(const struct vmx_check *c)
{
	return !usable(c);
}

static bool ldtr_type(const struct vmx_check *c)
{
	return rights_apply(c) && type_of(c->segment) != 2;
}

#define RULE(name, text, broken, segments) { name, text, broken, {}, segments }
#define RULE_WITH(name, text, broken, segments, field) \
	{ name, text, broken, { field }, segments }

static const struct vmx_rule segment_registers[] = {
	RULE("guest.tr.ti", "TI must be 0", local, TR),
	RULE("guest.ldtr.ti", "TI must be 0", local, LDTR),
	RULE_WITH("guest.ss.rpl", "RPL must equal CS.RPL if the guest is not unrestricted", ss_rpl,
		  SS, FIELD(segments[SEG_CS].selector)),
	RULE("guest.v86.base", "the base must be the selector * 16 in virtual-8086 mode", v86_base,
	     CODE_AND_DATA),
	RULE("guest.base.canonical", "the base must be canonical", base_canonical,
	     TR | LDTR | BIT(SEG_FS) | BIT(SEG_GS)),
	RULE("guest.base.high", "bits 63:32 of the base must be 0", base_high,
	     CS | SS | BIT(SEG_DS) | BIT(SEG_ES)),
	RULE("guest.v86.limit", "the limit must be 0xffff in virtual-8086 mode", v86_limit,
	     CODE_AND_DATA),
	RULE("guest.v86.rights", "the access rights must be 0xf3 in virtual-8086 mode", v86_rights,
	     CODE_AND_DATA),
	RULE("guest.cs.type",
	     "the type must be accessed code (9, 11, 13, 15), or 3 if unrestricted", cs_type, CS),
	RULE("guest.ss.type", "the type must be accessed, writable data (3, 7)", ss_type, SS),
	RULE("guest.data.type", "the type must be accessed, and readable if it is code", data_type,
	     DATA_SEGMENTS),
	RULE("guest.segment.s", "S must be 1", system_segment, CODE_AND_DATA),
	RULE("guest.cs.dpl.type-3", "DPL must be 0 if CS's type is 3", cs_dpl_flat, CS),
	RULE_WITH("guest.cs.dpl.nonconforming", "DPL must equal SS.DPL", cs_dpl_nonconforming, CS,
		  FIELD(segments[SEG_SS].rights)),
	RULE_WITH("guest.cs.dpl.conforming", "DPL must not exceed SS.DPL", cs_dpl_conforming, CS,
		  FIELD(segments[SEG_SS].rights)),
	RULE("guest.ss.dpl.rpl", "DPL must equal RPL if the guest is not unrestricted", ss_dpl_rpl,
	     SS),
	RULE_WITH("guest.ss.dpl.real-mode", "DPL must be 0 in real mode, and if CS's type is 3",
		  ss_dpl_real, SS, FIELD(segments[SEG_CS].rights)),
	RULE("guest.data.dpl", "DPL must be at least RPL if the guest is not unrestricted",
	     data_dpl, DATA_SEGMENTS),
	RULE("guest.segment.present", "P must be 1", absent, CODE_AND_DATA),
	RULE("guest.segment.reserved", "bits 11:8 and 31:17 of the access rights must be 0",
	     reserved, CODE_AND_DATA),
	RULE("guest.cs.d", "D must be 0 if L is 1 in IA-32e mode", cs_default_size, CS),
	RULE("guest.segment.granularity",
	     "G must be 0 if the limit's bits 11:0 are not all 1, and 1 if one of 31:20 is 1",
	     granularity, CODE_AND_DATA),
	RULE("guest.tr.type", "the type must be a busy TSS: 11, or 3 outside IA-32e mode", tr_type,
	     TR),
	RULE("guest.tr.s", "S must be 0", memory_segment, TR),
	RULE("guest.tr.present", "P must be 1", absent, TR),
	RULE("guest.tr.reserved", "bits 11:8 and 31:17 of the access rights must be 0", reserved,
	     TR),
	RULE("guest.tr.granularity",
	     "G must be 0 if the limit's bits 11:0 are not all 1, and 1 if one of 31:20 is 1",
	     granularity, TR),
	RULE("guest.tr.unusable", "must be usable", tr_unusable, TR),
	RULE("guest.ldtr.type", "the type must be 2", ldtr_type, LDTR),
	RULE("guest.ldtr.s", "S must be 0", memory_segment, LDTR),
	RULE("guest.ldtr.present", "P must be 1", absent, LDTR),
	RULE("guest.ldtr.reserved", "bits 11:8 and 31:17 of the access rights must be 0", reserved,
	     LDTR),
	RULE("guest.ldtr.granularity",
	     "G must be 0 if the limit's bits 11:0 are not all 1, and 1 if one of 31:20 is 1",
	     granularity, LDTR),
};

const struct vmx_rule_section vmx_segment_rules[1] = {
	RULE_SECTION("Checks on Guest Segment Registers", segment_registers),
};
