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
	u8 irq;			/* its ISA interrupt, as the firmware says; 0: the usual one of COM1 to COM4 */
};

/* The divisor for config->baud, at least 50, within 3 %. 0 if there is none. */
u16 uart_divisor(const struct uart_config *config);

#define UART_RING 1024u		/* a power of two: received characters that wait */

/* Only arch/console/uart.c uses the members. All zeros: no port is open. */
struct uart {
	struct uart_config config;
	volatile u8 *memory;	/* the registers, with UART_MEMORY */
	bool open;
	u16 fifo;		/* characters that fit once the transmitter is empty */
	u8 found_line;		/* line control and divisor before uart_open() changed them */
	u16 found_divisor;
	u32 char_us;		/* one character on the wire, rounded up */

	u32 patience_us;	/* that may still be waited beyond the time that the line takes */
	u64 busy_until;		/* uart_put(): when a port that has no room counts as stalled; 0: it has room */
	unsigned room;		/* characters that the transmitter takes without a look at its status */
	bool return_sent;	/* the carriage return of a line feed is sent, the line feed is not */
	bool stalled;
	bool by_interrupt, sending;	/* interrupts are in use; the one for an empty transmitter is on */
	u64 lost, overruns;

	/* Received characters survive a change of the port. */
	struct {
		u8 ring[UART_RING];
		u32 head, tail;		/* characters put in and taken out so far */
		bool draining;		/* atomic: uart_poll() is moving characters to the ring */
		bool held;		/* the ring is full, and RTS is off */
	} input;
};

/*
 * Probe, then set up: 8n1 at the speed, or the line as it is. Flushes the port that was open before, which
 * stays open if this fails: -ENODEV if nothing answers, -EINVAL for a speed that the clock does not give
 * within 3 %, -ENOMEM if the registers cannot be mapped (yet: see mmio_map()).
 */
int uart_open(struct uart *uart, const struct uart_config *config);

/*
 * Around paging_init(): registers in memory lose their mapping with the boot page tables. Do nothing for
 * ports in I/O space. -ENOMEM if they cannot be mapped again: then the port is closed.
 */
void uart_suspend(struct uart *uart);
int uart_resume(struct uart *uart);

/* Send `length` bytes, with a carriage return before each line feed. Any context. */
void uart_write(struct uart *uart, const char *text, size_t length);
/*
 * The same without waiting: returns how many bytes were taken. If not all were, an interrupt follows when there
 * is room, provided that interrupts are in use. A port that stalls takes everything, and loses it. Not on two
 * CPUs at the same time.
 */
size_t uart_put(struct uart *uart, const char *text, size_t length);
/* Wait, at most some milliseconds, until the last character has left the wire. */
void uart_flush(struct uart *uart);
/* Whether the port takes no characters; until it does again they are lost. */
bool uart_stalled(struct uart *uart);
u64 uart_lost(struct uart *uart);	/* characters lost so far */

/*
 * Let received characters, and an empty transmitter after uart_put(), raise IRQ_VECTOR_UART, whose handler is
 * the caller's: it calls uart_poll() and uart_put() until uart_served(). -EOPNOTSUPP: poll instead, since the port is none of COM1
 * to COM4 and the firmware has not said which interrupt it has, or no I/O APIC has its line. -ENODEV: no port is open. After
 * ioapic_init(). That the interrupt comes is not certain: a port may have another line, or the firmware may have left
 * interrupt remapping on.
 */
int uart_enable_interrupt(struct uart *uart);
/* Have it raised now, by the transmitter if that is empty: to see whether it comes. After uart_enable_interrupt(). */
void uart_raise_interrupt(struct uart *uart);
/* The ISA interrupt that is expected; 0: none. And another one, as the firmware says, for uart_enable_interrupt(). */
u8 uart_irq(const struct uart *uart);
void uart_set_irq(struct uart *uart, u8 irq);
/* Has the port no more interrupt to report? Its line is edge-triggered: otherwise no further one would come. */
bool uart_served(struct uart *uart);
/*
 * Move received characters to the receive buffer: the interrupt handler; without an interrupt call it often. With
 * a full buffer they stay in the port, and RTS goes off. Returns how many were moved.
 */
unsigned uart_poll(struct uart *uart);
/* How often the port has reported that it had no room for a character. */
u64 uart_overruns(struct uart *uart);
/* The oldest received character, or -1. On one CPU only. */
int uart_read_char(struct uart *uart);
