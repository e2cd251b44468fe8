/* SPDX-License-Identifier: MIT */
/* The heart: the one loop that enters guests. */
#include "arch/cpu.h"
#include "arch/lapic.h"
#include "core/trace.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"

static u32 take_requests(struct vcpu *vcpu, u32 mask)
{
	return __atomic_fetch_and(&vcpu->requests, ~mask, __ATOMIC_ACQUIRE) & mask;
}

/* What was asked for at the console. The time that it takes is no exit's. */
static void serve_console(struct vcpu *vcpu)
{
	u32 requests = take_requests(vcpu, REQ_STATISTICS | REQ_TRACE);

	if (!requests)
		return;
	statistics_exit_ends(vcpu, rdtsc());
	if (requests & REQ_STATISTICS)
		statistics_print(vcpu, true);
	if (requests & REQ_TRACE)
		trace_print(vcpu->vm, TRACE_ON_REQUEST);
}

/*
 * Serve the requests and decide what enters with the guest. Returns true where the coming entry
 * has to exit before the first guest instruction.
 */
static bool prepare_entry(struct vcpu *vcpu)
{
	bool force_immediate_exit = false;
	u32 requests = take_requests(vcpu, REQ_TIMER | REQ_EVENT);

	/* A deadline that passed before the last exit needs no interrupt and no other exit. */
	if ((requests & REQ_TIMER) || vcpu->timer_deadline <= vcpu->exit_tsc) {
		vtimer_run_expired(vcpu, rdtsc());
		requests |= take_requests(vcpu, REQ_EVENT);
	}
	if ((requests & REQ_EVENT) || vcpu->events.reinject.type != EVENT_NONE ||
	    vcpu->events.exception.type != EVENT_NONE)
		force_immediate_exit = event_inject(vcpu);
	/* What waits right behind the injected event is decided anew after that exit. */
	if (force_immediate_exit)
		vcpu_request(vcpu, REQ_EVENT);

	/* A stop waits for an event in delivery, and then for no guest instruction. */
	if (__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & REQ_STOP)
		force_immediate_exit = true;
	return force_immediate_exit;
}

/*
 * A VM is stopped between two instructions: what is being delivered is delivered first. One entry has
 * to do for that, because a guest can make its exceptions raise exceptions for ever.
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

static void entry_failed(struct vcpu *vcpu)
{
	vcpu->ops->explain_failure(vcpu);
	vcpu->ops->dump(vcpu);
	trace_failed_entry(vcpu);
	trace_print(vcpu->vm, TRACE_ON_ERROR);
	vm_end(vcpu->vm, VM_END_ENTRY_FAILED, "the processor refused the VM entry");
}

bool vcpu_enter_guest(struct vcpu *vcpu)
{
	enum exit_fastpath fastpath;
	bool force_immediate_exit;

	if (vcpu_requested(vcpu)) {
		serve_console(vcpu);
		if (stop_now(vcpu))
			return false;
	}

	force_immediate_exit = prepare_entry(vcpu);
	vcpu->forced_exits += force_immediate_exit;

	if (!vcpu->deadline_in_hardware)
		lapic_timer_arm(vcpu->timer_deadline);

	for (;;) {
		vcpu->entry_tsc = rdtsc();
		statistics_exit_ends(vcpu, vcpu->entry_tsc);
		fastpath = vcpu->ops->vcpu_run(vcpu, force_immediate_exit);
		vcpu->outcomes[fastpath]++;
		if (likely(fastpath != EXIT_FASTPATH_ENTRY_FAILED))
			statistics_exit_begins(vcpu);
		if (fastpath != EXIT_FASTPATH_REENTER_GUEST)
			break;
		if (vcpu_requested(vcpu)) {
			fastpath = EXIT_FASTPATH_EXIT_HANDLED;
			break;
		}
		force_immediate_exit = false;
	}

	/* Host interrupts that ended the guest's turn, or came since, are served here and nowhere else. */
	irq_window();

	if (unlikely(fastpath == EXIT_FASTPATH_ENTRY_FAILED)) {
		entry_failed(vcpu);
		return false;
	}

	if (fastpath == EXIT_FASTPATH_NONE)
		vcpu->ops->handle_exit(vcpu);
	return vcpu->vm->state == VM_RUNNING;
}

/* Sleep until something wakes the vCPU. Interrupts are served while the processor waits. */
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
		serve_console(vcpu);
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
	} while (vcpu_enter_guest(vcpu));
	statistics_exit_ends(vcpu, rdtsc());
	lapic_timer_arm(LAPIC_TIMER_OFF);
}
