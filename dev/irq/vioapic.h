/* SPDX-License-Identifier: MIT */
/*
 * The IOAPIC: 24 pins, each with a redirection entry. Intel 82093AA I/O Advanced Programmable
 * Interrupt Controller, with the EOI register that version 0x20 has in addition.
 *
 * In a VM with more than 255 vCPUs bits 49 to 55 of an entry are bits 8 to 14 of the destination: Linux,
 * Documentation/virt/kvm/x86/cpuid.rst, KVM_FEATURE_MSI_EXT_DEST_ID; arch/x86/include/asm/io_apic.h.
 *
 * Virtual pins are asserted or deasserted and have no electrical level: an entry's polarity bit is
 * stored and has no effect.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

#define IOAPIC_BASE	 0xfec00000ull
#define IOAPIC_SIZE	 0x1000
#define IOAPIC_PINS	 24
#define IOAPIC_APIC_ID	 0	/* not in the local APICs' id space; the guest may change it */
#define IOAPIC_PIN_8259	 0	/* the 8259s' output */
#define IOAPIC_PIN_TIMER 2	/* ISA interrupt 0 */

/* The pins for PCI: the DSDT routes the interrupt pins of PCI functions to them. */
#define PCI_FIRST_GSI	 16
#define PCI_LAST_GSI	 19

/* VM lock. Any CPU may read the entry of IOAPIC_PIN_8259. */
struct vioapic {
	struct vm *vm;
	bool long_ids;		/* constant: see IRQCHIP_SHORT_IDS */
	u32 id;			/* register 0 */
	u8 select;		/* index register */
	u32 lines;		/* bit n: pin n is asserted */
	u64 entries[IOAPIC_PINS];
	u8 sent[IOAPIC_PINS];	/* the vector that the pin's last interrupt was sent with */
};

/* Claims its MMIO range; all entries are masked. `vioapic` must be zeroed. 0, -EEXIST, -ENOSPC. */
int vioapic_create(struct vioapic *vioapic, struct vm *vm);
/* VM lock, for this and the next two. */
void vioapic_set_pin(struct vioapic *vioapic, unsigned pin, bool level);

/* Is the pin's vector pending in the IRR of a local APIC that its entry addresses? false where it is masked. */
bool vioapic_pin_waiting(const struct vioapic *vioapic, unsigned pin);

/* Is a pin that is not masked programmed to send NMIs to this vCPU? */
bool vioapic_sends_nmi(const struct vioapic *vioapic, const struct vcpu *vcpu);

/* EOI broadcast: a local APIC of the VM has ended a level-triggered interrupt with this vector. Takes the VM lock. */
void vioapic_eoi(struct vm *vm, u8 vector);

/* Is the pin of the 8259s programmed to deliver ExtINT to this vCPU? Any CPU. */
bool vioapic_passes_extint(const struct vioapic *vioapic, const struct vcpu *vcpu);
