/* SPDX-License-Identifier: MIT */
/*
 * The host's I/O APICs and the two 8259s: all lines masked except those that are routed here,
 * and those that the firmware has raise SMIs.
 * Intel 82093AA data sheet, "IOAPIC Registers".
 */
#pragma once

#include "lib/types.h"

/*
 * Mask every line of the 8259s and of the MADT's I/O APICs, and move the 8259s' vectors away from those of
 * exceptions. Logs an I/O APIC that does not answer. After acpi_init(), with interrupts off.
 */
void ioapic_init(void);

/*
 * Route an ISA interrupt to the running CPU as `vector`, with the MADT's overrides. -ENODEV if no I/O APIC
 * has its line, or the CPU's APIC ID has more than 8 bits; -EBUSY if the line is the firmware's, or raises NMIs. After
 * lapic_init().
 */
int ioapic_route_isa(u8 irq, u8 vector);
/*
 * Have the lines that the MADT names as NMI sources raise NMIs at the running CPU. Logs each, or why not. After
 * lapic_init(). ACPI, "NMI Source Structure".
 */
void ioapic_route_nmis(void);
/* Do the MADT's overrides say that this ISA interrupt is level-triggered, so that devices may share it? */
bool ioapic_isa_is_level(u8 irq);
