/* SPDX-License-Identifier: MIT */
/* The choice of the event to inject at the next entry. */
#include "core/event.h"

#include "arch/cpu/x86.h"
#include "core/irqchip.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"

bool exception_has_error_code(u8 vector)
{
	const u32 with_code = BIT(X86_DF) | BIT(X86_TS) | BIT(X86_NP) | BIT(X86_SS) | BIT(X86_GP) |
			      BIT(X86_PF) | BIT(X86_AC) | BIT(X86_CP);

	return vector < 32 && (with_code & BIT(vector));
}

/* SDM, "Interrupt 8: Double Fault Exception": the classes whose pairs make a double fault. */
enum exception_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT };

static enum exception_class exception_class(u8 vector)
{
	switch (vector) {
	case X86_PF:
	case X86_VE:
		return CLASS_PAGE_FAULT;
	case X86_DE:
	case X86_TS:
	case X86_NP:
	case X86_SS:
	case X86_GP:
	case X86_CP:
		return CLASS_CONTRIBUTORY;
	default:
		return CLASS_BENIGN;
	}
}

static bool makes_double_fault(u8 first, u8 second)
{
	enum exception_class a = exception_class(first), b = exception_class(second);

	return (a == CLASS_CONTRIBUTORY && b == CLASS_CONTRIBUTORY) ||
	       (a == CLASS_PAGE_FAULT && b != CLASS_BENIGN);
}

/* In real mode the processor pushes no error codes. */
static bool pushes_error_code(struct vcpu *vcpu, u8 vector)
{
	return exception_has_error_code(vector) && (vcpu->ops->control_get(vcpu, CTL_CR0) & CR0_PE);
}

static void raise(struct vcpu *vcpu, u8 vector, bool has_code, u32 error_code, u64 payload)
{
	struct vcpu_events *events = &vcpu->events;
	const struct event *first = NULL;

	if (events->exception.type == EVENT_EXCEPTION)
		first = &events->exception;
	else if (events->reinject.type == EVENT_EXCEPTION)
		first = &events->reinject;
	if (first && vcpu->l2_runs && vcpu->ops->nested_takes_exception(vcpu, vector, error_code))
		first = NULL;

	if (first && first->vector == X86_DF && vcpu->l2_runs) {
		vcpu->ops->nested_triple_fault(vcpu);
		return;
	}
	if (first && first->vector == X86_DF) {
		vcpu->ops->dump(vcpu);
		vm_end(vcpu->vm, VM_END_TRIPLE_FAULT, "triple fault: exception %u while delivering #DF", vector);
		return;
	}
	if (first && makes_double_fault(first->vector, vector)) {
		vector = X86_DF;
		has_code = pushes_error_code(vcpu, X86_DF);
		error_code = 0;
		payload = 0;
	}
	/*
	 * The exception replaces the event whose delivery raised it. A replaced exception is raised again
	 * when its instruction restarts; an interrupt, already acknowledged, is lost, as on the processor.
	 */
	events->reinject.type = EVENT_NONE;
	events->exception = (struct event){
		.type = EVENT_EXCEPTION,
		.vector = vector,
		.has_error_code = has_code,
		.error_code = error_code,
	};
	events->payload = payload;
	vcpu_request(vcpu, REQ_EVENT);
}

void event_raise(struct vcpu *vcpu, u8 vector)
{
	raise(vcpu, vector, false, 0, 0);
}

void event_raise_error(struct vcpu *vcpu, u8 vector, u32 error_code)
{
	raise(vcpu, vector, pushes_error_code(vcpu, vector), error_code, 0);
}

void event_raise_page_fault(struct vcpu *vcpu, gva_t address, u32 error_code)
{
	raise(vcpu, X86_PF, true, error_code, address);
}

void event_raise_debug(struct vcpu *vcpu, u64 dr6_bits)
{
	raise(vcpu, X86_DB, false, 0, dr6_bits);
}

void event_queue_nmi(struct vcpu *vcpu)
{
	/*
	 * SDM, "Handling Multiple NMIs": one in service, one latched; further ones are lost. While one is
	 * in service, event_inject() limits the pending ones to one.
	 */
	if (vcpu->events.nmi_pending < 2)
		vcpu->events.nmi_pending++;
	vcpu_request(vcpu, REQ_EVENT);
	/* It does not wake a processor that has halted in its NMI handler. While L2 is halted, L1's timer may. */
	if (vcpu->activity == VCPU_HALTED && !vcpu->halt_nmi && !vcpu->halt_if && !vcpu->l2_runs)
		halt_for_good(vcpu);
}

static void inject(struct vcpu *vcpu, const struct event *event)
{
	vcpu->events.injected = *event;
	vcpu->ops->inject(vcpu, event);
}

/*
 * SDM, "Debug Status Register (DR6)": which breakpoints were hit is reported anew each time, what else is set stays set
 * until the guest clears it. No bits: the processor has written DR6 already.
 */
static void set_dr6(struct vcpu *vcpu, u64 bits)
{
	u64 dr6 = vcpu->ops->control_get(vcpu, CTL_DR6);

	if (bits)
		dr6 &= ~DR6_BREAKPOINTS;
	vcpu->ops->control_set(vcpu, CTL_DR6, dr6 | bits);
}

/*
 * SDM, "Resume Flag": a fault pushes RFLAGS with RF set, so that an instruction breakpoint does not hit again when the
 * instruction is repeated. A #DB's cause is not known here; #BP and #OF are traps, #DF and #MC aborts.
 */
static bool is_fault(u8 vector)
{
	const u32 others = BIT(X86_DB) | BIT(X86_NMI) | BIT(X86_BP) | BIT(X86_OF) | BIT(X86_DF) | BIT(X86_MC);

	return vector < 32 && !(others & BIT(vector));
}

/* CR2, DR6 and DR7 change when the exception is taken, not when it is raised. */
static void apply_payload(struct vcpu *vcpu)
{
	const struct vcpu_ops *ops = vcpu->ops;

	if (vcpu->events.exception.vector == X86_PF) {
		ops->control_set(vcpu, CTL_CR2, vcpu->events.payload);
	} else if (vcpu->events.exception.vector == X86_DB) {
		set_dr6(vcpu, vcpu->events.payload);
		/* SDM, "Debug Control Register (DR7)": clear GD, or the handler's own accesses would raise #DB again. */
		ops->control_set(vcpu, CTL_DR7, ops->control_get(vcpu, CTL_DR7) & ~DR7_GD);
	}
}

static void set_irq_window(struct vcpu *vcpu, bool on)
{
	if (vcpu->events.irq_window == on)
		return;
	vcpu->events.irq_window = on;
	vcpu->ops->interrupt_window(vcpu, on);
}

static void set_nmi_window(struct vcpu *vcpu, bool on)
{
	if (vcpu->events.nmi_window == on)
		return;
	vcpu->events.nmi_window = on;
	vcpu->ops->nmi_window(vcpu, on);
}

static __noinline void watch_tpr(struct vcpu *vcpu)
{
	if (vcpu->vm->apic_hardware == APIC_TPR && !vcpu->l2_runs)
		vcpu->ops->apic_entry(vcpu);
}

/* What TPR holds back is of its class or below, and no vector has class 0. */
static inline void follow_tpr(struct vcpu *vcpu)
{
	if (unlikely(*vcpu_tpr(vcpu) >> 4 || vcpu->tpr_watched))
		watch_tpr(vcpu);
}

static __noinline void await_interrupt(struct vcpu *vcpu)
{
	set_irq_window(vcpu, vcpu->vm->irqchip->pending(vcpu->vlapic) >= 0);
}

/* No other event is injected at this entry. */
static __always_inline void inject_interrupt(struct vcpu *vcpu)
{
	bool more;
	int vector;

	if (unlikely(vcpu->ops->interrupt_blocked(vcpu))) {
		await_interrupt(vcpu);
		return;
	}
	/* Most likely one is pending, since the request was made for something. */
	vector = vcpu->vm->irqchip->acknowledge(vcpu->vlapic, &more);
	if (likely(vector >= 0)) {
		vcpu->events.injected = (struct event){ .type = EVENT_INTERRUPT, .vector = (u8)vector };
		vcpu->ops->inject(vcpu, &vcpu->events.injected);
	}
	/*
	 * The acknowledge may have set the request again for what the last line looks at. Clear it before, not
	 * after. If there is nothing to look at, a request is for what has come since: leave it.
	 */
	if (unlikely(more)) {
		__atomic_and_fetch(&vcpu->requests, ~(u32)REQ_EVENT, __ATOMIC_SEQ_CST);
		await_interrupt(vcpu);
	} else {
		set_irq_window(vcpu, false);
	}
}

static __noinline bool choose_among_all(struct vcpu *vcpu)
{
	struct vcpu_events *events = &vcpu->events;
	bool slot_free = true, waiting = false;

	/* Before NMIs and interrupts: a raised exception, or else a delivery that was cut off. Only one is pending. */
	if (events->exception.type != EVENT_NONE) {
		apply_payload(vcpu);
		if (is_fault(events->exception.vector))
			vcpu_reg_write(vcpu, REG_RFLAGS, vcpu_rflags(vcpu) | RFLAGS_RF);
		inject(vcpu, &events->exception);
		events->exception.type = EVENT_NONE;
		slot_free = false;
	} else if (events->reinject.type != EVENT_NONE) {
		inject(vcpu, &events->reinject);
		events->reinject.type = EVENT_NONE;
		slot_free = false;
	}

	if (events->nmi_pending) {
		if (vcpu->ops->nmi_blocked(vcpu)) {
			events->nmi_pending = 1;
			set_nmi_window(vcpu, true);
		} else if (slot_free) {
			const struct event nmi = { .type = EVENT_NMI, .vector = X86_NMI };

			events->nmi_pending--;
			inject(vcpu, &nmi);
			slot_free = false;
			if (events->nmi_pending)
				set_nmi_window(vcpu, true);
		} else {
			waiting = true;
		}
	} else {
		set_nmi_window(vcpu, false);
	}

	if (slot_free)
		inject_interrupt(vcpu);
	else if (vcpu->vm->irqchip->pending(vcpu->vlapic) < 0)
		set_irq_window(vcpu, false);
	else if (vcpu->ops->interrupt_blocked(vcpu))
		set_irq_window(vcpu, true);
	else
		waiting = true;
	follow_tpr(vcpu);
	/* The vendor could not open a window: it is to be asked again after the delivery. */
	return waiting || unlikely(events->nmi_pending && !events->nmi_window);
}

bool event_inject(struct vcpu *vcpu)
{
	if (unlikely(!events_are_interrupts(&vcpu->events)))
		return choose_among_all(vcpu);
	inject_interrupt(vcpu);
	follow_tpr(vcpu);
	return false;
}

/* With APIC_BY_HARDWARE: mostly the processor delivers what is pending. */
static bool inject_by_hardware(struct vcpu *vcpu)
{
	const struct vcpu_events *events = &vcpu->events;
	bool waiting = false;

	if (unlikely(!events_are_interrupts(events) || events->irq_window || vcpu->vm->irqchip->pending(vcpu->vlapic) >= 0))
		waiting = event_inject(vcpu);
	vcpu->ops->apic_entry(vcpu);
	return waiting;
}

bool (*event_chooser(const struct vm *vm))(struct vcpu *vcpu)
{
	return vm->apic_hardware == APIC_BY_HARDWARE ? inject_by_hardware : event_inject;
}

static bool is_woken(struct vcpu *vcpu)
{
	const struct vcpu_events *events = &vcpu->events;

	if (events->exception.type != EVENT_NONE || events->reinject.type != EVENT_NONE)
		return true;
	if (events->nmi_pending && vcpu->halt_nmi)
		return true;
	return vcpu->halt_if && vcpu->vm->irqchip->wakes(vcpu->vlapic) >= 0;
}

bool event_wakes(struct vcpu *vcpu)
{
	bool unhalted = READ_ONCE(vcpu->unhalted);

	if (!unhalted && !is_woken(vcpu))
		return false;
	if (unhalted)
		__atomic_store_n(&vcpu->unhalted, false, __ATOMIC_SEQ_CST);
	vcpu->activity = VCPU_RUNNING;
	vcpu_request(vcpu, REQ_EVENT);
	if (vcpu->halted_for_good)
		halt_is_over(vcpu);
	return true;
}
