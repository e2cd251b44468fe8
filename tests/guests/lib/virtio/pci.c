/* SPDX-License-Identifier: MIT */
/* PCI configuration by both ways, and base address registers. */
#include "virtio.h"

ulong ecam;

void pci_write(u32 bdf, u32 reg, u32 value)
{
	outl(0xcf8, 0x80000000u | bdf << 8 | (reg & 0xfc));
	outl(0xcfc, value);
}

u32 pci_get(u32 bdf, u32 reg, u32 size)
{
	outl(0xcf8, 0x80000000u | bdf << 8 | (reg & 0xfc));
	switch (size) {
	case 1:
		return inb(0xcfc + (reg & 3));
	case 2:
		return inw(0xcfc + (reg & 3));
	default:
		return inl(0xcfc);
	}
}

void pci_put(u32 bdf, u32 reg, u32 size, u32 value)
{
	outl(0xcf8, 0x80000000u | bdf << 8 | (reg & 0xfc));
	switch (size) {
	case 1:
		outb(0xcfc + (reg & 3), value);
		break;
	case 2:
		outw(0xcfc + (reg & 3), value);
		break;
	default:
		outl(0xcfc, value);
	}
}

u64 pci_bar(u32 bdf, u32 bar, bool *port)
{
	u32 low = pci_read(bdf, PCI_BAR + 4 * bar);

	*port = low & 1;
	if (*port)
		return low & ~3u;
	return (low & ~15u) | ((low & 6) == 4 ? (u64)pci_read(bdf, PCI_BAR + 4 * bar + 4) << 32 : 0);
}

u64 pci_bar_size(u32 bdf, u32 bar)
{
	u32 reg = PCI_BAR + 4 * bar, low = pci_read(bdf, reg), high = pci_read(bdf, reg + 4);
	u32 command = pci_get(bdf, PCI_COMMAND, 2), mask;
	u64 size;

	/* While it decodes nothing. */
	pci_put(bdf, PCI_COMMAND, 2, command & ~(COMMAND_IO | COMMAND_MEMORY));
	pci_write(bdf, reg, 0xffffffff);
	mask = pci_read(bdf, reg);
	if (low & 1) {
		size = (u16)~(mask & ~3u) + 1u;
	} else if ((low & 6) == 4) {
		pci_write(bdf, reg + 4, 0xffffffff);
		size = ~((u64)pci_read(bdf, reg + 4) << 32 | (mask & ~15u)) + 1;
		pci_write(bdf, reg + 4, high);
	} else {
		size = (u32)~(mask & ~15u) + 1u;
	}
	pci_write(bdf, reg, low);
	pci_put(bdf, PCI_COMMAND, 2, command);
	return mask & ~15u ? size : 0;
}

/* A pointer that the compiler takes for no null pointer with an offset. */
static const u8 *at(u64 address)
{
	asm("" : "+r"(address));
	return (const u8 *)address;
}

static bool same(const u8 *a, const char *b, u32 n)
{
	while (n && *a == (u8)*b)
		n--, a++, b++;
	return !n;
}

const u8 *acpi_table(const char *signature)
{
	const u8 *rsdp = NULL, *rsdt;

	for (u32 a = 0xe0000; a < 0x100000 && !rsdp; a += 16)
		if (same(at(a), "RSD PTR ", 8))
			rsdp = at(a);
	if (!rsdp)
		return NULL;
	rsdt = at(*(const u32 *)(rsdp + 16));
	for (u32 i = 36; i < *(const u32 *)(rsdt + 4); i += 4) {
		const u8 *table = at(*(const u32 *)(rsdt + i));

		if (same(table, signature, 4))
			return table;
	}
	return NULL;
}

/* PCI Firmware Specification, "MCFG Table Description": of the first bus only. */
void find_ecam(void)
{
	const u8 *mcfg = acpi_table("MCFG");

	ecam = mcfg ? *(const ulong *)(mcfg + 44) : 0;
}
