/* SPDX-License-Identifier: MIT */
/*
 * A well-behaved driver of virtio devices: finds them on the PCI bus by both configuration mechanisms, moves their
 * registers, negotiates, and makes requests of the random number source, disks and network ports, with messages,
 * with the interrupt pin and without interrupts. VIRTIO 1.2. A bare QEMU is a machine that must pass, too.
 */
#include "tests.h"

static void config_access(void)
{
	u32 differ = 0, absent = 0, extended = 0, narrow = 0;

	find_ecam();
	if (!ecam) {
		skip("ECAM", "there is no MCFG");
	} else {
		for (u32 i = 0; i < device_count; i++) {
			ulong at = ecam + ((ulong)devices[i].bdf << 12);

			for (u32 reg = 0; reg < 256; reg += 4) {
				u32 value = mmio_read(at + reg);

				differ += value != pci_read(devices[i].bdf, reg);
				narrow += *(volatile u16 *)(at + reg + 2) != value >> 16;
				narrow += *(volatile u8 *)(at + reg + 1) != (value >> 8 & 0xff);
			}
			/* No extended capabilities: "PCI Express Extended Capabilities". */
			extended += mmio_read(at + 0x100) != 0 && mmio_read(at + 0x100) != 0xffffffff;
		}
		check_eq(differ, 0, "ECAM: the same registers as by port 0xcf8");
		check_eq(narrow, 0, "ECAM: bytes and words are parts of the doublewords");
		check_eq(extended, 0, "ECAM: no extended capabilities");
		check_eq(mmio_read(ecam + (31 << 15) + (7 << 12)), pci_read(31 << 3 | 7, 0), "ECAM: the last function");
	}
	for (u32 i = 0; i < device_count; i++)
		if (!(pci_get(devices[i].bdf, 0x0e, 1) & 0x80))
			absent += pci_read(devices[i].bdf | 7, 0) != 0xffffffff;
	check_eq(absent, 0, "a function that is not there reads as all ones");
	for (u32 i = 0; i < device_count; i++)
		for (u32 reg = 0; reg < 256; reg += 4) {
			u32 value = pci_read(devices[i].bdf, reg);

			differ += pci_get(devices[i].bdf, reg + 2, 2) != value >> 16;
			differ += pci_get(devices[i].bdf, reg + 3, 1) != value >> 24;
		}
	check_eq(differ, 0, "port 0xcfc: bytes and words are parts of the doublewords");
}

/* "Virtio Structure PCI Capabilities": the structures lie in what the base address registers decode. */
static bool fits(struct device *device, const struct place *place, u32 least)
{
	return place->found && place->bar < 6 && place->size >= least &&
	       place->offset + (u64)place->size <= pci_bar_size(device->bdf, place->bar);
}

static void capabilities(struct device *device)
{
	bool notify = device->notifies > 0;
	u32 revision = pci_get(device->bdf, 8, 1);

	check(revision >= 1, "the revision is that of a modern device");
	check(fits(device, &device->cfg[CFG_COMMON], 56), "the common configuration is in its BAR");
	check(fits(device, &device->cfg[CFG_ISR], 1), "the ISR status is in its BAR");
	for (u32 i = 0; i < device->notifies; i++)
		notify &= fits(device, &device->notify[i], 2);
	check(notify, "the doorbells are in their BARs");
	check(device->pci_cfg, "there is the access by PCI configuration");
	check_eq(pci_get(device->bdf, PCI_PIN, 1), 1, "the interrupt pin is INTA");
	check(device->msix && device->vectors >= 2, "there is MSI-X, with two vectors at least");
}

/* "PCI configuration access capability" */
static void window(struct device *device)
{
	const struct place *place = &device->cfg[CFG_COMMON];

	if (!device->pci_cfg)
		return;
	device_reset(device);
	set_common(device, DEVICE_STATUS, ACKNOWLEDGE);
	pci_put(device->bdf, device->pci_cfg + 4, 1, place->bar);
	pci_write(device->bdf, device->pci_cfg + 8, place->offset + DEVICE_STATUS);
	pci_write(device->bdf, device->pci_cfg + 12, 1);
	check_eq(pci_get(device->bdf, device->pci_cfg + 16, 1), ACKNOWLEDGE,
		 "the window in PCI configuration reads the status");
	pci_put(device->bdf, device->pci_cfg + 16, 1, ACKNOWLEDGE | DRIVER);
	check_eq(common(device, DEVICE_STATUS), ACKNOWLEDGE | DRIVER, "the window writes the status");
	device_reset(device);
}

static void bars(struct device *device)
{
	struct place *place = &device->cfg[CFG_COMMON];
	u32 reg = PCI_BAR + 4 * place->bar, old = pci_read(device->bdf, reg), high = pci_read(device->bdf, reg + 4);
	u64 size = pci_bar_size(device->bdf, place->bar), top = 0;
	ulong was = place->at;

	check(size && !(size & (size - 1)), "the BAR's size is a power of two");
	check_eq(pci_read(device->bdf, reg), old, "the BAR's address is back after sizing");
	if (place->port || (old & 6) != 4 || high)
		return;
	/* Behind all others' BARs, where nothing can be. */
	for (u32 i = 0; i < device_count; i++)
		for (u32 bar = 0; bar < 6; bar++) {
			bool port;
			u64 base = pci_bar(devices[i].bdf, bar, &port), end = base + pci_bar_size(devices[i].bdf, bar);

			if (!port && base && base < 0xfec00000 && end > top)
				top = end;
			bar += !port && (pci_read(devices[i].bdf, PCI_BAR + 4 * bar) & 6) == 4;
		}
	top = (top + size - 1) & ~(size - 1);
	if (top + size > 0xfec00000)
		top = 0xd0000000;
	device_reset(device);
	set_common(device, DEVICE_STATUS, ACKNOWLEDGE);
	pci_write(device->bdf, reg, top);
	place_update(device);
	check_eq(place->at - top, place->offset, "the BAR takes another address");
	check_eq(common(device, DEVICE_STATUS), ACKNOWLEDGE, "the registers are at the new address");
	check(*(volatile u8 *)(was + DEVICE_STATUS) != ACKNOWLEDGE, "nothing is at the old address");
	pci_put(device->bdf, PCI_COMMAND, 2, COMMAND_IO | COMMAND_MASTER);
	check(common(device, DEVICE_STATUS) != ACKNOWLEDGE, "nothing is there while memory decoding is off");
	pci_put(device->bdf, PCI_COMMAND, 2, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER);
	pci_write(device->bdf, reg, old);
	place_update(device);
	check_eq(common(device, DEVICE_STATUS), ACKNOWLEDGE, "the registers are back at the old address");
}

static void refused_features(struct device *device)
{
	check(!device_negotiate(device, 0), "without VERSION_1 no FEATURES_OK");
	device_reset(device);
	check(!device_negotiate(device, F_VERSION_1 | BIT(50)), "a feature that was not offered: no FEATURES_OK");
	device_reset(device);
}

static void negotiation(struct device *device)
{
	u64 offered;

	check(device_reset(device), "reset: the status becomes 0");
	if (qemu_tcg())
		skip("refused features", "QEMU sets FEATURES_OK with any");
	else
		refused_features(device);
	offered = device_features(device);
	check(offered & F_VERSION_1, "VERSION_1 is offered");
	check(offered & F_INDIRECT, "indirect descriptors are offered");
	check(offered & F_EVENT_IDX, "event indices are offered");
	check(device_negotiate(device, F_VERSION_1), "VERSION_1 alone: FEATURES_OK");
	check(common(device, NUM_QUEUES) >= 1, "there is a queue");
	set_common(device, QUEUE_SELECT, common(device, NUM_QUEUES));
	check_eq(common(device, QUEUE_SIZE), 0, "a queue that is not there has size 0");
	set_common(device, QUEUE_SELECT, 0);
	check(common(device, QUEUE_SIZE) > 0 && !(common(device, QUEUE_SIZE) & (common(device, QUEUE_SIZE) - 1)),
	      "the first queue's size is a power of two");
	check_eq(common(device, QUEUE_ENABLE), 0, "it is not enabled after a reset");
	set_common(device, QUEUE_VECTOR, device->vectors);
	check_eq(common(device, QUEUE_VECTOR), NO_VECTOR, "a vector that is not there is refused");
	set_common(device, QUEUE_VECTOR, 1);
	check_eq(common(device, QUEUE_VECTOR), 1, "a vector that is there is taken");
	device_reset(device);
}

int main(void)
{
	static const struct {
		u32 id;
		const char *name;
		void (*test)(struct device *device, u32 n);
	} kinds[] = {
		{ VIRTIO_RNG, "random numbers", test_rng },
		{ VIRTIO_BLOCK, "disk", test_block },
	};

	u32 rounds = 1;

	cmdline_number("rounds", &rounds);
	interrupts_init();
	find_devices();
	if (!device_count && !hypervisor_present() && !qemu_tcg()) {
		skip("all", "this emulator has no virtio devices");
		check(true, "nothing was done");
		return 0;
	}
	if (!check(device_count, "there are virtio devices"))
		return 0;
	config_access();
	for (u32 i = 0; i < device_count; i++) {
		print("device ");
		print_hex(devices[i].bdf);
		print(" type ");
		print_dec(devices[i].id);
		print("\n");
		capabilities(&devices[i]);
		window(&devices[i]);
		bars(&devices[i]);
		negotiation(&devices[i]);
	}
	while (rounds--) {
		for (u32 i = 0; i < ARRAY_SIZE(kinds); i++) {
			if (!find_device(kinds[i].id, 0))
				skip(kinds[i].name, "there is no such device");
			for (u32 n = 0; find_device(kinds[i].id, n); n++)
				kinds[i].test(find_device(kinds[i].id, n), n);
		}
		test_net();
	}
	return 0;
}
