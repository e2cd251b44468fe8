/* SPDX-License-Identifier: MIT */
/* Ports of devices on an 8-bit bus: see byte_ports.h. */
#include "dev/isa/byte_ports.h"

#include "core/device.h"
#include "core/vm_alloc.h"
#include "lib/errno.h"

static u64 byte_ports_read(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	const struct byte_ports *ports = device;
	u64 value = 0;

	if (likely(size == 1))
		return ports->read(ports->device, ports->base + offset);
	for (unsigned i = 0; i < size; i++)
		value |= (u64)ports->read(ports->device, ports->base + offset + i) << (8 * i);
	return value;
}

static void byte_ports_write(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	const struct byte_ports *ports = device;

	if (likely(size == 1)) {
		ports->write(ports->device, ports->base + offset, (u8)value);
		return;
	}
	for (unsigned i = 0; i < size; i++)
		ports->write(ports->device, ports->base + offset + i, (u8)(value >> (8 * i)));
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
