/* SPDX-License-Identifier: MIT */
/* The guest's model-specific registers: one policy table (core/cpu/msr.c). */
#pragma once

#include "arch/cpu/x86.h"
#include "lib/types.h"

struct vm;
struct vcpu;

/*
 * Pointers to the values of MSRs that were read before and whose values are in memory: RDMSR of these
 * needs neither the policy nor a handler. The structure that vcpu->msrs points to begins with this.
 */
#define MSR_SHORTCUTS 16	/* by the low bits of the MSR's number */
struct msr_shortcuts {
	struct {
		u32 msr;
		const u64 *place;	/* NULL: none yet */
	} slot[MSR_SHORTCUTS];
};

/* NULL: call msr_guest_read(), which adds a shortcut where the value is in memory. */
static inline const u64 *msr_shortcut(const void *state, u32 msr)
{
	const struct msr_shortcuts *shortcuts = state;

	return shortcuts->slot[msr % MSR_SHORTCUTS].msr == msr ? shortcuts->slot[msr % MSR_SHORTCUTS].place : NULL;
}

static inline void msr_add_shortcut(struct msr_shortcuts *shortcuts, u32 msr, const u64 *place)
{
	shortcuts->slot[msr % MSR_SHORTCUTS].msr = msr;
	shortcuts->slot[msr % MSR_SHORTCUTS].place = place;
}

int msr_create(struct vcpu *vcpu);	/* -ENOMEM; sets vcpu->msrs */
void msr_destroy(struct vcpu *vcpu);
/* Power-up; or, with `init`, INIT, which keeps all but the addresses of paravirtual structures. */
void msr_reset(struct vcpu *vcpu, bool init);
/* Tell the vendor which MSRs need no exit. */
void msr_apply_passthrough(struct vm *vm);

/* The MSRs of the local APIC, which are accessed most: irqchip_ops has all accesses to them. */
static inline bool msr_is_apic(u32 msr)
{
	return msr == MSR_TSC_DEADLINE || msr - MSR_X2APIC(0) < 0x100;
}

/* RDMSR/WRMSR by the guest. 0, or -EINVAL: the access must raise #GP(0); unknown ones are logged once. */
int msr_guest_read(struct vcpu *vcpu, u32 msr, u64 *value);
int msr_guest_write(struct vcpu *vcpu, u32 msr, u64 value);
