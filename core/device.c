/* SPDX-License-Identifier: MIT */
/* What device models call: claim ranges of ports and of memory, and keep their own data with the VM. */
#include "core/device.h"

#include "core/io.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/errno.h"

static int no_room(struct vm *vm, const struct io_region *region)
{
	vm_error(vm, "no room for the I/O region of %s", region->name);
	return -ENOSPC;
}

static const struct io_region *overlapping(const struct io_region *others, u32 count, const struct io_region *region)
{
	for (u32 i = 0; i < count; i++)
		if (region->base < others[i].base + others[i].size && others[i].base < region->base + region->size)
			return &others[i];
	return NULL;
}

static int bus_add(struct vm *vm, struct io_bus *bus, const struct io_region *region)
{
	const struct io_region *other = overlapping(bus->regions, bus->count, region);

	if (!other)
		other = overlapping(bus->regions + IO_FIXED, bus->movable, region);
	if (bus->count == IO_FIXED)
		return no_room(vm, region);
	if (other) {
		vm_error(vm, "the I/O regions of %s and %s overlap at 0x%llx", region->name, other->name,
			 (unsigned long long)region->base);
		return -EEXIST;
	}
	bus->regions[bus->count++] = *region;
	return 0;
}

static int bus_add_movable(struct vm *vm, struct io_bus *bus, const struct io_region *region, u32 *handle)
{
	if (bus->movable == IO_MOVABLE)
		return no_room(vm, region);
	*handle = IO_FIXED + bus->movable++;
	bus->regions[*handle] = *region;
	bus->regions[*handle].base = IO_NOWHERE;
	return 0;
}

static struct io_region *region_at(struct io_bus *bus, u32 handle)
{
	return handle - IO_FIXED < bus->movable ? &bus->regions[handle] : NULL;
}

int pio_register(struct vm *vm, const struct io_region *region)
{
	int error;

	if (!region->size || region->base >= IO_PORTS || region->size > IO_PORTS - region->base)
		return -EINVAL;
	error = bus_add(vm, &vm->ports, region);
	if (!error)
		io_map_ports(vm, region->base, region->size);
	return error;
}

int mmio_register(struct vm *vm, const struct io_region *region)
{
	return bus_add(vm, &vm->mmio, region);
}

struct io_region *vcpu_own_region(struct vcpu *vcpu)
{
	return &vcpu->own_region;
}

int pio_register_movable(struct vm *vm, const struct io_region *region, u32 *handle)
{
	return bus_add_movable(vm, &vm->ports, region, handle);
}

int mmio_register_movable(struct vm *vm, const struct io_region *region, u32 *handle)
{
	return bus_add_movable(vm, &vm->mmio, region, handle);
}

static void move(struct io_region *region, u64 base, u64 size)
{
	if (size && region->size != size)
		WRITE_ONCE(region->size, size);
	WRITE_ONCE(region->base, size ? base : IO_NOWHERE);
}

int mmio_move(struct vm *vm, u32 handle, u64 base, u64 size)
{
	struct io_region *region = region_at(&vm->mmio, handle);

	if (!region)
		return -ENOENT;
	move(region, base, size);
	return 0;
}

int pio_move(struct vm *vm, u32 handle, u64 base, u64 size)
{
	struct io_region *region = region_at(&vm->ports, handle);
	struct io_region before;

	if (!region)
		return -ENOENT;
	before = *region;
	move(region, base, size);
	io_map_ports(vm, before.base, before.size);
	io_map_ports(vm, region->base, region->size);
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
