/* SPDX-License-Identifier: MIT */
/* A 16550A serial port. "PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs". */
#pragma once

#include "lib/types.h"

struct vm;
struct vuart;

/*
 * Claims eight ports from `base`, and connects them to the VM's console (core/vm_console.h). Without one nothing is connected to
 * it: what is sent is dropped, with a line that says so. NULL: no memory, or a port is taken; logged.
 */
struct vuart *vuart_create(struct vm *vm, u16 base, unsigned irq, bool has_console);
