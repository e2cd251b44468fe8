/* SPDX-License-Identifier: MIT */
/*
 * Events while L2 runs: which of them are exits to L1, and when. Intel SDM, "Other Causes of VM Exits",
 * "Priority Among Concurrent Events", "VMX-Preemption Timer", "Virtual NMIs".
 */
#include "arch/cpu/x86.h"
#include "core/irqchip.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "vmx/nested/nested.h"

static struct vmcs12 *vmcs12_of(struct vcpu *vcpu)
{
	return to_nested(vcpu)->vmcs12;
}

static u32 pin(struct vcpu *vcpu)
{
	return vmcs12_read32(vmcs12_of(vcpu), PIN_BASED_CONTROLS);
}

/* --- L1's preemption timer --- */

static void timer_fires(struct vtimer *timer)
{
	struct nested_l2 *l2 = container_of(timer, struct nested_l2, timer);
	struct vcpu *vcpu = timer->list->vcpu;

	l2->timer_expired = true;
	vcpu_request(vcpu, REQ_EVENT);
	if (vcpu->activity == VCPU_HALTED)
		vcpu_unhalt(vcpu);
}

void nested_events_create(struct vcpu *vcpu)
{
	vtimer_init(&to_nested(vcpu)->l2.timer, vcpu, timer_fires);
}

/* A value of 0 exits before L2's first instruction, but after the event that L1 injects. */
void nested_start_timer(struct vcpu *vcpu)
{
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;
	u64 ticks = (u64)vmcs12_read32(vmcs12_of(vcpu), PREEMPTION_TIMER_VALUE) << NESTED_TIMER_SHIFT;

	l2->timer_expired = false;
	if (!(pin(vcpu) & PIN_PREEMPTION_TIMER))
		return;
	l2->timer_expired = !ticks;
	if (ticks)
		vtimer_arm(&l2->timer, vtimer_now() + ticks);
}

void nested_stop_timer(struct vcpu *vcpu)
{
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;
	u64 now = vtimer_now(), left = 0;

	if (!(pin(vcpu) & PIN_PREEMPTION_TIMER))
		return;
	if (!l2->timer_expired && l2->timer.armed && l2->timer.deadline > now)
		left = (l2->timer.deadline - now) >> NESTED_TIMER_SHIFT;
	vtimer_cancel(&l2->timer);
	l2->timer_expired = false;
	if (vmcs12_read32(vmcs12_of(vcpu), EXIT_CONTROLS) & EXIT_SAVE_PREEMPTION_TIMER)
		vmcs12_write32(vmcs12_of(vcpu), PREEMPTION_TIMER_VALUE, (u32)left);
}

/* --- the exits --- */

/*
 * An exception that L0 raises in L2. The delivery that it interrupted, if any, is the one that the last exit has cut
 * off.
 */
static void exit_for_exception(struct vcpu *vcpu)
{
	const struct event *event = &vcpu->events.exception;
	const bool has_payload = event->vector == X86_PF || event->vector == X86_DB;
	/* Delivering a double fault interrupts nothing: "Information for VM Exits During Event Delivery". */
	const u32 vectoring = event->vector == X86_DF ? 0 : to_vmx(vcpu)->vectoring_info;
	const struct nested_exit exit = {
		.reason.full = EXIT_REASON_EXCEPTION_OR_NMI,
		.qualification = has_payload ? vcpu->events.payload : 0,
		.interruption_info = INTERRUPTION_VALID | INTERRUPTION_EXCEPTION << 8 | event->vector |
				     (event->has_error_code ? INTERRUPTION_ERROR_CODE : 0),
		.interruption_error = event->error_code,
		.vectoring_info = vectoring,
		.vectoring_error = vectoring & INTERRUPTION_ERROR_CODE ? vmcs_read32(IDT_VECTORING_ERROR) : 0,
		.instruction_length = vectoring ? vmcs_read32(EXIT_INSTRUCTION_LENGTH) : 0,
	};

	/* SDM, "Saving Non-Register State": what the processor has kept behind MOV SS is in the qualification. */
	if (event->vector == X86_DB)
		vmcs_writen(GUEST_PENDING_DEBUG, 0);
	nested_vmx_exit(vcpu, &exit);
}

static void exit_for_nmi(struct vcpu *vcpu)
{
	const struct nested_exit exit = {
		.reason.full = EXIT_REASON_EXCEPTION_OR_NMI,
		.interruption_info = INTERRUPTION_VALID | INTERRUPTION_NMI << 8 | X86_NMI,
	};

	vcpu->events.nmi_pending--;
	nested_vmx_exit(vcpu, &exit);
}

/* SDM, "VM-Exit Controls", "acknowledge interrupt on exit": without it the interrupt stays pending for L1. */
static void exit_for_interrupt(struct vcpu *vcpu)
{
	struct nested_exit exit = { .reason.full = EXIT_REASON_EXTERNAL_INTERRUPT };

	if (vmcs12_read32(vmcs12_of(vcpu), EXIT_CONTROLS) & EXIT_ACKNOWLEDGE) {
		bool more;
		int vector = vcpu->vm->irqchip->acknowledge(vcpu->vlapic, &more);

		if (vector < 0)
			return;
		exit.interruption_info = INTERRUPTION_VALID | INTERRUPTION_EXTERNAL << 8 | (u32)vector;
	}
	nested_vmx_exit(vcpu, &exit);
}

bool nested_takes_exception(struct vcpu *vcpu, u8 vector, u32 error_code)
{
	return nested_l1_gets_exception(vmcs12_of(vcpu), vector, error_code);
}

void nested_triple_fault(struct vcpu *vcpu)
{
	nested_exit_for(vcpu, EXIT_REASON_TRIPLE_FAULT, 0);
}

/* An event that is injected is delivered first: then the request is served again, after a forced exit. */
enum nested_init nested_l2_init(struct vcpu *vcpu)
{
	if (to_nested(vcpu)->l2.entry_pending || vcpu->events.reinject.type != EVENT_NONE) {
		vcpu_request(vcpu, REQ_STARTUP);
		return NESTED_INIT_WAITS;
	}
	nested_exit_for(vcpu, EXIT_REASON_INIT, 0);
	return NESTED_INIT_EXITS;
}

/* The debug exceptions of the instruction are pending then. Behind the delivery of a fault the processor itself traps. */
void nested_monitor_trap(struct vcpu *vcpu)
{
	const struct vcpu_events *events = &vcpu->events;
	u64 pending = events->payload & (DR6_BS | DR6_BREAKPOINTS);

	if (events->exception.type != EVENT_NONE && events->exception.vector != X86_DB)
		return;
	if (events->exception.type != EVENT_NONE)
		vmcs_writen(GUEST_PENDING_DEBUG, pending | (pending & DR6_BREAKPOINTS ? PENDING_DEBUG_ENABLED : 0));
	nested_exit_for(vcpu, EXIT_REASON_MONITOR_TRAP, 0);
}

/* --- their order --- */

static bool interrupt_is_pending(struct vcpu *vcpu)
{
	return vcpu->vm->irqchip->pending(vcpu->vlapic) >= 0;
}

/*
 * NMIs exit whether L2's are blocked or not, if those are virtual. Without virtual NMIs there is one state of blocking.
 */
static bool nmi_exits(struct vcpu *vcpu)
{
	return (pin(vcpu) & PIN_NMI) && ((pin(vcpu) & PIN_VIRTUAL_NMI) || !vmx_nmi_blocked(vcpu));
}

/* vcpu_ops.nested_events */
bool nested_vmx_events(struct vcpu *vcpu)
{
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;
	struct vcpu_events *events = &vcpu->events;

	/* What L1 injects is delivered first; REQ_EVENT has it looked at again after a forced exit. */
	if (l2->entry_pending)
		return events->exception.type != EVENT_NONE || events->nmi_pending || l2->timer_expired ||
		       interrupt_is_pending(vcpu);
	if (events->exception.type != EVENT_NONE &&
	    nested_l1_gets_exception(vmcs12_of(vcpu), events->exception.vector, events->exception.error_code)) {
		exit_for_exception(vcpu);
		return false;
	}
	if (events->exception.type != EVENT_NONE || events->reinject.type != EVENT_NONE) {
		if (l2->timer_expired)
			vcpu_request(vcpu, REQ_EVENT);
		return false;
	}
	if (l2->timer_expired)
		nested_exit_for(vcpu, EXIT_REASON_PREEMPTION_TIMER, 0);
	else if (events->nmi_pending && nmi_exits(vcpu))
		exit_for_nmi(vcpu);
	else if ((pin(vcpu) & PIN_EXTERNAL_INTERRUPT) && interrupt_is_pending(vcpu))
		exit_for_interrupt(vcpu);
	return false;
}

/*
 * --- what event_inject() asks ---
 * Events that exit are never injected into L2: they wait for nested_vmx_events(). None takes the place of L1's event.
 */

bool nested_interrupt_blocked(struct vcpu *vcpu)
{
	return (pin(vcpu) & PIN_EXTERNAL_INTERRUPT) || to_nested(vcpu)->l2.entry_pending || vmx_interrupt_blocked(vcpu);
}

bool nested_nmi_blocked(struct vcpu *vcpu)
{
	return (pin(vcpu) & PIN_NMI) || to_nested(vcpu)->l2.entry_pending || vmx_nmi_blocked(vcpu);
}

/* The windows that L1 has asked for are L1's: they stay open. */
static void update_windows(struct vcpu *vcpu)
{
	const u32 windows = PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW;
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	bool nmi_by_interrupt_window = vmx->vmcs.want_nmi_window &&
				       (vmcs_read32(GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_STI);
	u32 primary = vmx->vmcs.primary & ~windows;

	primary |= vmcs12_read32(vmcs12_of(vcpu), PRIMARY_CONTROLS) & windows;
	if (vmx->vmcs.want_irq_window || nmi_by_interrupt_window)
		primary |= PRIMARY_INTERRUPT_WINDOW;
	if (vmx->vmcs.want_nmi_window && !nmi_by_interrupt_window)
		primary |= PRIMARY_NMI_WINDOW;
	if (primary == vmx->vmcs.primary)
		return;
	vmx->vmcs.primary = primary;
	vmcs_write32(PRIMARY_CONTROLS, primary);
}

/* Interrupts that exit need no window: nested_vmx_events() is to look again, after a forced exit. */
void nested_interrupt_window(struct vcpu *vcpu, bool on)
{
	if (on && (pin(vcpu) & PIN_EXTERNAL_INTERRUPT)) {
		vcpu->events.irq_window = false;
		vcpu_request(vcpu, REQ_EVENT);
		return;
	}
	to_vmx(vcpu)->vmcs.want_irq_window = on;
	update_windows(vcpu);
}

void nested_nmi_window(struct vcpu *vcpu, bool on)
{
	if (on && nmi_exits(vcpu)) {
		vcpu->events.nmi_window = false;
		vcpu_request(vcpu, REQ_EVENT);
		return;
	}
	to_vmx(vcpu)->vmcs.want_nmi_window = on;
	update_windows(vcpu);
}

/* --- HLT --- */

/* SDM, "Activity State". L1's interrupts and NMIs wake the processor whatever L2's RFLAGS.IF. */
void nested_halt(struct vcpu *vcpu)
{
	to_nested(vcpu)->l2.halted = true;
	vcpu->halt_if = (pin(vcpu) & PIN_EXTERNAL_INTERRUPT) || (vcpu_rflags(vcpu) & RFLAGS_IF);
	vcpu->halt_nmi = nmi_exits(vcpu) || !vmx_nmi_blocked(vcpu);
	vcpu->activity = VCPU_HALTED;
	if (to_nested(vcpu)->l2.timer_expired)
		vcpu_unhalt(vcpu);
	if (!vcpu->halt_if && !to_nested(vcpu)->l2.timer.armed && !event_wakes(vcpu))
		halt_for_good(vcpu);
}
