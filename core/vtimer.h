/* SPDX-License-Identifier: MIT */
/*
 * One-shot timers of device models, in host TSC ticks, in a list per vCPU sorted by deadline. The
 * entry path makes the guest exit when the first one is due.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

#define VTIMER_NEVER (~0ull)

struct vtimer {
	u64 deadline;			/* host TSC */
	bool armed;
	struct vcpu *vcpu;
	void (*fire)(struct vtimer *timer);	/* disarmed already; may arm it again */
	struct vtimer *next;
};

void vtimer_init(struct vtimer *timer, struct vcpu *vcpu, void (*fire)(struct vtimer *timer));
void vtimer_arm(struct vtimer *timer, u64 deadline);	/* moves it if armed; a deadline in the past fires soon */
void vtimer_cancel(struct vtimer *timer);

/* Fire all that are due. Bounded: a timer that re-arms itself in the past waits for the next call. */
void vtimer_run_expired(struct vcpu *vcpu, u64 now);

/* Time as device models see it. */
u64 vtimer_now(void);				/* host TSC */
/* The same, inlined into the entry and exit paths. */
#ifdef LAMINA_HOST_TEST
#define tsc_now vtimer_now
#else
#define tsc_now rdtsc
#endif
u64 vtimer_from_ns(u64 ns);			/* ticks */
u64 vtimer_to_ns(u64 ticks);
/* ticks * numerator / denominator with a 128-bit intermediate: for counters of any frequency. */
u64 vtimer_scale(u64 ticks, u64 numerator, u64 denominator);
u64 vtimer_hz(void);				/* TSC ticks per second */
u64 vcpu_guest_tsc(const struct vcpu *vcpu, u64 host_tsc);
