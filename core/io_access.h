/* SPDX-License-Identifier: MIT */
/*
 * The access to the device that claims an address, inlined where most accesses are made: core/io.c, and the fast paths
 * in core/fastpath.h.
 */
#pragma once

#include "core/io.h"
#include "core/observe/trace_record.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/bits.h"

/* NULL: no device claims the port. */
static inline const struct io_region *io_port_region(const struct vm *vm, u16 port)
{
	u64 index = __atomic_load_n(&vm->ports.port_map[port], __ATOMIC_RELAXED);

	return index ? &vm->ports.regions[index] - 1 : NULL;
}

/*
 * Does the region have all of an access, and at which offset? The base is read once: another CPU may be moving the region, but a
 * handler gets no offset that is out of range.
 */
static __always_inline bool io_is_inside(const struct io_region *region, u64 address, unsigned size, u64 *offset)
{
	u64 length = __atomic_load_n(&region->size, __ATOMIC_RELAXED);

	*offset = address - __atomic_load_n(&region->base, __ATOMIC_RELAXED);
	return *offset < length && length - *offset >= size;
}

/* Devices that the VM's vCPUs share are called with the VM lock held. */
static __always_inline u64 io_read_region(struct vcpu *vcpu, const struct io_region *region, u64 offset, unsigned size)
{
	u64 value;

	if (region->is_private)
		return region->read(region->device, vcpu, offset, size);
	spin_lock(&vcpu->vm->lock);
	value = region->read(region->device, vcpu, offset, size);
	spin_unlock(&vcpu->vm->lock);
	return value;
}

static __always_inline void io_write_region(struct vcpu *vcpu, const struct io_region *region, u64 offset, unsigned size,
					    u64 value)
{
	if (region->is_private) {
		region->write(region->device, vcpu, offset, size, value);
		return;
	}
	spin_lock(&vcpu->vm->lock);
	region->write(region->device, vcpu, offset, size, value);
	spin_unlock(&vcpu->vm->lock);
}

/*
 * The device on an 8-bit bus that has this port, for an access of one byte. NULL: it is another access, or device. Such regions
 * never move, so the map alone says that the port is the region's.
 */
static __always_inline const struct io_region *io_byte_region(const struct vm *vm, u16 port, unsigned size)
{
	const struct io_region *region = io_port_region(vm, port);

	return likely(size == 1 && region && region->on_byte_bus) ? region : NULL;
}

static __always_inline u8 io_read_byte(struct vcpu *vcpu, const struct io_region *region, u16 port)
{
	u8 value;

	spin_lock(&vcpu->vm->lock);
	value = region->read_byte(region->device, port);
	spin_unlock(&vcpu->vm->lock);
	return value;
}

static __always_inline void io_write_byte(struct vcpu *vcpu, const struct io_region *region, u16 port, u8 value)
{
	spin_lock(&vcpu->vm->lock);
	region->write_byte(region->device, port, value);
	spin_unlock(&vcpu->vm->lock);
}

/*
 * Accesses of one byte to a port, in the device's one go, without the trace. Returns how many were carried out; 0: it has
 * no such way.
 */
static inline unsigned io_block(struct vcpu *vcpu, u16 port, bool in, u8 *data, unsigned n)
{
	const struct io_region *region = io_port_region(vcpu->vm, port);

	if (!region || !region->block)
		return 0;
	spin_lock(&vcpu->vm->lock);
	n = region->block(region->device, port, in, data, n);
	spin_unlock(&vcpu->vm->lock);
	return n;
}

/*
 * mmio_read() and mmio_write(), without the trace: nearly all accesses are to the local APIC, whose region was registered first.
 * `value`: no more than `size` bytes.
 */
static __always_inline u64 io_read_memory(struct vcpu *vcpu, gpa_t gpa, unsigned size)
{
	const struct io_region *first = vcpu->vm->mmio.regions;
	u64 offset, value;

	if (likely(io_is_inside(first, gpa, size, &offset) && first->is_private))
		value = first->read(first->device, vcpu, offset, size);
	else
		value = mmio_read_other(vcpu, gpa, size);
	return likely(size == 4) ? (u32)value : value & size_mask(size);
}

static __always_inline void io_write_memory(struct vcpu *vcpu, gpa_t gpa, unsigned size, u64 value)
{
	const struct io_region *first = vcpu->vm->mmio.regions;
	u64 offset;

	if (likely(io_is_inside(first, gpa, size, &offset) && first->is_private))
		first->write(first->device, vcpu, offset, size, value);
	else
		mmio_write_other(vcpu, gpa, size, value);
}
