/* SPDX-License-Identifier: MIT */
/* A 16550A serial port. "PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs". */
#pragma once

#include "lib/types.h"

struct vm;
struct vuart;

#define UART_BACKLOG 1024	/* typed characters that wait for room in the receive FIFO */

/*
 * Claims eight ports from `base`. What the guest sends goes to vm_console_write() immediately.
 * NULL: no memory, or a port is taken; logged.
 */
struct vuart *vuart_create(struct vm *vm, u16 base, unsigned irq);

/* A character from the line. false: the backlog is full, and the character is dropped. */
bool vuart_receive(struct vuart *vuart, u8 c);
