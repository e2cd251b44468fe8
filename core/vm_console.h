/* SPDX-License-Identifier: MIT */
/*
 * A VM's console, as the devices see it at which its guest prints and reads: a ring for what the guest prints and one for
 * what is typed. All is called with the VM lock held. What happens to the text: core/console.h.
 */
#pragma once

#include "lib/types.h"

struct vm;

#define VM_CONSOLE_BURST 16u	/* a driver sends up to a FIFO when the transmitter is reported empty */

/* What is typed goes to one device: to the one that needs it most; of two alike, to the one that was connected first. */
enum vm_console_need {
	CONSOLE_UNREAD,		/* it takes no input */
	CONSOLE_POLLED,		/* its driver may look for input, and nobody knows whether it does: a serial port */
	CONSOLE_OPEN,		/* its driver has opened it, and has printed on it: a virtio-console */
	CONSOLE_AWAITED,	/* its driver has enabled the interrupt for input: a serial port */
	CONSOLE_CHOSEN,		/* by the VM's configuration: a keyboard */
};

/* A device at the console; part of its structure. */
struct vm_console_end {
	/* Constant. With the VM lock; must not wait, or take locks that come before it. */
	void (*changed)(void *device);
	int (*take_back)(void *device);	/* NULL: it never holds a character that its driver has not read */
	void *device;
	/* VM lock. */
	enum vm_console_need need;
	struct vm_console_end *next;
};

/*
 * Before the VM runs. changed(device) is called when characters were typed, when they are this device's from
 * now on, and when there is room after vm_console_ready() was false, or vm_console_send() took less than it got.
 * take_back(device) returns a character that the device has read and its driver has not, or -1: another device gets it.
 */
void vm_console_connect(struct vm *vm, struct vm_console_end *end);
/* How much the device needs what is typed has changed: end->need is set. May call changed() of any device. */
void vm_console_need(struct vm *vm, struct vm_console_end *end, enum vm_console_need need);

/*
 * Text that the guest prints at a device that cannot be made to wait, or not yet. Returns how many characters were
 * taken: the ring may be full. Waits for no device.
 */
size_t vm_console_write(struct vm *vm, const char *text, size_t n);
/* The same for one character, which is lost if the ring is full. Returns vm_console_ready(). */
bool vm_console_put(struct vm *vm, char c);
/* The same for several characters, after which there is room for a burst. False: none was taken, use vm_console_put(). */
bool vm_console_put_block(struct vm *vm, const char *text, unsigned n);
/* The same for a device that keeps the rest and sends it later: it leaves room for a burst at the serial port. */
size_t vm_console_send(struct vm *vm, const char *text, size_t n);

/* Is there room for a burst? If not, the serial port has to say that it is busy, until changed() is called. */
bool vm_console_ready(struct vm *vm);

/* The driver has finished a burst, or looks for the next thing to do: send what it has printed. */
void vm_console_push(struct vm *vm);

/* The next typed character, or -1: there is none, or it is another device's. */
int vm_console_read(struct vm *vm, struct vm_console_end *end);
