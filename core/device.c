/* SPDX-License-Identifier: MIT */
/* What device models call: claim ranges of ports and of memory, and keep their own data with the VM. */
#include "core/device.h"

#include "core/io.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "lib/string.h"

static int bus_add(struct vm *vm, struct io_bus *bus, const struct io_region *region)
{
	if (bus->count == IO_REGIONS) {
		vm_error(vm, "no room for the I/O region of %s", region->name);
		return -ENOSPC;
	}
	for (u32 i = 0; i < bus->count; i++) {
		const struct io_region *other = &bus->regions[i];

		if (region->base < other->base + other->size && other->base < region->base + region->size) {
			vm_error(vm, "the I/O regions of %s and %s overlap at 0x%llx", region->name, other->name,
				 (unsigned long long)region->base);
			return -EEXIST;
		}
	}
	bus->regions[bus->count++] = *region;
	return 0;
}

int pio_register(struct vm *vm, const struct io_region *region)
{
	int error;

	if (!region->size || region->base >= IO_PORTS || region->size > IO_PORTS - region->base)
		return -EINVAL;
	error = bus_add(vm, &vm->ports, region);
	if (!error)
		memset(vm->ports.port_map + region->base, (int)vm->ports.count, region->size);
	return error;
}

int mmio_register(struct vm *vm, const struct io_region *region, u32 *handle)
{
	int error = bus_add(vm, &vm->mmio, region);

	if (!error && handle)
		*handle = vm->mmio.count - 1;
	return error;
}

int mmio_move(struct vm *vm, u32 handle, u64 base, u64 size)
{
	if (handle >= vm->mmio.count)
		return -ENOENT;
	vm->mmio.regions[handle].base = base;
	vm->mmio.regions[handle].size = size;
	return 0;
}

void *vm_platform(const struct vm *vm)
{
	return vm->platform;
}

void vm_set_platform(struct vm *vm, void *platform)
{
	vm->platform = platform;
}
