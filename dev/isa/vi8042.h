/* SPDX-License-Identifier: MIT */
/* The AT's ways to the reset line and to A20: a keyboard controller without keyboard, port 0x92. */
#pragma once

struct vm;
struct vi8042;

/* Claims its ports. NULL: no memory, or a port is taken; logged. */
struct vi8042 *vi8042_create(struct vm *vm);
