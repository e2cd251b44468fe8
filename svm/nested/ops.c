/* SPDX-License-Identifier: MIT */
/* The operations while L2 runs: those of svm/ops.c, on 02, but for what has to look at L1. */
#include "arch/cpu/x86.h"
#include "core/emulate/code.h"
#include "core/emulate/emulate.h"
#include "svm/length.h"
#include "svm/ops.h"

u64 nsvm_next_rip(const struct vcpu *vcpu)
{
	const struct vcpu_svm *svm = container_of(vcpu, const struct vcpu_svm, vcpu);

	if (svm_features.nrip_save || !vcpu->l2_runs || !nsvm_paging(svm->nested) ||
	    svm->vmcb->control.exit_code == VMEXIT_IOIO)
		return svm_next_rip(svm);
	return 0;
}

static int skip_instruction(struct vcpu *vcpu)
{
	struct insn insn;

	if (nsvm_next_rip(vcpu))
		return svm_skip_instruction(vcpu);
	if (emulate_fetch(vcpu, &insn))
		return -EFAULT;
	emulate_advance(vcpu, insn.length);
	return 0;
}

/* The fast way to L2's code knows tables in L1's addresses only. */
static void code_view(const struct vcpu *vcpu, struct code_view *view)
{
	const struct vcpu_svm *svm = container_of(vcpu, const struct vcpu_svm, vcpu);

	svm_code_view(vcpu, view);
	if (nsvm_paging(svm->nested))
		view->paging = CODE_OTHER_PAGING;
}

static void tsc_offset_changed(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb *l1 = svm->nested->parked[LEVEL_L1].vmcb;

	l1->control.tsc_offset = vcpu->tsc_offset;
	l1->control.clean &= ~(u32)CLEAN_INTERCEPTS;
	svm->vmcb->control.tsc_offset = vcpu->tsc_offset + svm->nested->vmcb12.control.tsc_offset;
	svm_dirty(svm, CLEAN_INTERCEPTS);
}

/* Of both levels: what is to be forgotten may be the VM's own nested tables. */
static void flush_tlb(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	u8 *l1 = &svm->nested->parked[LEVEL_L1].vmcb->control.tlb_control;

	if (*l1 == TLB_KEEP)
		*l1 = svm_features.flush_by_asid ? TLB_FLUSH_ASID : TLB_FLUSH_ALL;
	nsvm_forget_asid(svm, 0);
}

/* 02 has what L1 wants, 01 gets it at the exit. */
static void pause_exits(struct vcpu *vcpu, bool on)
{
	to_svm(vcpu)->pause_exits = on;
}

const struct vcpu_ops nsvm_l2_ops = {
	SVM_OPS_OF_ANY_LEVEL,

	.flush_tlb = flush_tlb,
	.pause_exits = pause_exits,

	.vcpu_run = nsvm_vcpu_run,
	.handle_exit = nsvm_handle_exit,

	.code_view = code_view,
	.tsc_offset_changed = tsc_offset_changed,
	.skip_instruction = skip_instruction,

	.inject = nsvm_inject,
	.interrupt_blocked = nsvm_interrupt_blocked,
	.nmi_blocked = nsvm_nmi_blocked,
	.interrupt_window = nsvm_interrupt_window,
	.nmi_window = nsvm_nmi_window,

	.nested_events = nsvm_events,
	.nested_takes_exception = nsvm_takes_exception,
	.nested_triple_fault = nsvm_triple_fault,
	.nested_gpa = nsvm_gpa,
	.nested_fault = nsvm_fault,
};
