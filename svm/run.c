/* SPDX-License-Identifier: MIT */
/* One entry and one exit under SVM. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/exit.h"
#include "core/force_exit.h"
#include "core/answer.h"
#include "svm/svm.h"

/* svm/vmenter.asm */
enum stub_answer svm_vmenter(struct vcpu_svm *svm);
enum stub_answer svm_answer_exit(struct vcpu_svm *svm);

#ifdef LAMINA_HOST_TEST
/* The fake processor of tests/unit/test_svm_run.c. */
void clgi(void);
#else
static inline void clgi(void)
{
	__asm__ volatile("clgi" : : : "memory");
}
#endif

/* What changed since the last exit goes into the VMCB. */
static inline void store_guest_state(struct vcpu_svm *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct vmcb *vmcb = svm->vmcb;

	vmcb->save.rax = vcpu->regs[REG_RAX];
	if (likely(!vcpu->regs_dirty))
		return;
	if (vcpu->regs_dirty & BIT(REG_RIP))
		vmcb->save.rip = vcpu->regs[REG_RIP];
	if (vcpu->regs_dirty & BIT(REG_RSP))
		vmcb->save.rsp = vcpu->regs[REG_RSP];
	if (vcpu->regs_dirty & BIT(REG_RFLAGS))
		vmcb->save.rflags = vcpu->regs[REG_RFLAGS];
	vcpu->regs_dirty = 0;
}

/*
 * Snapshot first: nothing that a handler does later changes what is recorded of this exit. Its time
 * was stamped by svm_instant_exit().
 */
static __always_inline void take_snapshot(struct vcpu_svm *svm, u64 code, u8 index)
{
	struct vcpu *vcpu = &svm->vcpu;
	const struct vmcb *vmcb = svm->vmcb;
	u64 rip = vmcb->save.rip, int_info = vmcb->control.exit_int_info;
	struct trace_record *record;

	vcpu->exit_reason = code;
	vcpu->exit_index = index;
	vcpu->exit_rip = vcpu->regs[REG_RIP] = rip;
	vcpu->regs[REG_RAX] = vmcb->save.rax;
	vcpu->regs_available = BIT(REG_RIP);
	vcpu->events.injected.type = EVENT_NONE;

	record = trace_exit(vcpu, vcpu->exit_tsc, index, code, rip);
	record->info1 = vmcb->control.exit_info1;
	record->info2 = vmcb->control.exit_info2;
	record->intr_info = (u32)int_info;
	record->error_code = EVENT_ERROR_CODE(int_info);
}

static enum exit_fastpath entry_failed(struct vcpu *vcpu, const struct vmcb_control *control)
{
	vcpu->failure = (struct failure_record){
		.kind = ENTRY_INVALID_STATE,
		.reason = control->exit_code,
		.qualification = control->event_injection,
	};
	return EXIT_FASTPATH_ENTRY_FAILED;
}

/*
 * Called by the entry stub, with the host's state loaded, GIF set and interrupts off. Events of the
 * machine's (exceptions, INTR, NMI, SMI, INIT) and entries that failed are for svm_vcpu_run().
 */
enum stub_answer svm_answer_exit(struct vcpu_svm *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	u64 code = svm->vmcb->control.exit_code;
	u8 index = svm_exit_index(code);
	enum stub_answer answer;

	if (code - VMEXIT_EXCEPTION <= VMEXIT_INIT - VMEXIT_EXCEPTION || index > SVM_INDEX_NPF ||
	    !answer_begins(vcpu, index))
		return STUB_LEAVE;
	take_snapshot(svm, code, index);
	svm_entered(svm->vmcb);
	svm_events_after_exit(vcpu);
	svm_handle_exit(vcpu);
	answer = answer_ends(vcpu);
	if (likely(answer == STUB_AGAIN))
		store_guest_state(svm);
	return answer;
}

enum exit_fastpath svm_vcpu_run(struct vcpu *vcpu, bool force_immediate_exit)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;
	enum stub_answer answer;

	store_guest_state(svm);
	trace_entry(vcpu, force_immediate_exit);

	/*
	 * With GIF clear nothing is taken, and IF may be set long before VMRUN: with V_INTR_MASKING
	 * it is the host's IF at VMRUN that lets physical interrupts exit.
	 */
	clgi();
	irq_enable();
	if (unlikely(force_immediate_exit))
		force_exit_by_self_ipi(vcpu);

	answer = svm_vmenter(svm);

	if (answer == STUB_HANDLED)
		return EXIT_FASTPATH_EXIT_HANDLED;
	take_snapshot(svm, control->exit_code, svm_exit_index(control->exit_code));
	if (unlikely(svm_exit_invalid(control->exit_code)))
		return entry_failed(vcpu, control);
	svm_entered(svm->vmcb);
	svm_events_after_exit(vcpu);

	/* The host's interrupt window, which comes next, is all that these exits are about. */
	if (control->exit_code == VMEXIT_INTR)
		return EXIT_FASTPATH_EXIT_HANDLED;
	/* The banks first, while they hold what went wrong. */
	if (unlikely(control->exit_code == VMEXIT_EXCEPTION + X86_MC))
		exit_machine_check(vcpu, true);
	return EXIT_FASTPATH_NONE;
}
