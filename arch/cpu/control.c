/* SPDX-License-Identifier: MIT */
/* Control registers. */
#include "arch/cpu/control.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/fault/extable.h"

/* Entries 0 to 3 and again 4 to 7: WB, WC, UC-, UC. arch/mem/paging.c relies on it. */
#define PAT_VALUE 0x0007010600070106ull

void control_init(void)
{
	const struct cpu_features *f = &cpu_features;
	u64 cr4 = CR4_PAE | CR4_DE;

	cr4 |= f->mce ? CR4_MCE : 0;
	cr4 |= f->smep ? CR4_SMEP : 0;
	cr4 |= f->smap ? CR4_SMAP : 0;
	cr4 |= f->umip ? CR4_UMIP : 0;
	cr4 |= f->xsave ? CR4_OSXSAVE : 0;
	cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	write_cr4(cr4);
	write_cr0(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE);
	if (f->pat)
		wrmsr(MSR_PAT, PAT_VALUE);
}

void control_leave_virtualization(void)
{
	u64 vm_cr;

	if (read_cr4() & CR4_VMXE)
		__asm__ volatile("1: vmxoff\n2:" EXTABLE("1b", "2b") : : : "memory", "cc");
	if (cpu_features.svm && !rdmsr_safe(MSR_VM_CR, &vm_cr))
		wrmsr_safe(MSR_VM_CR, vm_cr & ~VM_CR_R_INIT);
}
