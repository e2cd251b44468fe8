/* SPDX-License-Identifier: MIT */
/* The clock is the TSC: its frequency, and conversions that do not overflow. */
#pragma once

#include "lib/types.h"

/*
 * Measure the TSC by HPET, ACPI PM timer or 8254, the first that works. The frequency in CPUID leaf 15h is
 * used if the measurement agrees with it, or if nothing can be measured. Logs which was used; stop()s if
 * there is none. Intel SDM, "Time Stamp Counter and Nominal Core Crystal Clock Information Leaf".
 * After acpi_init() and lapic_init(), with interrupts off.
 */
void clock_init(void);

/*
 * Estimate the TSC's frequency by a millisecond of the 8254, for the times in the log until clock_init() has
 * measured it; without an 8254 that counts, by CPUID. The estimate is a little too high, so that times never step
 * back. At the first moment, with interrupts off.
 */
void clock_estimate(void);

/*
 * Measure again, over the time since then, unless the frequency is known exactly. False: 50 ms have not passed yet, call it
 * again later. From the first true on it does not change, for guests know it by then: later calls do nothing.
 * Interrupts off.
 */
bool clock_refine(void);

u64 clock_tsc_hz(void);			/* ticks per second; 0 before clock_init() */
u64 clock_us_since_boot(void);		/* roughly before clock_init(); 0 if nothing could be estimated */
u64 clock_tsc_at_boot(void);		/* TSC at the Multiboot2 entry */

/* By a 128-bit intermediate; the result saturates at all ones. After clock_init(). */
u64 clock_ns_to_tsc(u64 ns);
u64 clock_tsc_to_ns(u64 ticks);

/*
 * A bound for waits on hardware: `for (u64 end = clock_deadline_us(100); !ready; ) if (clock_expired(end)) ...`.
 * Works before calibration with an assumed 5 GHz TSC (waits at least as long as asked for on any slower CPU).
 */
u64 clock_deadline_us(u64 us);
bool clock_expired(u64 deadline);
