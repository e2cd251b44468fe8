/* SPDX-License-Identifier: MIT */
/*
 * The loop that enters the guest. Most exits never get here: the vendor's entry stub handles them and
 * enters the guest again (the fast path). This loop gets the rest: the first exit of each
 * kind, exceptions, host interrupts, requests, pending events, and the end of the VM.
 */
#include "core/enter.h"

#include "arch/apic/lapic_timer.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "core/advance.h"
#include "core/force_exit.h"
#include "core/observe/statistics_record.h"
#include "core/observe/trace.h"
#include "core/observe/trace_record.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "core/work.h"

#define SELDOM_REQUESTS (REQ_STARTUP | REQ_FLUSH_TLB | REQ_WORK)
#define SERVED_REQUESTS (SELDOM_REQUESTS | REQ_NMIS | REQ_RESCHED | REQ_TIMER)

static u32 take_requests(struct vcpu *vcpu, u32 mask)
{
	return __atomic_fetch_and(&vcpu->requests, ~mask, __ATOMIC_SEQ_CST) & mask;
}

static bool is_requested(const struct vcpu *vcpu, u32 mask)
{
	return __atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & mask;
}

/*
 * A VM is stopped at an instruction boundary: an event whose delivery has begun is delivered first.
 * Allow one entry for that and no more, because a guest can make its exceptions raise exceptions forever.
 */
static bool stop_now(struct vcpu *vcpu)
{
	const struct vcpu_events *events = &vcpu->events;

	if (!is_requested(vcpu, REQ_STOP))
		return false;
	if ((events->reinject.type != EVENT_NONE || events->exception.type != EVENT_NONE) && !vcpu->stopping)
		return false;
	vm_end(vcpu->vm, VM_END_STOPPED, "%s (RIP 0x%llx)", vcpu->stop_reason ?: "stopped by request",
	       (unsigned long long)vcpu_reg_read(vcpu, REG_RIP));
	return true;
}

/*
 * Serve what is seldom requested. Returns the requests, with REQ_TIMER where it took so long that timers may have expired.
 * What is requested during the work is served before the next entry.
 */
static __noinline u32 serve_seldom(struct vcpu *vcpu, u32 requests)
{
	if ((requests & (REQ_WORK | REQ_RESCHED)) == REQ_WORK) {
		work_serve(vcpu);
		requests |= REQ_TIMER | take_requests(vcpu, SERVED_REQUESTS & ~(u32)REQ_WORK);
	} else if (requests & REQ_WORK) {
		vcpu_request(vcpu, REQ_WORK);	/* when the vCPU runs again */
	}
	if ((requests & REQ_STARTUP) && startup_serve(vcpu))
		requests &= ~(u32)REQ_NMIS;
	if (requests & REQ_FLUSH_TLB)
		vcpu->ops->flush_tlb(vcpu);
	return requests;
}

/* Requests that do not concern the next entry alone. False: the vCPU must not be entered now. */
static bool serve_others(struct vcpu *vcpu)
{
	u32 requests;

	if (take_requests(vcpu, REQ_STATE | REQ_DUMP | REQ_WAIT) & REQ_DUMP)
		vcpu->ops->dump(vcpu);
	/* Of a paused VM the other requests stay pending until it goes on. */
	if (__atomic_load_n(&vcpu->vm->state, __ATOMIC_ACQUIRE) != VM_RUNNING || stop_now(vcpu))
		return false;
	requests = take_requests(vcpu, SERVED_REQUESTS);
	if (unlikely(requests & SELDOM_REQUESTS))
		requests = serve_seldom(vcpu, requests);
	if (requests & REQ_NMI)
		event_queue_nmi(vcpu);
	if (requests & REQ_NMI_AGAIN)
		event_queue_nmi(vcpu);
	if ((requests & REQ_TIMER) || vcpu->timer_deadline <= vcpu->exit_tsc)
		if (!vtimer_run(vcpu, rdtsc()))
			vcpu_request(vcpu, REQ_TIMER);
	requests |= take_requests(vcpu, REQ_RESCHED);
	return !(requests & REQ_RESCHED);
}

/* The event to inject, if any, and whether the next entry must exit before the guest's first instruction. */
static __always_inline void choose_event(struct vcpu *vcpu, bool *force_immediate_exit)
{
	if (is_requested(vcpu, REQ_STOP))
		vcpu->stopping = true;	/* this is the one entry that is allowed */

	if (take_requests(vcpu, REQ_EVENT))
		*force_immediate_exit = vcpu->choose_event(vcpu);
	/* Another event is pending behind the injected one: choose it after the forced exit. */
	if (*force_immediate_exit)
		vcpu_request(vcpu, REQ_EVENT);

	/*
	 * A guest is entered with a request pending only if it exits before its first instruction: see core/vcpu_kick.c.
	 * A stop waits until the event is delivered, and what was requested meanwhile is served then, too.
	 */
	if (vcpu_requested(vcpu))
		*force_immediate_exit = true;
	vcpu->forced_exits += *force_immediate_exit;
}

/*
 * Serve the pending requests and choose the event to inject. Sets *force_immediate_exit if the next
 * entry must exit before the guest's first instruction. Returns false if the vCPU has to stop.
 */
static __noinline bool serve_requests(struct vcpu *vcpu, bool *force_immediate_exit)
{
	if (likely(!is_requested(vcpu, ~(u32)REQ_EVENT) && vcpu->timer_deadline > vcpu->exit_tsc)) {
		choose_event(vcpu, force_immediate_exit);
		return true;
	}
	if (!serve_others(vcpu) || vcpu->activity != VCPU_RUNNING)
		return false;
	choose_event(vcpu, force_immediate_exit);
	if (vcpu->wait.until)
		advance_wait(vcpu);
	return true;
}

/* Timers have expired, or one that fires early has. False: that is not all. */
static __noinline bool serve_timers(struct vcpu *vcpu)
{
	if ((take_requests(vcpu, REQ_TIMER | REQ_WAIT) & REQ_TIMER) && !vtimer_run(vcpu, rdtsc()))
		vcpu_request(vcpu, REQ_TIMER);
	return !(vcpu_demands(vcpu) & ~(u64)REQ_EVENT);
}

enum exit_fastpath enter_from_stub(struct vcpu *vcpu)
{
	u64 demands = vcpu_demands(vcpu);
	bool force_immediate_exit = false;

	if (unlikely((demands & ~(u64)(REQ_EVENT | REQ_TIMER | REQ_WAIT)) || vcpu->activity != VCPU_RUNNING ||
		     !events_are_interrupts(&vcpu->events)))
		return EXIT_FASTPATH_EXIT_HANDLED;
	if (unlikely(demands & (REQ_TIMER | REQ_WAIT)) && !serve_timers(vcpu))
		return EXIT_FASTPATH_EXIT_HANDLED;
	choose_event(vcpu, &force_immediate_exit);
	if (unlikely(vcpu->wait.until))
		advance_wait(vcpu);
	/* After the wait, which may have learnt another deadline. */
	if (!vcpu->deadline_in_hardware && vcpu->timer_deadline != vcpu->cpu->timer_armed)
		lapic_timer_arm(vcpu->timer_deadline);
	/* An event may be injected: it is too late to leave that to the loop. */
	if (unlikely(force_immediate_exit))
		force_exit_by_self_ipi(vcpu);
	vcpu->entry_tsc = rdtsc();
	statistics_count(vcpu->statistics.by_kind[vcpu->exit_index], vcpu->entry_tsc - vcpu->exit_tsc);
	trace_entry(vcpu, force_immediate_exit);
	vcpu->outcomes[EXIT_FASTPATH_REENTER_GUEST]++;
	return EXIT_FASTPATH_REENTER_GUEST;
}

static void entry_failed(struct vcpu *vcpu)
{
	vcpu->ops->explain_failure(vcpu);
	vcpu->ops->dump(vcpu);
	trace_failed_entry(vcpu);
	trace_print(vcpu->vm, TRACE_ON_ERROR);
	vm_end(vcpu->vm, VM_END_ENTRY_FAILED, "the processor refused the VM entry");
}

/* One iteration of the loop. Inlined into vcpu_run_slice(); vcpu_enter_guest() is the same for single calls. */
static inline bool enter_guest(struct vcpu *vcpu)
{
	enum exit_fastpath fastpath;
	bool force_immediate_exit = false;

	/* Timers whose deadline passed before the last exit run now, without waiting for their interrupt. */
	if (unlikely(vcpu_requested(vcpu) || vcpu->timer_deadline <= vcpu->exit_tsc)) {
		if (!serve_requests(vcpu, &force_immediate_exit))
			return false;
	}
	if (!vcpu->deadline_in_hardware && unlikely(vcpu->timer_deadline != vcpu->cpu->timer_armed))
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

	/* Serve the host interrupts that caused the exit, or arrived since: here, and in the entry stub, and nowhere else. */
	irq_window();

	if (likely(fastpath == EXIT_FASTPATH_NONE))
		vcpu->ops->handle_exit(vcpu);
	return true;
}

bool vcpu_enter_guest(struct vcpu *vcpu)
{
	return enter_guest(vcpu);
}

/* The vCPU is halted, or waits for a start-up IPI. Can it go on? */
static bool wakes(struct vcpu *vcpu)
{
	if (vcpu_requested(vcpu) && !serve_others(vcpu))
		return false;
	if (vcpu->activity == VCPU_HALTED)
		event_wakes(vcpu);
	if (vcpu->activity == VCPU_RUNNING) {
		if (vcpu->wait.until)
			vcpu_request(vcpu, REQ_WAIT);
		return true;
	}
	if (unlikely(vcpu->work.timer.armed))
		work_resume(vcpu);
	return false;
}

static enum vcpu_stop why_stopped(const struct vcpu *vcpu)
{
	u32 state = __atomic_load_n(&vcpu->vm->state, __ATOMIC_ACQUIRE);

	if (state == VM_ENDED)
		return VCPU_STOPPED_LEFT;
	return state == VM_RUNNING && vcpu->activity == VCPU_RUNNING ? VCPU_STOPPED_PREEMPTED : VCPU_STOPPED_HALTED;
}

enum vcpu_stop vcpu_run_slice(struct vcpu *vcpu)
{
	do {
		if (unlikely(vcpu->activity != VCPU_RUNNING) && !wakes(vcpu))
			break;
	} while (enter_guest(vcpu));
	statistics_exit_ends(vcpu, rdtsc());
	return why_stopped(vcpu);
}
