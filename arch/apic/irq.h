/* SPDX-License-Identifier: MIT */
/*
 * Host interrupt vectors and their handlers. The hypervisor runs with interrupts off and serves them in
 * irq_window() and irq_wait() (arch/cpu/cpu.h) only. Handlers run with interrupts off, on the CPU's
 * ordinary stack, and must be short: they set a flag or a request.
 */
#pragma once

#include "lib/types.h"

enum irq_vector {
	IRQ_VECTOR_FIRST = 0x20,
	IRQ_VECTOR_UART = 0x40,
	IRQ_VECTOR_FLUSH = 0xeb,	/* from another CPU: leave the guest, core/mem/tdp_flush.c */
	IRQ_VECTOR_TIMER = 0xec,	/* LAPIC timer */
	IRQ_VECTOR_FORCE_EXIT = 0xed,	/* makes the guest exit, if one runs, and does nothing else; in trap_entry.asm */
	IRQ_VECTOR_KICK = 0xee,		/* from another CPU: look at the requests and at what was woken */
	IRQ_VECTOR_LAPIC_ERROR = 0xfe,
	IRQ_VECTOR_SPURIOUS = 0xff,
};

typedef void (*irq_handler_t)(void);

/* Run the handler of vector 32..255 and send the EOI: for arch/fault/trap.c. */
void irq_dispatch(u64 vector);

/* Set the handler of a vector; EOI is sent by the dispatcher. Unexpected vectors are counted and logged once. */
void irq_set_handler(u8 vector, irq_handler_t handler);
