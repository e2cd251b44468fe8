/* SPDX-License-Identifier: MIT */
/* Ports of devices on an 8-bit bus: see byte_ports.h. */
#include "dev/isa/byte_ports.h"

#include "core/device.h"
#include "core/vm_alloc.h"
#include "lib/errno.h"

/* Wider accesses: out of line, so that those of a byte save no registers. */
static __noinline u64 read_each(const struct byte_ports *ports, u64 offset, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)ports->read(ports->device, ports->base + offset + i) << (8 * i);
	return value;
}

static __noinline void write_each(const struct byte_ports *ports, u64 offset, unsigned size, u64 value)
{
	for (unsigned i = 0; i < size; i++)
		ports->write(ports->device, ports->base + offset + i, (u8)(value >> (8 * i)));
}

static u64 byte_ports_read(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	const struct byte_ports *ports = device;

	return likely(size == 1) ? ports->read(ports->device, ports->base + offset) : read_each(ports, offset, size);
}

static void byte_ports_write(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	const struct byte_ports *ports = device;

	if (likely(size == 1))
		ports->write(ports->device, ports->base + offset, (u8)value);
	else
		write_each(ports, offset, size, value);
}

int byte_ports_register(struct vm *vm, const struct byte_ports *ports)
{
	struct byte_ports *copy = vm_alloc(vm, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	*copy = *ports;
	return pio_register(vm, &(struct io_region){
		.name = ports->name,
		.base = ports->base,
		.size = ports->count,
		.read = byte_ports_read,
		.write = byte_ports_write,
		.device = copy,
	});
}
