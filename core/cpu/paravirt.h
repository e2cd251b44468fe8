/* SPDX-License-Identifier: MIT */
/*
 * What KVM defines for guests with several vCPUs: stolen time, and hypercalls that spare them IPIs.
 * Linux, Documentation/virt/kvm/x86/cpuid.rst, msr.rst and hypercalls.rst.
 */
#pragma once

#include "lib/types.h"

struct vcpu;

#define MSR_STEAL_TIME 0x4b564d03	/* leaf 40000101h, EAX bit 5 */

/*
 * The number of a hypercall is in RAX, its arguments in RBX, RCX, RDX, RSI, its result goes to RAX. The fast
 * path handles those outside of this range: each returns HYPERCALL_UNKNOWN (KVM_ENOSYS).
 */
#define HYPERCALL_FIRST	  5
#define HYPERCALL_LAST	  11
#define HYPERCALL_UNKNOWN ((u64)-1000)

static inline bool hypercall_may_be_known(u64 number)
{
	return number - HYPERCALL_FIRST <= HYPERCALL_LAST - HYPERCALL_FIRST;
}

/* Home CPU. */
struct steal_time {
	u64 msr;	/* MSR_STEAL_TIME: the guest-physical address of the structure, and whether it is in use */
	u64 stolen;	/* ticks */
};

/* The features of a guest with this many vCPUs: bits of leaf 40000101h's EAX. */
u32 paravirt_features(u32 vcpus);
/* The result of the hypercall in the vCPU's registers. */
u64 paravirt_hypercall(struct vcpu *vcpu);

/* WRMSR of MSR_STEAL_TIME. 0, or -EINVAL: #GP, the address is not RAM or misaligned. */
int steal_time_write(struct vcpu *vcpu, u64 value);
/*
 * For the scheduler, on the home CPU, between two instructions of the guest, with its VM's address space in use:
 * the vCPU, which could run, has to wait, until it runs again after so many ticks.
 */
void steal_time_begins(struct vcpu *vcpu);
void steal_time_ends(struct vcpu *vcpu, u64 ticks);
