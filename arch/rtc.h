/* SPDX-License-Identifier: MIT */
/* The host's real-time clock, read once per VM. MC146818 data sheet. */
#pragma once

#include "lib/types.h"

/* Seconds since 1970, taking the clock for UTC; 0 where it makes no sense. Waits at most a few milliseconds. */
u64 rtc_now(void);
