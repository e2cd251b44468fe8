/* SPDX-License-Identifier: MIT */
/* Counters of known frequency, by which arch/time/clock.c measures the TSC. */
#pragma once

#include "lib/types.h"

struct timesource {
	const char *name;
	/* Start counting; 0, or -ENODEV if the machine has none that works. */
	int (*start)(struct timesource *source);
	u32 (*read)(const struct timesource *source);	/* counts upwards */
	u64 hz;		/* ticks per second; may be set by start() */
	u32 mask;	/* the counter's highest value, before it wraps to 0 */
};

/* The most reliable one first; an entry without a name ends the list. The 8254 needs neither ACPI nor page tables. */
enum { TIMESOURCE_HPET, TIMESOURCE_PM_TIMER, TIMESOURCE_8254 };
extern struct timesource timesources[];
