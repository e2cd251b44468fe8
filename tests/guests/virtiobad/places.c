/* SPDX-License-Identifier: MIT */
/* Base address registers on top of others, of RAM, and of the machine's own devices. These stay what they are. */
#include "bad.h"

static volatile const char marker[4096] __attribute__((aligned(4096))) = "still there";

static bool machine_lives(void)
{
	return lapic_read(APIC_ID) >> 24 == cpuid(1, 0).b >> 24 && (ioapic_read(1) >> 16 & 0xff) == 23 &&
	       marker[0] == 's' && marker[6] == 't' && pci_read(0, 0) != 0xffffffff;
}

static void set_base(struct device *device, u32 bar, u64 base, bool wide)
{
	pci_write(device->bdf, PCI_BAR + 4 * bar, base);
	if (wide)
		pci_write(device->bdf, PCI_BAR + 4 * bar + 4, base >> 32);
}

void bad_places(struct device *device)
{
	const u64 memory_places[] = {
		0, (ulong)marker, 0x100000, ram_end - 4096, ram_end, 0xa0000, 0xf0000, IOAPIC, LAPIC, ecam, 0xfffff000,
		0xffffc000, BIT(32), BIT(40), BIT(52), -1ull << 12, -1ull << 20,
	};
	static const u16 port_places[] = { 0x3f8, 0x20, 0x40, 0x60, 0x70, 0xf4, 0xcf8, 0xcfc, 0x600, 0, 0xfffc };
	u32 died = 0, lost = 0, other = device == &devices[0] ? device_count - 1 : 0;
	struct place *theirs = &devices[other].cfg[CFG_COMMON];

	device_reset(device);
	for (u32 bar = 0; bar < 6; bar++) {
		bool port, wide;
		u64 old = pci_bar(device->bdf, bar, &port);

		if (!pci_bar_size(device->bdf, bar))
			continue;
		wide = !port && (pci_read(device->bdf, PCI_BAR + 4 * bar) & 6) == 4;
		for (u32 i = 0; i < (port ? ARRAY_SIZE(port_places) : ARRAY_SIZE(memory_places)); i++) {
			set_base(device, bar, port ? port_places[i] : memory_places[i], wide);
			died += !machine_lives();
		}
		/* On top of another function either may answer, and both are there again afterwards. */
		if (!port && device_count > 1) {
			set_base(device, bar, theirs->at - theirs->offset, wide);
			common(&devices[other], DEVICE_STATUS);
			set_common(&devices[other], DEVICE_STATUS, 0);
			died += !machine_lives();
		}
		set_base(device, bar, old, wide);
		place_update(device);
		lost += pci_bar(device->bdf, bar, &port) != old;
		bar += wide;
	}
	check_eq(died, 0, "BARs on top of RAM, local APIC, IOAPIC and ports: these stay");
	check_eq(lost, 0, "the BARs are back");
}
