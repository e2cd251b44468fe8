/* SPDX-License-Identifier: MIT */
/* The local APIC's timer. Intel SDM, "APIC Timer". */
#pragma once

#include "lib/types.h"

/*
 * Arm the one-shot timer (vector IRQ_VECTOR_TIMER) for an absolute TSC time; a time in the past
 * fires immediately. TSC-deadline mode where present and not found faulty, else a count from the calibrated frequency
 * (far deadlines fire early: the handler re-arms). LAPIC_TIMER_OFF disarms. Skips the hardware
 * access if that deadline, which percpu.timer_armed holds, is armed already.
 */
#define LAPIC_TIMER_OFF (~0ull)
void lapic_timer_arm(u64 tsc_deadline);
/* Set up this CPU's timer, disarmed: its deadline is tried as the boot CPU's was. Interrupts are served meanwhile. After lapic_init_secondary() and clock_init(). */
void lapic_timer_init_secondary(void);
/* Called by the timer interrupt's handler: the timer has fired and is no longer armed. */
void lapic_timer_fired(void);

/* Calibration, for arch/time/clock.c: count down from the maximum, with the interrupt masked. */
void lapic_timer_start_calibration(void);
u32 lapic_timer_count(void);	/* ticks left */
/*
 * Stop it, set its frequency as measured (0: it does not count), try its TSC deadline, and unmask its interrupt.
 * Interrupts are served meanwhile. Logs a deadline that fires too early or late.
 */
void lapic_timer_set_hz(u64 hz);
