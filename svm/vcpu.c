/* SPDX-License-Identifier: MIT */
/* A vCPU under SVM: create and reset its VMCB. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "lib/string.h"
#include "svm/nested/nested.h"
#include "svm/svm.h"

struct vcpu *svm_vcpu_create(struct vm *vm)
{
	struct vcpu_svm *svm;
	void *fpu_image;

	_Static_assert(sizeof(*svm) <= PAGE_SIZE, "one page each");
	svm = page_alloc();
	if (!svm)
		return NULL;
	svm->vmcb = page_alloc();
	fpu_image = pages_alloc(fpu_image_order());
	if (fpu_image)
		fpu_state_init(&svm->fpu, fpu_image);
	if (!svm->vmcb || !fpu_image || (vm->config->nested != NESTED_OFF && nsvm_create(vm, svm))) {
		svm_vcpu_destroy(&svm->vcpu);
		return NULL;
	}
	svm->vmcb_pa = virt_to_phys(svm->vmcb);
	return &svm->vcpu;
}

void svm_vcpu_destroy(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	svm_vcpu_release(vcpu);
	nsvm_destroy(svm);
	if (svm->fpu.image)
		pages_free(svm->fpu.image, fpu_image_order());
	if (svm->vmcb)
		page_free(svm->vmcb);
	page_free(svm);
}

static void set_intercepts(struct vmcb_control *control)
{
	/* Writes to CR0 exit by INTERCEPT_CR0_SEL_WRITE, below, and where set_cr0() asks for it. */
	control->intercept_cr = INTERCEPT_CR_WRITE(4) | INTERCEPT_CR_READ(8) | INTERCEPT_CR_WRITE(8);
	control->intercept_exceptions = SVM_EXCEPTIONS;
	control->intercept_misc1 = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_SMI | INTERCEPT_INIT |
				   INTERCEPT_CR0_SEL_WRITE |
				   INTERCEPT_RDPMC | INTERCEPT_CPUID | INTERCEPT_INVD | INTERCEPT_HLT |
				   INTERCEPT_INVLPGA | INTERCEPT_IOIO | INTERCEPT_MSR | INTERCEPT_FERR_FREEZE |
				   INTERCEPT_SHUTDOWN;
	control->intercept_misc2 = INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE |
				   INTERCEPT_STGI | INTERCEPT_CLGI | INTERCEPT_SKINIT | INTERCEPT_ICEBP | INTERCEPT_WBINVD |
				   INTERCEPT_MONITOR | INTERCEPT_MWAIT | INTERCEPT_MWAIT_ARMED |
				   INTERCEPT_XSETBV | INTERCEPT_RDPRU;
}

/* Without the filter every PAUSE would exit. */
static void intercept_pause(struct vcpu_svm *svm)
{
	struct vmcb_control *control = &svm->vmcb->control;
	bool on = svm->pause_exits && svm_features.pause_filter;

	control->intercept_misc1 &= ~(u32)INTERCEPT_PAUSE;
	control->intercept_misc1 |= on ? INTERCEPT_PAUSE : 0;
	control->pause_count = on ? PAUSE_FILTER_COUNT : 0;
	control->pause_threshold = on && svm_features.pause_threshold ? PAUSE_FILTER_THRESHOLD : 0;
	svm_dirty(svm, CLEAN_INTERCEPTS);
}

void svm_set_control(struct vcpu_svm *svm)
{
	struct vmcb_control *control = &svm->vmcb->control;
	const struct vm *vm = svm->vcpu.vm;
	const struct svm_vm *maps = vm->vendor;

	set_intercepts(control);
	control->asid = svm->tlb_id.id;
	intercept_pause(svm);
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

/* MSRs in the VMCB that INIT leaves alone, as it does XCR0 and the floating-point and vector registers. */
static const u32 kept_by_init[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE,
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT, MSR_SPEC_CTRL,
};

void svm_vcpu_reset(struct vcpu *vcpu, bool init)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	const u64 caches = CR0_CD | CR0_NW;
	u64 cr0;
	u64 msrs[ARRAY_SIZE(kept_by_init)] = { 0 };
	u8 flush;

	svm->efer_shown = ~EFER_SVME;
	if (svm->nested)
		nsvm_reset(vcpu, init);
	cr0 = CR0_ET | (init ? svm->cr0 & caches : caches);
	flush = svm->vmcb->control.tlb_control;
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		svm_msr_get(vcpu, kept_by_init[i], &msrs[i]);
	memset(svm->vmcb, 0, sizeof(*svm->vmcb));
	svm->lme = 0;
	svm_set_control(svm);
	svm_apic_reset(svm);
	svm->vmcb->control.tlb_control = flush;
	set_reset_state(&svm->vmcb->save);
	for (unsigned i = 0; init && i < ARRAY_SIZE(msrs); i++)
		svm_msr_set(vcpu, kept_by_init[i], msrs[i]);
	svm_control_set(vcpu, CTL_CR0, cr0);	/* flushes the TLB, too */
	svm_control_set(vcpu, CTL_CR2, 0);
	svm_control_set(vcpu, CTL_CR4, 0);
	svm_reset_debug_registers();
	if (!init) {
		if (cpu_features.rdtscp)
			wrmsr(MSR_TSC_AUX, 0);
		svm_msr_set(vcpu, MSR_SPEC_CTRL, 0);
		fpu_restore_initial(&svm->fpu);
	}

	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs[REG_RDX] = cpuid(1).eax;
	vcpu->regs_available = 0;
	vcpu->regs_dirty = 0;
	svm->nmi_masked = svm->stepping = false;
	svm_set_iret_pending(svm, false);
}

void svm_pause_exits(struct vcpu *vcpu, bool on)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	svm->pause_exits = on;
	intercept_pause(svm);
}
