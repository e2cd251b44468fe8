/* SPDX-License-Identifier: MIT */
/* The reset line and the A20 gate of an AT: a keyboard controller without a keyboard, and port 0x92. */
#pragma once

struct vm;
struct vi8042;

/* Claims its ports. NULL: no memory, or a port is taken; logged. */
struct vi8042 *vi8042_create(struct vm *vm);
