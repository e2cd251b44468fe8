/* SPDX-License-Identifier: MIT */
/* Timers of device models: a short list per vCPU, sorted by deadline. */
#include "core/vtimer.h"

#include "arch/cpu/cpu.h"
#include "arch/time/clock.h"
#include "core/vcpu.h"

static void first_changed(struct vcpu *vcpu)
{
	vcpu->timer_deadline = vcpu->timers ? vcpu->timers->deadline : VTIMER_NEVER;
}

void vtimer_init(struct vtimer *timer, struct vcpu *vcpu, void (*fire)(struct vtimer *timer))
{
	*timer = (struct vtimer){ .vcpu = vcpu, .fire = fire, .deadline = VTIMER_NEVER };
}

void vtimer_cancel(struct vtimer *timer)
{
	struct vtimer **link = &timer->vcpu->timers;

	if (!timer->armed)
		return;
	while (*link != timer)
		link = &(*link)->next;
	*link = timer->next;
	timer->armed = false;
	first_changed(timer->vcpu);
}

void vtimer_arm(struct vtimer *timer, u64 deadline)
{
	struct vtimer **link = &timer->vcpu->timers;

	vtimer_cancel(timer);
	if (deadline == VTIMER_NEVER)
		return;
	while (*link && (*link)->deadline <= deadline)
		link = &(*link)->next;
	timer->deadline = deadline;
	timer->armed = true;
	timer->next = *link;
	*link = timer;
	first_changed(timer->vcpu);
}

void vtimer_run_expired(struct vcpu *vcpu, u64 now)
{
	/* Compare with `now`, not with the clock: a timer that re-arms itself for a later time ends the loop. */
	for (unsigned budget = 16; budget && vcpu->timers && vcpu->timers->deadline <= now; budget--) {
		struct vtimer *timer = vcpu->timers;

		vtimer_cancel(timer);
		timer->fire(timer);
	}
	if (vcpu->timers && vcpu->timers->deadline <= now)
		vcpu_request(vcpu, REQ_TIMER);
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
