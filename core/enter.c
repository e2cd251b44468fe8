/* SPDX-License-Identifier: MIT */
/*
 * The loop that enters the guest. Most exits never get here: the vendor's entry stub handles them and
 * enters the guest again (the fast path). This loop gets the rest: the first exit of each
 * kind, exceptions, host interrupts, requests, pending events, and the end of the VM.
 */
#include "core/enter.h"

#include "arch/apic/lapic_timer.h"
#include "arch/cpu/cpu.h"
#include "core/observe/report.h"
#include "core/observe/statistics_record.h"
#include "core/observe/trace.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"

static u32 take_requests(struct vcpu *vcpu, u32 mask)
{
	return __atomic_fetch_and(&vcpu->requests, ~mask, __ATOMIC_ACQUIRE) & mask;
}

/* Print the requested reports. The time that this takes is not counted as time of the last exit. */
static void serve_reports(struct vcpu *vcpu)
{
	u32 requests = take_requests(vcpu, REQ_STATISTICS | REQ_TRACE);

	if (!requests)
		return;
	statistics_exit_ends(vcpu, rdtsc());
	vcpu_report(vcpu, requests);
}

/*
 * A VM is stopped at an instruction boundary: an event whose delivery has begun is delivered first.
 * Allow one entry for that and no more, because a guest can make its exceptions raise exceptions forever.
 */
static bool stop_now(struct vcpu *vcpu)
{
	const struct vcpu_events *events = &vcpu->events;

	if (!(__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & REQ_STOP))
		return false;
	if ((events->reinject.type != EVENT_NONE || events->exception.type != EVENT_NONE) && !vcpu->stopping) {
		vcpu->stopping = true;
		return false;
	}
	vm_end(vcpu->vm, VM_END_STOPPED, "%s (RIP 0x%llx)", vcpu->stop_reason ?: "stopped by request",
	       (unsigned long long)vcpu_reg_read(vcpu, REG_RIP));
	return true;
}

/*
 * Serve the pending requests and choose the event to inject. Sets *force_immediate_exit if the next
 * entry must exit before the guest's first instruction. Returns false when the VM has ended.
 */
static __noinline bool serve_requests(struct vcpu *vcpu, bool *force_immediate_exit)
{
	u32 requests;

	serve_reports(vcpu);
	if (vcpu->vm->state != VM_RUNNING || stop_now(vcpu))
		return false;

	requests = take_requests(vcpu, REQ_TIMER | REQ_EVENT);
	if ((requests & REQ_TIMER) || vcpu->timer_deadline <= vcpu->exit_tsc) {
		vtimer_run_expired(vcpu, rdtsc());
		requests |= take_requests(vcpu, REQ_EVENT);
	}
	if (requests & REQ_EVENT)
		*force_immediate_exit = event_inject(vcpu);
	/* Another event is pending behind the injected one: choose it after the forced exit. */
	if (*force_immediate_exit)
		vcpu_request(vcpu, REQ_EVENT);

	/* A stop waits until the event is delivered, but not for the next guest instruction. */
	if (__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & REQ_STOP)
		*force_immediate_exit = true;
	vcpu->forced_exits += *force_immediate_exit;
	return true;
}

static void entry_failed(struct vcpu *vcpu)
{
	vcpu->ops->explain_failure(vcpu);
	vcpu->ops->dump(vcpu);
	trace_failed_entry(vcpu);
	trace_print(vcpu->vm, TRACE_ON_ERROR);
	vm_end(vcpu->vm, VM_END_ENTRY_FAILED, "the processor refused the VM entry");
}

/* One iteration of the loop. Inlined into vcpu_main(); vcpu_enter_guest() is the same for single calls. */
static inline bool enter_guest(struct vcpu *vcpu)
{
	enum exit_fastpath fastpath;
	bool force_immediate_exit = false;

	/* Timers whose deadline passed before the last exit run now, without waiting for their interrupt. */
	if (unlikely(vcpu_requested(vcpu) || vcpu->timer_deadline <= vcpu->exit_tsc)) {
		if (!serve_requests(vcpu, &force_immediate_exit))
			return false;
	}
	if (!vcpu->deadline_in_hardware && unlikely(vcpu->timer_deadline != lapic_timer_armed))
		lapic_timer_arm(vcpu->timer_deadline);

	for (;;) {
		vcpu->entry_tsc = rdtsc();
		statistics_exit_ends(vcpu, vcpu->entry_tsc);
		fastpath = vcpu->ops->vcpu_run(vcpu, force_immediate_exit);
		vcpu->outcomes[fastpath]++;
		if (unlikely(fastpath == EXIT_FASTPATH_ENTRY_FAILED)) {
			irq_window();
			entry_failed(vcpu);
			return false;
		}
		statistics_exit_begins(vcpu);
		if (likely(fastpath != EXIT_FASTPATH_REENTER_GUEST) || vcpu_requested(vcpu))
			break;
		force_immediate_exit = false;
	}

	/* Serve the host interrupts that caused the exit, or arrived since, here and nowhere else. */
	irq_window();

	if (likely(fastpath == EXIT_FASTPATH_NONE))
		vcpu->ops->handle_exit(vcpu);
	return likely(vcpu->vm->state == VM_RUNNING);
}

bool vcpu_enter_guest(struct vcpu *vcpu)
{
	return enter_guest(vcpu);
}

/* Halt the CPU until an event wakes the vCPU. Host interrupts are served meanwhile. */
static void idle(struct vcpu *vcpu)
{
	u64 start;

	while (vcpu->activity != VCPU_RUNNING) {
		if (take_requests(vcpu, REQ_TIMER) || vcpu->timer_deadline <= rdtsc())
			vtimer_run_expired(vcpu, rdtsc());
		if (__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & REQ_STOP)
			return;
		if (event_wakes(vcpu)) {
			vcpu->activity = VCPU_RUNNING;
			vcpu_request(vcpu, REQ_EVENT);
			return;
		}
		serve_reports(vcpu);
		lapic_timer_arm(vcpu->timer_deadline);
		start = rdtsc();
		irq_wait();
		statistics_slept(vcpu, rdtsc() - start);
	}
}

void vcpu_main(struct vcpu *vcpu)
{
	do {
		if (unlikely(vcpu->activity != VCPU_RUNNING))
			idle(vcpu);
	} while (enter_guest(vcpu));
	statistics_exit_ends(vcpu, rdtsc());
	lapic_timer_arm(LAPIC_TIMER_OFF);
}
