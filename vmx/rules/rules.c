/* SPDX-License-Identifier: MIT */
/* The check of a VM entry: fields by index, and all rules in the order of the manual. */
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
	/* All names in one string, each with its terminator: smaller than a table of pointers. */
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

u64 vmx_rule_bits(unsigned index)
{
	if (index == VMX_FIELD(rsp) || index == VMX_FIELD(host_rsp) || index == VMX_FIELD(interrupt_status))
		return 0;
	/* Rules ask only whether it is canonical and whether it fits in 32 bits. */
	if (index == VMX_FIELD(rip))
		return ~0ull << 31;
	/* Whether they exceed the width of physical addresses. */
	if (index == VMX_FIELD(cr3) || index == VMX_FIELD(host_cr3))
		return ~0ull << 32;
	if (index == VMX_FIELD(rflags))
		return ~(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_DF | RFLAGS_OF);
	return ~0ull;
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

/* What a report shows: the segment's fields, those that the rule names, and the words of its controls. */
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
	if (!rule->segments) {
		if (rule->broken(c))
			report(c, section, listener);
		return;
	}
	for (unsigned left = rule->segments; left; left &= left - 1) {
		c->index = (enum vcpu_segment)__builtin_ctz(left);
		c->segment = &c->s->segments[c->index];
		if (rule->broken(c))
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

static void check_groups(const struct vmx_entry_state *s, unsigned from, unsigned to, struct listener *listener)
{
	for (unsigned i = from; i < to; i++)
		for (unsigned j = 0; j < vmx_rule_groups[i].count; j++)
			check_section(s, &vmx_rule_groups[i].sections[j], listener);
}

unsigned vmx_check_entry(const struct vmx_entry_state *s, violation_sink *sink, void *context)
{
	struct listener listener = { sink, context, 0 };

	check_groups(s, 0, ARRAY_SIZE(vmx_rule_groups), &listener);
	return listener.broken;
}

unsigned vmx_check_part(const struct vmx_entry_state *s, enum vmx_rule_part part, violation_sink *sink, void *context)
{
	struct listener listener = { sink, context, 0 };

	/* The first two groups are a part each, the others are about the guest. */
	check_groups(s, part, part == VMX_RULES_GUEST ? ARRAY_SIZE(vmx_rule_groups) : part + 1u, &listener);
	return listener.broken;
}
