/* SPDX-License-Identifier: MIT */
/*
 * The host's serial port: a 16550 or compatible. Every wait is bounded, and a port that does not
 * answer is given up, so a machine without one boots as fast.
 */
#pragma once

#include "lib/types.h"

/* Probe, then set up 8n1 at `baud`. -ENODEV where nothing answers, -EINVAL for a wrong speed. */
int uart_init(u16 port, u32 baud);

/* Send; a carriage return is put before each line end. Any context. */
void uart_write(const char *text, size_t length);
/* Wait, at most some milliseconds, until the last character has left the wire. */
void uart_flush(void);

/* Let received characters raise IRQ_VECTOR_UART. -ENODEV or -EOPNOTSUPP: poll instead. */
int uart_enable_interrupt(void);
/* Fetch what has arrived into the receive buffer: the interrupt handler, else call it often. */
void uart_poll(void);
/* The oldest received character, or -1. */
int uart_read_char(void);
