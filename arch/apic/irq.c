/* SPDX-License-Identifier: MIT */
/* The table of host interrupt handlers. */
#include "arch/apic/irq.h"

#include "arch/apic/lapic.h"
#include "lib/log.h"

static irq_handler_t handlers[256];
static u32 unexpected[256];

void irq_set_handler(u8 vector, irq_handler_t handler)
{
	handlers[vector] = handler;
}

void irq_dispatch(u64 vector)
{
	/* Intel SDM, "Spurious Interrupt": it sets no in-service bit, so it gets no EOI. */
	if (vector == IRQ_VECTOR_SPURIOUS)
		return;
	if (handlers[vector])
		handlers[vector]();
	else if (unexpected[vector]++ == 0)
		log_warn("unexpected interrupt, vector 0x%x; more of it are only counted",
			 (unsigned)vector);
	lapic_eoi();
}
