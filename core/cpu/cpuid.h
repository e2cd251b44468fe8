/* SPDX-License-Identifier: MIT */
/* What CPUID shows to a guest: one policy table (core/cpu/cpuid.c) applied to what the processor has. */
#pragma once

#include "arch/cpu/cpu.h"
#include "lib/types.h"

struct vcpu;

/*
 * What the fast path looks at. The structure that vcpu->cpuid points to begins with this: basic leaves that do not
 * depend on the vCPU's state, and other results that were asked for before.
 */
#define CPUID_CONSTANT_LEAVES 32
#define CPUID_SLOTS	      32	/* by bits of the leaf */

enum cpuid_dependence { CPUID_ON_NOTHING, CPUID_ON_OSXSAVE /* a bit of CR4 */, CPUID_ON_XCR0 };

struct cpuid_slot {
	u32 leaf;		/* 0, which is a constant one: the slot is empty */
	u32 subleaf, mask;	/* subleaf: of ECX, the bits that count: all or none */
	u32 dependence;		/* enum cpuid_dependence */
	u64 state;		/* of what it depends on, for which it holds */
	struct cpuid_regs regs;
};

struct cpuid_constants {
	u32 leaves;	/* BIT(leaf): regs[leaf] is valid, whatever the subleaf and the vCPU's state */
	struct cpuid_regs regs[CPUID_CONSTANT_LEAVES];
	struct cpuid_slot slots[CPUID_SLOTS];
};

/* NULL: look at cpuid_slot(). */
static inline const struct cpuid_regs *cpuid_constant(const void *table, u32 leaf)
{
	const struct cpuid_constants *constants = table;

	if (leaf >= CPUID_CONSTANT_LEAVES || !(constants->leaves & BIT(leaf)))
		return NULL;
	return &constants->regs[leaf];
}

static inline unsigned cpuid_slot_of(u32 leaf)
{
	return (leaf ^ leaf >> 27) % CPUID_SLOTS;
}

/* For a leaf that cpuid_constant() does not have. NULL: call cpuid_guest(), which fills the slot. */
static inline const struct cpuid_slot *cpuid_slot(const void *table, u32 leaf, u32 subleaf)
{
	const struct cpuid_constants *constants = table;
	const struct cpuid_slot *slot = &constants->slots[cpuid_slot_of(leaf)];

	return slot->leaf == leaf && (subleaf & slot->mask) == slot->subleaf ? slot : NULL;
}

int cpuid_create(struct vcpu *vcpu);	/* -ENOMEM; sets vcpu->cpuid */
/* The TSC's frequency has been measured again: the leaves that say it follow. Before the vCPU is entered. */
void cpuid_set_timing(struct vcpu *vcpu);
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
