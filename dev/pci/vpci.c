/* SPDX-License-Identifier: MIT */
/* PCI configuration space and the host bridge. */
#include "dev/pci/vpci.h"

#include "core/device.h"
#include "core/vm_alloc.h"
#include "core/vm_log.h"
#include "dev/isa/vpm.h"
#include "dev/platform.h"
#include "lib/errno.h"

#define ADDRESS_ENABLE	 BIT(31)
#define ADDRESS_WRITABLE 0x80fffffcu
#define ALL_ONES	 0xffffffffu

#define DATA 4	/* offset of the data ports */

struct vpci_bus {
	struct vm *vm;
	u32 address;	/* the address register, at PCI_CONFIG_PORT */
	struct vpci_function *functions[PCI_FUNCTIONS];
	struct vpci_function host_bridge;
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

/* --- configuration mechanism #1 --- */

/* NULL: no such function, or the address register's enable bit is 0. */
static struct vpci_function *addressed(const struct vpci_bus *bus)
{
	u32 address = bus->address;

	if (!(address & ADDRESS_ENABLE) || (address >> 16 & 0xff) != 0)
		return NULL;
	return bus->functions[address >> 8 & 0xff];
}

static u32 config_read(struct vpci_bus *bus, unsigned byte, unsigned size)
{
	struct vpci_function *function = addressed(bus);

	return function ? function->read(function, (bus->address & 0xfc) + byte, size) : ALL_ONES;
}

static void config_write(struct vpci_bus *bus, unsigned byte, unsigned size, u32 value)
{
	struct vpci_function *function = addressed(bus);

	if (function)
		function->write(function, (bus->address & 0xfc) + byte, size, value);
}

static struct vpm *vpm_of(const struct vpci_bus *bus)
{
	const struct platform *platform = vm_platform(bus->vm);

	return platform->vpm;
}

/*
 * Only a 32-bit access reaches the address register. Narrower accesses reach other registers: a byte
 * at 0xcf9 reaches the reset register.
 */
static u64 ports_read(void *device, struct vcpu *vcpu __maybe_unused, u64 offset, unsigned size)
{
	struct vpci_bus *bus = device;

	if (offset >= DATA)
		return config_read(bus, offset - DATA, size);
	if (offset == 0 && size == 4)
		return bus->address;
	if (PCI_CONFIG_PORT + offset == PM_RESET_PORT && size == 1)
		return vpm_reset_read(vpm_of(bus));
	return ALL_ONES;
}

static void ports_write(void *device, struct vcpu *vcpu __maybe_unused, u64 offset, unsigned size,
			u64 value)
{
	struct vpci_bus *bus = device;

	if (offset >= DATA)
		config_write(bus, offset - DATA, size, (u32)value);
	else if (offset == 0 && size == 4)
		bus->address = value & ADDRESS_WRITABLE;
	else if (PCI_CONFIG_PORT + offset == PM_RESET_PORT && size == 1)
		vpm_reset_write(vpm_of(bus), (u8)value);
}

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
	};
	int error;

	if (!bus)
		return -ENOMEM;
	bus->vm = vm;
	error = pio_register(vm, &ports);
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
