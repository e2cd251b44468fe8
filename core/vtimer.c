/* SPDX-License-Identifier: MIT */
/* One-shot timers: short lists, sorted by deadline. */
#include "core/vtimer.h"

#include "arch/cpu/cpu.h"
#include "arch/time/clock.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define BUDGET 16	/* timers that one call fires */

static void first_changed(struct vtimer_list *list)
{
	const struct vtimer *first = list->first;
	u64 deadline = first ? first->deadline - (list->advance & first->early) : VTIMER_NEVER, before = list->deadline;
	struct vcpu *vcpu = list->vcpu;

	__atomic_store_n(&list->deadline, deadline, __ATOMIC_RELAXED);
	if (likely(vcpu))
		vcpu->timer_deadline = MIN(deadline, vcpu->limit);
	else if (deadline != before && list->changed)
		list->changed(list);
}

void vtimer_init_on(struct vtimer *timer, struct vtimer_list *list, void (*fire)(struct vtimer *timer))
{
	*timer = (struct vtimer){ .list = list, .fire = fire, .deadline = VTIMER_NEVER };
}

void vtimer_init(struct vtimer *timer, struct vcpu *vcpu, void (*fire)(struct vtimer *timer))
{
	vtimer_init_on(timer, &vcpu->timers, fire);
	timer->early = ~0ull;
}

void vtimer_init_shared(struct vtimer *timer, struct vm *vm, void (*fire)(struct vtimer *timer))
{
	vtimer_init_on(timer, &vm->timers, fire);
}

static void remove(struct vtimer *timer)
{
	struct vtimer **link = &timer->list->first;

	if (!timer->armed)
		return;
	while (*link != timer)
		link = &(*link)->next;
	*link = timer->next;
	timer->armed = false;
}

void vtimer_cancel(struct vtimer *timer)
{
	remove(timer);
	first_changed(timer->list);
}

void vtimer_arm(struct vtimer *timer, u64 deadline)
{
	struct vtimer **link = &timer->list->first;

	remove(timer);
	if (deadline != VTIMER_NEVER) {
		while (*link && (*link)->deadline <= deadline)
			link = &(*link)->next;
		timer->deadline = deadline;
		timer->armed = true;
		timer->next = *link;
		*link = timer;
	}
	first_changed(timer->list);
}

bool vtimer_list_run(struct vtimer_list *list, u64 now)
{
	/* Compare with `now`, not with the clock: a timer that re-arms itself for a later time ends the loop. */
	for (unsigned budget = BUDGET; budget && list->first && list->first->deadline <= now; budget--) {
		struct vtimer *timer = list->first;

		vtimer_cancel(timer);
		timer->fire(timer);
	}
	return !list->first || list->first->deadline > now;
}

static bool run_shared(struct vm *vm, u64 now)
{
	bool done;

	spin_lock(&vm->lock);
	done = vtimer_list_run(&vm->timers, now);
	spin_unlock(&vm->lock);
	return done;
}

void vtimer_limit_changed(struct vcpu *vcpu)
{
	u64 shared = vcpu->shared_timers ? __atomic_load_n(&vcpu->shared_timers->deadline, __ATOMIC_RELAXED) : VTIMER_NEVER;

	vcpu->limit = MIN(vcpu->slice_end, shared);
	vcpu->timer_deadline = MIN(vcpu->timers.deadline, vcpu->limit);
}

void vtimer_set_advance(struct vtimer_list *list, u64 ticks)
{
	if (list->advance == ticks)
		return;
	list->advance = ticks;
	first_changed(list);
}

/* The first timer may fire before its deadline, and no other one that is later. */
static bool run_own(struct vcpu *vcpu, u64 now)
{
	struct vtimer_list *timers = &vcpu->timers;
	u64 due;

	if (!timers->advance || timers->deadline > now || !timers->first->early)
		return vtimer_list_run(timers, now);
	due = timers->first->deadline;
	/* If the guest was entered too late for it, the way from here to the entry is not what has taken the time. */
	vcpu->wait.learner = vcpu->entry_tsc < timers->deadline ? vcpu->wait.advance : NULL;
	if (due > now || vcpu->wait.learner)
		vcpu->wait.until = due;
	return vtimer_list_run(timers, MAX(now, due));
}

bool vtimer_run(struct vcpu *vcpu, u64 now)
{
	bool done = run_own(vcpu, now);

	if (unlikely(vcpu->limit <= now)) {
		if (vcpu->shared_timers && vcpu->shared_timers->deadline <= now)
			done &= run_shared(vcpu->vm, now);
		if (vcpu->slice_end <= now)
			vcpu_request(vcpu, REQ_RESCHED);
	}
	vtimer_limit_changed(vcpu);
	return done;
}

void vtimer_run_expired(struct vcpu *vcpu, u64 now)
{
	if (!vtimer_run(vcpu, now))
		vcpu_request(vcpu, REQ_TIMER);
	if (vcpu->wait.until)
		vcpu_request(vcpu, REQ_WAIT);
}

u64 vtimer_now(void)
{
	return rdtsc();
}

u64 vtimer_from_ns(u64 ns)
{
	return clock_ns_to_tsc(ns);
}

u64 vtimer_to_ns(u64 ticks)
{
	return clock_tsc_to_ns(ticks);
}

u64 vtimer_scale(u64 ticks, u64 numerator, u64 denominator)
{
	u64 low, high, quotient, remainder;

	__asm__("mulq %3" : "=a"(low), "=d"(high) : "0"(ticks), "r"(numerator) : "cc");
	if (high >= denominator)
		return VTIMER_NEVER;
	__asm__("divq %4" : "=a"(quotient), "=d"(remainder) : "0"(low), "1"(high), "r"(denominator) : "cc");
	return quotient;
}

u64 vtimer_hz(void)
{
	return clock_tsc_hz();
}

u64 vcpu_guest_tsc(const struct vcpu *vcpu, u64 host_tsc)
{
	return host_tsc + vcpu->tsc_offset;
}
