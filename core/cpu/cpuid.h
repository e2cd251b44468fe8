/* SPDX-License-Identifier: MIT */
/* What CPUID shows to a guest: one policy table (core/cpu/cpuid.c) applied to what the processor has. */
#pragma once

#include "arch/cpu/cpu.h"
#include "lib/types.h"

struct vcpu;

/* Basic leaves that do not depend on the vCPU's state. The structure that vcpu->cpuid points to begins with this. */
#define CPUID_CONSTANT_LEAVES 32
struct cpuid_constants {
	u32 leaves;	/* BIT(leaf): regs[leaf] is valid, whatever the subleaf and the vCPU's state */
	struct cpuid_regs regs[CPUID_CONSTANT_LEAVES];
};

/* NULL: call cpuid_guest(). */
static inline const struct cpuid_regs *cpuid_constant(const void *table, u32 leaf)
{
	const struct cpuid_constants *constants = table;

	if (leaf >= CPUID_CONSTANT_LEAVES || !(constants->leaves >> leaf & 1))
		return NULL;
	return &constants->regs[leaf];
}

int cpuid_create(struct vcpu *vcpu);	/* -ENOMEM; sets vcpu->cpuid */
void cpuid_destroy(struct vcpu *vcpu);

/* As the guest sees it now: OSXSAVE, APIC id and XSAVE sizes follow the vCPU's state. */
struct cpuid_regs cpuid_guest(struct vcpu *vcpu, u32 leaf, u32 subleaf);

/* Features that the guest's CPUID announces, for control.c and msr.c. */
enum guest_feature {
	FEATURE_XSAVE, FEATURE_AVX, FEATURE_AVX512, FEATURE_PKU, FEATURE_SMEP, FEATURE_SMAP, FEATURE_UMIP,
	FEATURE_FSGSBASE, FEATURE_PCID, FEATURE_LA57, FEATURE_NX, FEATURE_LONG_MODE, FEATURE_SYSCALL,
	FEATURE_FFXSR, FEATURE_RDTSCP, FEATURE_PGE, FEATURE_PSE, FEATURE_PAE, FEATURE_VME, FEATURE_DE,
	FEATURE_FXSR, FEATURE_SSE, FEATURE_TSC_ADJUST, FEATURE_X2APIC, FEATURE_TSC_DEADLINE,
	FEATURE_INVPCID,
};
/* No guest gets this feature, though the processor has it: the hardware cannot give it to guests. For ops->probe(). */
void cpuid_withhold(enum guest_feature feature);
/* The guest's IA32_MISC_ENABLE is this: it may limit the leaves, and hide NX. SDM vol. 4. */
void cpuid_misc_enable_changed(struct vcpu *vcpu, u64 misc_enable);
/* The guest's IA32_APIC_BASE enables its local APIC, or disables it: SDM, "Detection of the Local APIC". */
void cpuid_apic_enabled(struct vcpu *vcpu, bool enabled);
bool cpuid_has(const struct vcpu *vcpu, enum guest_feature feature);
u8 cpuid_physical_bits(const struct vcpu *vcpu);
