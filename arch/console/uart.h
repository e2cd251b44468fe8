/* SPDX-License-Identifier: MIT */
/*
 * The host's serial port: a 16550 or compatible, in I/O space or in memory. Every wait is bounded: a port
 * that does not answer is not opened, and one that stops taking characters costs a second in total.
 * National Semiconductor PC16550D data sheet, "Registers".
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
	u32 baud;		/* 0: keep speed and format as they were found */
	u32 clock;		/* Hz; a bit takes 16 times the divisor of its cycles */
};

/* The divisor for config->baud, at least 50, within 3 %. 0 if there is none. */
u16 uart_divisor(const struct uart_config *config);

/*
 * Probe, then set up: 8n1 at the speed, or the line as it is. Flushes the port that was open before, which
 * stays open if this fails: -ENODEV if nothing answers, -EINVAL for a speed that the clock does not give
 * within 3 %, -ENOMEM if the registers cannot be mapped (yet: see mmio_map()).
 */
int uart_open(const struct uart_config *config);

/*
 * Around paging_init(): registers in memory lose their mapping with the boot page tables. Do nothing for
 * ports in I/O space. -ENOMEM if they cannot be mapped again: then the port is closed.
 */
void uart_suspend(void);
int uart_resume(void);

/* Send `length` bytes, with a carriage return before each line feed. Any context. */
void uart_write(const char *text, size_t length);
/* Wait, at most some milliseconds, until the last character has left the wire. */
void uart_flush(void);
/* Whether the port takes no characters; until it does again they are lost. */
bool uart_stalled(void);
u64 uart_lost(void);	/* characters lost so far */

/*
 * Let received characters raise IRQ_VECTOR_UART. -EOPNOTSUPP: poll instead, since the port is none of COM1
 * to COM4 or no I/O APIC has its line. -ENODEV: no port is open. After ioapic_init().
 */
int uart_enable_interrupt(void);
/* Move received characters to the receive buffer: the interrupt handler; without an interrupt call it often. */
void uart_poll(void);
/* The oldest received character, or -1. */
int uart_read_char(void);
