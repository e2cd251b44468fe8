/* SPDX-License-Identifier: MIT */
/*
 * The host's serial port: a 16550 or compatible, by ports or in memory. Every wait is bounded: a port
 * that does not answer is not opened, and one that stops to take characters costs a second in all.
 */
#pragma once

#include "lib/types.h"

#define UART_PC_CLOCK 1843200u	/* Hz: 115200 baud by a divisor of 1 */

enum uart_space { UART_NONE, UART_PORTS, UART_MEMORY };

struct uart_config {
	enum uart_space space;
	u64 address;		/* of the first register: port or physical address */
	u8 stride;		/* bytes from one register to the next */
	u8 width;		/* bytes of an access in memory: 1, 2 or 4 */
	u32 baud;		/* 0: the line as it was found, speed and format */
	u32 clock;		/* Hz, of which a character's bit takes 16 times the divisor */
};

/* What the clock is divided by for this speed, of at least 50 baud, within 3 %; 0 where it cannot be. */
u16 uart_divisor(const struct uart_config *config);

/*
 * Probe, then set up: 8n1 at the speed, or the line as it is. What was open before is flushed and
 * stays open where this fails: -ENODEV where nothing answers, -EINVAL for a speed that the clock does
 * not give within 3 %, -ENOMEM for memory that cannot be mapped (yet: see mmio_map()).
 */
int uart_open(const struct uart_config *config);

/* Registers in memory lose their mapping with the boot page tables; other ports do not care. */
void uart_suspend(void);
int uart_resume(void);

/* Send; a carriage return is put before each line end. Any context. */
void uart_write(const char *text, size_t length);
/* Wait, at most some milliseconds, until the last character has left the wire. */
void uart_flush(void);
/* The port takes no characters: they are lost until it does again. */
bool uart_stalled(void);
u64 uart_lost(void);	/* characters, ever */

/*
 * Let received characters raise IRQ_VECTOR_UART. -EOPNOTSUPP: poll instead, since it is no port of the
 * ISA's four or no I/O APIC serves it. -ENODEV: no port is open.
 */
int uart_enable_interrupt(void);
/* Fetch what has arrived into the receive buffer: the interrupt handler, else call it often. */
void uart_poll(void);
/* The oldest received character, or -1. */
int uart_read_char(void);
