/* SPDX-License-Identifier: MIT */
/* The port and MMIO buses: hand each access of a guest to the device that claims it. */
#include "core/io.h"

#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/observe/trace_record.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/bits.h"
#include "lib/errno.h"

#define PORT_MAP_ORDER 4	/* IO_PORTS bytes */

int io_init(struct vm *vm)
{
	vm->ports.port_map = pages_alloc(PORT_MAP_ORDER);
	return vm->ports.port_map ? 0 : -ENOMEM;
}

void io_destroy(struct vm *vm)
{
	if (vm->ports.port_map)
		pages_free(vm->ports.port_map, PORT_MAP_ORDER);
	vm->ports.port_map = NULL;
}

static const struct io_region *port_region(struct vm *vm, u16 port)
{
	u8 index = vm->ports.port_map[port];

	return index ? &vm->ports.regions[index - 1] : NULL;
}

static bool inside(const struct io_region *region, u64 address, unsigned size)
{
	u64 offset = address - region->base;

	return offset < region->size && region->size - offset >= size;
}

/* Devices that the VM's vCPUs share are called with the VM lock held. In line, for ports: nearly all are shared. */
static __always_inline u64 read_region(struct vcpu *vcpu, const struct io_region *region, u64 offset, unsigned size)
{
	u64 value;

	if (region->is_private)
		return region->read(region->device, vcpu, offset, size);
	spin_lock(&vcpu->vm->lock);
	value = region->read(region->device, vcpu, offset, size);
	spin_unlock(&vcpu->vm->lock);
	return value;
}

static __always_inline void write_region(struct vcpu *vcpu, const struct io_region *region, u64 offset, unsigned size, u64 value)
{
	if (region->is_private) {
		region->write(region->device, vcpu, offset, size, value);
		return;
	}
	spin_lock(&vcpu->vm->lock);
	region->write(region->device, vcpu, offset, size, value);
	spin_unlock(&vcpu->vm->lock);
}

/* Slow path: no device claims the whole access. Split it into bytes. */
static __noinline u64 read_bytes(struct vcpu *vcpu, u16 port, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++) {
		u16 at = (u16)(port + i);
		const struct io_region *region = port_region(vcpu->vm, at);
		u8 byte = 0xff;

		if (region)
			byte = (u8)read_region(vcpu, region, at - region->base, 1);
		else
			vm_debug_once(vcpu->vm, ONCE_PORT_READ, at,
				      "read of the unclaimed port 0x%x gives all ones", at);
		value |= (u64)byte << (i * 8);
	}
	return value;
}

static __noinline void write_bytes(struct vcpu *vcpu, u16 port, unsigned size, u64 value)
{
	for (unsigned i = 0; i < size; i++) {
		u16 at = (u16)(port + i);
		const struct io_region *region = port_region(vcpu->vm, at);
		u8 byte = (u8)(value >> (i * 8));

		if (region)
			write_region(vcpu, region, at - region->base, 1, byte);
		else
			vm_debug_once(vcpu->vm, ONCE_PORT_WRITE, at,
				      "write of 0x%x to the unclaimed port 0x%x is dropped", byte, at);
	}
}

u64 pio_read(struct vcpu *vcpu, u16 port, unsigned size)
{
	const struct io_region *region = port_region(vcpu->vm, port);
	u64 value;

	if (likely(region && inside(region, port, size)))
		value = read_region(vcpu, region, port - region->base, size) & size_mask(size);
	else
		value = read_bytes(vcpu, port, size);
	trace_pio(vcpu, false, port, size, value);
	return value;
}

void pio_write(struct vcpu *vcpu, u16 port, unsigned size, u64 value)
{
	const struct io_region *region = port_region(vcpu->vm, port);

	trace_pio(vcpu, true, port, size, value);
	if (likely(region && inside(region, port, size)))
		write_region(vcpu, region, port - region->base, size, value & size_mask(size));
	else
		write_bytes(vcpu, port, size, value);
}

u8 pio_firmware_read(struct vcpu *vcpu, u16 port)
{
	return (u8)read_bytes(vcpu, port, 1);
}

void pio_firmware_write(struct vcpu *vcpu, u16 port, u8 value)
{
	write_bytes(vcpu, port, 1, value);
}

static const struct io_region *mmio_region(struct vm *vm, gpa_t gpa)
{
	for (u32 i = 0; i < vm->mmio.count; i++) {
		if (gpa - vm->mmio.regions[i].base < vm->mmio.regions[i].size)
			return &vm->mmio.regions[i];
	}
	return NULL;
}

/* Out of line, for memory: nearly all accesses are to the local APIC. */
static __noinline u64 read_shared(struct vcpu *vcpu, const struct io_region *region, u64 offset, unsigned size)
{
	return read_region(vcpu, region, offset, size);
}

static __noinline void write_shared(struct vcpu *vcpu, const struct io_region *region, u64 offset, unsigned size,
				    u64 value)
{
	write_region(vcpu, region, offset, size, value);
}

static u64 read_memory(struct vcpu *vcpu, gpa_t gpa, unsigned size)
{
	struct vm *vm = vcpu->vm;
	const struct io_region *region = mmio_region(vm, gpa);

	if (likely(region && inside(region, gpa, size)))
		return (likely(region->is_private) ? region->read(region->device, vcpu, gpa - region->base, size) :
			read_shared(vcpu, region, gpa - region->base, size)) & size_mask(size);
	if (vm_once(vm, ONCE_MMIO, gpa & PAGE_MASK))
		vm_info(vm, "read of 0x%llx, where nothing is, gives all ones (logged once per page)",
			(unsigned long long)gpa);
	return size_mask(size);
}

u64 mmio_read(struct vcpu *vcpu, gpa_t gpa, unsigned size)
{
	u64 value = read_memory(vcpu, gpa, size);

	trace_mmio(vcpu, false, gpa, size, value);
	return value;
}

static __noinline void write_nowhere(struct vm *vm, gpa_t gpa)
{
	if (vm_once(vm, ONCE_MMIO, gpa & PAGE_MASK))
		vm_info(vm, "write to 0x%llx, where nothing is, is dropped (logged once per page)",
			(unsigned long long)gpa);
}

void mmio_write(struct vcpu *vcpu, gpa_t gpa, unsigned size, u64 value)
{
	struct vm *vm = vcpu->vm;
	const struct io_region *region = mmio_region(vm, gpa);

	trace_mmio(vcpu, true, gpa, size, value);
	if (unlikely(!region || !inside(region, gpa, size)))
		write_nowhere(vm, gpa);
	else if (likely(region->is_private))
		region->write(region->device, vcpu, gpa - region->base, size, value & size_mask(size));
	else
		write_shared(vcpu, region, gpa - region->base, size, value & size_mask(size));
}
