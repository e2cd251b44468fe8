/* SPDX-License-Identifier: MIT */
/* A vCPU under SVM: create and reset its VMCB, load it on a CPU. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "lib/string.h"
#include "svm/svm.h"

struct vcpu *svm_vcpu_create(struct vm *vm __maybe_unused)
{
	struct vcpu_svm *svm;

	_Static_assert(sizeof(*svm) <= PAGE_SIZE, "one page each");
	svm = page_alloc();
	if (!svm)
		return NULL;
	svm->vmcb = page_alloc();
	if (!svm->vmcb) {
		page_free(svm);
		return NULL;
	}
	svm->vmcb_pa = virt_to_phys(svm->vmcb);
	return &svm->vcpu;
}

void svm_vcpu_destroy(struct vcpu *vcpu)
{
	page_free(to_svm(vcpu)->vmcb);
	page_free(to_svm(vcpu));
}

/* 0 is the host's. All vCPUs can share one, since each load of a vCPU flushes the TLB. */
#define GUEST_ASID 1

static void set_intercepts(struct vmcb_control *control)
{
	/* Writes to CR0 exit by INTERCEPT_CR0_SEL_WRITE, below, and where set_cr0() asks for it. */
	control->intercept_cr = INTERCEPT_CR_WRITE(4) | INTERCEPT_CR_READ(8) | INTERCEPT_CR_WRITE(8);
	/*
	 * #MC is a host event. #DB and #AC are the guest's, but their delivery can raise them again, endlessly
	 * and with no instruction in between: only these intercepts get the processor out of that loop.
	 */
	control->intercept_exceptions = BIT(X86_MC) | BIT(X86_DB) | BIT(X86_AC);
	control->intercept_misc1 = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_SMI | INTERCEPT_INIT |
				   INTERCEPT_CR0_SEL_WRITE |
				   INTERCEPT_RDPMC | INTERCEPT_CPUID | INTERCEPT_INVD | INTERCEPT_HLT |
				   INTERCEPT_INVLPGA | INTERCEPT_IOIO | INTERCEPT_MSR | INTERCEPT_SHUTDOWN;
	control->intercept_misc2 = INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE |
				   INTERCEPT_STGI | INTERCEPT_CLGI | INTERCEPT_SKINIT | INTERCEPT_ICEBP | INTERCEPT_WBINVD |
				   INTERCEPT_MONITOR | INTERCEPT_MWAIT | INTERCEPT_MWAIT_ARMED |
				   INTERCEPT_XSETBV | INTERCEPT_RDPRU;
}

static void set_control(struct vcpu_svm *svm)
{
	struct vmcb_control *control = &svm->vmcb->control;
	const struct vm *vm = svm->vcpu.vm;
	const struct svm_vm *maps = vm->vendor;

	set_intercepts(control);
	control->asid = GUEST_ASID;
	control->tlb_control = TLB_FLUSH_ALL;	/* svm_vcpu_load() asked for it, before the VMCB was cleared */
	control->iopm_base = virt_to_phys(maps->iopm);
	control->msrpm_base = virt_to_phys(maps->msrpm);
	control->np_enable = 1;
	control->nested_cr3 = vm->tdp_root;
	control->int_control = V_INTR_MASKING;
}

static struct vmcb_segment reset_segment(u16 selector, u64 base, u16 attributes)
{
	return (struct vmcb_segment){ .selector = selector, .attributes = attributes, .limit = 0xffff, .base = base };
}

/* SDM, "Processor State After Reset"; APM vol. 2, "Processor Initialization State". */
static void set_reset_state(struct vmcb_save *save)
{
	const u16 data = ATTRIBUTE_PRESENT | ATTRIBUTE_S | 3, code = ATTRIBUTE_PRESENT | ATTRIBUTE_S | 11;

	save->cs = reset_segment(0xf000, 0xffff0000, code);
	save->ds = save->es = save->fs = save->gs = save->ss = reset_segment(0, 0, data);
	save->ldtr = reset_segment(0, 0, ATTRIBUTE_PRESENT | 2);
	save->tr = reset_segment(0, 0, ATTRIBUTE_PRESENT | 11);
	save->gdtr = save->idtr = reset_segment(0, 0, 0);
	save->efer = EFER_SVME;
	save->dr6 = 0xffff0ff0;
	save->dr7 = 0x400;
	save->rflags = RFLAGS_FIXED;
	save->rip = 0xfff0;
	save->pat = 0x0007040600070406ull;
}

/*
 * SVM does not switch these registers, and Lamina does not use them: while a vCPU is loaded they hold its
 * values. Clear them, so that no other vCPU sees those.
 */
static void clear_live_registers(void)
{
	const u64 zero = 0;

	__asm__ volatile("mov %0, %%db0; mov %0, %%db1; mov %0, %%db2; mov %0, %%db3" : : "r"(zero));
	if (cpu_features.rdtscp)
		wrmsr(MSR_TSC_AUX, 0);
}

void svm_vcpu_reset(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	memset(svm->vmcb, 0, sizeof(*svm->vmcb));
	set_control(svm);
	set_reset_state(&svm->vmcb->save);
	svm_control_set(vcpu, CTL_CR0, CR0_CD | CR0_NW | CR0_ET);
	svm_control_set(vcpu, CTL_CR4, 0);
	clear_live_registers();

	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs[REG_RDX] = cpuid(1).eax;
	vcpu->regs_available = 0;
	vcpu->regs_dirty = 0;
	svm->nmi_masked = svm->iret_pending = svm->stepping = false;
}

void svm_vcpu_load(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	svm->vmcb->control.clean = 0;
	write_cr2(svm->vmcb->save.cr2);	/* see svm_control_set() */
	svm->vmcb->control.tlb_control = TLB_FLUSH_ALL;	/* the TLB may hold another VM's translations */
	svm->host_vmcb_pa = this_cpu()->host_vmcb_pa;
	clear_live_registers();
}

void svm_vcpu_put(struct vcpu *vcpu __maybe_unused)
{
	clear_live_registers();
}
