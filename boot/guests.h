/* SPDX-License-Identifier: MIT */
/* From a running machine to running guests. */
#pragma once

#include "lib/types.h"

/* Find out which virtualization this processor has, say what it can, and switch it on. Stops with words where there is none. */
void guests_enable_virtualization(void);

/* Run every VM that the boot menu describes, one after the other. Stops with words where there is none. */
void guests_run(void) __noreturn;
