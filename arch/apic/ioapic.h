/* SPDX-License-Identifier: MIT */
/*
 * The host's I/O APICs and the two 8259s: all lines masked but those that are asked for.
 * Intel 82093AA data sheet, "IOAPIC Registers".
 */
#pragma once

#include "lib/types.h"

/* Mask every line of the 8259s, moved out of the exceptions' way, and of the MADT's I/O APICs. */
void ioapic_init(void);

/*
 * Send an ISA interrupt to the running CPU as `vector`, with the MADT's overrides. -ENODEV where no
 * I/O APIC serves it. Uses lapic_id().
 */
int ioapic_route_isa(u8 irq, u8 vector);
