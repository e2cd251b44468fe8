/* SPDX-License-Identifier: MIT */
/* Switches virtualization on, on each CPU, and hands the CPUs to the scheduler. */
#pragma once

#include "lib/types.h"

/* Detect VMX or SVM, log its features and switch it on for this CPU. stop()s where there is neither. */
void guests_enable_virtualization(void);

/* Run every VM that the boot menu entry describes, on all CPUs. stop()s where there is none. */
void guests_run(void) __noreturn;

/* In the service thread, when no VM is left: park the other CPUs, and switch virtualization off on each. */
void guests_disable_virtualization(void);
