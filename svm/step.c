/* SPDX-License-Identifier: MIT */
/*
 * Single steps: how Lamina waits for the end of the one instruction that blocks an NMI. TF, DR6 and the exception
 * intercepts are the guest's or the VM's, borrowed: whatever ends the step gives them back.
 * AMD APM vol. 2, "Single Stepping", "Interrupt Shadows", "Exception Intercepts".
 */
#include "arch/cpu/x86.h"
#include "core/emulate/emulate.h"
#include "svm/svm.h"

#define DR6_CAUSES (DR6_BREAKPOINTS | DR6_BD | DR6_BS)

/*
 * Exceptions whose frame would show TF. INT3 and INTO are not stepped, and a second exception of a pair that makes
 * #DF is not raised, as the first one exits.
 */
#define FAULTS (BIT(X86_DE) | BIT(X86_BR) | BIT(X86_UD) | BIT(X86_NM) | BIT(X86_TS) | BIT(X86_NP) | BIT(X86_SS) | \
		BIT(X86_GP) | BIT(X86_PF) | BIT(X86_MF) | BIT(X86_XM))

/*
 * Instructions that show RFLAGS or DR6 to the guest, load them, or clear TF before it traps: those of the stack,
 * system calls, far jumps and calls, which may switch tasks, and MOV DR.
 */
static bool cannot_be_stepped(const struct insn *insn)
{
	if (insn->vex)
		return false;
	if (insn->map == INSN_MAP_0F)
		return insn->opcode == 0x05 || insn->opcode == 0x07 || insn->opcode == 0x34 || (insn->opcode & ~2) == 0x21;
	if (insn->map != INSN_MAP_ONE)
		return false;
	switch (insn->opcode) {
	case 0x9a: case 0x9c: case 0x9d: case 0xcc: case 0xcd: case 0xce: case 0xcf: case 0xea:
		return true;
	case 0xff:
		return insn->digit == 3 || insn->digit == 5;
	default:
		return false;
	}
}

static void begin(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	u64 rflags = vcpu_rflags(vcpu);

	svm->stepping = true;
	svm->step_is_iret = svm->iret_pending;
	svm->guest_tf = rflags & RFLAGS_TF;
	svm->guest_dr6 = svm->vmcb->save.dr6;
	/* Then all causes that DR6 shows afterwards are of this instruction. */
	svm_control_set(vcpu, CTL_DR6, svm->guest_dr6 & ~DR6_CAUSES);
	svm->vmcb->control.intercept_exceptions = SVM_EXCEPTIONS | FAULTS;
	svm_dirty(svm, CLEAN_INTERCEPTS);
	vcpu_reg_write(vcpu, REG_RFLAGS, rflags | RFLAGS_TF);
}

void svm_end_step(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	svm->stepping = false;
	svm_control_set(vcpu, CTL_DR6, svm->guest_dr6);
	svm->vmcb->control.intercept_exceptions = SVM_EXCEPTIONS;
	svm_dirty(svm, CLEAN_INTERCEPTS);
	if (!svm->guest_tf)
		vcpu_reg_write(vcpu, REG_RFLAGS, vcpu_rflags(vcpu) & ~RFLAGS_TF);
	vcpu->events.nmi_window = false;
	vcpu_request(vcpu, REQ_EVENT);
}

/* IRET with NT set, outside of long mode, switches tasks: the task that it leaves would keep TF. */
static bool returns_to_a_task(struct vcpu *vcpu)
{
	return (vcpu_rflags(vcpu) & (RFLAGS_NT | RFLAGS_VM)) == RFLAGS_NT && !vcpu_long_mode(vcpu) &&
	       (to_svm(vcpu)->vmcb->save.cr0 & CR0_PE);
}

/*
 * SVM has no NMI window. While an NMI handler runs, the IRET intercept is set and reports its end. Where a single
 * instruction blocks the NMI (that IRET itself, or the one in an interrupt shadow), single-step it.
 */
void svm_nmi_window(struct vcpu *vcpu, bool on)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;
	struct insn insn;

	if (!on || svm->stepping || (svm->nmi_masked && !svm->iret_pending))
		return;
	/* A frame that the next entry pushes must not hold TF: event_inject() asks again when the event is delivered. */
	if (control->event_injection & EVENT_VALID) {
		vcpu->events.nmi_window = false;
		return;
	}
	if (svm->iret_pending) {
		if (returns_to_a_task(vcpu))
			svm_await_task_switch(vcpu);
		else
			begin(vcpu);
		return;
	}
	/* The shadow protects a stack that is being switched. Instructions that use the stack need no such protection. */
	if (!emulate_peek(vcpu, &insn) && cannot_be_stepped(&insn)) {
		control->int_state &= ~INT_SHADOW;
		vcpu->events.nmi_window = false;
		return;
	}
	begin(vcpu);
}

/* The breakpoints that DR7 enables: DR6 may show others, too. */
static u64 enabled_breakpoints(u64 dr7)
{
	u64 either = dr7 | dr7 >> 1;

	return (either & BIT(0)) | (either >> 1 & BIT(1)) | (either >> 2 & BIT(2)) | (either >> 3 & BIT(3));
}

/*
 * The processor has written DR6 before the #DB exits. What Lamina's single step alone has caused is hidden from
 * the guest. An IRET that has run has loaded the guest's own TF.
 */
void svm_handle_debug(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	u64 causes = svm->vmcb->save.dr6 & DR6_CAUSES;
	bool ran = (causes & DR6_BS) || !causes, traps = ran && svm->guest_tf;

	if (!svm->stepping) {
		event_raise(vcpu, X86_DB);
		return;
	}
	causes &= enabled_breakpoints(svm->vmcb->save.dr7) | DR6_BD;
	if (ran && svm->step_is_iret)
		svm->guest_tf = vcpu_rflags(vcpu) & RFLAGS_TF;
	svm_end_step(vcpu);
	if (causes || traps)
		event_raise_debug(vcpu, causes | (traps ? DR6_BS : 0));
}

void svm_handle_fault(struct vcpu *vcpu)
{
	const struct vmcb_control *control = &to_svm(vcpu)->vmcb->control;
	u8 vector = (u8)(control->exit_code - VMEXIT_EXCEPTION);

	if (to_svm(vcpu)->stepping)
		svm_end_step(vcpu);
	if (vector == X86_PF)
		event_raise_page_fault(vcpu, control->exit_info2, (u32)control->exit_info1);
	else if (exception_has_error_code(vector))
		event_raise_error(vcpu, vector, (u32)control->exit_info1);
	else
		event_raise(vcpu, vector);
}
