/* SPDX-License-Identifier: MIT */
/* Switches virtualization on and runs the VMs. */
#pragma once

#include "lib/types.h"

/* Detect VMX or SVM, log its features and switch it on for this CPU. stop()s where there is neither. */
void guests_enable_virtualization(void);

/* Run every VM that the boot menu entry describes, one after the other. stop()s where there is none. */
void guests_run(void) __noreturn;
