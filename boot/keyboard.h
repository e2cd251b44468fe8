/* SPDX-License-Identifier: MIT */
/* Input from the serial console: to the running VM, or to Lamina (boot/monitor.h). */
#pragma once

struct vm;

/* Receive by the serial port's interrupt, or by polling where it has none; logs which. */
void keyboard_init(void);

/*
 * Send input to this VM from now on; its address space is loaded. Drops the character that the VM
 * before did not take. Detach before the VM is destroyed.
 */
void keyboard_attach(struct vm *vm);
void keyboard_detach(void);
