/* SPDX-License-Identifier: MIT */
/*
 * The host's CPUs beside the boot CPU: they are started, compared with it, and parked in Lamina's own
 * code. Guests run on the boot CPU.
 */
#pragma once

/*
 * Start what the MADT names, and report each CPU. A CPU that does not answer, differs or runs out of
 * step is left out, in words; each wait is bounded. After clock_init(), before VMX or SVM is on.
 */
void cpus_start(void);

/* Stop the others for a crash report. Takes no lock, waits at most 0.2 s, and does it once. */
void cpus_stop(void);
/* Print who did not stop. */
void cpus_report(void);
