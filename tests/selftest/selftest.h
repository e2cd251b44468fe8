/* SPDX-License-Identifier: MIT */
/* The self-test of VM entries: the changes to a valid state, and the rule that each must break. */
#pragma once

#include "vmx/rules/rule.h"

struct change {
	u8 field;	/* VMX_FIELD() */
	u8 how;
	u64 value;
};

enum { CHANGE_NONE, CHANGE_SET, CHANGE_ON, CHANGE_OFF, CHANGE_FAR, CHANGE_ODD,
       CHANGE_PAGE, CHANGE_VMCS };

#define SET(member, value) { VMX_FIELD(member), CHANGE_SET, value }
#define ON(member, bits)   { VMX_FIELD(member), CHANGE_ON, bits }
#define OFF(member, bits)  { VMX_FIELD(member), CHANGE_OFF, bits }
/* The first bit beyond the physical-address width; the highest of the bits that must be equal. */
#define TOO_FAR(member)	   { VMX_FIELD(member), CHANGE_FAR, 0 }
#define ODD(member)	   { VMX_FIELD(member), CHANGE_ODD, 0 }
/* The address of a page of zeros; that of the current VMCS. */
#define TO_PAGE(member)	   { VMX_FIELD(member), CHANGE_PAGE, 0 }
#define TO_VMCS(member)	   { VMX_FIELD(member), CHANGE_VMCS, 0 }

enum base { REAL_MODE, LONG_MODE, PAE_MODE, VIRTUAL_8086_MODE, RESTRICTED, BASES };

/* Processors with CET have other rules for injected error codes and EPT pointers, too. */
enum where { ANYWHERE, WITHOUT_CET, WITH_CET };

struct mutation {
	const char *rule;	/* the one that the explainer must name, and no other */
	enum base base;
	struct change changes[5];
	const char *passes;	/* why the emulator enters nevertheless; NULL: it refuses */
	const char *also;	/* another rule that is inevitably broken with it */
	enum where where;
};

struct msr_mutation {
	const char *rule;
	struct vmx_msr_entry entry;
	const char *passes;
};

/* Rules that cannot be tried here although the processor has the control. */
struct not_judged {
	const char *rule, *reason;
};

extern const struct mutation mutations[];
extern const unsigned mutation_count;
extern const struct msr_mutation msr_mutations[];
extern const unsigned msr_mutation_count;
extern const struct not_judged not_judged[];
extern const unsigned not_judged_count;

/* state.c: a valid state for each base, derived from the one that the product enters with. */
void selftest_base(enum base base, const struct vmx_entry_state *product, u64 spare_page,
		   struct vmx_entry_state *s);
