/* SPDX-License-Identifier: MIT */
/* Switch SVM on and off on one CPU. AMD APM vol. 2, "Enabling SVM", "Host Save Area". */
#include "arch/cpu/cpu.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/cpu/tlb_id.h"
#include "lib/log.h"
#include "svm/svm.h"

static void free_pages(struct percpu *cpu)
{
	if (cpu->host_vmcb)
		page_free(cpu->host_vmcb);
	if (cpu->vendor_page)
		page_free(cpu->vendor_page);
	cpu->host_vmcb = cpu->vendor_page = NULL;
}

/*
 * An INIT that reaches a CPU in host mode resets it, unless VM_CR.R_INIT makes it an exception, which
 * arch/fault/trap.c ignores. Emulators do not have that bit. APM vol. 2, "INIT Support".
 */
static void redirect_init(bool on)
{
	u64 vm_cr;

	if (!rdmsr_safe(MSR_VM_CR, &vm_cr))
		wrmsr_safe(MSR_VM_CR, on ? vm_cr | VM_CR_R_INIT : vm_cr & ~VM_CR_R_INIT);
}

/* The firmware may have switched SVM off without a lock: svm/caps.c says so. APM vol. 2, "Enabling SVM". */
static void allow_svm(void)
{
	u64 vm_cr;

	if (!rdmsr_safe(MSR_VM_CR, &vm_cr) && (vm_cr & VM_CR_SVM_DISABLE))
		wrmsr_safe(MSR_VM_CR, vm_cr & ~VM_CR_SVM_DISABLE);
}

int svm_cpu_enable(struct percpu *cpu)
{
	cpu->vendor_page = page_alloc();
	cpu->host_vmcb = page_alloc();
	if (!cpu->vendor_page || !cpu->host_vmcb) {
		log_error("no memory for the host save area of CPU %u", cpu->index);
		free_pages(cpu);
		return -ENOMEM;
	}
	cpu->vendor_page_pa = virt_to_phys(cpu->vendor_page);
	cpu->host_vmcb_pa = virt_to_phys(cpu->host_vmcb);

	allow_svm();
	if (wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME) || !(rdmsr(MSR_EFER) & EFER_SVME)) {
		log_error("CPU %u does not accept EFER.SVME: SVM is switched off by the firmware", cpu->index);
		free_pages(cpu);
		return -ENODEV;
	}
	fpu_reset();
	tlb_id_restart(cpu);
	wrmsr(MSR_VM_HSAVE_PA, cpu->vendor_page_pa);
	redirect_init(true);

	/* FS, GS, TR, LDTR and the system call MSRs of the host never change: save them once, reload after each exit. */
	__asm__ volatile("vmsave %%rax" : : "a"(cpu->host_vmcb_pa) : "memory");
	return 0;
}

void svm_cpu_disable(struct percpu *cpu)
{
	redirect_init(false);
	wrmsr(MSR_VM_HSAVE_PA, 0);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
	free_pages(cpu);
}
