/* SPDX-License-Identifier: MIT */
/* VMRUN by L1: 02 is made of what L0 needs and what L1 wants. AMD APM vol. 2, "VMRUN Instruction". */
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "core/mem/guest_mem.h"
#include "svm/nested/nested.h"

/*
 * L0 always makes L2's task switches: a nested page fault half-way, which the shadow tables cause at any first access,
 * would leave a state from which the instruction cannot be repeated.
 */
void nsvm_merge_intercepts(struct vcpu_svm *svm)
{
	struct vmcb_control *control = &svm->vmcb->control;
	const struct vmcb_control *l1 = &svm->nested->vmcb12.control;

	control->intercept_cr |= l1->intercept_cr;
	control->intercept_dr |= l1->intercept_dr;
	control->intercept_exceptions |= l1->intercept_exceptions;
	control->intercept_misc1 |= l1->intercept_misc1 | INTERCEPT_TASK_SWITCH;
	control->intercept_misc2 |= l1->intercept_misc2;
	/* Of the last word, CPUID offers L1 this instruction alone. */
	control->intercept_misc3 |= l1->intercept_misc3 & INTERCEPT_INVPCID;
}

/*
 * Besides the intercepts, which nsvm_merge_intercepts() adds. With V_INTR_MASKING in 12, CR8 is V_TPR, which
 * needs no exit; otherwise it is L1's.
 */
static void set_control(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct svm_nested *nested = svm->nested;
	const struct vmcb_control *l1 = &nested->vmcb12.control;
	struct vmcb_control *control = &svm->vmcb->control;

	clear_large(control, offsetof(struct vmcb_control, reserved_0e0));
	svm_set_control(svm);
	nsvm_merge_msrpm(vcpu);
	control->msrpm_base = virt_to_phys(nested->msrpm);
	control->tsc_offset = vcpu->tsc_offset + l1->tsc_offset;
	if (l1->int_control & V_INTR_MASKING)
		control->intercept_cr &= ~(u32)(INTERCEPT_CR_READ(8) | INTERCEPT_CR_WRITE(8));
	/* L1's filter, where CPUID offers one: else each PAUSE exits. */
	if (nsvm_intercepts(nested, VMEXIT_PAUSE)) {
		control->pause_count = svm_features.pause_filter ? l1->pause_count : 0;
		control->pause_threshold = svm_features.pause_threshold ? l1->pause_threshold : 0;
	}
	if (svm->nmi_masked)
		control->intercept_misc1 |= INTERCEPT_IRET;
}

static void set_state(struct vcpu *vcpu, u64 l1_pat)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	const struct vmcb *from = &svm->nested->vmcb12;
	struct vmcb_save *save = &svm->vmcb->save;

	nsvm_import(from, svm->vmcb);
	svm_set_paging_mode(svm, from->save.cr0, from->save.cr4, from->save.efer);
	if (!(save->efer & EFER_LMA))
		save->cr3 = (u32)save->cr3;
	save->pat = nsvm_paging(svm->nested) ? from->save.pat : l1_pat;
	svm_control_set(vcpu, CTL_CR2, save->cr2);
	vcpu->regs[REG_RAX] = save->rax;
}

/* L1's ASIDs are tags of what 02's own holds. */
static void set_asid(struct vcpu_svm *svm)
{
	struct svm_nested *nested = svm->nested;
	const struct vmcb_control *l1 = &nested->vmcb12.control;

	svm_choose_tlb_id(svm, this_cpu());
	if (l1->tlb_control == TLB_FLUSH_ALL)
		nsvm_forget_asid(svm, 0);
	else if (l1->tlb_control != TLB_KEEP)
		nsvm_forget_asid(svm, l1->asid);
	if (nested->asid12 != l1->asid)
		nested->flush = true;
	nested->asid12 = l1->asid;
}

void nsvm_enter(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct svm_nested *nested = svm->nested;
	u64 l1_pat = svm->vmcb->save.pat;

	nested->host_if = vcpu_rflags(vcpu) & RFLAGS_IF;
	nested->virq_lent = false;
	nsvm_switch(vcpu, true);
	set_control(vcpu);
	set_state(vcpu, l1_pat);
	set_asid(svm);
	nsvm_paging_enter(vcpu);
	nested->gif = true;
	nsvm_look_at_init(vcpu);
	nsvm_take_injection(vcpu, nested->vmcb12.control.event_injection);
	vcpu_request(vcpu, REQ_EVENT);
}
