/* SPDX-License-Identifier: MIT */
/* The machinery behind the rules of VM entry: fields by index, kinds of rules, and the checks. */
#include "vmx/rules/rules.h"

#include "lib/printf.h"
#include "lib/string.h"
#include "vmx/rules/rule.h"


/* --- fields by index --- */

u32 vmx_field_number(unsigned index)
{
#define VMX_NUMBER(member, number, name) number,
	static const u16 before[] = {
		VMX_CONTROL_FIELDS(VMX_NUMBER) VMX_HOST_FIELDS(VMX_NUMBER)
		VMX_GUEST_FIELDS(VMX_NUMBER)
	};
	static const u16 processor[] = { VMX_PROCESSOR_FIELDS(VMX_NUMBER) };
	static const u16 segment[] = { 0x0800, 0x6806, 0x4800, 0x4814 };
	unsigned within = index - VMX_FIRST_SEGMENT;

	_Static_assert(ARRAY_SIZE(before) == VMX_FIRST_SEGMENT, "fields in order");
	if (index < VMX_FIRST_SEGMENT)
		return before[index];
	if (index >= VMX_FIRST_PROCESSOR)
		return processor[index - VMX_FIRST_PROCESSOR];
	return segment[within % 4] + 2 * (within / 4);
}

static struct vmx_field_name segment_name(unsigned within)
{
	static const char segments[SEG_COUNT][5] = {
		"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR",
	};
	static const char *const parts[] = { "", " base", " limit", " access rights" };
	struct vmx_field_name name;

	snprintf(name.text, sizeof(name.text), "%s%s", segments[within / 4], parts[within % 4]);
	return name;
}

struct vmx_field_name vmx_field_name(unsigned index)
{
	/* One after the other, each with its terminator. */
#define VMX_NAME(member, number, name) name "\0"
	static const char names[] = VMX_CONTROL_FIELDS(VMX_NAME) VMX_HOST_FIELDS(VMX_NAME)
		VMX_GUEST_FIELDS(VMX_NAME) VMX_PROCESSOR_FIELDS(VMX_NAME);
	const unsigned in_segments = VMX_FIRST_PROCESSOR - VMX_FIRST_SEGMENT;
	const char *at = names;
	struct vmx_field_name name;

	if (index >= VMX_FIRST_SEGMENT && index < VMX_FIRST_PROCESSOR)
		return segment_name(index - VMX_FIRST_SEGMENT);
	if (index >= VMX_FIRST_PROCESSOR)
		index -= in_segments;
	while (index--)
		at += strlen(at) + 1;
	str_copy(name.text, at, sizeof(name.text));
	return name;
}

/* --- what rules ask --- */

bool vmx_control(const struct vmx_entry_state *s, u16 control)
{
	unsigned word = control >> 5;

	if (word == FIELD(secondary) && !(s->primary & PRIMARY_SECONDARY))
		return false;
	if (word == FIELD(tertiary) && !(s->primary & PRIMARY_TERTIARY))
		return false;
	if (word == FIELD(secondary_exit) && !(s->exit & EXIT_SECONDARY))
		return false;
	return vmx_field(s, word - 1) >> (control & 31) & 1;
}

bool vmx_canonical(const struct vmx_entry_state *s, u64 address)
{
	unsigned unused = 64 - (unsigned)s->linear_bits;

	return (u64)((s64)(address << unused) >> unused) == address;
}

/* IA32_VMX_BASIC[48]: addresses of VMX's structures have 32 bits. */
bool vmx_above_physical(const struct vmx_entry_state *s, u64 address)
{
	return address >> (s->basic & BIT_ULL(48) ? 32 : s->physical_bits);
}

bool vmx_injects(const struct vmx_entry_state *s, enum interruption_type type)
{
	return (s->event & INTERRUPTION_VALID) && INTERRUPTION_TYPE(s->event) == (u64)type;
}

bool vmx_pat_broken(u64 pat)
{
	for (unsigned i = 0; i < 8; i++, pat >>= 8)
		if ((pat & 0xff) > 7 || (pat & 0xff) == 2 || (pat & 0xff) == 3)
			return true;
	return false;
}

u64 vmx_rule_bits(unsigned index)
{
	if (index == VMX_FIELD(rsp))
		return 0;
	/* Whether it is canonical and whether it has 32 bits is all that is asked. */
	if (index == VMX_FIELD(rip))
		return ~0ull << 31;
	if (index == VMX_FIELD(rflags))
		return ~(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_DF | RFLAGS_OF);
	return ~0ull;
}

/* --- kinds of rules --- */

bool rule_controls_reserved(const struct vmx_check *c)
{
	u64 controls = rule_field(c, 0), allowed = rule_field(c, 1);

	return ((u32)allowed & ~controls) || (controls & ~(allowed >> 32));
}

bool rule_allowed_1(const struct vmx_check *c)
{
	return rule_field(c, 0) & ~rule_field(c, 1);
}

bool rule_needs(const struct vmx_check *c)
{
	return !vmx_control(c->s, c->rule->need);
}

bool rule_excludes(const struct vmx_check *c)
{
	return vmx_control(c->s, c->rule->need);
}

bool rule_page(const struct vmx_check *c)
{
	u64 address = rule_field(c, 0);

	return (address & ~PAGE_MASK) || vmx_above_physical(c->s, address);
}

bool rule_canonical(const struct vmx_check *c)
{
	return !vmx_canonical(c->s, rule_field(c, 0));
}

bool rule_high_half(const struct vmx_check *c)
{
	return rule_field(c, 0) >> 32;
}

bool rule_zero(const struct vmx_check *c)
{
	return rule_field(c, 0) == 0;
}

bool rule_pat(const struct vmx_check *c)
{
	return vmx_pat_broken(rule_field(c, 0));
}

/* Of CR3: with linear-address masking bits 62:61 have a meaning. */
bool rule_physical(const struct vmx_check *c)
{
	u64 lam = c->s->features & VMX_FEATURE_LAM ? 3ull << 61 : 0;

	return (rule_field(c, 0) & ~lam) >> c->s->physical_bits;
}

bool rule_perf(const struct vmx_check *c)
{
	return rule_field(c, 0) & ~c->s->perf_valid;
}

bool rule_efer(const struct vmx_check *c)
{
	return rule_field(c, 0) & ~EFER_VALID;
}

/* Bits 9:6 are reserved, 11:10 exclude each other, 63:12 are a canonical address. */
bool rule_s_cet(const struct vmx_check *c)
{
	u64 cet = rule_field(c, 0);

	return (cet & 0x3c0) || (cet & 0xc00) == 0xc00 || !vmx_canonical(c->s, cet & PAGE_MASK);
}

bool rule_ssp(const struct vmx_check *c)
{
	return rule_field(c, 0) & 3;
}

/* --- the checks --- */

struct listener {
	violation_sink *sink;
	void *context;
	unsigned broken;
};

static void add_field(struct violation *violation, const struct vmx_entry_state *s, unsigned index)
{
	struct vmx_field_name name = vmx_field_name(index);

	violation_add_value(violation, name.text, vmx_field(s, index));
}

/* Fields whose number is known as a rule is written, the segment's, and the words of controls. */
static void add_values(struct violation *violation, const struct vmx_check *c)
{
	const struct vmx_rule *rule = c->rule;
	unsigned first = VMX_FIRST_SEGMENT + 4 * (unsigned)c->index;

	for (unsigned i = 0; rule->segments && i < 4; i++)
		add_field(violation, c->s, first + i);
	for (unsigned i = 0; i < ARRAY_SIZE(rule->fields) && rule->fields[i]; i++)
		add_field(violation, c->s, rule->fields[i] - 1u);
	if (!rule->need)
		return;
	add_field(violation, c->s, (rule->when >> 5) - 1u);
	if (rule->need >> 5 != rule->when >> 5)
		add_field(violation, c->s, (rule->need >> 5) - 1u);
}

static void report(const struct vmx_check *c, const char *section, struct listener *listener)
{
	struct violation violation = {
		.name = c->rule->name, .text = c->rule->text, .section = section,
	};

	add_values(&violation, c);
	listener->broken++;
	listener->sink(listener->context, &violation);
}

static void check_rule(struct vmx_check *c, const char *section, struct listener *listener)
{
	const struct vmx_rule *rule = c->rule;

	if (rule->when && !vmx_control(c->s, rule->when))
		return;
	if (!rule->segments && rule->broken(c))
		report(c, section, listener);
	for (c->index = SEG_ES; c->index < SEG_COUNT; c->index++) {
		c->segment = &c->s->segments[c->index];
		if ((rule->segments & BIT(c->index)) && rule->broken(c))
			report(c, section, listener);
	}
}

#define GROUP(sections) { sections, ARRAY_SIZE(sections) }

const struct vmx_rule_group vmx_rule_groups[5] = {
	GROUP(vmx_control_rules), GROUP(vmx_host_rules), GROUP(vmx_guest_rules),
	GROUP(vmx_segment_rules), GROUP(vmx_nonregister_rules),
};

static void check_section(const struct vmx_entry_state *s, const struct vmx_rule_section *section,
			  struct listener *listener)
{
	for (unsigned i = 0; i < section->count; i++) {
		struct vmx_check c = { .s = s, .rule = &section->rules[i] };

		check_rule(&c, section->title, listener);
	}
}

unsigned vmx_check_entry(const struct vmx_entry_state *s, violation_sink *sink, void *context)
{
	struct listener listener = { sink, context, 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(vmx_rule_groups); i++)
		for (unsigned j = 0; j < vmx_rule_groups[i].count; j++)
			check_section(s, &vmx_rule_groups[i].sections[j], &listener);
	return listener.broken;
}
