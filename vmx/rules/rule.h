/* SPDX-License-Identifier: MIT */
/* What a rule of VM entry consists of, and checks that many rules share. */
#pragma once

#include "arch/cpu/x86.h"
#include "vmx/rules/rules.h"
#include "vmx/vmcs_fields.h"

struct vmx_rule;

struct vmx_check {
	const struct vmx_entry_state *s;
	const struct vmx_rule *rule;
	/* If the rule is about segments: the one to check. */
	enum vcpu_segment index;
	const struct vmx_segment_fields *segment;
};

struct vmx_rule {
	const char *name, *text;
	bool (*broken)(const struct vmx_check *c);
	u8 fields[3];		/* FIELD()s that it is about, which the report shows; 0 ends them */
	u8 segments;		/* bits by enum vcpu_segment: the segments that it is checked for */
	u16 when;		/* CONTROL() that must be 1 for the rule to apply; 0: none */
	u16 need;		/* CONTROL() that rule_needs() and rule_excludes() look at */
};
_Static_assert(sizeof(struct vmx_rule) == 32, "many rules: no room to waste");

/* The rules under one title of the manual. */
struct vmx_rule_section {
	const char *title;
	const struct vmx_rule *rules;
	unsigned count;
};

#define FIELD(member) (VMX_FIELD(member) + 1)
#define CONTROL(member, bit) (FIELD(member) << 5 | __builtin_ctz(bit))

/* A control, by the name that vmx/vmcs_fields.h gives its bit. */
#define PIN(bit)       CONTROL(pin, PIN_##bit)
#define PRIMARY(bit)   CONTROL(primary, PRIMARY_##bit)
#define SECONDARY(bit) CONTROL(secondary, SECONDARY_##bit)
#define TERTIARY(bit)  CONTROL(tertiary, TERTIARY_##bit)
#define EXIT(bit)      CONTROL(exit, EXIT_##bit)
#define ENTRY(bit)     CONTROL(entry, ENTRY_##bit)
/* The entry injects an event. Not a control, but a bit that rules depend on in the same way. */
#define INJECTS_EVENT  CONTROL(event, INTERRUPTION_VALID)

#define RULE_SECTION(title, rules) { title, rules, ARRAY_SIZE(rules) }

/* The rules of each file, in the manual's order. */
extern const struct vmx_rule_section vmx_control_rules[3], vmx_host_rules[3], vmx_guest_rules[2];
extern const struct vmx_rule_section vmx_segment_rules[1], vmx_nonregister_rules[3];

struct vmx_rule_group {
	const struct vmx_rule_section *sections;
	unsigned count;
};
extern const struct vmx_rule_group vmx_rule_groups[5];

/* Is the control 1? Controls of a word that is not activated count as 0. */
bool vmx_control(const struct vmx_entry_state *s, u16 control);

static inline u64 rule_field(const struct vmx_check *c, unsigned which)
{
	return vmx_field(c->s, c->rule->fields[which] - 1u);
}

bool vmx_canonical(const struct vmx_entry_state *s, u64 address);
bool vmx_above_physical(const struct vmx_entry_state *s, u64 address);
bool vmx_injects(const struct vmx_entry_state *s, enum interruption_type type);
bool vmx_pat_broken(u64 pat);
#define EFER_VALID (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

/* --- checks that many rules share: does fields[0], unless noted, break the rule? --- */

bool rule_controls_reserved(const struct vmx_check *c);	/* fields[1]: allowed 0- and 1-settings */
bool rule_allowed_1(const struct vmx_check *c);		/* fields[1]: allowed 1-settings, 64 bits */
bool rule_needs(const struct vmx_check *c);		/* the control `need` must be 1 */
bool rule_excludes(const struct vmx_check *c);		/* the control `need` must be 0 */
bool rule_page(const struct vmx_check *c);		/* 4 KiB-aligned physical address */
bool rule_canonical(const struct vmx_check *c);
bool rule_high_half(const struct vmx_check *c);		/* bits 63:32 */
bool rule_zero(const struct vmx_check *c);
bool rule_pat(const struct vmx_check *c);
bool rule_physical(const struct vmx_check *c);		/* beyond the physical-address width */
bool rule_perf(const struct vmx_check *c);
bool rule_efer(const struct vmx_check *c);
bool rule_s_cet(const struct vmx_check *c);
bool rule_ssp(const struct vmx_check *c);

/* Titles of the manual that the rules and the exemptions from them share. */
#define TITLE_EXECUTION     "VM-Execution Control Fields"
#define TITLE_ENTRY         "VM-Entry Control Fields"
#define TITLE_HOST          "Checks on Host Control Registers, MSRs, and SSP"
#define TITLE_ADDRESS_SPACE "Checks Related to Address-Space Size"
#define TITLE_REGISTERS     "Checks on Guest Control Registers, Debug Registers, and MSRs"
#define TITLE_NONREGISTER   "Checks on Guest Non-Register State"
#define TITLE_MSR_LOAD      "Loading MSRs"

/* Texts that several rules share. */
#define TEXT_PAGE "must be 4 KiB-aligned and within the physical-address width"
#define TEXT_CANONICAL "must be canonical"
#define TEXT_ALLOWED "must have what the capability MSR fixes to 1, and nothing that it forbids"
#define TEXT_PAT "each byte must be 0 (UC), 1 (WC), 4 (WT), 5 (WP), 6 (WB) or 7 (UC-)"
#define TEXT_EFER "reserved bits must be 0"

#define CANONICAL(name, member) { name, TEXT_CANONICAL, rule_canonical, { FIELD(member) } }
