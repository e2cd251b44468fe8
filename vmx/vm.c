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

static unsigned pages_order(const struct vm *vm)
{
	unsigned order = 0;

	while (vm->apic_hardware == APIC_BY_HARDWARE && (PAGE_SIZE << order) < sizeof(struct vmx_vm))
		order++;
	return order;
}

int vmx_vm_create(struct vm *vm)
{
	struct vmx_vm *pages;

	vm->apic_hardware = vmx_apic_hardware(vm);
	vm->vendor = pages = pages_alloc(pages_order(vm));
	if (!pages)
		return -ENOMEM;
	memset(pages->msr_bitmap, 0xff, PAGE_SIZE);
	if (vm->apic_hardware == APIC_BY_HARDWARE) {
		memset(pages->x2apic_bitmap, 0xff, PAGE_SIZE);
		vmx_apic_create_bitmap(vm);
	}
	/* While the guest runs, the register has what it wrote, and LMA. What it writes may change its mode: that exits. */
	vmx_vm_msr_passthrough(vm, MSR_EFER, true, false);
	ept_reserve(vm);
	return tdp_create(vm);
}

void vmx_vm_destroy(struct vm *vm)
{
	tdp_destroy(vm);
	ept_unreserve(vm);
	if (vm->vendor)
		pages_free(vm->vendor, pages_order(vm));
	vm->vendor = NULL;
}

static void clear_bit(u8 *bitmap, u32 bit)
{
	bitmap[bit / 8] &= (u8)~BIT(bit % 8);
}

void vmx_bitmap_pass(u8 *bitmap, u32 msr, bool read, bool write)
{
	bool high = msr - HIGH_MSRS < RANGE_MSRS;

	if (!high && msr >= RANGE_MSRS)
		return;
	if (high)
		msr -= HIGH_MSRS;
	if (read)
		clear_bit(bitmap + (high ? READ_HIGH : READ_LOW), msr);
	if (write)
		clear_bit(bitmap + (high ? WRITE_HIGH : WRITE_LOW), msr);
}

void vmx_vm_msr_passthrough(struct vm *vm, u32 msr, bool read, bool write)
{
	struct vmx_vm *pages = vm->vendor;

	if (msr == MSR_PAT && !vmx_switches_pat())
		return;		/* not switched: the guest would access the host's */
	vmx_bitmap_pass(pages->msr_bitmap, msr, read, write);
	if (vm->apic_hardware == APIC_BY_HARDWARE)
		vmx_bitmap_pass(pages->x2apic_bitmap, msr, read, write);
}
