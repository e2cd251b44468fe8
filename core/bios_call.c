/* SPDX-License-Identifier: MIT */
/* The end of a guest that calls the BIOS, and of one that takes an exception with the BIOS' vectors in place. */
#include "core/bios_call.h"

#include "arch/cpu/x86.h"
#include "core/device.h"
#include "core/exit.h"
#include "core/load/bios.h"
#include "core/mem/guest_mem.h"
#include "core/vcpu.h"
#include "core/vm_log.h"

#define INT_N	     0xcd
#define FIRST_SERVICE 0x10	/* vectors below are exceptions and interrupts, but for INT 05h */

/* The vector whose code has executed the OUT, or -1: it was other code. */
static int vector_of(struct vcpu *vcpu)
{
	struct segment cs;
	u64 offset;

	vcpu->ops->segment_get(vcpu, SEG_CS, &cs);
	/* On the fast path REG_RIP is behind the OUT already. */
	offset = cs.base + vcpu->exit_rip - BIOS_ROM;
	return offset < BIOS_VECTORS * BIOS_VECTOR_SIZE && offset % BIOS_VECTOR_SIZE == 0 ?
	       (int)(offset / BIOS_VECTOR_SIZE) : -1;
}

/* Where the interrupted code goes on: IP and CS from the stack. Not with paging, in virtual-8086 mode. */
static bool read_return(struct vcpu *vcpu, u16 at[2])
{
	struct segment ss;
	u16 sp = (u16)vcpu_reg_read(vcpu, REG_RSP);

	if (vcpu->ops->control_get(vcpu, CTL_CR0) & CR0_PE)
		return false;
	vcpu->ops->segment_get(vcpu, SEG_SS, &ss);
	return !guest_read(vcpu->vm, ss.base + sp, at, 2 * sizeof(at[0]));
}

/* Does INT n of this vector lie before the return address? */
static bool is_int_n(struct vcpu *vcpu, const u16 at[2], int vector)
{
	u8 code[2];

	return !guest_read(vcpu->vm, ((u64)at[1] << 4) + (u16)(at[0] - 2), code, sizeof(code)) &&
	       code[0] == INT_N && code[1] == vector;
}

static void report(struct vcpu *vcpu, int vector)
{
	u16 ax = (u16)vcpu->regs[REG_RAX], at[2];

	if (!read_return(vcpu, at))
		exit_unexpected(vcpu, "interrupt %02Xh with AX %04Xh came to the BIOS: Lamina has no BIOS services",
				vector, ax);
	else if (is_int_n(vcpu, at, vector))
		exit_unexpected(vcpu, "BIOS call INT %02Xh with AX %04Xh at %04x:%04x: Lamina has no BIOS services",
				vector, ax, at[1], (u16)(at[0] - 2));
	else if (vector >= FIRST_SERVICE)
		exit_unexpected(vcpu, "BIOS call by vector %02Xh with AX %04Xh, to return to %04x:%04x: Lamina has no "
				"BIOS services", vector, ax, at[1], at[0]);
	else
		exit_unexpected(vcpu, "exception %d at %04x:%04x, and the guest has set no handler for it",
				vector, at[1], at[0]);
}

static void port_write(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	int vector = vector_of(vcpu);

	if (vector >= 0)
		report(vcpu, vector);
}

static u64 port_read(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	return UINT64_MAX;
}

int bios_call_register(struct vm *vm)
{
	/* Private: a report takes locks of its own. */
	return pio_register(vm, &(struct io_region){
		.name = "BIOS", .base = BIOS_PORT, .size = 1,
		.read = port_read, .write = port_write, .device = vm, .is_private = true });
}
