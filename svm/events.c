/* SPDX-License-Identifier: MIT */
/* Events under SVM: injection, recovery, windows. AMD APM vol. 2, "Event Injection", "Virtual Interrupts". */
#include "arch/cpu/x86.h"
#include "svm/svm.h"

/*
 * An event comes before the instruction that was to run next: the one that is stepped, or the IRET of an NMI handler.
 * Then an interrupt's handler is the next that ends by an IRET.
 */
static void before_one_instruction(struct vcpu *vcpu, const struct event *event)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (svm->stepping)
		svm_end_step(vcpu);
	if (svm->iret_pending && event->type == EVENT_INTERRUPT) {
		svm_set_iret_pending(svm, false);
		svm->vmcb->control.intercept_misc1 |= INTERCEPT_IRET;
		svm_dirty(svm, CLEAN_INTERCEPTS);
	}
}

void svm_nmi_delivered(struct vcpu_svm *svm)
{
	svm->nmi_masked = true;
	svm->vmcb->control.intercept_misc1 |= INTERCEPT_IRET;
	svm_dirty(svm, CLEAN_INTERCEPTS);
}

static u64 injection(const struct event *event)
{
	static const u8 types[] = {
		[EVENT_INTERRUPT] = VMCB_EVENT_INTR,
		[EVENT_NMI] = VMCB_EVENT_NMI,
		[EVENT_EXCEPTION] = VMCB_EVENT_EXCEPTION,
		[EVENT_SOFT_INTERRUPT] = VMCB_EVENT_SOFT,
		[EVENT_SOFT_EXCEPTION] = VMCB_EVENT_EXCEPTION,
		[EVENT_PRIVILEGED_EXCEPTION] = VMCB_EVENT_EXCEPTION,
	};
	u64 value = EVENT_VALID | EVENT_TYPE_BITS(types[event->type]) | event->vector;

	return event->has_error_code ? value | EVENT_HAS_CODE | (u64)event->error_code << 32 : value;
}

/* Out of line: it calls others. */
static __noinline void inject_around_nmi(struct vcpu *vcpu, const struct event *event)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (svm->stepping || svm->iret_pending)
		before_one_instruction(vcpu, event);
	svm->vmcb->control.event_injection = injection(event);
	if (event->type == EVENT_NMI)
		svm_nmi_delivered(svm);
}

void svm_inject(struct vcpu *vcpu, const struct event *event)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (unlikely(svm->stepping || svm->iret_pending || event->type == EVENT_NMI))
		inject_around_nmi(vcpu, event);
	else
		svm->vmcb->control.event_injection = injection(event);
}

/*
 * EXITINTINFO: the event whose delivery the exit interrupted. INT n, INT3 and INTO are not injected
 * again: RIP still points at the instruction, which runs again. On a shutdown the field means nothing.
 */
static struct event interrupted_event(const struct vmcb_control *control)
{
	u64 info = control->exit_int_info;
	struct event event = { .type = EVENT_NONE, .vector = EVENT_VECTOR(info) };

	if (control->exit_code == VMEXIT_SHUTDOWN)
		return event;
	switch (EVENT_TYPE(info)) {
	case VMCB_EVENT_INTR:
		event.type = EVENT_INTERRUPT;
		break;
	case VMCB_EVENT_NMI:
		event.type = EVENT_NMI;
		break;
	case VMCB_EVENT_EXCEPTION:
		if (event.vector == X86_BP || event.vector == X86_OF || event.vector >= 32)
			break;
		event.type = EVENT_EXCEPTION;
		event.has_error_code = info & EVENT_HAS_CODE;
		event.error_code = EVENT_ERROR_CODE(info);
		break;
	default:
		break;
	}
	return event;
}

void svm_delivery_cut_off(struct vcpu *vcpu)
{
	vcpu->events.reinject = interrupted_event(&to_svm(vcpu)->vmcb->control);
	vcpu_request(vcpu, REQ_EVENT);
}

void svm_iret_done(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	svm_set_iret_pending(svm, false);
	svm->nmi_masked = false;
	vcpu_request(vcpu, REQ_EVENT);
}

bool svm_interrupt_blocked(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	/* vcpu_rflags() without the call: this is on the way of each interrupt. */
	u64 rflags = vcpu->regs_available & BIT(REG_RFLAGS) ? vcpu->regs[REG_RFLAGS] : vmcb->save.rflags;

	return !(rflags & RFLAGS_IF) || (vmcb->control.int_state & INT_SHADOW);
}

bool svm_nmi_blocked(struct vcpu *vcpu)
{
	return to_svm(vcpu)->nmi_masked || (to_svm(vcpu)->vmcb->control.int_state & INT_SHADOW);
}

/*
 * A virtual interrupt is requested and intercepted: VMEXIT_VINTR comes as soon as the guest can take an
 * interrupt. The virtual interrupt itself is never delivered.
 */
void svm_interrupt_window(struct vcpu *vcpu, bool on)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;

	if (on) {
		control->int_control |= V_IRQ | V_INTR_PRIO(15) | V_IGN_TPR;
		control->intercept_misc1 |= INTERCEPT_VINTR;
	} else {
		control->int_control &= ~(V_IRQ | V_INTR_PRIO(15) | V_IGN_TPR);
		control->intercept_misc1 &= ~(u32)INTERCEPT_VINTR;
	}
	svm_dirty(svm, CLEAN_INTERRUPT | CLEAN_INTERCEPTS);
}

void svm_handle_vintr(struct vcpu *vcpu)
{
	vcpu->events.irq_window = false;
	svm_interrupt_window(vcpu, false);
	vcpu_request(vcpu, REQ_EVENT);
}

void svm_handle_iret(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	svm->vmcb->control.intercept_misc1 &= ~(u32)INTERCEPT_IRET;
	svm_dirty(svm, CLEAN_INTERCEPTS);
	svm_set_iret_pending(svm, true);
	svm->iret_rip = vcpu->exit_rip;

	/* An NMI may wait for this IRET: event_inject() asks for a window again, which single-steps it. */
	vcpu->events.nmi_window = false;
	vcpu_request(vcpu, REQ_EVENT);
}
