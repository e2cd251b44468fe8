/* SPDX-License-Identifier: MIT */
/*
 * The IOAPIC: 24 pins, each with a redirection entry. Intel 82093AA I/O Advanced Programmable
 * Interrupt Controller, with the EOI register that version 0x20 has in addition.
 *
 * A pin is asserted or it is not: the devices of the guest's machine have no electrical level, so
 * an entry's polarity bit is kept and has no effect.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

#define IOAPIC_BASE	 0xfec00000ull
#define IOAPIC_SIZE	 0x1000
#define IOAPIC_PINS	 24
#define IOAPIC_APIC_ID	 0	/* of its own id space; the guest may change it */
#define IOAPIC_PIN_8259	 0	/* the 8259s' output */
#define IOAPIC_PIN_TIMER 2	/* ISA interrupt 0 */

/* Inputs without an ISA interrupt: the DSDT routes the PCI functions' pins to them. */
#define PCI_FIRST_GSI	 16
#define PCI_LAST_GSI	 19

struct vioapic {
	struct vm *vm;
	u32 id;			/* register 0 */
	u8 select;		/* index register */
	u32 lines;		/* asserted pins */
	u64 entries[IOAPIC_PINS];
};

/* Claims its MMIO range. 0, -EEXIST, -ENOSPC. All entries are masked. */
int vioapic_create(struct vioapic *vioapic, struct vm *vm);
void vioapic_set_pin(struct vioapic *vioapic, unsigned pin, bool level);

/* Does a local APIC have a request with this pin's vector that the vCPU has not taken yet? */
bool vioapic_pin_waiting(const struct vioapic *vioapic, unsigned pin);

/* An interrupt that was level-triggered ended somewhere in the VM: the local APICs' broadcast. */
void vioapic_eoi(struct vm *vm, u8 vector);

/* Is the 8259s' pin programmed to bring their interrupts, as ExtINT, to this vCPU? */
bool vioapic_passes_extint(const struct vioapic *vioapic, const struct vcpu *vcpu);
