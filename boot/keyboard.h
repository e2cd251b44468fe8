/* SPDX-License-Identifier: MIT */
/* What the user types at the serial console: to the VM that runs, or to Lamina (boot/monitor.h). */
#pragma once

struct vm;

/* Input by the serial port's interrupt, or polled where it has none; says which. */
void keyboard_init(void);

/* From now on to this VM, whose space is the one in use. What nobody took is dropped. */
void keyboard_attach(struct vm *vm);
void keyboard_detach(void);
