/* SPDX-License-Identifier: MIT */
/*
 * Exits that are answered at once, from within the entry stub: CPUID with a constant answer, RDMSR of
 * a value that stands in memory, hypercalls. Nothing of the machine's is touched on the way, and the
 * guest goes on as if it had never left. Everything else, and each exit while a request waits, goes
 * the long way round.
 *
 * The vendors decide and step over the instruction; what they share of it is here. Accounting and
 * trace are those of any exit.
 */
#pragma once

#include "core/cpu/cpuid.h"
#include "core/exit.h"
#include "core/cpu/msr.h"
#include "core/observe/statistics.h"
#include "core/observe/trace_record.h"
#include "core/vcpu.h"
#include "core/vtimer.h"

/* CPUID's answer but for RAX, which is returned. */
static inline u64 instant_cpuid(struct vcpu *vcpu, const struct cpuid_regs *answer)
{
	vcpu->regs[REG_RBX] = answer->ebx;
	vcpu->regs[REG_RCX] = answer->ecx;
	vcpu->regs[REG_RDX] = answer->edx;
	return answer->eax;
}

/* The exit at `tsc` is over. Returns its record, which tells of no access. */
static inline struct trace_record *instant_done(struct vcpu *vcpu, struct exit_statistics *statistics,
						u32 reason, u64 tsc, u64 rip, u64 next_rip)
{
	struct trace_record *record = trace_add(vcpu, TRACE_INSTANT, tsc);
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

/* It was the RDMSR of this value. */
static inline void instant_rdmsr_done(struct trace_record *record, u32 msr, u64 value)
{
	record->access.kind = TRACE_MSR;
	record->access.write = record->access.refused = false;
	record->access.address = msr;
	record->access.value = value;
}
