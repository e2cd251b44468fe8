/* SPDX-License-Identifier: MIT */
/* Registers by every width at every offset, and messages to everywhere. */
#include "bad.h"

static void poke(ulong at, u32 how)
{
	switch (how % 4) {
	case 0:
		(void)*(volatile u8 *)at;
		*(volatile u8 *)at = random32();
		break;
	case 1:
		(void)*(volatile u16 *)at;
		*(volatile u16 *)at = random32();
		break;
	case 2:
		(void)*(volatile u32 *)at;
		*(volatile u32 *)at = random32();
		break;
	default:
		(void)*(volatile u64 *)at;
		*(volatile u64 *)at = random64();
	}
}

static void doorbells(struct device *device)
{
	for (u32 i = 0; i < device->notifies; i++)
		for (u32 n = 0; n < 64; n++) {
			u32 offset = random32() % device->notify[i].size;

			place_write(&device->notify[i], offset & ~3u, 1 << random32() % 3, random32());
			place_read(&device->notify[i], offset & ~3u, 1 << random32() % 3);
		}
}

/* All of the BAR that has the common configuration, but for messages' addresses, which could reach the CPUs. */
void bad_registers(const struct target *target)
{
	struct device *device = target->device;
	struct place *place = &device->cfg[CFG_COMMON];
	ulong base = place->at - place->offset;
	u32 size = pci_bar_size(device->bdf, place->bar), rounds = 2000;

	cmdline_number("rounds", &rounds);
	restart(target, 0);
	reset_ms = 1000;
	for (u32 i = 0; i < rounds; i++) {
		ulong at = base + (i & 1 ? random32() % (size - 8) : place->offset + random32() % 64);

		if (at + 8 > device->msix_table && at < device->msix_table + 16 * device->vectors)
			continue;
		poke(at, random32());
		/* Bring it back to life, so that not all is told to a device that has stopped. */
		if (i % 64 == 0)
			restart(target, random32());
	}
	reset_ms = EVENT_MS;
	doorbells(device);
	check(works(target, "random accesses to registers"), "after random accesses to its registers the device works");
}

/* Addresses and data that reach no CPU, or that no CPU may accept. An INIT or an NMI is sent to nobody. */
void bad_messages(const struct target *target)
{
	static const struct {
		u64 address;
		u32 data;
	} bad[] = {
		{ 0, MSI_VECTOR }, { -1ull, ~0u }, { 0xfee00000ull | BIT(32), MSI_VECTOR }, { 0xfed00000, MSI_VECTOR },
		{ 0xfec00000, MSI_VECTOR }, { 0x1000, MSI_VECTOR }, { 0xd0000000, MSI_VECTOR },
		{ 0xfeefe000, 0x500 }, { 0xfeefe000, 0x200 }, { 0xfeefe000, 0x400 }, { 0xfeefe004, 0xffff },
		{ 0xfee00000, 5 }, { 0xfee00000, 0 }, { 0xfee00000, 0x300 },
	};
	struct device *device = target->device;
	u32 well = 0, arrived = 0;

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		u32 id, written, before = msi_count[0];

		restart(target, 0);
		msix_enable(device, true);
		for (u32 n = 0; n < device->vectors; n++)
			msix_set(device, n, bad[i].address, bad[i].data, false);
		set_common(device, CONFIG_VECTOR, 0);
		set_common(device, QUEUE_SELECT, target->number);
		set_common(device, QUEUE_VECTOR, 1);
		queue_add(&queue, &(struct buffer){ memory, 8, target->device->id == VIRTIO_RNG }, 1);
		queue_kick(&queue);
		queue_wait(&queue, &id, &written, 2);
		/* The configuration's vector, too. */
		describe(queue.next, 0xd0000000, 8, D_WRITE, 0);
		offer(queue.next);
		broken(target);
		wait_count(&msi_count[0], ~0u, 1);
		arrived += msi_count[0] - before;
		msix_enable(device, false);
		well += works(target, "a message to nowhere");
	}
	check_eq(arrived, 0, "no message to nowhere arrives");
	check_eq(well, ARRAY_SIZE(bad), "after messages to nowhere the device works");
}

/* PCI configuration by every width, with both mechanisms. */
void bad_configuration(void)
{
	u32 rounds = 3000, before = pci_read(0, 0), found = device_count;

	cmdline_number("rounds", &rounds);
	for (u32 i = 0; i < rounds; i++) {
		u32 bdf = random32() & 1 ? devices[random32() % device_count].bdf : random32() & 0xff;
		u32 size = 1 << random32() % 3, reg = random32() & 0xff & ~(size - 1);

		if (ecam && random32() & 1) {
			ulong at = ecam + ((ulong)bdf << 12) + (random32() & 0xfff);

			/* Across registers and functions, too, but not behind the bus. */
			if (at + 8 <= ecam + (256 << 12))
				poke(at, random32());
			continue;
		}
		pci_get(bdf, reg, size);
		pci_put(bdf, reg, size, random32());
		if (i % 8 == 0) {
			outw(0xcf8, random32()), outb(0xcfb, random32());
			outl(0xcf8, random32() & 0x7fffffff), outl(0xcfc, random32()), inl(0xcfc);
		}
	}
	check_eq(pci_read(0, 0), before, "random PCI configuration: the host bridge is there");
	for (u32 i = 0; i < device_count; i++)
		pci_put(devices[i].bdf, PCI_COMMAND, 2, 0);
	find_devices();
	check_eq(device_count, found, "random PCI configuration: the devices are there");
}
