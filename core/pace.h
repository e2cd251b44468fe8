/* SPDX-License-Identifier: MIT */
/*
 * How fast a periodic source may interrupt on a host that takes long for each exit: where a tick's exits take longer
 * than the period, the guest would execute no instruction between two of them.
 */
#pragma once

#include "lib/types.h"

struct vcpu;

/*
 * Sources with longer periods are left alone, in ns: guests count time by them, and so much time for the exits of each
 * tick is not to be expected. Many other exits may take it, but those are progress.
 */
#define PACE_PERIOD_NS 500000

/* Owned by the source. Zero: it has been set anew. */
struct pace {
	u64 tick;	/* host TSC of the last one */
	u64 exits;	/* ticks of the TSC that the vCPU's exits had taken by then */
};

/*
 * A tick comes at `now`. Returns after how many ticks of the TSC the next one may come: so late that the vCPU has a
 * ninth of the time; 0 where that is no question. Logs once per VM that `source` is bounded, if this is longer than `period`.
 */
u64 pace_next(struct pace *pace, struct vcpu *vcpu, const char *source, u64 period, u64 now);
