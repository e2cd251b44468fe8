/* SPDX-License-Identifier: MIT */
/*
 * The host's local APIC, in the mode in which the firmware left it, or in x2APIC mode where that is needed.
 * Intel SDM, "Advanced Programmable Interrupt Controller (APIC)".
 */
#pragma once

#include "lib/lapic.h"
#include "lib/types.h"

/*
 * Enable this CPU's APIC and mask its LVTs, except where the NMI comes in, and those of SMI mode, which are the
 * firmware's. After acpi_init(). -ENODEV, with an error line, if there is
 * none; -ENOMEM if its registers cannot be mapped. After paging_init(), with interrupts off.
 */
int lapic_init(void);
/*
 * The same on another CPU, in the boot CPU's mode, but the NMI stays masked. Logs nothing, and takes no
 * lock. -EINVAL: its APIC is at another address than the boot CPU's, or has not its mode.
 */
int lapic_init_secondary(void);
u32 lapic_id(void);	/* 8 bits in xAPIC mode, 32 in x2APIC mode */
void lapic_eoi(void);	/* only for an interrupt in service */

/* Can an IPI be sent to this id alone? In xAPIC mode 255 means all CPUs, and larger ids do not fit. */
bool lapic_reaches(u32 apic_id);
/*
 * To another CPU, by its local APIC's id. Stores made before are visible to it when it acts on these.
 * Intel SDM, "MP Initialization Protocol Algorithm for MP Systems".
 */
void lapic_send_init(u32 apic_id);
void lapic_send_startup(u32 apic_id, hpa_t page);	/* real-mode code at a page below 1 MiB */
void lapic_send_nmi(u32 apic_id);
void lapic_send_fixed(u32 apic_id, u8 vector);

/* Send a fixed interrupt to this CPU. The APIC accepts it asynchronously: see lapic_irr_pending(). */
void lapic_self_ipi(u8 vector);
/* Is the vector pending in the interrupt request register (IRR)? */
bool lapic_irr_pending(u8 vector);

/* The xAPIC's page; NULL in x2APIC mode. For this folder and arch/fault/trap_entry.asm. */
extern volatile u32 *lapic_registers;

/* The registers, in xAPIC or x2APIC mode, except ICR: for this folder. After lapic_init(). */
u32 lapic_reg_read(enum lapic_register reg);
void lapic_reg_write(enum lapic_register reg, u32 value);
