/* SPDX-License-Identifier: MIT */
/* The heart: the one loop that enters guests. */
#include "core/enter.h"

#include "arch/cpu/cpu.h"
#include "arch/apic/lapic.h"
#include "core/observe/statistics_record.h"
#include "core/observe/trace.h"
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

/*
 * Serve the requests and decide what enters with the guest. `force_immediate_exit`: the coming entry
 * has to exit before the first guest instruction. False: the VM has ended.
 */
static __noinline bool serve_requests(struct vcpu *vcpu, bool *force_immediate_exit)
{
	u32 requests;

	serve_console(vcpu);
	if (vcpu->vm->state != VM_RUNNING || stop_now(vcpu))
		return false;

	requests = take_requests(vcpu, REQ_TIMER | REQ_EVENT);
	if ((requests & REQ_TIMER) || vcpu->timer_deadline <= vcpu->exit_tsc) {
		vtimer_run_expired(vcpu, rdtsc());
		requests |= take_requests(vcpu, REQ_EVENT);
	}
	if (requests & REQ_EVENT)
		*force_immediate_exit = event_inject(vcpu);
	/* What waits right behind the injected event is decided anew after that exit. */
	if (*force_immediate_exit)
		vcpu_request(vcpu, REQ_EVENT);

	/* A stop waits for an event in delivery, and then for no guest instruction. */
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

/* One turn of the loop, in vcpu_main() and, for itself, in vcpu_enter_guest(). */
static inline bool enter_guest(struct vcpu *vcpu)
{
	enum exit_fastpath fastpath;
	bool force_immediate_exit = false;

	/* A deadline that passed before the last exit needs no interrupt and no other exit. */
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

	/* Host interrupts that ended the guest's turn, or came since, are served here and nowhere else. */
	irq_window();

	if (likely(fastpath == EXIT_FASTPATH_NONE))
		vcpu->ops->handle_exit(vcpu);
	return likely(vcpu->vm->state == VM_RUNNING);
}

bool vcpu_enter_guest(struct vcpu *vcpu)
{
	return enter_guest(vcpu);
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
	} while (enter_guest(vcpu));
	statistics_exit_ends(vcpu, rdtsc());
	lapic_timer_arm(LAPIC_TIMER_OFF);
}
