/* SPDX-License-Identifier: MIT */
/*
 * The device of port_device.h in memory as well, and a MOV at MMIO_RIP in 32-bit code without paging that accesses it by
 * [EBX] and is remembered: for the tests of such exits in the entry stubs. What is remembered, and how, is tested by
 * test_emulate_mmio_fast.c.
 */
#pragma once

#include "core/emulate/mmio_fast.h"
#include "core/io_access.h"
#include "port_device.h"

#define MMIO_ADDRESS 0xfee00300
#define MMIO_RIP     0x1234

static struct mmio_memory mmio_memory;
static u8 mmio_code[32] = { 0x89, 0x03 };	/* mov [ebx], eax */
static unsigned mmio_others;			/* accesses of the device by the VM lock */

void *guest_window(gpa_t gpa) { fail(); return NULL; }
u64 mmio_operand_part(const struct vcpu *v, const struct fast_mov *mov) { fail(); return 0; }
void mmio_load_part(struct vcpu *v, const struct fast_mov *mov, u64 value) { fail(); }

u64 mmio_read_other(struct vcpu *v, gpa_t gpa, unsigned size)
{
	const struct io_region *region = v->vm->mmio.regions;

	mmio_others++;
	return io_read_region(v, region, gpa - region->base, size);
}

void mmio_write_other(struct vcpu *v, gpa_t gpa, unsigned size, u64 value)
{
	const struct io_region *region = v->vm->mmio.regions;

	mmio_others++;
	io_write_region(v, region, gpa - region->base, size, value);
}

/* The instruction that the vCPU executes. */
static struct fast_mov *let_mov(struct vcpu *vcpu, bool write)
{
	struct vm *vm = vcpu->vm;
	struct remembered *place;

	vm->mem.low_size = MIB(16);
	vm->mmio.count = 1;
	vm->mmio.regions[0] = (struct io_region){
		.name = "test", .base = MMIO_ADDRESS & PAGE_MASK, .size = PAGE_SIZE, .read = device_read, .write = device_write,
		.is_private = true };
	memset(&mmio_memory, 0, sizeof(mmio_memory));
	vcpu->mmio_memory = &mmio_memory;
	place = mmio_set_of(vcpu, MMIO_RIP);
	place->gva = MMIO_RIP;
	place->path.code = mmio_code;
	memcpy(place->bytes, mmio_code, sizeof(place->bytes));
	place->mov = (struct fast_mov){
		.kind = TRACE_MMIO, .size = 4, .write = write, .access = write, .plain = true, .length = 2, .reg = REG_RAX,
		.base = REG_RBX, .index = NO_REG, .modes = INSN_MODE_32 | CODE_UNPAGED << 8, .result = 4,
	};
	vcpu->regs[REG_RBX] = 0xffffffff00000000 | MMIO_ADDRESS;
	vcpu->regs[REG_RAX] = 0x1122334455667788;
	mmio_others = 0;
	return &place->mov;
}
