/* SPDX-License-Identifier: MIT */
/* Counters of known frequency, by which arch/time/clock.c measures the TSC. */
#pragma once

#include "lib/types.h"

struct timesource {
	const char *name;
	/* Make it run; 0, or -ENODEV where the machine has none that works. */
	int (*start)(struct timesource *source);
	u32 (*read)(const struct timesource *source);	/* counts upwards */
	u64 hz;		/* ticks per second; may be found out by start() */
	u32 mask;	/* the counter wraps here */
};

/* In order of trust; the last one has no name. */
extern struct timesource timesources[];
