/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer. There is no periodic tick: the count is computed from the TSC when the guest
 * reads it, and one vtimer waits for the next expiry that interrupts.
 */
#include "core/irqchip.h"
#include "dev/irq/vlapic.h"

static enum lapic_timer_mode mode(const struct vlapic *vlapic)
{
	return LVT_TIMER_MODE(vlapic->lvt[LVT_TIMER]);
}

/* SDM, "Divide Configuration Register": 0 divides by 2, 6 by 128, and 7 by 1. */
static unsigned divide_shift(const struct vlapic_timer *timer)
{
	u32 encoded = (timer->divide & 3) | (timer->divide >> 1 & 4);

	return (encoded + 1) & 7;
}

/* Counts since timer->start. */
static u64 elapsed(const struct vlapic_timer *timer, u64 now)
{
	if (now <= timer->start)
		return 0;
	return vtimer_scale(now - timer->start, LAPIC_TIMER_HZ, vtimer_hz()) >> divide_shift(timer);
}

static u32 count_at(const struct vlapic *vlapic, u64 now)
{
	const struct vlapic_timer *timer = &vlapic->timer;
	u64 passed;

	if (!timer->remaining)
		return 0;
	passed = elapsed(timer, now);
	if (passed < timer->remaining)
		return timer->remaining - (u32)passed;
	if (mode(vlapic) != TIMER_PERIODIC)
		return 0;
	return timer->initial - (u32)((passed - timer->remaining) % timer->initial);
}

/* Host TSC at which the counter reaches 0 next, or VTIMER_NEVER. */
static u64 next_zero(const struct vlapic *vlapic, u64 now)
{
	const struct vlapic_timer *timer = &vlapic->timer;
	u64 passed = elapsed(timer, now), counts = timer->remaining, ticks;

	if (!counts)
		return VTIMER_NEVER;
	if (passed >= counts) {
		if (mode(vlapic) != TIMER_PERIODIC)
			return VTIMER_NEVER;
		/* Periods are counted from `start`: a late interrupt does not delay the next one. */
		counts += ((passed - counts) / timer->initial + 1) * timer->initial;
	}
	ticks = vtimer_scale(counts << divide_shift(timer), vtimer_hz(), LAPIC_TIMER_HZ);
	return ticks < VTIMER_NEVER - timer->start - 1 ? timer->start + ticks + 1 : VTIMER_NEVER;
}

static u64 deadline_to_host(const struct vlapic *vlapic, u64 now)
{
	u64 guest_now = vcpu_guest_tsc(vlapic->vcpu, now);
	u64 deadline = vlapic->timer.deadline;

	if (!deadline)
		return VTIMER_NEVER;
	if (deadline <= guest_now)
		return now;
	if (deadline - guest_now >= VTIMER_NEVER - now)
		return VTIMER_NEVER;
	return now + (deadline - guest_now);
}

/* Arm the vtimer, if the expiry interrupts. Host TSC, or VTIMER_NEVER. */
static void arm_for(struct vlapic *vlapic, u64 deadline)
{
	if (deadline == VTIMER_NEVER || (vlapic->lvt[LVT_TIMER] & LVT_MASKED))
		vtimer_cancel(&vlapic->timer.vtimer);
	else
		vtimer_arm(&vlapic->timer.vtimer, deadline);
}

/* Arm the vtimer for the next expiry, not before `earliest`. Both times are host TSC. */
static void arm(struct vlapic *vlapic, u64 now, u64 earliest)
{
	u64 deadline = VTIMER_NEVER;

	switch (mode(vlapic)) {
	case TIMER_ONE_SHOT:
	case TIMER_PERIODIC:
		deadline = next_zero(vlapic, now);
		break;
	case TIMER_DEADLINE:
		deadline = deadline_to_host(vlapic, now);
		break;
	}
	arm_for(vlapic, MAX(deadline, earliest));
}

/* In periodic mode: ticks of the TSC until the next interrupt may come. */
static __noinline u64 least_interval(struct vlapic *vlapic, u64 now)
{
	struct vlapic_timer *timer = &vlapic->timer;
	u64 least = vtimer_from_ns(LAPIC_TIMER_MIN_PERIOD_NS), period;

	period = vtimer_scale((u64)timer->initial << divide_shift(timer), vtimer_hz(), LAPIC_TIMER_HZ);
	return MAX(least, pace_next(&timer->pace, vlapic->vcpu, "the local APIC's timer", MAX(period, least), now));
}

static void expire(struct vlapic *vlapic, u64 now)
{
	u64 earliest = now;

	/* The vtimer is not armed now. */
	if (likely(mode(vlapic) == TIMER_DEADLINE)) {
		vlapic->timer.deadline = 0;
	} else {
		if (mode(vlapic) == TIMER_PERIODIC)
			earliest += least_interval(vlapic, now);
		arm(vlapic, now, earliest);
	}
	vlapic_signal(vlapic, LVT_TIMER);
}

/* If it fires early, the guest is not entered before the deadline. */
static void fire(struct vtimer *vtimer)
{
	expire(container_of(vtimer, struct vlapic, timer.vtimer), MAX(vtimer_now(), vtimer->deadline));
}

/* Call before settings change: an expiry that is due happens with the old ones. Returns the host TSC. */
static inline u64 expire_if_due(struct vlapic *vlapic)
{
	struct vlapic_timer *timer = &vlapic->timer;
	u64 now = vtimer_now();

	if (timer->vtimer.armed && timer->vtimer.deadline <= now) {
		vtimer_cancel(&timer->vtimer);
		expire(vlapic, now);
	}
	return now;
}

/* The same, and a deadline that has passed without an interrupt is forgotten, and so is how fast it came. */
static u64 settle(struct vlapic *vlapic)
{
	u64 now = expire_if_due(vlapic);

	vlapic->timer.deadline = vlapic_timer_deadline(vlapic);
	vlapic->timer.pace.tick = 0;
	return now;
}

/* Call before settings change: fix the count at `now`, so the new ones apply from here on only. */
static void restart(struct vlapic *vlapic, u64 now)
{
	vlapic->timer.remaining = count_at(vlapic, now);
	vlapic->timer.start = now;
}

void vlapic_timer_set_lvt(struct vlapic *vlapic, u32 entry)
{
	struct vlapic_timer *timer = &vlapic->timer;
	u64 now = settle(vlapic);
	bool counted = mode(vlapic) < TIMER_DEADLINE;

	restart(vlapic, now);
	vlapic->lvt[LVT_TIMER] = entry;
	if (counted != (mode(vlapic) < TIMER_DEADLINE)) {
		timer->initial = timer->remaining = 0;
		timer->deadline = 0;
	}
	arm(vlapic, now, now);
}

void vlapic_timer_set_initial(struct vlapic *vlapic, u32 count)
{
	struct vlapic_timer *timer = &vlapic->timer;
	u64 now;

	if (mode(vlapic) >= TIMER_DEADLINE)
		return;
	now = settle(vlapic);
	timer->initial = timer->remaining = count;
	timer->start = now;
	arm(vlapic, now, now);
}

void vlapic_timer_set_divide(struct vlapic *vlapic, u32 value)
{
	u64 now = settle(vlapic);

	restart(vlapic, now);
	vlapic->timer.divide = value;
	arm(vlapic, now, now);
}

u32 vlapic_timer_current(const struct vlapic *vlapic)
{
	return count_at(vlapic, vtimer_now());
}

void vlapic_timer_set_deadline(struct vlapic *vlapic, u64 guest_tsc)
{
	u64 now, deadline;

	if (mode(vlapic) != TIMER_DEADLINE)
		return;
	now = expire_if_due(vlapic);
	vlapic->timer.deadline = guest_tsc;
	deadline = deadline_to_host(vlapic, now);
	if (deadline == now) {
		vtimer_cancel(&vlapic->timer.vtimer);
		expire(vlapic, now);
	} else {
		arm_for(vlapic, deadline);
	}
}

/* SDM, "TSC-Deadline Mode": reads 0 once it has passed, and in the other modes. */
u64 vlapic_timer_deadline(const struct vlapic *vlapic)
{
	u64 deadline = vlapic->timer.deadline;

	return deadline > vcpu_guest_tsc(vlapic->vcpu, vtimer_now()) ? deadline : 0;
}

void vlapic_timer_tsc_changed(struct vlapic *vlapic)
{
	u64 now = vtimer_now();

	if (vlapic->timer.deadline)
		arm(vlapic, now, now);
}

void vlapic_timer_reset(struct vlapic *vlapic)
{
	struct vlapic_timer *timer = &vlapic->timer;

	vtimer_cancel(&timer->vtimer);
	timer->initial = timer->remaining = 0;
	timer->divide = 0;
	timer->deadline = 0;
}

void vlapic_timer_create(struct vlapic *vlapic)
{
	vtimer_init(&vlapic->timer.vtimer, vlapic->vcpu, fire);
}
