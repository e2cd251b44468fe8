/* SPDX-License-Identifier: MIT */
/*
 * A VM with a device at four ports, on an 8-bit bus, and the accesses that reached it: for the tests of port exits in the
 * entry stubs. Accesses of several bytes, and other ports, are tested by test_io.c.
 */
#pragma once

#include <string.h>

#include "core/io.h"
#include "core/observe/trace_record.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define DEVICE_PORT 0x300

static u8 port_map[IO_PORTS];
static struct {
	unsigned reads, writes, others;	/* others: accesses that are not of one byte, or of no such device */
	u64 offset, value, answer, rip;	/* rip: where the device sees the instruction */
	unsigned size;
	bool locked;			/* by the access: the VM lock was held */
	u32 request;			/* made by the device */
} device;

static void device_accessed(struct vcpu *v, u64 offset, unsigned size)
{
	device.offset = offset;
	device.size = size;
	device.rip = v->exit_rip;
	device.locked = v->vm->lock.next != v->vm->lock.served;
	if (device.request)
		vcpu_request(v, device.request);
}

void io_port_of_record(struct vcpu *v, struct trace_record *record)
{
	device.others++;
	device_accessed(v, record->access.address - DEVICE_PORT, record->access.size);
	if (record->access.write)
		device.value = v->regs[REG_RAX];
	else
		v->regs[REG_RAX] = device.answer;
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

static u8 device_read_byte(void *opaque, u16 port)
{
	return (u8)device_read(opaque, opaque, port - DEVICE_PORT, 1);
}

static void device_write_byte(void *opaque, u16 port, u8 value)
{
	device_write(opaque, opaque, port - DEVICE_PORT, 1, value);
}

static void attach_device(struct vm *vm, struct vcpu *v)
{
	memset(&device, 0, sizeof(device));
	memset(&vm->ports, 0, sizeof(vm->ports));
	vm->ports.port_map = port_map;
	vm->ports.count = 1;
	vm->ports.regions[0] = (struct io_region){
		.name = "test", .base = DEVICE_PORT, .size = 4, .read_byte = device_read_byte, .write_byte = device_write_byte,
		.device = v, .on_byte_bus = true };
	memset(port_map + DEVICE_PORT, 1, 4);
}
