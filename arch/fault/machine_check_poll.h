/* SPDX-License-Identifier: MIT */
/*
 * Errors that raise no exception: those that banks hold from before the boot, and those that were corrected, which the
 * CPUs look for now and then. Intel SDM, "Machine-Check Error Handling by Polling"; AMD APM vol. 2, "Error Logging".
 */
#pragma once

#include "lib/types.h"

/* Keep the errors that this CPU's banks hold, before they are cleared. Logs nothing. */
void machine_check_keep_old(void);
/* Log what that has kept on a CPU, by its index. On the boot CPU, once the other has come through its set-up. */
void machine_check_report_old(u32 cpu);

/*
 * Log and clear the corrected errors in this CPU's banks. Each CPU calls it now and then, see core/sched.c. Where
 * logging is allowed; interrupts off.
 */
void machine_check_poll(void);
/* Log how many errors there were, if there were any. */
void machine_check_log_count(void);
