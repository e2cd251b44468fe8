/* SPDX-License-Identifier: MIT */
/* Between arch/fault/trap.c and arch/apic/irq.c. */
#pragma once

#include "lib/types.h"

/* Run the handler of vector 32..255 and acknowledge it. */
void irq_dispatch(u64 vector);
