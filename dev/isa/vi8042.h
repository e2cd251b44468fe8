/* SPDX-License-Identifier: MIT */
/* The reset line and the A20 gate of an AT: a keyboard controller, with a keyboard if one is connected, and port 0x92. */
#pragma once

struct vm;
struct vi8042;

/* Claims its ports. NULL: no memory, or a port is taken; logged. */
struct vi8042 *vi8042_create(struct vm *vm);
/*
 * Before the guest's first entry: connect a keyboard (dev/isa/vkeyboard.h), which gets what is typed at the VM's console.
 * -ENOMEM.
 */
int vi8042_connect_keyboard(struct vi8042 *vi8042);
