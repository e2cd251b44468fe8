/* SPDX-License-Identifier: MIT */
/* The self-test of VMRUN: the changes to a valid VMCB, and the rule that each must break. */
#pragma once

#include "svm/vmcb.h"

enum svm_how { VMCB_SET = 1, VMCB_ON, VMCB_OFF, VMCB_TOO_FAR };

struct svm_change {
	u16 offset;
	u8 size, how;
	u64 value;
};

#define MEMBER(member) offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member)
#define V_SET(member, value) { MEMBER(member), VMCB_SET, value }
#define V_ON(member, bits)   { MEMBER(member), VMCB_ON, bits }
#define V_OFF(member, bits)  { MEMBER(member), VMCB_OFF, bits }
/* `below` the first address beyond the physical-address width. */
#define V_TOO_FAR(member, below) { MEMBER(member), VMCB_TOO_FAR, below }

enum svm_base { SVM_REAL_MODE, SVM_LONG_MODE, SVM_COMPATIBILITY_MODE, SVM_BASES };

struct svm_mutation {
	/* The rule that the checker must name, and no other; "allowed." and what it is: none. */
	const char *rule;
	enum svm_base base;
	struct svm_change changes[2];
	const char *qemu, *bochs;	/* why the processor deviates from the manual; NULL: it does not */
};

/* Rules that cannot be tried here, and why. */
struct svm_not_judged {
	const char *rule, *reason;
};

extern const struct svm_mutation svm_mutations[];
extern const unsigned svm_mutation_count;
extern const struct svm_not_judged svm_not_judged[];
extern const unsigned svm_not_judged_count;
