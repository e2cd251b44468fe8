/* SPDX-License-Identifier: MIT */
/* A VM under SVM: its intercept bitmaps and nested page tables. */
#include "arch/mem/pool.h"
#include "core/mem/tdp.h"
#include "core/vm_alloc.h"
#include "lib/string.h"
#include "svm/svm.h"

int svm_vm_create(struct vm *vm)
{
	struct svm_vm *svm = vm_alloc(vm, sizeof(*svm));

	if (!svm)
		return -ENOMEM;
	vm->vendor = svm;
	svm->iopm = pages_alloc(IOPM_ORDER);
	svm->msrpm = pages_alloc(MSRPM_ORDER);
	if (!svm->iopm || !svm->msrpm)
		return -ENOMEM;
	vm->apic_hardware = svm_apic_hardware(vm);
	memset(svm->iopm, 0xff, PAGE_SIZE << IOPM_ORDER);
	memset(svm->msrpm, 0xff, PAGE_SIZE << MSRPM_ORDER);
	return tdp_create(vm);
}

/* Called before vm_free_all(), which frees the struct. */
void svm_vm_destroy(struct vm *vm)
{
	struct svm_vm *svm = vm->vendor;

	tdp_destroy(vm);
	if (svm && svm->iopm)
		pages_free(svm->iopm, IOPM_ORDER);
	if (svm && svm->msrpm)
		pages_free(svm->msrpm, MSRPM_ORDER);
	vm->vendor = NULL;
}

int svm_msrpm_bit(u32 msr)
{
	static const u32 starts[] = { 0, 0xc0000000, 0xc0010000 };

	for (unsigned i = 0; i < ARRAY_SIZE(starts); i++) {
		if (msr - starts[i] < 0x2000)
			return (int)(i * 0x2000 * 2 + (msr - starts[i]) * 2);
	}
	return -1;
}

void svm_vm_msr_passthrough(struct vm *vm, u32 msr, bool read, bool write)
{
	struct svm_vm *svm = vm->vendor;
	int bit = svm_msrpm_bit(msr);

	if (bit < 0)
		return;
	svm->msrpm[bit / 8] &= (u8)~(read << (bit % 8) | write << (bit % 8 + 1));
	svm->msrpm_open[bit / 64 / 64] |= BIT_ULL(bit / 64 % 64);
}
