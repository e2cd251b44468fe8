/* SPDX-License-Identifier: MIT */
/*
 * The 8254 interval timer of a PC with port 0x61: IRQ 0, refresh and speaker.
 * Intel, "8254 Programmable Interval Timer".
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vpit;

#define PIT_HZ	1193182
#define PIT_IRQ 0

/* Claims its ports. NULL: no memory, or a port is taken; logged. */
struct vpit *vpit_create(struct vm *vm);
