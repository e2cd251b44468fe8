/* SPDX-License-Identifier: MIT */
/*
 * The host's PCI configuration space through ports 0xcf8 and 0xcfc, which need no ACPI tables.
 * PCI Local Bus Specification, "Configuration Mechanism", "Base Addresses".
 */
#pragma once

#include "lib/types.h"

enum {
	PCI_VENDOR = 0x00, PCI_COMMAND = 0x04, PCI_CLASS = 0x08, PCI_HEADER = 0x0c, PCI_BAR = 0x10,
};

#define PCI_COMMAND_IO	   BIT(0)
#define PCI_COMMAND_MEMORY BIT(1)
#define PCI_COMMAND_MASTER BIT(2)
#define PCI_BARS	   6

struct pci_address {
	u8 bus, device, function;
};

/* All ones if no function answers. The register is a byte offset, a multiple of 4. Interrupts off. */
u32 pci_read32(struct pci_address at, unsigned reg);
void pci_write32(struct pci_address at, unsigned reg, u32 value);
void pci_write8(struct pci_address at, unsigned reg, u8 value);	/* any byte offset */

struct pci_bar {
	bool io;
	u64 address;		/* 0: not implemented, or the firmware has assigned no address */
	u32 size;		/* bytes, found by the low 32 bits only */
	bool wide;		/* 64 bits: uses the next BAR, too */
};
/* Base address register 0 to 5. Switches the function's decoding off while it finds the size. */
struct pci_bar pci_read_bar(struct pci_address at, unsigned index);

/*
 * Visit every function of every bus, except bridges, in order, until `visit` returns true. False if none
 * did. Tries 8192 devices, which takes some 10 ms.
 */
bool pci_for_each(bool (*visit)(struct pci_address at, void *argument), void *argument);

/*
 * Switch bus mastering off in all functions but bridges, displays and IOMMUs: a device that the firmware or the boot
 * loader has left at work must not write to memory which has another owner. Before any memory is given out. Logs
 * in how many. `keep`: leave it on, and warn. PCI Local Bus Specification, "Device Control".
 */
void pci_stop_bus_masters(bool keep);
