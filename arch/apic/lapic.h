/* SPDX-License-Identifier: MIT */
/*
 * The host's local APIC: x2APIC where present, else xAPIC.
 * Intel SDM, "Advanced Programmable Interrupt Controller (APIC)".
 */
#pragma once

#include "lib/lapic.h"
#include "lib/types.h"

/*
 * Enable this CPU's APIC and mask its LVTs, except LINT1 (NMI). -ENODEV, with an error line, if there is
 * none; -ENOMEM if its registers cannot be mapped. After paging_init(), with interrupts off.
 */
int lapic_init(void);
u32 lapic_id(void);	/* 8 bits in xAPIC mode, 32 in x2APIC mode */
void lapic_eoi(void);	/* only for an interrupt in service */

/* Send a fixed interrupt to this CPU. The APIC accepts it asynchronously: see lapic_irr_pending(). */
void lapic_self_ipi(u8 vector);
/* Is the vector pending in the interrupt request register (IRR)? */
bool lapic_irr_pending(u8 vector);

/* The registers, in xAPIC or x2APIC mode, except ICR: for this folder. After lapic_init(). */
u32 lapic_reg_read(enum lapic_register reg);
void lapic_reg_write(enum lapic_register reg, u32 value);
