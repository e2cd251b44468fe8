/* SPDX-License-Identifier: MIT */
/*
 * The paravirtual clock interface that KVM defines and that Linux, the BSDs and others know: it gives
 * a guest the exact frequency of its TSC, more precisely than calibration against emulated timers would,
 * and says that x2APIC mode may be used without an IOMMU.
 * Linux, Documentation/virt/kvm/x86/cpuid.rst and msr.rst.
 */
#pragma once

#include "arch/cpu/cpu.h"
#include "lib/types.h"

struct vcpu;

#define PVCLOCK_CPUID_BASE 0x40000100	/* after Lamina's own leaves */
#define PVCLOCK_CPUID_MAX  0x40000101

#define MSR_PVCLOCK_WALL   0x4b564d00	/* announced by bit 3 of leaf 40000101h's EAX */
#define MSR_PVCLOCK_SYSTEM 0x4b564d01	/* likewise */

struct cpuid_regs pvclock_cpuid(u32 leaf, u32 vcpus);

/* WRMSR of the two above. 0, or -EINVAL: #GP, the address is not RAM or misaligned. */
int pvclock_write_wall(struct vcpu *vcpu, u64 value);
int pvclock_write_system(struct vcpu *vcpu, u64 value);
