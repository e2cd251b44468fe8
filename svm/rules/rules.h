/* SPDX-License-Identifier: MIT */
/*
 * The rules of VMRUN: which of the manual's checks does a VMCB fail? Pure code: a VMCB and the
 * processor's properties go in, violations come out. AMD APM vol. 2, "Canonicalization and Consistency Checks".
 */
#pragma once

#include "core/observe/entry_rule.h"
#include "lib/types.h"
#include "svm/vmcb.h"

/* What the checks depend on besides the VMCB. */
struct svm_processor {
	u64 physical_bits;	/* width of physical addresses */
	u64 efer_valid;		/* EFER's bits that are not reserved */
	u64 cr4_valid;		/* CR4's bits that are not reserved; with CR4_CET it has shadow stacks */
	u64 host_cr0;		/* at VMRUN */
	u64 u_cet;		/* the guest's U_CET, which is in the MSR, not in the VMCB */
	bool nmi_virtualization;	/* CPUID.8000000Ah:EDX[25] */
};

struct svm_entry_state {
	const struct vmcb *vmcb;
	struct svm_processor processor;
};

/* The fields that rules look at. X(name, member of struct vmcb, name in reports) */
#define SVM_VMCB_FIELDS(X)						\
	X(EFER, save.efer, "EFER")					\
	X(CR0, save.cr0, "CR0")						\
	X(CR3, save.cr3, "CR3")						\
	X(CR4, save.cr4, "CR4")						\
	X(DR6, save.dr6, "DR6")						\
	X(DR7, save.dr7, "DR7")						\
	X(RFLAGS, save.rflags, "RFLAGS")				\
	X(CS_ATTRIBUTES, save.cs.attributes, "CS attributes")		\
	X(S_CET, save.s_cet, "S_CET")					\
	X(G_PAT, save.pat, "G_PAT")					\
	X(MISC1, control.intercept_misc1, "intercepts at 0xc")		\
	X(MISC2, control.intercept_misc2, "intercepts at 0x10")		\
	X(IOPM, control.iopm_base, "IOPM")				\
	X(MSRPM, control.msrpm_base, "MSRPM")				\
	X(ASID, control.asid, "ASID")					\
	X(VINTR, control.int_control, "virtual interrupt control")	\
	X(EVENT, control.event_injection, "EVENTINJ")			\
	X(NP, control.np_enable, "NP_ENABLE")				\
	X(NCR3, control.nested_cr3, "nCR3")

/* X(name, member of struct svm_processor, name in reports) */
#define SVM_PROCESSOR_FIELDS(X)						\
	X(WIDTH, physical_bits, "physical-address width")		\
	X(EFER_VALID, efer_valid, "EFER's valid bits")			\
	X(CR4_VALID, cr4_valid, "CR4's valid bits")			\
	X(HOST_CR0, host_cr0, "host CR0")				\
	X(U_CET, u_cet, "U_CET")

enum svm_field {
	SVM_NO_FIELD,
#define SVM_FIELD_INDEX(name, member, text) SVM_FIELD_##name,
	SVM_VMCB_FIELDS(SVM_FIELD_INDEX)
	SVM_PROCESSOR_FIELDS(SVM_FIELD_INDEX)
#undef SVM_FIELD_INDEX
	SVM_FIELDS,
	SVM_FIRST_PROCESSOR_FIELD = SVM_FIELD_WIDTH,
};

struct svm_rule {
	const char *name, *text;
	bool (*broken)(const struct svm_entry_state *state);
	u8 section;		/* index of svm_rule_sections[] */
	u8 fields[5];		/* enum svm_field: all fields that it looks at, its subject first */
};

/* In the manual's order. */
extern const struct svm_rule svm_rules[];
extern const unsigned svm_rule_count;
/* Titles of the manual's sections. */
extern const char *const svm_rule_sections[];

/* The manual's other rules, which cannot concern Lamina's VMs. */
extern const struct rule_exemption svm_exemptions[];
extern const unsigned svm_exemption_count;

/* In the manual's order; returns how many rules are broken. */
unsigned svm_check_entry(const struct svm_entry_state *state, violation_sink *sink, void *context);
