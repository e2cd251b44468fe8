/* SPDX-License-Identifier: MIT */
/*
 * The fast path: exits that are handled inside the entry stub, without going back to the loop in
 * core/enter.c. There are two ways, both with the accounting and the trace of any other exit:
 *
 *  - CPUID with a constant result, RDMSR of a cached value and hypercalls need only the vCPU, and on SVM
 *    no host state: vmx_exit_fastpath(), svm_exit_fastpath().
 *  - Most other exits need a handler, but nothing of the loop: vmx_exit_in_stub(), svm_exit_in_stub()
 *    take the snapshot and call it between fastpath_begins() and fastpath_ends().
 *
 * With a request pending every exit goes to the loop.
 */
#pragma once

#include "arch/cpu/cpu.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/observe/statistics.h"
#include "core/observe/trace_record.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"

/* --- without host state --- */

/* Store all of CPUID's result but RAX, which is returned. */
static inline u64 fastpath_cpuid_result(struct vcpu *vcpu, const struct cpuid_regs *result)
{
	vcpu->regs[REG_RBX] = result->ebx;
	vcpu->regs[REG_RCX] = result->ecx;
	vcpu->regs[REG_RDX] = result->edx;
	return result->eax;
}

/* Account for the exit at `tsc`, which has been handled. Returns its trace record, still without an access. */
static inline struct trace_record *fastpath_done(struct vcpu *vcpu, struct exit_statistics *statistics,
						 u32 reason, u64 tsc, u64 rip, u64 next_rip)
{
	struct trace_record *record = trace_add(vcpu, TRACE_FASTPATH, tsc);
	u64 now = tsc_now();

	record->exit_index = (u8)reason;
	record->reason = reason;
	record->rip = rip;
	record->access.kind = TRACE_NO_ACCESS;
	record->entry_tsc = now;
	record->entry_rip = next_rip;
	statistics_count(statistics, now - tsc);
	vcpu->outcomes[EXIT_FASTPATH_REENTER_GUEST]++;
	return record;
}

/* Record the RDMSR in the trace. */
static inline void fastpath_trace_rdmsr(struct trace_record *record, u32 msr, u64 value)
{
	record->access.kind = TRACE_MSR;
	record->access.write = record->access.refused = false;
	record->access.address = msr;
	record->access.value = value;
}

/* --- with a handler --- */

/*
 * May the exit of this kind, at vcpu->exit_tsc, be handled in the stub? The first exit of a kind may
 * not: the loop allocates its statistics.
 */
static inline bool fastpath_begins(const struct vcpu *vcpu, u8 index)
{
	return vcpu_nothing_pending(vcpu) && likely(vcpu->timer_deadline > vcpu->exit_tsc) &&
	       likely(vcpu->statistics.by_kind[index]);
}

/* The exit has been handled: EXIT_FASTPATH_REENTER_GUEST, or EXIT_FASTPATH_EXIT_HANDLED for the loop. */
static inline enum exit_fastpath fastpath_ends(struct vcpu *vcpu)
{
	bool armed = vcpu->deadline_in_hardware || vcpu->timer_deadline == vcpu->cpu->timer_armed;
	u64 now;

	if (unlikely(!vcpu_nothing_pending(vcpu) || vcpu->activity != VCPU_RUNNING || !armed))
		return EXIT_FASTPATH_EXIT_HANDLED;
	now = tsc_now();
	vcpu->entry_tsc = now;
	statistics_count(vcpu->statistics.by_kind[vcpu->exit_index], now - vcpu->exit_tsc);
	trace_entry(vcpu, false);
	vcpu->outcomes[EXIT_FASTPATH_REENTER_GUEST]++;
	return EXIT_FASTPATH_REENTER_GUEST;
}
