/* SPDX-License-Identifier: MIT */
/*
 * The registers of a 16550A serial port. National Semiconductor PC16550D data sheet, "Registers".
 */
#pragma once

#include "lib/types.h"

enum {	/* registers, by their offset */
	UART_DATA,		/* RBR, THR; with DLAB the divisor's low byte */
	UART_IER,		/* with DLAB the divisor's high byte */
	UART_IIR,		/* write: FCR */
	UART_LCR, UART_MCR, UART_LSR, UART_MSR, UART_SCRATCH, UART_REGISTERS,
	UART_DIVISOR_LOW = UART_DATA,
	UART_DIVISOR_HIGH = UART_IER,
	UART_FCR = UART_IIR,
};

#define IER_RECEIVE	BIT(0)
#define IER_TRANSMIT	BIT(1)
#define IER_LINE	BIT(2)
#define IER_MODEM	BIT(3)
#define IER_BITS	0x0f

#define IIR_NONE	0x01
#define IIR_MODEM	0x00
#define IIR_TRANSMIT	0x02
#define IIR_RECEIVE	0x04
#define IIR_LINE	0x06
#define IIR_TIMEOUT	0x0c
#define IIR_FIFO	0xc0

#define FCR_ENABLE	BIT(0)
#define FCR_CLEAR_RX	BIT(1)
#define FCR_CLEAR_TX	BIT(2)
#define FCR_TRIGGER(v)	((v) >> 6)

#define LCR_LENGTH	0x03	/* 3: 8 bits */
#define LCR_STOP	BIT(2)
#define LCR_PARITY	BIT(3)
#define LCR_DLAB	BIT(7)

#define MCR_DTR		BIT(0)
#define MCR_RTS		BIT(1)
#define MCR_OUT1	BIT(2)
#define MCR_OUT2	BIT(3)	/* on a PC: connects the interrupt line */
#define MCR_LOOP	BIT(4)
#define MCR_BITS	0x1f

#define LSR_READY	BIT(0)
#define LSR_OVERRUN	BIT(1)
#define LSR_THR_EMPTY	BIT(5)
#define LSR_TX_EMPTY	BIT(6)	/* the shift register, too: all is sent */

#define MSR_DELTA_RI	BIT(2)	/* trailing edge only */
#define MSR_DELTAS	0x0f
#define MSR_CTS		BIT(4)
#define MSR_DSR		BIT(5)
#define MSR_RI		BIT(6)
#define MSR_DCD		BIT(7)

#define UART_FIFO_SIZE	16
