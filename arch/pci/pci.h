/* SPDX-License-Identifier: MIT */
/*
 * The host's PCI configuration space by ports 0xcf8 and 0xcfc, which work before ACPI is read.
 * PCI Local Bus Specification, "Configuration Mechanism", "Base Addresses".
 */
#pragma once

#include "lib/types.h"

enum {
	PCI_VENDOR = 0x00, PCI_COMMAND = 0x04, PCI_CLASS = 0x08, PCI_HEADER = 0x0c, PCI_BAR = 0x10,
};

#define PCI_COMMAND_IO	   BIT(0)
#define PCI_COMMAND_MEMORY BIT(1)
#define PCI_BARS	   6

struct pci_address {
	u8 bus, device, function;
};

/* All ones where no function answers. The register is a multiple of 4. */
u32 pci_read32(struct pci_address at, unsigned reg);
void pci_write32(struct pci_address at, unsigned reg, u32 value);

struct pci_bar {
	bool io;
	u64 address;		/* 0: not there, or the firmware gave it no address */
	u32 size;		/* bytes, of the low 4 GiB; looked at with the decoding switched off */
	bool wide;		/* takes the next one's place, too */
};
struct pci_bar pci_read_bar(struct pci_address at, unsigned index);

/*
 * Visit every function of every bus, in order, until `visit` returns true. False where none did.
 * 8192 devices are looked for: some 20 ms.
 */
bool pci_for_each(bool (*visit)(struct pci_address at, void *argument), void *argument);
