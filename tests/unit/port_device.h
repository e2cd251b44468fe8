/* SPDX-License-Identifier: MIT */
/* A VM with a device at four ports, and the accesses that reached it: for the tests of port exits in the entry stubs. */
#pragma once

#include <string.h>

#include "core/io.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define DEVICE_PORT 0x300

static u8 port_map[IO_PORTS];
static struct {
	unsigned reads, writes, bytes;	/* bytes: accesses that no device claims as a whole */
	u64 offset, value, answer, rip;	/* rip: where the device sees the instruction */
	unsigned size;
	bool locked;			/* by the access: the VM lock was held */
	u32 request;			/* made by the device */
} device;

u64 pio_read_bytes(struct vcpu *v, u16 port, unsigned size) { device.bytes++; return device.answer; }
void pio_write_bytes(struct vcpu *v, u16 port, unsigned size, u64 value) { device.bytes++; }

static void device_accessed(struct vcpu *v, u64 offset, unsigned size)
{
	device.offset = offset;
	device.size = size;
	device.rip = v->exit_rip;
	device.locked = v->vm->lock.next != v->vm->lock.served;
	if (device.request)
		vcpu_request(v, device.request);
}

static u64 device_read(void *opaque, struct vcpu *v, u64 offset, unsigned size)
{
	device.reads++;
	device_accessed(v, offset, size);
	return device.answer;
}

static void device_write(void *opaque, struct vcpu *v, u64 offset, unsigned size, u64 value)
{
	device.writes++;
	device.value = value;
	device_accessed(v, offset, size);
}

static void attach_device(struct vm *vm)
{
	memset(&device, 0, sizeof(device));
	memset(&vm->ports, 0, sizeof(vm->ports));
	vm->ports.port_map = port_map;
	vm->ports.count = 1;
	vm->ports.regions[0] = (struct io_region){
		.name = "test", .base = DEVICE_PORT, .size = 4, .read = device_read, .write = device_write };
	memset(port_map + DEVICE_PORT, 1, 4);
}
