/* SPDX-License-Identifier: MIT */
/*
 * The fast path: exits that are handled inside the entry stub, without going back to the loop in
 * core/enter.c. There are three ways, all with the accounting and the trace of any other exit:
 *
 *  - CPUID with a constant result, RDMSR of a cached value and hypercalls need only the vCPU, and on SVM
 *    no host state: vmx_exit_fastpath(), svm_exit_fastpath().
 *  - IN, OUT, MMIO, RDMSR and WRMSR need a device or the handler of an MSR, and hardly anything else of what a handler of
 *    an exit may look at: fastpath_port(), fastpath_msr(), and
 *    fastpath_mmio() in core/emulate/mmio_stub.h.
 *  - Most other exits need a handler, but nothing of the loop: vmx_exit_in_stub(), svm_exit_in_stub()
 *    take the snapshot and call it between fastpath_begins() and fastpath_ends(). Host interrupts and timers
 *    are served there, too.
 *
 * In the first two ways regs[] lacks the registers that core/guest_regs.inc calls kept: RBP and R12 to R15.
 * With a request pending every exit goes to the loop, but if it is no more than an interrupt to be injected, or a timer that
 * has expired: enter_from_stub().
 */
#pragma once

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/enter.h"
#include "core/io_access.h"
#include "core/irqchip.h"
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

/*
 * Account for the exit of kind `index` at `tsc`, which has been handled. `kind`: of its trace record, which is
 * returned; that of an RDMSR still lacks the access.
 */
static __always_inline struct trace_record *fastpath_done(struct vcpu *vcpu, struct exit_statistics *statistics,
							  enum trace_kind kind, u8 index, u64 tsc, u64 rip, u64 next_rip)
{
	struct trace_record *record = trace_add(vcpu, kind | TRACE_INDEX(index), tsc);
	u64 now = tsc_now();

	record->rip = rip;
	record->entry_tsc = now;
	record->entry_rip = next_rip;
	statistics_count(statistics, now - tsc);
	vcpu->outcomes[EXIT_FASTPATH_REENTER_GUEST]++;
	return record;
}

/* Record the RDMSR in the trace. */
static inline void fastpath_trace_rdmsr(struct trace_record *record, u32 msr, u64 value)
{
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

/*
 * The same for an exit that the guest has not caused: a host interrupt, or a timer. It may have come to have an event
 * chosen.
 */
static inline bool fastpath_interrupted(const struct vcpu *vcpu, u8 index)
{
	return !(vcpu_demands(vcpu) & ~(u64)REQ_EVENT) && likely(vcpu->statistics.by_kind[index]);
}

/* The exit has been handled: is there nothing for the loop? */
static __always_inline bool fastpath_may_reenter(const struct vcpu *vcpu)
{
	if (unlikely(!vcpu_nothing_pending(vcpu)))
		return false;
	/* The host's timer is armed for what the handler may have changed, or vcpu_run() enforces it. */
	return vcpu->deadline_in_hardware || likely(vcpu->timer_deadline == vcpu->cpu->timer_armed);
}

/* Whether the guest is entered again: EXIT_FASTPATH_REENTER_GUEST, or EXIT_FASTPATH_EXIT_HANDLED for the loop. */
static __always_inline enum exit_fastpath fastpath_ends(struct vcpu *vcpu)
{
	u64 now;

	if (unlikely(!fastpath_may_reenter(vcpu)))
		return enter_from_stub(vcpu);
	now = tsc_now();
	vcpu->entry_tsc = now;
	statistics_count(vcpu->statistics.by_kind[vcpu->exit_index], now - vcpu->exit_tsc);
	trace_entry(vcpu, false);
	vcpu->outcomes[EXIT_FASTPATH_REENTER_GUEST]++;
	return EXIT_FASTPATH_REENTER_GUEST;
}

/* --- with a device, or the handler of an MSR --- */

/* What the vendor has read of an exit. */
struct access_exit {
	u8 index;		/* vcpu->exit_index, and the exit's reason */
	u64 info1, info2;	/* of the trace */
	u64 rip, next_rip;
};

/*
 * The snapshot. Only where stepping over the instruction changes nothing but RIP, no breakpoint is enabled, and no event's
 * delivery has been interrupted: so there is nothing to inject again. The instruction is at exit_rip; the vendor stores RIP and
 * exit_reason.
 */
static __always_inline struct trace_record *fastpath_access_begins(struct vcpu *vcpu, const struct access_exit *exit,
								   enum trace_kind kind)
{
	struct trace_record *record = trace_add(vcpu, kind | TRACE_INDEX(exit->index), vcpu->exit_tsc);

	record->rip = exit->rip;
	record->info1 = exit->info1;
	record->info2 = exit->info2;
	record->entry_tsc = 0;
	record->entry_rip = exit->next_rip;
	vcpu->exit_index = exit->index;
	vcpu->exit_rip = exit->rip;
	vcpu->regs[REG_RIP] = exit->next_rip;
	vcpu->regs_available = BIT(REG_RIP);
	return record;
}

/* Whether the guest is entered again, as fastpath_ends(). */
static __always_inline enum exit_fastpath fastpath_access_ends(struct vcpu *vcpu, struct trace_record *record,
							       const struct access_exit *exit)
{
	u64 now;

	if (unlikely(!fastpath_may_reenter(vcpu))) {
		vcpu->events.injected.type = vcpu->events.reinject.type = EVENT_NONE;
		return enter_from_stub(vcpu);
	}
	now = tsc_now();
	vcpu->entry_tsc = now;
	record->entry_tsc = now;
	statistics_count(vcpu->statistics.by_kind[exit->index], now - vcpu->exit_tsc);
	vcpu->outcomes[EXIT_FASTPATH_REENTER_GUEST]++;
	return EXIT_FASTPATH_REENTER_GUEST;
}

/* IN and OUT, with the operand in regs[REG_RAX]. `size`: 1, 2, 4. `in`: a constant, which makes less code of it. */
static __always_inline enum exit_fastpath fastpath_port(struct vcpu *vcpu, const struct access_exit *exit, u16 port,
							unsigned size, bool in)
{
	struct trace_record *record = fastpath_access_begins(vcpu, exit, TRACE_FASTPATH_ACCESS);
	const struct io_region *region = io_byte_region(vcpu->vm, port, size);
	u8 value;

	record->access.what = TRACE_ACCESS_WHAT(TRACE_PIO, size, !in);
	record->access.address = port;
	if (unlikely(!region)) {
		io_port_of_record(vcpu, record);
	} else if (in) {
		value = io_read_byte(vcpu, region, port);
		record->access.value = value;
		vcpu->regs[REG_RAX] = io_result(vcpu->regs[REG_RAX], 1, value);
	} else {
		value = (u8)vcpu->regs[REG_RAX];
		record->access.value = value;
		io_write_byte(vcpu, region, port, value);
	}
	return fastpath_access_ends(vcpu, record, exit);
}

/* RDMSR and WRMSR; `write`: a constant. After an error, RIP is that of the instruction, and #GP is pending. */
static __always_inline enum exit_fastpath fastpath_msr(struct vcpu *vcpu, const struct access_exit *exit, bool write)
{
	struct trace_record *record = fastpath_access_begins(vcpu, exit, TRACE_FASTPATH_ACCESS);
	u32 msr = (u32)vcpu->regs[REG_RCX];
	u64 value = write ? vcpu_edx_eax(vcpu) : 0;
	int error;

	record->access.what = TRACE_ACCESS_WHAT(TRACE_MSR, 8, write);
	record->access.address = msr;
	if (write) {
		record->access.value = value;
		error = msr_is_apic(msr) ? vcpu->vm->irqchip->msr_write(vcpu->vlapic, msr, value) :
					   msr_guest_write(vcpu, msr, value);
	} else {
		error = msr_is_apic(msr) ? vcpu->vm->irqchip->msr_read(vcpu->vlapic, msr, &value) :
					   msr_guest_read(vcpu, msr, &value);
		record->access.value = error ? 0 : value;
	}
	if (unlikely(error)) {
		record->access.refused = true;
		vcpu->events.reinject.type = EVENT_NONE;
		vcpu->regs[REG_RIP] = exit->rip;
		event_raise_error(vcpu, X86_GP, 0);
	} else if (!write) {
		vcpu_set_edx_eax(vcpu, value);
	}
	return fastpath_access_ends(vcpu, record, exit);
}
