/* SPDX-License-Identifier: MIT */
/* PCI configuration space and the host bridge. */
#include "dev/pci/vpci.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vm_log.h"
#include "dev/irq/vpic.h"
#include "dev/isa/vpm.h"
#include "dev/platform.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/spinlock.h"

#define ADDRESS_ENABLE	 BIT(31)
#define ADDRESS_WRITABLE 0x80fffffcu
#define ALL_ONES	 0xffffffffu

#define DATA_PORTS 4	/* their offset */

/* Of a function's 4096 bytes in memory. Conventional functions have no more, and Linux takes all ones as the end. */
#define CONFIG_SIZE 256u

#define PORTS_FIRST  0xc000ull	/* of base address registers: above all that the machine itself has */
#define MEMORY_FIRST 0xe0000000ull

#define LINES (PCI_LAST_GSI - PCI_FIRST_GSI + 1)

struct vpci_bus {
	/* Constant. */
	struct vm *vm;
	struct vpci_function *functions[PCI_FUNCTIONS];
	struct vpci_function host_bridge;
	u64 next_port, next_memory;	/* while the devices are created: what is assigned next */
	/* Its own lock, taken first. */
	struct spinlock lock;
	u32 address;		/* the address register, at PCI_CONFIG_PORT */
	/* VM lock. */
	u32 asserted[LINES];	/* bit n: slot n asserts this line */
};

/* --- the host bridge, 00:00.0 --- */

/*
 * QEMU's generic host bridge, which has no registers beyond this header. For the IDs of real chipsets,
 * operating systems have workarounds and drivers.
 */
static const u32 host_bridge_config[] = {
	[0] = 0x00081b36,	/* device, vendor */
	[2] = 0x06000000,	/* class: host bridge */
};

static u32 host_bridge_read(struct vpci_function *function __maybe_unused, unsigned offset,
			    unsigned size __maybe_unused)
{
	unsigned reg = offset / 4;

	if (reg >= ARRAY_SIZE(host_bridge_config))
		return 0;
	return host_bridge_config[reg] >> (offset % 4 * 8);
}

static void host_bridge_write(struct vpci_function *function __maybe_unused,
			      unsigned offset __maybe_unused, unsigned size __maybe_unused,
			      u32 value __maybe_unused)
{
	/* All registers are read-only. */
}

/* --- configuration space --- */

static u32 config_read(struct vpci_bus *bus, unsigned devfn, unsigned offset, unsigned size)
{
	struct vpci_function *function = bus->functions[devfn];

	return function && offset < CONFIG_SIZE ? function->read(function, offset, size) : ALL_ONES;
}

static void config_write(struct vpci_bus *bus, unsigned devfn, unsigned offset, unsigned size, u32 value)
{
	struct vpci_function *function = bus->functions[devfn];

	if (function && offset < CONFIG_SIZE)
		function->write(function, offset, size, value);
}

/* --- in memory --- */

/* The largest part of an access that is aligned and not wider than a register. */
static unsigned part_of(u64 offset, unsigned left)
{
	unsigned part = 4;

	while (part > left || offset % part)
		part /= 2;
	return part;
}

static u64 ecam_read(void *device, struct vcpu *vcpu __maybe_unused, u64 offset, unsigned size)
{
	struct vpci_bus *bus = device;
	u64 value = 0;

	spin_lock(&bus->lock);
	for (unsigned done = 0, part; done < size; done += part) {
		u64 at = offset + done;

		part = part_of(at, size - done);
		value |= (config_read(bus, at >> 12, at & 0xfff, part) & size_mask(part)) << (8 * done);
	}
	spin_unlock(&bus->lock);
	return value;
}

static void ecam_write(void *device, struct vcpu *vcpu __maybe_unused, u64 offset, unsigned size, u64 value)
{
	struct vpci_bus *bus = device;

	spin_lock(&bus->lock);
	for (unsigned done = 0, part; done < size; done += part) {
		u64 at = offset + done;

		part = part_of(at, size - done);
		config_write(bus, at >> 12, at & 0xfff, part, (u32)(value >> (8 * done) & size_mask(part)));
	}
	spin_unlock(&bus->lock);
}

/* --- configuration mechanism #1 --- */

/* Does the address register address bus 0? */
static bool is_addressed(const struct vpci_bus *bus)
{
	return (bus->address & ADDRESS_ENABLE) && (bus->address >> 16 & 0xff) == 0;
}

static u32 data_read(struct vpci_bus *bus, unsigned byte, unsigned size)
{
	if (!is_addressed(bus))
		return ALL_ONES;
	return config_read(bus, bus->address >> 8 & 0xff, (bus->address & 0xfc) + byte, size);
}

static void data_write(struct vpci_bus *bus, unsigned byte, unsigned size, u32 value)
{
	if (is_addressed(bus))
		config_write(bus, bus->address >> 8 & 0xff, (bus->address & 0xfc) + byte, size, value);
}

static struct vpm *vpm_of(const struct vpci_bus *bus)
{
	const struct platform *platform = vm_platform(bus->vm);

	return platform->vpm;
}

static u8 reset_read(const struct vpci_bus *bus)
{
	u8 value;

	vm_lock(bus->vm);
	value = vpm_reset_read(vpm_of(bus));
	vm_unlock(bus->vm);
	return value;
}

static void reset_write(const struct vpci_bus *bus, u8 value)
{
	vm_lock(bus->vm);
	vpm_reset_write(vpm_of(bus), value);
	vm_unlock(bus->vm);
}

/*
 * Only a 32-bit access reaches the address register. Narrower accesses reach other registers: a byte
 * at 0xcf9 reaches the reset register.
 */
static u64 ports_read(void *device, struct vcpu *vcpu __maybe_unused, u64 offset, unsigned size)
{
	struct vpci_bus *bus = device;
	u32 value = ALL_ONES;

	if (PCI_CONFIG_PORT + offset == PM_RESET_PORT && size == 1)
		return reset_read(bus);
	spin_lock(&bus->lock);
	if (offset >= DATA_PORTS)
		value = data_read(bus, offset - DATA_PORTS, size);
	else if (offset == 0 && size == 4)
		value = bus->address;
	spin_unlock(&bus->lock);
	return value;
}

static void ports_write(void *device, struct vcpu *vcpu __maybe_unused, u64 offset, unsigned size,
			u64 value)
{
	struct vpci_bus *bus = device;

	if (PCI_CONFIG_PORT + offset == PM_RESET_PORT && size == 1) {
		reset_write(bus, (u8)value);
		return;
	}
	spin_lock(&bus->lock);
	if (offset >= DATA_PORTS)
		data_write(bus, offset - DATA_PORTS, size, (u32)value);
	else if (offset == 0 && size == 4)
		bus->address = value & ADDRESS_WRITABLE;
	spin_unlock(&bus->lock);
}

/* --- for the functions --- */

int vpci_plug(struct vm *vm, struct vpci_function *function)
{
	const struct platform *platform = vm_platform(vm);
	struct vpci_function **place = &platform->pci->functions[function->devfn];

	if (*place) {
		vm_error(vm, "PCI 00:%02x.%u is taken by %s; no place for %s", function->devfn >> 3,
			 function->devfn & 7, (*place)->name, function->name);
		return -EEXIST;
	}
	*place = function;
	return 0;
}

int vpci_free_slot(struct vm *vm)
{
	const struct platform *platform = vm_platform(vm);

	for (int slot = 1; platform->pci && slot < PCI_SLOTS; slot++)
		if (!platform->pci->functions[PCI_SLOT(slot, 0)])
			return slot;
	return -ENOSPC;
}

u64 vpci_assign(struct vm *vm, bool is_port, u64 size)
{
	struct vpci_bus *bus = ((const struct platform *)vm_platform(vm))->pci;
	u64 *next = is_port ? &bus->next_port : &bus->next_memory;
	u64 last = is_port ? 0xffff : PCI_MEMORY_LAST, base = ALIGN_UP(*next, size);

	if (base > last || size - 1 > last - base)
		return 0;
	*next = base + size;
	return base;
}

/* Is one of the lines asserted that are wired to this input of the 8259s? */
static bool irq_is_asserted(const struct vpci_bus *bus, u32 irq)
{
	for (u32 gsi = PCI_FIRST_GSI; gsi <= PCI_LAST_GSI; gsi++) {
		if (vpci_irq(gsi) == irq && bus->asserted[gsi - PCI_FIRST_GSI])
			return true;
	}
	return false;
}

void vpci_set_line(struct vm *vm, u8 devfn, bool level)
{
	struct vpci_bus *bus = ((const struct platform *)vm_platform(vm))->pci;
	u32 slot = devfn >> 3, gsi = vpci_gsi(slot, 0), *asserted = &bus->asserted[gsi - PCI_FIRST_GSI];

	*asserted = level ? *asserted | BIT(slot) : *asserted & ~BIT(slot);
	irq_line_set(vm, gsi, *asserted);
	/* Not to the IOAPIC's input of that number, which is ISA's. */
	vpic_set_line(vm, vpci_irq(gsi), irq_is_asserted(bus, vpci_irq(gsi)));
}

int vpci_create(struct vm *vm)
{
	struct platform *platform = vm_platform(vm);
	struct vpci_bus *bus = vm_alloc(vm, sizeof(*bus));
	const struct io_region ports = {
		.name = "PCI configuration",
		.base = PCI_CONFIG_PORT,
		.size = PCI_CONFIG_PORTS,
		.read = ports_read,
		.write = ports_write,
		.device = bus,
		.is_private = true,	/* it has a lock of its own */
	};
	const struct io_region ecam = {
		.name = "PCI configuration in memory",
		.base = PCI_ECAM_BASE,
		.size = PCI_ECAM_SIZE,
		.read = ecam_read,
		.write = ecam_write,
		.device = bus,
		.is_private = true,
	};
	int error;

	if (!bus)
		return -ENOMEM;
	bus->vm = vm;
	bus->lock.rank = LOCK_PCI;
	bus->next_port = PORTS_FIRST;
	bus->next_memory = MEMORY_FIRST;
	error = pio_register(vm, &ports);
	if (!error)
		error = mmio_register(vm, &ecam);
	if (error)
		return error;
	bus->host_bridge = (struct vpci_function){
		.name = "the host bridge",
		.devfn = PCI_SLOT(0, 0),
		.read = host_bridge_read,
		.write = host_bridge_write,
	};
	platform->pci = bus;
	return vpci_plug(vm, &bus->host_bridge);
}
