/* SPDX-License-Identifier: MIT */
/*
 * The guest's PCI bus 0 and its configuration space, reached by mechanism #1 and, with all of its 4096 bytes per function,
 * in memory. PCI Local Bus Specification, "Configuration Space Access Mechanism #1"; PCI Express Base Specification, "PCI
 * Express Enhanced Configuration Access Mechanism (ECAM)"; PCI Firmware Specification, "MCFG Table Description".
 */
#pragma once

#include "dev/irq/vioapic.h"
#include "dev/irq/vpic.h"
#include "lib/types.h"

struct vm;
struct vpci_bus;

#define PCI_CONFIG_PORT	    0xcf8	/* 4 bytes of address, 4 of data */
#define PCI_CONFIG_PORTS    8
#define PCI_SLOTS	    32
#define PCI_FUNCTIONS	    (PCI_SLOTS * 8)
#define PCI_SLOT(slot, function) ((slot) << 3 | (function))

/* The configuration space of bus 0 in memory, where RAM can end: the MCFG table and the DSDT announce it. */
#define PCI_ECAM_BASE	    0xc0000000ull
#define PCI_ECAM_SIZE	    0x100000ull

/*
 * Where the base address registers of functions can be: the DSDT's windows. That of memory ends at the IOAPIC: SeaBIOS, which
 * knows neither of them, puts all functions right below that.
 */
#define PCI_MEMORY_FIRST    (PCI_ECAM_BASE + PCI_ECAM_SIZE)
#define PCI_MEMORY_LAST	    (IOAPIC_BASE - 1)

/*
 * The IOAPIC input of a slot's interrupt pin: 0 is INTA. From slot to slot, pin A moves to the next input, so
 * that neighbours seldom share one.
 */
static inline u32 vpci_gsi(u32 slot, u32 pin)
{
	return PCI_FIRST_GSI + (slot + pin) % (PCI_LAST_GSI - PCI_FIRST_GSI + 1);
}

/* The input of the 8259s that this IOAPIC input's pins are wired to besides. */
static inline u32 vpci_irq(u32 gsi)
{
	return PCI_FIRST_IRQ + gsi % (PCI_LAST_IRQ - PCI_FIRST_IRQ + 1);
}

/*
 * One function on the bus. The owner keeps the memory for as long as the VM lives. Both are called with the bus's own lock, which
 * comes before all others: a handler may take its device's lock and the VM lock.
 */
struct vpci_function {
	const char *name;
	u8 devfn;	/* PCI_SLOT() */
	/* offset + size <= 256, size is 1, 2 or 4, within one aligned 32-bit register. */
	u32 (*read)(struct vpci_function *function, unsigned offset, unsigned size);
	void (*write)(struct vpci_function *function, unsigned offset, unsigned size, u32 value);
};

/* Put a function on the bus. 0; -EEXIST, logged: another one has its slot and function number. */
int vpci_plug(struct vm *vm, struct vpci_function *function);
/* Find a slot that has no function. -ENOSPC: there is none, or no bus. */
int vpci_free_slot(struct vm *vm);

/*
 * Before the VM runs: find a place for a base address register of `size` bytes, a power of two, as firmware does. 0: none is left.
 */
u64 vpci_assign(struct vm *vm, bool is_port, u64 size);

/* VM lock: the function asserts INTA, or does no longer. Both inputs are asserted while one of the functions that share them is. */
void vpci_set_line(struct vm *vm, u8 devfn, bool level);

/* Create the bus with its host bridge, and claim the ports and the memory of its configuration space. 0, -ENOMEM, or as pio_register(). */
int vpci_create(struct vm *vm);
