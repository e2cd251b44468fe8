/* SPDX-License-Identifier: MIT */
/*
 * A counter that runs at its own frequency from `origin` on. Its value is always computed from `origin`,
 * so rounding errors do not add up: after a day it is still exact to the tick.
 */
#pragma once

#include "core/vtimer.h"
#include "lib/types.h"

struct counter {
	u64 origin;	/* host TSC at count 0 */
	u64 hz;
};

static inline u64 counter_at(const struct counter *counter, u64 tsc)
{
	return vtimer_scale(tsc - counter->origin, counter->hz, vtimer_hz());
}

static inline u64 counter_now(const struct counter *counter)
{
	return counter_at(counter, vtimer_now());
}

/* The first host TSC at which the counter shows `count`. */
static inline u64 counter_deadline(const struct counter *counter, u64 count)
{
	u64 ticks = vtimer_scale(count, vtimer_hz(), counter->hz);

	if (counter_at(counter, counter->origin + ticks) < count)
		ticks++;
	return counter->origin + ticks;
}
