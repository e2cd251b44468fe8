/* SPDX-License-Identifier: MIT */
/* The rules of VMRUN, from the manual, and the check of a VMCB against them. */
#include "svm/rules/rules.h"

#include "arch/cpu/x86.h"

enum { CONSISTENCY, EVENT_INJECTION, NP_ENABLING, NP_VMRUN, NMI_VIRTUALIZATION };

const char *const svm_rule_sections[] = {
	[CONSISTENCY] = "Canonicalization and Consistency Checks",
	[EVENT_INJECTION] = "Event Injection",
	[NP_ENABLING] = "Enabling Nested Paging",
	[NP_VMRUN] = "Nested Paging and VMRUN/#VMEXIT",
	[NMI_VIRTUALIZATION] = "NMI Virtualization",
};

#define IOPM_SIZE  KIB(12)
#define MSRPM_SIZE KIB(8)
#define S_CET_VALID 3ull		/* SH_STK_EN, WR_SHSTK_EN */
#define U_CET_SHADOW_STACK BIT_ULL(0)

/*
 * The vectors of exceptions; 9, 15, 20, 22 to 27 and 31 are reserved. APM vol. 2, "Interrupt Vectors".
 * Whether a processor has the last three (#HV, #VC, #SX) depends on its model.
 */
#define EXCEPTIONS (BIT(X86_DE) | BIT(X86_DB) | BIT(X86_BP) | BIT(X86_OF) | BIT(X86_BR) | \
		    BIT(X86_UD) | BIT(X86_NM) | BIT(X86_DF) | BIT(X86_TS) | BIT(X86_NP) | \
		    BIT(X86_SS) | BIT(X86_GP) | BIT(X86_PF) | BIT(X86_MF) | BIT(X86_AC) | \
		    BIT(X86_MC) | BIT(X86_XM) | BIT(X86_CP) | BIT(28) | BIT(29) | BIT(30))

/* --- guest state --- */

static bool svme_clear(const struct svm_entry_state *s)
{
	return !(s->vmcb->save.efer & EFER_SVME);
}

static bool nw_without_cd(const struct svm_entry_state *s)
{
	return (s->vmcb->save.cr0 & (CR0_CD | CR0_NW)) == CR0_NW;
}

static bool cr0_high(const struct svm_entry_state *s)
{
	return s->vmcb->save.cr0 >> 32;
}

static bool long_mode(const struct svm_entry_state *s)
{
	return (s->vmcb->save.efer & EFER_LME) && (s->vmcb->save.cr0 & CR0_PG);
}

static bool cr3_mbz(const struct svm_entry_state *s)
{
	return long_mode(s) && s->vmcb->save.cr3 >> s->processor.physical_bits;
}

static bool cr4_mbz(const struct svm_entry_state *s)
{
	return s->vmcb->save.cr4 & ~s->processor.cr4_valid;
}

static bool dr6_high(const struct svm_entry_state *s)
{
	return s->vmcb->save.dr6 >> 32;
}

static bool dr7_high(const struct svm_entry_state *s)
{
	return s->vmcb->save.dr7 >> 32;
}

static bool efer_mbz(const struct svm_entry_state *s)
{
	return s->vmcb->save.efer & ~s->processor.efer_valid;
}

static bool long_without_pae(const struct svm_entry_state *s)
{
	return long_mode(s) && !(s->vmcb->save.cr4 & CR4_PAE);
}

static bool long_without_pe(const struct svm_entry_state *s)
{
	return long_mode(s) && !(s->vmcb->save.cr0 & CR0_PE);
}

static bool long_and_32_bit(const struct svm_entry_state *s)
{
	const u16 both = ATTRIBUTE_L | ATTRIBUTE_DB;

	return long_mode(s) && (s->vmcb->save.cr4 & CR4_PAE) &&
	       (s->vmcb->save.cs.attributes & both) == both;
}

static bool s_cet_reserved(const struct svm_entry_state *s)
{
	return (s->processor.cr4_valid & CR4_CET) && (s->vmcb->save.s_cet & ~S_CET_VALID);
}

static bool cet_without_wp(const struct svm_entry_state *s)
{
	return (s->vmcb->save.cr4 & CR4_CET) && !(s->vmcb->save.cr0 & CR0_WP);
}

static bool shadow_stack_in_v86(const struct svm_entry_state *s)
{
	return (s->vmcb->save.cr4 & CR4_CET) && (s->vmcb->save.rflags & RFLAGS_VM) &&
	       (s->processor.u_cet & U_CET_SHADOW_STACK);
}

/* --- controls --- */

static bool vmrun_not_intercepted(const struct svm_entry_state *s)
{
	return !(s->vmcb->control.intercept_misc2 & INTERCEPT_VMRUN);
}

/* The processor ignores the low 12 bits of the address. */
static bool map_too_high(const struct svm_entry_state *s, u64 base, u64 size)
{
	return ((base & PAGE_MASK) + size - 1) >> s->processor.physical_bits ||
	       base >> s->processor.physical_bits;
}

static bool iopm_too_high(const struct svm_entry_state *s)
{
	return map_too_high(s, s->vmcb->control.iopm_base, IOPM_SIZE);
}

static bool msrpm_too_high(const struct svm_entry_state *s)
{
	return map_too_high(s, s->vmcb->control.msrpm_base, MSRPM_SIZE);
}

static bool asid_zero(const struct svm_entry_state *s)
{
	return s->vmcb->control.asid == 0;
}

static bool event_type(const struct svm_entry_state *s)
{
	u64 event = s->vmcb->control.event_injection;

	return (event & EVENT_VALID) && (EVENT_TYPE(event) == 1 || EVENT_TYPE(event) > VMCB_EVENT_SOFT);
}

static bool injects_exception(const struct svm_entry_state *s)
{
	u64 event = s->vmcb->control.event_injection;

	return (event & EVENT_VALID) && EVENT_TYPE(event) == VMCB_EVENT_EXCEPTION;
}

static bool event_vector(const struct svm_entry_state *s)
{
	u8 vector = EVENT_VECTOR(s->vmcb->control.event_injection);

	return injects_exception(s) && (vector > 31 || !(EXCEPTIONS & BIT(vector)));
}

/* Only INTO and BOUND raise them, and 64-bit mode has neither. */
static bool event_impossible(const struct svm_entry_state *s)
{
	u8 vector = EVENT_VECTOR(s->vmcb->control.event_injection);

	return injects_exception(s) && (vector == X86_OF || vector == X86_BR) &&
	       long_mode(s) && (s->vmcb->save.cs.attributes & ATTRIBUTE_L);
}

static bool nested_paging(const struct svm_entry_state *s)
{
	return s->vmcb->control.np_enable & 1;
}

static bool host_without_paging(const struct svm_entry_state *s)
{
	return nested_paging(s) && !(s->processor.host_cr0 & CR0_PG);
}

static bool ncr3_mbz(const struct svm_entry_state *s)
{
	return nested_paging(s) && s->vmcb->control.nested_cr3 >> s->processor.physical_bits;
}

/* A byte above 7; 2 or 3: bit 1 without bit 2. */
static bool pat_type(const struct svm_entry_state *s)
{
	const u64 bytes = 0x0101010101010101;
	u64 pat = s->vmcb->save.pat;

	return nested_paging(s) && ((pat & 0xf8 * bytes) || (pat & ~(pat >> 1) & 2 * bytes));
}

static bool nmi_not_intercepted(const struct svm_entry_state *s)
{
	return s->processor.nmi_virtualization && (s->vmcb->control.int_control & V_NMI_ENABLE) &&
	       !(s->vmcb->control.intercept_misc1 & INTERCEPT_NMI);
}

/* --- the tables --- */

#define F(name) SVM_FIELD_##name

const struct svm_rule svm_rules[] = {
	{ "guest.efer.svme", "EFER.SVME must be 1", svme_clear, CONSISTENCY, { F(EFER) } },
	{ "guest.cr0.nw-without-cd", "CR0.NW must be 0 while CR0.CD is 0", nw_without_cd,
	  CONSISTENCY, { F(CR0) } },
	{ "guest.cr0.high", "bits 63:32 must be 0", cr0_high, CONSISTENCY, { F(CR0) } },
	{ "guest.cr3.reserved", "must not exceed the physical-address width in long mode", cr3_mbz,
	  CONSISTENCY, { F(CR3), F(WIDTH), F(EFER), F(CR0) } },
	{ "guest.cr4.reserved", "reserved bits must be 0", cr4_mbz, CONSISTENCY,
	  { F(CR4), F(CR4_VALID) } },
	{ "guest.dr6.high", "bits 63:32 must be 0", dr6_high, CONSISTENCY, { F(DR6) } },
	{ "guest.dr7.high", "bits 63:32 must be 0", dr7_high, CONSISTENCY, { F(DR7) } },
	{ "guest.efer.reserved", "reserved bits must be 0", efer_mbz, CONSISTENCY,
	  { F(EFER), F(EFER_VALID) } },
	{ "guest.cr4.long-mode-pae", "CR4.PAE must be 1 while EFER.LME and CR0.PG are 1",
	  long_without_pae, CONSISTENCY, { F(CR4), F(EFER), F(CR0) } },
	{ "guest.cr0.long-mode-pe", "CR0.PE must be 1 while EFER.LME and CR0.PG are 1",
	  long_without_pe, CONSISTENCY, { F(CR0), F(EFER) } },
	{ "guest.cs.l-and-d", "CS.L and CS.D must not both be 1 in long mode", long_and_32_bit,
	  CONSISTENCY, { F(CS_ATTRIBUTES), F(EFER), F(CR0), F(CR4) } },
	{ "control.intercept.vmrun", "VMRUN must be intercepted", vmrun_not_intercepted,
	  CONSISTENCY, { F(MISC2) } },
	{ "control.msrpm", "all 8 KiB must lie within the physical-address width",
	  msrpm_too_high, CONSISTENCY, { F(MSRPM), F(WIDTH) } },
	{ "control.iopm", "all 12 KiB must lie within the physical-address width", iopm_too_high,
	  CONSISTENCY, { F(IOPM), F(WIDTH) } },
	{ "control.event.type", "the type must be 0, 2, 3 or 4", event_type, EVENT_INJECTION,
	  { F(EVENT) } },
	{ "control.event.vector", "the vector of type 3 must be an exception's",
	  event_vector, EVENT_INJECTION, { F(EVENT) } },
	{ "control.event.impossible", "64-bit mode has neither #OF nor #BR", event_impossible,
	  EVENT_INJECTION, { F(EVENT), F(EFER), F(CR0), F(CS_ATTRIBUTES) } },
	{ "control.asid", "must not be 0", asid_zero, CONSISTENCY, { F(ASID) } },
	{ "guest.s-cet.reserved", "bits 63:2 must be 0", s_cet_reserved, CONSISTENCY,
	  { F(S_CET), F(CR4_VALID) } },
	{ "guest.cr4.cet-wp", "CR4.CET needs CR0.WP", cet_without_wp, CONSISTENCY,
	  { F(CR4), F(CR0) } },
	{ "guest.cr4.cet-v8086", "virtual-8086 mode takes no user shadow stack",
	  shadow_stack_in_v86, CONSISTENCY, { F(CR4), F(RFLAGS), F(U_CET) } },
	{ "control.nested.host-paging", "nested paging needs the host's CR0.PG",
	  host_without_paging, NP_ENABLING, { F(HOST_CR0), F(NP) } },
	{ "control.nested.ncr3", "must not exceed the physical-address width", ncr3_mbz, NP_VMRUN,
	  { F(NCR3), F(WIDTH), F(NP) } },
	{ "control.nested.pat",
	  "each byte must be 0 (UC), 1 (WC), 4 (WT), 5 (WP), 6 (WB) or 7 (UC-)", pat_type,
	  NP_VMRUN, { F(G_PAT), F(NP) } },
	{ "control.nmi-virtualization", "virtual NMIs need the intercept of NMIs",
	  nmi_not_intercepted, NMI_VIRTUALIZATION, { F(VINTR), F(MISC1) } },
};
const unsigned svm_rule_count = ARRAY_SIZE(svm_rules);

/* --- the check --- */

struct field {
	u16 offset;
	u8 size;
	const char *name;
};

static const struct field fields[] = {
#define VMCB_FIELD(name, member, text) \
	[SVM_FIELD_##name] = { offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member), text },
#define PROCESSOR_FIELD(name, member, text) \
	[SVM_FIELD_##name] = { offsetof(struct svm_processor, member), sizeof(u64), text },
	SVM_VMCB_FIELDS(VMCB_FIELD)
	SVM_PROCESSOR_FIELDS(PROCESSOR_FIELD)
};

static void add_value(struct violation *violation, const struct svm_entry_state *state,
		      enum svm_field index)
{
	const struct field *field = &fields[index];
	const u8 *bytes = index < SVM_FIRST_PROCESSOR_FIELD ? (const u8 *)state->vmcb :
							       (const u8 *)&state->processor;
	u64 value = 0;

	for (unsigned i = field->size; i--;)
		value = value << 8 | bytes[field->offset + i];
	violation_add_value(violation, field->name, value);
}

static void report(const struct svm_entry_state *state, const struct svm_rule *rule,
		   violation_sink *sink, void *context)
{
	struct violation violation = {
		.name = rule->name, .text = rule->text, .section = svm_rule_sections[rule->section],
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rule->fields) && rule->fields[i]; i++)
		add_value(&violation, state, rule->fields[i]);
	sink(context, &violation);
}

unsigned svm_check_entry(const struct svm_entry_state *state, violation_sink *sink, void *context)
{
	unsigned broken = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(svm_rules); i++) {
		if (!svm_rules[i].broken(state))
			continue;
		broken++;
		report(state, &svm_rules[i], sink, context);
	}
	return broken;
}
