/* SPDX-License-Identifier: MIT */
/* PCI configuration space. */
#include "arch/pci/pci.h"

#include "arch/cpu/cpu.h"
#include "lib/log.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  BIT(31)

#define NO_DEVICE	 0xffffffff
#define MULTI_FUNCTION	 BIT(23)	/* of the header type */
#define HEADER_LAYOUT	 0x007f0000
#define CLASS_DISPLAY	 0x03u
#define CLASS_BRIDGE	 0x06u
#define CLASS_IOMMU	 0x0806u	/* with its subclass */
#define BAR_IO		 BIT(0)
#define BAR_TYPE	 0x6
#define BAR_64_BIT	 0x4
#define BAR_IO_FLAGS	 0x3u
#define BAR_MEMORY_FLAGS 0xfu

static void select(struct pci_address at, unsigned reg)
{
	outl(CONFIG_ADDRESS, CONFIG_ENABLE | (u32)at.bus << 16 | (u32)at.device << 11 |
			     (u32)at.function << 8 | reg);
}

u32 pci_read32(struct pci_address at, unsigned reg)
{
	select(at, reg);
	return inl(CONFIG_DATA);
}

void pci_write32(struct pci_address at, unsigned reg, u32 value)
{
	select(at, reg);
	outl(CONFIG_DATA, value);
}

void pci_write8(struct pci_address at, unsigned reg, u8 value)
{
	select(at, reg & ~3u);
	outb((u16)(CONFIG_DATA + (reg & 3)), value);
}

struct pci_bar pci_read_bar(struct pci_address at, unsigned index)
{
	unsigned reg = PCI_BAR + 4 * index;
	u32 command = pci_read32(at, PCI_COMMAND), low = pci_read32(at, reg), mask;
	struct pci_bar bar = { .io = low & BAR_IO };
	u32 flags = bar.io ? BAR_IO_FLAGS : BAR_MEMORY_FLAGS;

	/* The upper half is the status register, where writing a 1 clears the bit: write 0. */
	pci_write32(at, PCI_COMMAND, command & 0xffff & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	pci_write32(at, reg, 0xffffffff);
	mask = pci_read32(at, reg) & ~flags;
	pci_write32(at, reg, low);
	pci_write32(at, PCI_COMMAND, command & 0xffff);

	bar.size = mask & -mask;
	bar.address = bar.size ? low & ~flags : 0;
	bar.wide = !bar.io && (low & BAR_TYPE) == BAR_64_BIT && index + 1 < PCI_BARS;
	if (bar.wide && bar.size)
		bar.address |= (u64)pci_read32(at, reg + 4) << 32;
	return bar;
}

bool pci_for_each(bool (*visit)(struct pci_address at, void *argument), void *argument)
{
	for (unsigned device = 0; device < 256 * 32; device++) {
		struct pci_address at = { device / 32, device % 32, 0 };
		unsigned functions;

		if (pci_read32(at, PCI_VENDOR) == NO_DEVICE)
			continue;
		functions = pci_read32(at, PCI_HEADER) & MULTI_FUNCTION ? 8 : 1;
		for (; at.function < functions; at.function++) {
			/* Bridges have other registers where devices have base addresses. */
			if (pci_read32(at, PCI_VENDOR) != NO_DEVICE &&
			    !(pci_read32(at, PCI_HEADER) & HEADER_LAYOUT) && visit(at, argument))
				return true;
		}
	}
	return false;
}

static bool may_be_master(u32 class)
{
	return class >> 24 == CLASS_DISPLAY || class >> 24 == CLASS_BRIDGE || class >> 16 == CLASS_IOMMU;
}

struct masters {
	bool keep;
	unsigned count;
};

static bool stop_bus_master(struct pci_address at, void *argument)
{
	u32 command = pci_read32(at, PCI_COMMAND) & 0xffff;	/* the upper half is the status: a 1 clears a bit */
	struct masters *masters = argument;

	if (!(command & PCI_COMMAND_MASTER) || may_be_master(pci_read32(at, PCI_CLASS)))
		return false;
	if (!masters->keep)
		pci_write32(at, PCI_COMMAND, command & ~PCI_COMMAND_MASTER);
	log_debug("PCI: bus mastering of %02x:%02x.%x %s", at.bus, at.device, at.function,
		  masters->keep ? "is on" : "switched off");
	masters->count++;
	return false;
}

void pci_stop_bus_masters(bool keep)
{
	struct masters masters = { .keep = keep };

	pci_for_each(stop_bus_master, &masters);
	if (!masters.count)
		return;
	if (keep)
		log_warn("PCI: bus mastering stays on in %u functions (busmasters=keep): what the firmware left at work there "
			 "can write to any memory", masters.count);
	else
		log_info("PCI: bus mastering switched off in %u functions", masters.count);
}
