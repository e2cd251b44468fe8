/* SPDX-License-Identifier: MIT */
/* The host's real-time clock. MC146818 data sheet, "Time, Calendar and Alarm Locations". */
#pragma once

#include "lib/types.h"

/* Seconds since 1970, taking the clock for UTC; 0 if it holds no valid time. Waits at most a few ms. */
u64 rtc_now(void);

/*
 * The alarm time as seconds since midnight, below 86400. -EINVAL if the registers hold no time of day, such
 * as "don't care". Both wait as rtc_now() does.
 */
int rtc_alarm_read(u32 *second);
void rtc_alarm_write(u32 second);
