/* SPDX-License-Identifier: MIT */
/* What a vCPU has more where its guest is a hypervisor, and which of its two levels runs. */
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/exit.h"
#include "core/mem/shadow.h"
#include "lib/string.h"
#include "svm/nested/nested.h"

#define NESTED_ORDER 1
_Static_assert(sizeof(struct svm_nested) <= PAGE_SIZE << NESTED_ORDER, "allocated as so many pages");

int nsvm_create(struct vm *vm, struct vcpu_svm *svm)
{
	struct svm_nested *nested = pages_alloc(NESTED_ORDER);
	struct svm_level *l2;

	if (!nested)
		return -ENOMEM;
	svm->nested = nested;
	l2 = &nested->parked[LEVEL_L2];
	l2->vmcb = page_alloc();
	nested->msrpm = pages_alloc(MSRPM_ORDER);
	if (!l2->vmcb || !nested->msrpm)
		return -ENOMEM;
	l2->vmcb_pa = virt_to_phys(l2->vmcb);
	memset(nested->msrpm, 0xff, PAGE_SIZE << MSRPM_ORDER);
	nested->gif_clear = *vm->ops;
	nsvm_gif_clear_ops(&nested->gif_clear);
	svm->vcpu.vm = vm;
	return nsvm_paging_create(vm, svm);
}

/* Also after a failed creation. The VMCB of the level that runs is svm->vmcb. */
void nsvm_destroy(struct vcpu_svm *svm)
{
	struct svm_nested *nested = svm->nested;

	if (!nested)
		return;
	shadow_destroy(nested->shadow);
	if (nested->msrpm)
		pages_free(nested->msrpm, MSRPM_ORDER);
	if (nested->parked[!svm->vcpu.l2_runs].vmcb)
		page_free(nested->parked[!svm->vcpu.l2_runs].vmcb);
	pages_free(nested, NESTED_ORDER);
	svm->nested = NULL;
}

void nsvm_come_to_cpu(struct vcpu_svm *svm)
{
	svm->nested->parked[!svm->vcpu.l2_runs].vmcb->control.clean = 0;
}

/* APM vol. 2, "Global Interrupt Flag, STGI and CLGI Instructions" */
void nsvm_set_gif(struct vcpu *vcpu, bool gif)
{
	struct svm_nested *nested = to_svm(vcpu)->nested;

	if (nested->gif == gif)
		return;
	if (!gif && vcpu->events.irq_window)
		vcpu->ops->interrupt_window(vcpu, false);
	nested->gif = gif;
	if (!vcpu->l2_runs)
		vcpu->ops = gif ? vcpu->vm->ops : &nested->gif_clear;
	/* What is pending is looked at again: no window is open while GIF is 0. */
	vcpu->events.irq_window = vcpu->events.nmi_window = false;
	vcpu_request(vcpu, REQ_EVENT);
	if (gif)
		nsvm_look_at_init(vcpu);
}

void nsvm_look_at_init(struct vcpu *vcpu)
{
	struct svm_nested *nested = to_svm(vcpu)->nested;

	if (unlikely(nested->init_waits))
		vcpu_request(vcpu, REQ_STARTUP);
	nested->init_waits = false;
}

/*
 * Of L1, or of L2, whose EFER.SVME is L1's as well. Without it there are no intercepts and no host state to
 * return to: APM vol. 2, "Enabling SVM" calls the result undefined, and L1 shuts down.
 */
void nsvm_efer_written(struct vcpu *vcpu, u64 efer)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (vcpu->l2_runs) {
		if (!(efer & EFER_SVME))
			exit_triple_fault(vcpu);
		return;
	}
	svm->nested->svme = efer & EFER_SVME;
	svm->efer_shown = efer & EFER_SVME ? ~0ull : ~EFER_SVME;
	if (!svm->nested->svme)
		nsvm_set_gif(vcpu, true);
}

static void take_level(struct vcpu_svm *svm, const struct svm_level *level)
{
	svm->vmcb = level->vmcb;
	svm->vmcb_pa = level->vmcb_pa;
	svm->tlb_id = level->tlb_id;
	svm->cr0 = level->cr0;
	svm->cr4 = level->cr4;
	svm->lme = level->lme;
}

/* The windows of the level that is left are closed: what they wait for is looked at again. */
static void close_windows(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (svm->stepping)
		svm_end_step(vcpu);
	if (vcpu->events.irq_window)
		vcpu->ops->interrupt_window(vcpu, false);
	vcpu->events.irq_window = vcpu->events.nmi_window = false;
	svm_set_iret_pending(svm, false);
}

void nsvm_switch(struct vcpu *vcpu, bool to_l2)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct svm_nested *nested = svm->nested;
	struct vmcb *from = svm->vmcb;

	close_windows(vcpu);
	/* A flush of the whole TLB waits for an entry, which this level does not make now: svm_vcpu_put(). */
	if (from->control.tlb_control == TLB_FLUSH_ALL)
		this_cpu()->tlb_flush_pending = true;
	if (!to_l2 && from->control.tlb_control != TLB_KEEP)
		nested->flush = true;
	nested->parked[!to_l2] = (struct svm_level){
		.vmcb = svm->vmcb, .vmcb_pa = svm->vmcb_pa, .tlb_id = svm->tlb_id, .cr0 = svm->cr0, .cr4 = svm->cr4,
		.lme = svm->lme,
	};
	take_level(svm, &nested->parked[to_l2]);
	nsvm_copy_vmload(&from->save, &svm->vmcb->save);
	svm->vmcb->save.spec_ctrl = from->save.spec_ctrl;
	vcpu->regs_available = vcpu->regs_dirty = 0;
	if (to_l2) {
		nested_switch_to_l2(vcpu);
		svm->efer_shown = ~0ull;
		return;
	}
	nested_switch_to_l1(vcpu);
	svm->efer_shown = nested->svme ? ~0ull : ~EFER_SVME;
	if (!nested->gif)
		vcpu->ops = &nested->gif_clear;
}

void nsvm_reset(struct vcpu *vcpu, bool init)
{
	struct svm_nested *nested = to_svm(vcpu)->nested;

	if (vcpu->l2_runs) {
		nsvm_switch(vcpu, false);
		/* While L2 ran, 01's ASID may have become another vCPU's. */
		svm_choose_tlb_id(to_svm(vcpu), this_cpu());
	}
	nested->gif = true;
	vcpu->ops = vcpu->vm->ops;
	nested->svme = nested->init_waits = false;
	to_svm(vcpu)->efer_shown = ~EFER_SVME;
	nested->asid12 = 0;
	/* As a processor begins with an empty TLB: the next L1 may use the same ASIDs for other tables. */
	nsvm_forget_asid(to_svm(vcpu), 0);
	/* INIT leaves these MSRs alone. APM vol. 2, "INIT Support" */
	if (!init)
		nested->vm_cr = nested->hsave_pa = 0;
}
