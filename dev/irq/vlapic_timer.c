/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer. Nothing ticks: the count is computed from the TSC when the guest reads
 * it, and one vtimer waits for the next expiry that interrupts.
 */
#include "core/irqchip.h"
#include "dev/irq/vlapic.h"

static enum lapic_timer_mode mode(const struct lapic *lapic)
{
	return LVT_TIMER_MODE(lapic->lvt[LVT_TIMER]);
}

/* SDM, "Divide Configuration Register": 0 divides by 2, 6 by 128, and 7 by 1. */
static unsigned divide_shift(const struct lapic_timer *timer)
{
	u32 encoded = (timer->divide & 3) | (timer->divide >> 1 & 4);

	return (encoded + 1) & 7;
}

/* Counts since timer->start. */
static u64 elapsed(const struct lapic_timer *timer, u64 now)
{
	if (now <= timer->start)
		return 0;
	return vtimer_scale(now - timer->start, LAPIC_TIMER_HZ, vtimer_hz()) >> divide_shift(timer);
}

static u32 count_at(const struct lapic *lapic, u64 now)
{
	const struct lapic_timer *timer = &lapic->timer;
	u64 passed;

	if (!timer->remaining)
		return 0;
	passed = elapsed(timer, now);
	if (passed < timer->remaining)
		return timer->remaining - (u32)passed;
	if (mode(lapic) != TIMER_PERIODIC)
		return 0;
	return timer->initial - (u32)((passed - timer->remaining) % timer->initial);
}

/* Host TSC at which the counter reaches 0 next. */
static u64 next_zero(const struct lapic *lapic, u64 now)
{
	const struct lapic_timer *timer = &lapic->timer;
	u64 passed = elapsed(timer, now), counts = timer->remaining, ticks;

	if (!counts)
		return VTIMER_NEVER;
	if (passed >= counts) {
		if (mode(lapic) != TIMER_PERIODIC)
			return VTIMER_NEVER;
		/* Counted from the start: an interrupt that comes late does not delay the next. */
		counts += ((passed - counts) / timer->initial + 1) * timer->initial;
	}
	ticks = vtimer_scale(counts << divide_shift(timer), vtimer_hz(), LAPIC_TIMER_HZ);
	return ticks < VTIMER_NEVER - timer->start - 1 ? timer->start + ticks + 1 : VTIMER_NEVER;
}

static u64 deadline_to_host(const struct lapic *lapic, u64 now)
{
	u64 guest_now = vcpu_guest_tsc(lapic->vcpu, now);
	u64 deadline = lapic->timer.deadline;

	if (!deadline)
		return VTIMER_NEVER;
	if (deadline <= guest_now)
		return now;
	if (deadline - guest_now >= VTIMER_NEVER - now)
		return VTIMER_NEVER;
	return now + (deadline - guest_now);
}

/* Wait for the next expiry, which is at `earliest` at the earliest. */
static void arm(struct lapic *lapic, u64 now, u64 earliest)
{
	u64 deadline = VTIMER_NEVER;

	if (!(lapic->lvt[LVT_TIMER] & LVT_MASKED)) {
		switch (mode(lapic)) {
		case TIMER_ONE_SHOT:
		case TIMER_PERIODIC:
			deadline = next_zero(lapic, now);
			break;
		case TIMER_DEADLINE:
			deadline = deadline_to_host(lapic, now);
			break;
		}
	}
	if (deadline == VTIMER_NEVER)
		vtimer_cancel(&lapic->timer.vtimer);
	else
		vtimer_arm(&lapic->timer.vtimer, MAX(deadline, earliest));
}

static void expire(struct lapic *lapic, u64 now)
{
	if (mode(lapic) == TIMER_DEADLINE)
		lapic->timer.deadline = 0;
	arm(lapic, now, now + vtimer_from_ns(LAPIC_TIMER_MIN_PERIOD_NS));
	lapic_signal(lapic, LVT_TIMER);
}

static void fire(struct vtimer *vtimer)
{
	expire(container_of(vtimer, struct lapic, timer.vtimer), vtimer_now());
}

/* Before settings change: what was due under the old ones happens under the old ones. */
static u64 settle(struct lapic *lapic)
{
	struct lapic_timer *timer = &lapic->timer;
	u64 now = vtimer_now();

	if (timer->vtimer.armed && timer->vtimer.deadline <= now) {
		vtimer_cancel(&timer->vtimer);
		expire(lapic, now);
	}
	timer->deadline = lapic_timer_deadline(lapic);
	return now;
}

/* Count on from here: what was counted so far was counted under the old settings. */
static void restart(struct lapic *lapic, u64 now)
{
	lapic->timer.remaining = count_at(lapic, now);
	lapic->timer.start = now;
}

void lapic_timer_set_lvt(struct lapic *lapic, u32 entry)
{
	struct lapic_timer *timer = &lapic->timer;
	u64 now = settle(lapic);
	bool counted = mode(lapic) < TIMER_DEADLINE;

	restart(lapic, now);
	lapic->lvt[LVT_TIMER] = entry;
	if (counted != (mode(lapic) < TIMER_DEADLINE)) {
		timer->initial = timer->remaining = 0;
		timer->deadline = 0;
	}
	arm(lapic, now, now);
}

void lapic_timer_set_initial(struct lapic *lapic, u32 count)
{
	struct lapic_timer *timer = &lapic->timer;
	u64 now;

	if (mode(lapic) >= TIMER_DEADLINE)
		return;
	now = settle(lapic);
	timer->initial = timer->remaining = count;
	timer->start = now;
	arm(lapic, now, now);
}

void lapic_timer_set_divide(struct lapic *lapic, u32 value)
{
	u64 now = settle(lapic);

	restart(lapic, now);
	lapic->timer.divide = value;
	arm(lapic, now, now);
}

u32 lapic_timer_current(const struct lapic *lapic)
{
	return count_at(lapic, vtimer_now());
}

void lapic_timer_set_deadline(struct lapic *lapic, u64 guest_tsc)
{
	u64 now;

	if (mode(lapic) != TIMER_DEADLINE)
		return;
	now = settle(lapic);
	lapic->timer.deadline = guest_tsc;
	if (guest_tsc && guest_tsc <= vcpu_guest_tsc(lapic->vcpu, now))
		expire(lapic, now);
	else
		arm(lapic, now, now);
}

/* SDM, "TSC-Deadline Mode": reads 0 once it has passed, and in the other modes. */
u64 lapic_timer_deadline(const struct lapic *lapic)
{
	u64 deadline = lapic->timer.deadline;

	return deadline > vcpu_guest_tsc(lapic->vcpu, vtimer_now()) ? deadline : 0;
}

void lapic_timer_tsc_changed(struct lapic *lapic)
{
	u64 now = vtimer_now();

	if (lapic->timer.deadline)
		arm(lapic, now, now);
}

void lapic_timer_reset(struct lapic *lapic)
{
	struct lapic_timer *timer = &lapic->timer;

	vtimer_cancel(&timer->vtimer);
	timer->initial = timer->remaining = 0;
	timer->divide = 0;
	timer->deadline = 0;
}

void lapic_timer_create(struct lapic *lapic)
{
	vtimer_init(&lapic->timer.vtimer, lapic->vcpu, fire);
}
