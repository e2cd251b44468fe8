/* SPDX-License-Identifier: MIT */
/* A 16550A serial port. "PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs". */
#pragma once

#include "lib/types.h"

struct vm;
struct vuart;

/*
 * Claims eight ports from `base`, and takes the VM's console (core/vm_console.h). Without one nothing is connected to it: what
 * is sent is dropped, with a line that says so. NULL: no memory, or a port is taken; logged.
 */
struct vuart *vuart_create(struct vm *vm, u16 base, unsigned irq, bool has_console);
/* Leave what is typed to another device, which takes the console and tells of its changes. With the VM lock. */
void vuart_give_up_input(struct vuart *vuart);
void vuart_console_changed(void *vuart);
