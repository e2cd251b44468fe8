/* SPDX-License-Identifier: MIT */
/*
 * What is flushed when a CPU goes from one VM to another, so that neither can attack or spy on the other by
 * speculative execution. Intel, "Indirect Branch Predictor Barrier", "L1 Data Cache Flush", "Microarchitectural
 * Data Sampling"; AMD, "Indirect Branch Control Extension", "Software Techniques for Managing Speculation". Within one VM, and between a VM and Lamina, nothing
 * is flushed.
 */
#pragma once

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "lib/types.h"

struct percpu;

/* Choose by the processor and the option `mitigations`, and print the choice as a capability. For ops->probe(). */
void speculation_init(void);
/* mitigations=off */
bool speculation_off(void);
/*
 * IA32_SPEC_CTRL of the guest whose vCPU is loaded is in the processor: guests reach it without an exit. It applies to
 * Lamina's code, too, for which IBRS and STIBP are harmless. While no vCPU is loaded, and while the CPU sleeps, it is 0.
 * Save: returns the guest's value. Where the hardware switches it, it reads as the host's, 0, and stays alone.
 */
static inline void speculation_load_guest(u64 spec_ctrl)
{
	if (unlikely(spec_ctrl))
		wrmsr(MSR_SPEC_CTRL, spec_ctrl);
}

static inline u64 speculation_save_guest(void)
{
	u64 value;

	if (!cpu_features.spec_ctrl)
		return 0;
	value = rdmsr(MSR_SPEC_CTRL);
	if (value)
		wrmsr(MSR_SPEC_CTRL, 0);
	return value;
}

/* IA32_ARCH_CAPABILITIES as guests may see it: what it says about the processor, and no bit that announces an MSR. */
u64 speculation_guest_capabilities(void);

/* This VM is being loaded on `cpu`, the running one. The id must never have been another VM's. */
void speculation_switch_vm(struct percpu *cpu, u32 vm_id);
