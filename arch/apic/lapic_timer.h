/* SPDX-License-Identifier: MIT */
/* Calibration of the local APIC's timer, for arch/time/clock.c. */
#pragma once

#include "lib/types.h"

/* Let it run down from its maximum, masked. */
void lapic_timer_start_calibration(void);
u32 lapic_timer_count(void);	/* ticks left */
/* Stop it, set its frequency as measured, and unmask its interrupt. */
void lapic_timer_set_hz(u64 hz);
