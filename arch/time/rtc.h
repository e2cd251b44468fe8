/* SPDX-License-Identifier: MIT */
/* The host's real-time clock. MC146818 data sheet, "Time, Calendar and Alarm Locations". */
#pragma once

#include "lib/types.h"

/* Seconds since 1970, taking the clock for UTC; 0 where it makes no sense. Waits at most a few milliseconds. */
u64 rtc_now(void);

/*
 * The alarm time as seconds since midnight. -EINVAL where it is no time of day, as "don't care" is none.
 * Both wait as rtc_now() does.
 */
int rtc_alarm_read(u32 *second);
void rtc_alarm_write(u32 second);
