/* SPDX-License-Identifier: MIT */
/* PCI functions with a type 0 header. */
#include "dev/pci/vpci_device.h"

#include "core/irqchip.h"
#include "core/vm_log.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

/* PCI Local Bus Specification, "Type 00h Configuration Space Header". */
enum {
	VENDOR_ID = 0x00, DEVICE_ID = 0x02, COMMAND = 0x04, STATUS = 0x06, REVISION_ID = 0x08, CLASS = 0x09,
	CACHE_LINE_SIZE = 0x0c, BAR0 = 0x10, SUBSYSTEM_VENDOR_ID = 0x2c, SUBSYSTEM_ID = 0x2e, CAPABILITIES = 0x34,
	INTERRUPT_LINE = 0x3c, INTERRUPT_PIN = 0x3d, HEADER_BYTES = 0x40,
};
#define COMMAND_PORTS	     BIT(0)
#define COMMAND_MEMORY	     BIT(1)
#define COMMAND_BUS_MASTER   BIT(2)
#define COMMAND_INTX_DISABLE BIT(10)
#define STATUS_INTERRUPT     BIT(3)
#define STATUS_CAPABILITIES  BIT(4)
#define BAR_IS_PORT	     BIT(0)
#define BAR_IS_64_BIT	     BIT(2)

#define PORTS_LARGEST  256u	/* a function that asks for more ports is not to be configured */
#define MEMORY_SMALLEST 4096u

static u16 get16(const u8 *at)
{
	return (u16)(READ_ONCE(at[0]) | READ_ONCE(at[1]) << 8);
}

static void put(u8 *at, u32 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (u8)(value >> (8 * i));
}

static u32 get32(const u8 *at)
{
	return get16(at) | (u32)get16(at + 2) << 16;
}

static u16 command_of(const struct vpci_device *device)
{
	return get16(device->config + COMMAND);
}

static struct vpci_device *device_of(struct vpci_function *function)
{
	return container_of(function, struct vpci_device, function);
}

/* --- base address registers --- */

/* Where the registers say that the region is. */
static u64 base_of(const struct vpci_device *device, unsigned bar)
{
	const u8 *at = device->config + BAR0 + 4 * bar;
	u64 size = device->bars[bar].size;
	u16 command = command_of(device);

	if (device->bars[bar].is_port)
		return command & COMMAND_PORTS ? get32(at) & ~(size - 1) : VPCI_NOWHERE;
	return command & COMMAND_MEMORY ? (get32(at) | (u64)get32(at + 4) << 32) & ~(size - 1) : VPCI_NOWHERE;
}

/* Move each region to where the registers say. VM lock. */
static void place_regions(struct vpci_device *device)
{
	for (unsigned i = 0; i < VPCI_BARS; i++) {
		struct vpci_bar *bar = &device->bars[i];
		u64 base, size;

		if (!bar->size)
			continue;
		base = base_of(device, i);
		if (base == bar->base)
			continue;
		bar->base = base;
		size = base == VPCI_NOWHERE ? 0 : bar->size;
		if (bar->is_port)
			pio_move(device->vm, bar->region, base, size);
		else
			mmio_move(device->vm, bar->region, base, size);
	}
}

static int check_bar(const struct vpci_device *device, unsigned bar, const struct io_region *region, bool is_port)
{
	u64 size = region->size;

	if (bar >= (is_port ? VPCI_BARS : VPCI_BARS - 1) || device->bars[bar].size || (size & (size - 1)) ||
	    (is_port ? size < 4 || size > PORTS_LARGEST : size < MEMORY_SMALLEST)) {
		vm_error(device->vm, "%s: register %u cannot be the base of 0x%llx bytes", region->name, bar,
			 (unsigned long long)size);
		return -EINVAL;
	}
	return 0;
}

static int add_bar(struct vpci_device *device, unsigned bar, const struct io_region *region, bool is_port)
{
	u8 *at = device->config + BAR0 + 4 * bar, *writable = device->writable + BAR0 + 4 * bar;
	int error = check_bar(device, bar, region, is_port);
	u64 base;
	u32 handle;

	if (!error)
		error = is_port ? pio_register_movable(device->vm, region, &handle) :
				  mmio_register_movable(device->vm, region, &handle);
	if (error)
		return error;
	base = vpci_assign(device->vm, is_port, region->size);
	if (!base) {
		vm_error(device->vm, "no place is left for the region of %s", region->name);
		return -ENOSPC;
	}
	device->bars[bar] = (struct vpci_bar){ .size = region->size, .is_port = is_port, .region = handle, .base = VPCI_NOWHERE };
	put(at, (u32)base | (is_port ? BAR_IS_PORT : BAR_IS_64_BIT), 4);
	put(writable, (u32)~(region->size - 1), 4);
	if (!is_port) {
		put(at + 4, (u32)(base >> 32), 4);
		put(writable + 4, (u32)(~(region->size - 1) >> 32), 4);
	}
	device->config[COMMAND] |= is_port ? COMMAND_PORTS : COMMAND_MEMORY;
	place_regions(device);
	return 0;
}

int vpci_device_add_ports(struct vpci_device *device, unsigned bar, const struct io_region *region)
{
	return add_bar(device, bar, region, true);
}

int vpci_device_add_memory(struct vpci_device *device, unsigned bar, const struct io_region *region)
{
	return add_bar(device, bar, region, false);
}

/* --- INTA --- */

/* "MSI-X and INTx": a function that uses messages has no INTA. */
static bool intx_is_pending(const struct vpci_device *device)
{
	return READ_ONCE(device->intx) && !vpci_device_uses_msix(device);
}

/* VM lock. */
static void update_line(struct vpci_device *device)
{
	bool disabled = command_of(device) & COMMAND_INTX_DISABLE;

	vpci_set_line(device->vm, device->function.devfn, intx_is_pending(device) && !disabled);
}

void vpci_device_set_intx(struct vpci_device *device, bool level)
{
	vm_lock(device->vm);
	WRITE_ONCE(device->intx, level);
	update_line(device);
	vm_unlock(device->vm);
}

/* --- configuration space --- */

bool vpci_device_is_bus_master(const struct vpci_device *device)
{
	return command_of(device) & COMMAND_BUS_MASTER;
}

u32 vpci_device_config_read(struct vpci_function *function, unsigned offset, unsigned size)
{
	const struct vpci_device *device = device_of(function);
	u32 value = 0;

	for (unsigned i = 0; i < size; i++) {
		u8 byte = device->config[offset + i];

		if (offset + i == STATUS && intx_is_pending(device))
			byte |= STATUS_INTERRUPT;
		value |= (u32)byte << (8 * i);
	}
	return value;
}

void vpci_device_config_write(struct vpci_function *function, unsigned offset, unsigned size, u32 value)
{
	struct vpci_device *device = device_of(function);

	/* The senders of messages look at the same registers. */
	spin_lock(&device->msix_lock);
	for (unsigned i = 0; i < size; i++) {
		u8 *byte = &device->config[offset + i], writable = device->writable[offset + i];

		WRITE_ONCE(*byte, (u8)((*byte & ~writable) | (value >> (8 * i) & writable)));
	}
	spin_unlock(&device->msix_lock);

	vm_lock(device->vm);
	place_regions(device);
	update_line(device);
	vm_unlock(device->vm);
	vpci_msix_changed(device);
}

unsigned vpci_device_add_capability(struct vpci_device *device, u8 id, unsigned size)
{
	unsigned at = device->next_capability, link = CAPABILITIES;

	if (!at || at + size > VPCI_CONFIG_SIZE) {
		vm_error(device->vm, "%s: no room for a capability of %u bytes", device->function.name, size);
		return 0;
	}
	while (device->config[link])
		link = device->config[link] + 1u;
	device->config[link] = (u8)at;
	device->config[STATUS] |= STATUS_CAPABILITIES;
	device->config[at] = id;
	device->next_capability = (u8)ALIGN_UP(at + size, 4u);	/* 0: the space is full */
	return at;
}

int vpci_device_create(struct vm *vm, struct vpci_device *device, const struct vpci_identity *identity)
{
	int slot = vpci_free_slot(vm);

	if (slot < 0) {
		vm_error(vm, "no slot of the PCI bus is left for %s", identity->name);
		return slot;
	}
	device->vm = vm;
	device->function = (struct vpci_function){
		.name = identity->name,
		.devfn = (u8)PCI_SLOT(slot, 0),
		.read = vpci_device_config_read,
		.write = vpci_device_config_write,
	};
	device->msix_lock.rank = LOCK_MSIX;
	device->next_capability = HEADER_BYTES;
	put(device->config + VENDOR_ID, identity->vendor, 2);
	put(device->config + DEVICE_ID, identity->device, 2);
	put(device->config + REVISION_ID, identity->revision, 1);
	put(device->config + CLASS, identity->class, 3);
	put(device->config + SUBSYSTEM_VENDOR_ID, identity->subsystem_vendor, 2);
	put(device->config + SUBSYSTEM_ID, identity->subsystem, 2);
	device->config[INTERRUPT_LINE] = (u8)vpci_irq(vpci_gsi((u32)slot, 0));
	device->config[INTERRUPT_PIN] = 1;	/* INTA */
	put(device->writable + COMMAND, COMMAND_PORTS | COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTX_DISABLE, 2);
	device->writable[CACHE_LINE_SIZE] = 0xff;
	device->writable[INTERRUPT_LINE] = 0xff;
	return vpci_plug(vm, &device->function);
}
