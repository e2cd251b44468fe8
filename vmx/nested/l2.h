/* SPDX-License-Identifier: MIT */
/*
 * L2 as the current level.
 *
 * vmcs01 runs L1, vmcs02 runs L2, and vmcs12 (vmx/nested/vmcs12.h) is what L1 has asked for. vmx->vmcs is the one that
 * is current, so that all of vmx/ works on the level that is; the other one is kept in struct nested_l2.
 */
#pragma once

#include "core/mem/nested_walk.h"
#include "core/vtimer.h"
#include "vmx/nested/vmcs12.h"
#include "vmx/vmx.h"

/* L1's preemption timer counts once in 2^5 ticks of the TSC: IA32_VMX_MISC. */
#define NESTED_TIMER_SHIFT 5
/* CR3-target values of L1's: IA32_VMX_MISC. */
#define NESTED_CR3_TARGETS 4

/* Home CPU. */
struct nested_l2 {
	struct vmcs other;	/* vmcs02; while L2 runs, vmcs01 */
	u8 *msr_bitmap;	/* of vmcs02: a page */
	u16 open_word[32];	/* the words of L0's bitmap that are not all ones; */
	unsigned open_words;	/* how many */
	u64 tsc_offset;		/* L2's TSC is L1's and this */

	bool entry_pending;	/* VMLAUNCH or VMRESUME has succeeded, and the processor has not been in L2 since */
	bool halted;		/* L2's activity state is HLT */
	bool executed;		/* since its last exit, by L0: an instruction, or an iteration of a string instruction */
	bool timer_expired;	/* L1's preemption timer, which is to cause an exit */
	bool apic_changed;	/* the VM's EPT has: where the virtual-APIC and the APIC-access page are is to be looked up again */
	bool tsc_changed;	/* vcpu->tsc_offset has changed since vmcs01 was current; */
	bool pause_changed;	/* so has whether PAUSE loops exit */
	hpa_t apic_access;	/* of vmcs02: the APIC-access page; 0: none */
	u8 splits;		/* large pages that were split around APIC-access pages */
	u16 vpid;		/* VPID of vmcs12 at the last entry; 0: none */
	struct vtimer timer;	/* L1's preemption timer, armed while it runs */
	/* The access by L0 for L2 that L1's EPT has refused, or that is to L1's APIC-access page (walk.cause NESTED_ALLOWED): from vcpu_ops.nested_gpa to vcpu_ops.nested_fault. */
	struct nested_walk walk;
	gpa_t physical;
	gva_t linear;
	bool of_table, refused;
	u8 access;		/* NESTED_READ, or one of its like */
};
