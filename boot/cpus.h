/* SPDX-License-Identifier: MIT */
/*
 * The host's CPUs beside the boot CPU: they are started, compared with it, and parked in Lamina's own
 * code until there is work for them.
 */
#pragma once

#include "lib/types.h"

struct percpu;

/*
 * Start what the MADT names, and report each CPU. A CPU that does not answer, differs or runs out of
 * step is left out, in words; each wait is bounded. After clock_init(), before VMX or SVM is on.
 */
void cpus_start(void);

/* Is the CPU set up, and does it wait for work? */
bool cpus_is_parked(const struct percpu *cpu);
/*
 * Have a parked CPU call `prepare` and, if that returned 0, `work`; when it returns the CPU is parked again.
 * Waits for `prepare`. False, with the reason logged: it failed, or the CPU does not answer.
 */
bool cpus_run(struct percpu *cpu, int (*prepare)(struct percpu *cpu), void (*work)(struct percpu *cpu));
/* Wait until all have returned from their work; those that do not within a second are reported. */
void cpus_wait_until_parked(void);

/* Does it run Lamina's code, as far as is known? Then it answers NMIs. Any context. */
bool cpus_is_running(const struct percpu *cpu);
/* Stop the others for a crash report. Takes no lock, waits a second at most, and does it once. */
void cpus_stop(void);
/* Print who did not stop. */
void cpus_report(void);
