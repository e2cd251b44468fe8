/* SPDX-License-Identifier: MIT */
/* The serial ports' input and output while VMs run: to and from the consoles and the monitor. */
#pragma once

#include "lib/types.h"

/* Receive by the serial port's interrupt, or by polling where it has none; logs which. */
void keyboard_init(void);

/*
 * Move input and output. Returns in how many microseconds to call it again; 0: after the next keyboard_wake().
 * Boot CPU, no lock held.
 */
u64 keyboard_poll(void);

/* The log's wake hook: keyboard_poll() is to be called within two milliseconds. Any CPU; takes no lock. */
void keyboard_wake(void);

/* Buffer output, and poll by a timer of the boot CPU, from now on. In the service thread. */
void keyboard_start(void);
