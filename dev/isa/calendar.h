/* SPDX-License-Identifier: MIT */
/* The proleptic Gregorian calendar from the year 0 on, and seconds since that year began. */
#pragma once

#include "lib/types.h"

#define SECONDS_PER_DAY	    86400ull
#define CALENDAR_UNIX_EPOCH (719528 * SECONDS_PER_DAY)	/* 1970-01-01 00:00:00 */

struct calendar {
	u32 year;
	u8 month;		/* 1..12 */
	u8 day;			/* 1..31 */
	u8 weekday;		/* 0: Sunday */
	u8 hour, minute, second;
};

void calendar_from_seconds(u64 seconds, struct calendar *calendar);

/*
 * The weekday is ignored. Days and times beyond their ranges carry over: 25 o'clock is 1 o'clock of the next
 * day. A month above 12 counts as 12, a month or day 0 as 1.
 */
u64 calendar_to_seconds(const struct calendar *calendar);
