/* SPDX-License-Identifier: MIT */
/*
 * Events while L2 runs: which of them end it, and what L1 injects. AMD APM vol. 2, "Event Injection", "Virtual
 * Interrupts", "Masking and Unmasking of Interrupts", "Global Interrupt Flag, STGI and CLGI Instructions".
 */
#include "arch/cpu/x86.h"
#include "core/exit.h"
#include "core/irqchip.h"
#include "core/startup.h"
#include "svm/nested/nested.h"

static bool masks_interrupts(const struct svm_nested *nested)
{
	return nested->vmcb12.control.int_control & V_INTR_MASKING;
}

/* --- L1 while GIF is 0: nothing comes through, and STGI has it looked at again --- */

static bool blocked(struct vcpu *vcpu __maybe_unused)
{
	return true;
}

static void no_window(struct vcpu *vcpu __maybe_unused, bool on __maybe_unused)
{
}

/* A HLT of L1's has no end then. With IF clear exit_hlt() has found that out. */
static void look_at_halt(struct vcpu *vcpu)
{
	if (vcpu->activity != VCPU_HALTED || vcpu->halted_for_good || to_svm(vcpu)->nested->gif)
		return;
	vcpu->halt_if = vcpu->halt_nmi = false;
	halt_for_good(vcpu);
}

static enum exit_fastpath run_without_gif(struct vcpu *vcpu, bool force_immediate_exit)
{
	enum exit_fastpath fastpath = vcpu->vm->ops->vcpu_run(vcpu, force_immediate_exit);

	look_at_halt(vcpu);
	return fastpath;
}

static void handle_exit_without_gif(struct vcpu *vcpu)
{
	vcpu->vm->ops->handle_exit(vcpu);
	look_at_halt(vcpu);
}

void nsvm_gif_clear_ops(struct vcpu_ops *ops)
{
	ops->interrupt_blocked = ops->nmi_blocked = blocked;
	ops->interrupt_window = ops->nmi_window = no_window;
	ops->vcpu_run = run_without_gif;
	ops->handle_exit = handle_exit_without_gif;
}

/* --- L2 --- */

/* An interrupt of L1's APIC. With V_INTR_MASKING L1's IF at VMRUN counts, and neither L2's nor its shadow. */
static bool is_masked(struct vcpu *vcpu)
{
	const struct svm_nested *nested = to_svm(vcpu)->nested;

	if (!nested->gif)
		return true;
	return masks_interrupts(nested) ? !nested->host_if : svm_interrupt_blocked(vcpu);
}

/*
 * For event_inject(): nothing goes to L2 that L1 intercepts, however late it comes: another CPU may post an interrupt
 * after nsvm_events() has looked. It sets the request again.
 */
bool nsvm_interrupt_blocked(struct vcpu *vcpu)
{
	return nsvm_intercepts(to_svm(vcpu)->nested, VMEXIT_INTR) || is_masked(vcpu);
}

bool nsvm_nmi_blocked(struct vcpu *vcpu)
{
	return !to_svm(vcpu)->nested->gif || svm_nmi_blocked(vcpu);
}

/* L1's own virtual interrupt waits in vmcb12 while L0 uses V_IRQ. */
static void lend_virq(struct vcpu_svm *svm)
{
	u64 *kept = &svm->nested->vmcb12.control.int_control;

	*kept = (*kept & ~V_IRQ) | (svm->vmcb->control.int_control & V_IRQ);
	svm->nested->virq_lent = true;
	svm_interrupt_window(&svm->vcpu, true);
}

static void give_virq_back(struct vcpu_svm *svm)
{
	svm_interrupt_window(&svm->vcpu, false);
	svm->vmcb->control.int_control |= svm->nested->vmcb12.control.int_control & VIRTUAL_INTERRUPT;
	svm->nested->virq_lent = false;
}

/* Where L2's IF does not count, no instruction of L2's opens a window. */
void nsvm_interrupt_window(struct vcpu *vcpu, bool on)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (svm->nested->virq_lent && !on)
		give_virq_back(svm);
	else if (on && svm->nested->gif && !masks_interrupts(svm->nested))
		lend_virq(svm);
}

void nsvm_nmi_window(struct vcpu *vcpu, bool on)
{
	if (to_svm(vcpu)->nested->gif)
		svm_nmi_window(vcpu, on);
}

void nsvm_handle_vintr(struct vcpu *vcpu)
{
	vcpu->events.irq_window = false;
	nsvm_interrupt_window(vcpu, false);
	vcpu_request(vcpu, REQ_EVENT);
}

static bool takes_virq(const struct vcpu_svm *svm, u64 rflags)
{
	u64 control = svm->vmcb->control.int_control;

	return (control & V_IRQ) && (rflags & RFLAGS_IF) &&
	       ((control & V_IGN_TPR) || (control >> 16 & 15) > (control >> 4 & 15));
}

/* As exit_hlt(), with other conditions for the end of it. */
void nsvm_handle_hlt(struct vcpu *vcpu)
{
	if (vcpu->ops->skip_instruction(vcpu) || takes_virq(to_svm(vcpu), vcpu_rflags(vcpu)))
		return;
	vcpu->halt_if = !is_masked(vcpu);
	vcpu->halt_nmi = !nsvm_nmi_blocked(vcpu);
	vcpu->activity = VCPU_HALTED;
	if (!vcpu->halt_if && !event_wakes(vcpu))
		halt_for_good(vcpu);
}

/*
 * L1 injects what the checks have let pass. It is delivered before anything else happens to L2, as an event is whose
 * delivery an exit has interrupted.
 */
void nsvm_take_injection(struct vcpu *vcpu, u64 event)
{
	static const u8 types[] = {
		[VMCB_EVENT_INTR] = EVENT_INTERRUPT,
		[VMCB_EVENT_NMI] = EVENT_NMI,
		[VMCB_EVENT_EXCEPTION] = EVENT_EXCEPTION,
		[VMCB_EVENT_SOFT] = EVENT_SOFT_INTERRUPT,
	};

	to_svm(vcpu)->nested->nmi_of_l1 = (event & EVENT_VALID) && EVENT_TYPE(event) == VMCB_EVENT_NMI;
	if (!(event & EVENT_VALID) || EVENT_TYPE(event) >= ARRAY_SIZE(types))
		return;
	vcpu->events.reinject = (struct event){
		.type = types[EVENT_TYPE(event)],
		.vector = EVENT_TYPE(event) == VMCB_EVENT_NMI ? X86_NMI : EVENT_VECTOR(event),
		.has_error_code = EVENT_TYPE(event) == VMCB_EVENT_EXCEPTION && (event & EVENT_HAS_CODE),
		.error_code = EVENT_ERROR_CODE(event),
	};
}

/* An NMI that L1 injects does not block those of L1's own processor. L1 itself keeps those of L2 apart. */
void nsvm_inject(struct vcpu *vcpu, const struct event *event)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	bool masked = svm->nmi_masked;

	svm_inject(vcpu, event);
	if (event->type != EVENT_NMI || !svm->nested->nmi_of_l1 || masked)
		return;
	svm->nmi_masked = false;
	svm->vmcb->control.intercept_misc1 &= ~(u32)INTERCEPT_IRET;
}

/* INT n, INT3, INTO: Lamina itself never injects them. */
static bool is_software_event(u64 event)
{
	u8 vector = EVENT_VECTOR(event);

	if (!(event & EVENT_VALID))
		return false;
	return EVENT_TYPE(event) == VMCB_EVENT_SOFT ||
	       (EVENT_TYPE(event) == VMCB_EVENT_EXCEPTION && (vector == X86_BP || vector == X86_OF));
}

/*
 * What L2's own INT n raises comes again, because RIP points at it: svm/events.c. What L1 injects does not: RIP may
 * be anywhere. The delivery pushes the next RIP of L1's VMCB, which the exit has overwritten.
 */
void nsvm_keep_injection(struct vcpu *vcpu, u64 event)
{
	struct svm_nested *nested = to_svm(vcpu)->nested;
	struct vmcb_control *control = &to_svm(vcpu)->vmcb->control;

	if (likely(!is_software_event(event)) || control->exit_code == VMEXIT_SHUTDOWN ||
	    (u32)control->exit_int_info != (u32)event)
		return;
	nsvm_take_injection(vcpu, event);
	control->next_rip = nested->vmcb12.control.next_rip;
	vcpu_request(vcpu, REQ_EVENT);
}

/*
 * An exception that L0's emulation of an instruction raises for L2, or one that it has intercepted for itself. A
 * debug exception has written DR6 before it exits; a page fault has not written CR2.
 */
static void exit_for_exception(struct vcpu *vcpu)
{
	const struct event exception = vcpu->events.exception;
	u64 payload = vcpu->events.payload, dr6 = svm_control_get(vcpu, CTL_DR6);
	struct nsvm_exit exit = {
		.code = VMEXIT_EXCEPTION + exception.vector,
		.info1 = exception.error_code,
		.int_info = nsvm_interrupted_event(to_svm(vcpu)),
	};

	if (exception.vector == X86_PF)
		exit.info2 = payload;
	else if (exception.vector == X86_DB && payload)
		svm_control_set(vcpu, CTL_DR6, (dr6 & ~DR6_BREAKPOINTS) | payload);
	nsvm_exit(vcpu, &exit);
}

/* The second exception of a pair exits before the pair makes a #DF or a shutdown. "Exception Intercepts" */
bool nsvm_takes_exception(struct vcpu *vcpu, u8 vector, u32 error_code __maybe_unused)
{
	return nsvm_intercepts(to_svm(vcpu)->nested, VMEXIT_EXCEPTION + vector);
}

static bool nmi_is_due(struct vcpu *vcpu)
{
	return vcpu->events.nmi_pending && nsvm_intercepts(to_svm(vcpu)->nested, VMEXIT_NMI) && !nsvm_nmi_blocked(vcpu);
}

static bool interrupt_is_due(struct vcpu *vcpu)
{
	return nsvm_intercepts(to_svm(vcpu)->nested, VMEXIT_INTR) && !is_masked(vcpu) &&
	       vcpu->vm->irqchip->pending(vcpu->vlapic) >= 0;
}

/*
 * An exit for an NMI or an interrupt leaves it pending, for L1 with GIF set. What is being delivered comes first:
 * event_inject() does that, and has this looked at again.
 */
bool nsvm_events(struct vcpu *vcpu)
{
	const struct vcpu_events *events = &vcpu->events;

	if (events->exception.type != EVENT_NONE &&
	    nsvm_intercepts(to_svm(vcpu)->nested, VMEXIT_EXCEPTION + events->exception.vector)) {
		exit_for_exception(vcpu);
	} else if (events->exception.type != EVENT_NONE || events->reinject.type != EVENT_NONE) {
		/* L2 takes that first, and exits before it executes anything. */
		if (interrupt_is_due(vcpu))
			vcpu_request(vcpu, REQ_EVENT);
	} else if (nmi_is_due(vcpu)) {
		nsvm_exit_event(vcpu, VMEXIT_NMI);
	} else if (interrupt_is_due(vcpu)) {
		nsvm_exit_event(vcpu, VMEXIT_INTR);
	}
	return false;
}

/*
 * The exit leaves an INIT pending, for L1 with GIF set, as one for an interrupt does. What L1 injects, and an exception
 * of L2's, are delivered before: then the request is served again, after a forced exit. APM vol. 2, "INIT Support"
 */
enum nested_init nsvm_init(struct vcpu *vcpu)
{
	struct svm_nested *nested = to_svm(vcpu)->nested;

	if (nested->gif && vcpu->l2_runs && nsvm_intercepts(nested, VMEXIT_INIT)) {
		if (vcpu->events.reinject.type != EVENT_NONE || vcpu->events.exception.type != EVENT_NONE) {
			vcpu_request(vcpu, REQ_STARTUP);
			return NESTED_INIT_WAITS;
		}
		vcpu->activity = VCPU_RUNNING;	/* L2 may have halted */
		nsvm_exit_event(vcpu, VMEXIT_INIT);
	}
	nested->init_waits = !nested->gif;
	return nested->gif ? NESTED_INIT_RESETS : NESTED_INIT_WAITS;
}

/* A #DF that L2 could not take. */
void nsvm_triple_fault(struct vcpu *vcpu)
{
	if (nsvm_intercepts(to_svm(vcpu)->nested, VMEXIT_SHUTDOWN))
		nsvm_exit_event(vcpu, VMEXIT_SHUTDOWN);
	else
		exit_triple_fault(vcpu);
}
