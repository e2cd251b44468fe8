/* SPDX-License-Identifier: MIT */
/*
 * A VM's MSR bitmap and extended page tables. It has no I/O bitmaps: with unconditional I/O exiting
 * every port exits.
 */
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/mem/tdp.h"
#include "lib/string.h"
#include "vmx/vmx.h"

/* Intel SDM, "MSR-Bitmap Address": offsets of the four bitmaps in the page. */
#define READ_LOW   0x000	/* MSRs 0 to 0x1fff */
#define READ_HIGH  0x400	/* MSRs 0xc0000000 to 0xc0001fff */
#define WRITE_LOW  0x800
#define WRITE_HIGH 0xc00
#define HIGH_MSRS  0xc0000000u
#define RANGE_MSRS 0x2000u

int vmx_vm_create(struct vm *vm)
{
	vm->vendor = page_alloc();
	if (!vm->vendor)
		return -ENOMEM;
	memset(vm->vendor, 0xff, PAGE_SIZE);
	ept_reserve(vm);
	return tdp_create(vm);
}

void vmx_vm_destroy(struct vm *vm)
{
	tdp_destroy(vm);
	ept_unreserve(vm);
	if (vm->vendor)
		page_free(vm->vendor);
	vm->vendor = NULL;
}

static void clear_bit(u8 *bitmap, u32 bit)
{
	bitmap[bit / 8] &= (u8)~BIT(bit % 8);
}

void vmx_vm_msr_passthrough(struct vm *vm, u32 msr, bool read, bool write)
{
	u8 *bitmap = vm->vendor;
	bool high = msr - HIGH_MSRS < RANGE_MSRS;

	if (!high && msr >= RANGE_MSRS)
		return;
	if (msr == MSR_PAT && !vmx_switches_pat())
		return;		/* not switched: the guest would access the host's */
	if (high)
		msr -= HIGH_MSRS;
	if (read)
		clear_bit(bitmap + (high ? READ_HIGH : READ_LOW), msr);
	if (write)
		clear_bit(bitmap + (high ? WRITE_HIGH : WRITE_LOW), msr);
}
