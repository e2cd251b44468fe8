/* SPDX-License-Identifier: MIT */
/*
 * A VM's console, as its serial port sees it: a ring for what the guest prints and one for what is typed. All
 * is called with the VM lock held. What happens to the text: core/console.h.
 */
#pragma once

#include "lib/types.h"

struct vm;

#define VM_CONSOLE_BURST 16u	/* a driver sends up to a FIFO when the transmitter is reported empty */

/* Text that the guest prints. Returns how many characters were taken: the ring may be full. Waits for no device. */
size_t vm_console_write(struct vm *vm, const char *text, size_t n);

/*
 * Is there room for a burst? If not, the serial port has to say that it is busy, and the function of
 * vm_console_connect() is called when there is.
 */
bool vm_console_ready(struct vm *vm);

/* The driver has finished a burst, or looks for the next thing to do: send what it has printed. */
void vm_console_push(struct vm *vm);

/* The next typed character, or -1. */
int vm_console_read(struct vm *vm);

/* Call changed(device) when characters were typed, and when there is room after vm_console_ready() was false. */
void vm_console_connect(struct vm *vm, void (*changed)(void *device), void *device);
