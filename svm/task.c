/* SPDX-License-Identifier: MIT */
/*
 * Task switches exit only where the end of an NMI's handler is an IRET to another task, which cannot be stepped.
 * AMD APM vol. 2, "Task Switch Intercept".
 */
#include "core/emulate/task.h"

#include "arch/cpu/x86.h"
#include "core/emulate/emulate.h"
#include "svm/nested/nested.h"
#include "svm/svm.h"

static void intercept(struct vcpu_svm *svm, bool on)
{
	u32 *intercepts = &svm->vmcb->control.intercept_misc1;

	*intercepts = on ? *intercepts | INTERCEPT_TASK_SWITCH : *intercepts & ~(u32)INTERCEPT_TASK_SWITCH;
	svm_dirty(svm, CLEAN_INTERCEPTS);
}

void svm_await_task_switch(struct vcpu *vcpu)
{
	intercept(to_svm(vcpu), true);
}

static enum task_source source_of(u64 info, const struct event *event)
{
	if (info & TASK_SWITCH_IRET)
		return TASK_IRET;
	if (info & TASK_SWITCH_JMP)
		return TASK_JMP;
	return event->type == EVENT_NONE ? TASK_CALL : TASK_GATE;
}

/* INT n, INT3 and INTO are not among the events that are delivered again: svm/events.c. */
static bool is_software(u64 int_info)
{
	return (int_info & EVENT_VALID) && (EVENT_TYPE(int_info) == VMCB_EVENT_SOFT ||
	       (EVENT_TYPE(int_info) == VMCB_EVENT_EXCEPTION &&
		(EVENT_VECTOR(int_info) == X86_BP || EVENT_VECTOR(int_info) == X86_OF)));
}

void svm_handle_task_switch(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	const struct vmcb_control *control = &svm->vmcb->control;
	const struct event event = vcpu->events.reinject;
	bool software = is_software(control->exit_int_info);
	struct task_switch task_switch = {
		.selector = (u16)control->exit_info1,
		.source = software ? TASK_GATE : source_of(control->exit_info2, &event),
		.external = !software,
		.has_error_code = control->exit_info2 & TASK_SWITCH_ERROR_CODE,
		.error_code = (u32)control->exit_info2,
	};
	struct insn insn;

	if (software && event.type != EVENT_NONE) {
		/* L1 injects it, wherever RIP is. The old task goes on at the next RIP of L1's VMCB: nsvm_keep_injection(). */
		task_switch.length = svm_features.nrip_save ? (u8)(control->next_rip - vcpu->exit_rip) : 0;
	} else if (software || task_switch.source != TASK_GATE) {
		if (emulate_fetch(vcpu, &insn))
			return;
		task_switch.length = insn.length;
	}
	intercept(svm, false);
	if (svm->stepping)
		svm_end_step(vcpu);
	if (task_switch.source == TASK_IRET && svm->nmi_masked)
		svm_iret_done(vcpu);
	if (!emulate_task_switch(vcpu, &task_switch))
		return;
	svm->vmcb->control.int_state &= ~INT_SHADOW;
	/* One of L1's making blocks none of L1's own: nsvm_inject(). */
	if (event.type == EVENT_NMI && !(vcpu->l2_runs && svm->nested->nmi_of_l1))
		svm_nmi_delivered(svm);
}
