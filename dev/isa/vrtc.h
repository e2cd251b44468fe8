/* SPDX-License-Identifier: MIT */
/* The real-time clock and CMOS memory of a PC. Motorola, "MC146818 Real-Time Clock plus RAM". */
#pragma once

#include "lib/types.h"

struct vm;
struct vrtc;

#define RTC_IRQ	       8
#define RTC_CENTURY    0x32	/* the FADT names this register */

/*
 * Claims its ports. `now`: wall clock in seconds since 1970, UTC. The memory sizes that firmware
 * leaves in CMOS are those of the VM's RAM. NULL: no memory, or a port is taken; logged.
 */
struct vrtc *vrtc_create(struct vm *vm, u64 now);
