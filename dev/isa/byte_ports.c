/* SPDX-License-Identifier: MIT */
/* Ports of devices on an 8-bit bus: see byte_ports.h. */
#include "dev/isa/byte_ports.h"

#include "core/device.h"

int byte_ports_register(struct vm *vm, const struct byte_ports *ports)
{
	return pio_register(vm, &(struct io_region){
		.name = ports->name,
		.base = ports->base,
		.size = ports->count,
		.read_byte = ports->read,
		.write_byte = ports->write,
		.device = ports->device,
		.on_byte_bus = true,
		.block = ports->block,
	});
}
