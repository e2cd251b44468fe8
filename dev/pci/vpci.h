/* SPDX-License-Identifier: MIT */
/*
 * The guest's PCI bus 0 and its configuration space, reached by mechanism #1.
 * PCI Local Bus Specification, "Configuration Space Access Mechanism #1".
 */
#pragma once

#include "dev/irq/vioapic.h"
#include "lib/types.h"

struct vm;
struct vpci_bus;

#define PCI_CONFIG_PORT	    0xcf8	/* 4 bytes of address, 4 of data */
#define PCI_CONFIG_PORTS    8
#define PCI_SLOTS	    32
#define PCI_FUNCTIONS	    (PCI_SLOTS * 8)
#define PCI_SLOT(slot, function) ((slot) << 3 | (function))

/*
 * The IOAPIC input of a slot's interrupt pin: 0 is INTA. From slot to slot, pin A moves to the next input, so
 * that neighbours seldom share one.
 */
static inline u32 vpci_gsi(u32 slot, u32 pin)
{
	return PCI_FIRST_GSI + (slot + pin) % (PCI_LAST_GSI - PCI_FIRST_GSI + 1);
}

/* One function on the bus. The owner keeps the memory for as long as the VM lives. */
struct vpci_function {
	const char *name;
	u8 devfn;	/* PCI_SLOT() */
	/* offset + size <= 256, size is 1, 2 or 4, within one aligned 32-bit register. */
	u32 (*read)(struct vpci_function *function, unsigned offset, unsigned size);
	void (*write)(struct vpci_function *function, unsigned offset, unsigned size, u32 value);
};

/* Put a function on the bus. 0; -EEXIST, logged: another one has its slot and function number. */
int vpci_plug(struct vm *vm, struct vpci_function *function);

/* Create the bus with its host bridge, and claim the ports. 0, -ENOMEM, or as pio_register(). */
int vpci_create(struct vm *vm);
