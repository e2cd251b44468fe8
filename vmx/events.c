/* SPDX-License-Identifier: MIT */
/*
 * Events under VMX: windows, injection, and re-injection after an interrupted delivery. Intel SDM,
 * "Event Injection", "Information for VM Exits During Event Delivery", "Virtual NMIs".
 */
#include "arch/cpu/x86.h"
#include "vmx/vmx.h"

/* --- the windows: exits as soon as an event could be injected --- */

/*
 * NMI-window exiting needs virtual NMIs, and some processors refuse to inject an NMI in STI's shadow.
 * Without virtual NMIs, and in STI's shadow, use an interrupt window instead: when it opens, interrupts
 * are on, so no NMI handler is running, and there is no shadow.
 */
static void update_windows(struct vcpu_vmx *vmx)
{
	bool nmi_by_irq_window = vmx->vmcs.want_nmi_window &&
				 (!vmx_has_virtual_nmis() ||
				  (vmcs_read32(GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_STI));
	u32 primary = vmx->vmcs.primary & ~(u32)(PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW);

	if (vmx->vmcs.want_irq_window || nmi_by_irq_window)
		primary |= PRIMARY_INTERRUPT_WINDOW;
	if (vmx->vmcs.want_nmi_window && !nmi_by_irq_window)
		primary |= PRIMARY_NMI_WINDOW;
	if (primary == vmx->vmcs.primary)
		return;
	vmx->vmcs.primary = primary;
	vmcs_write32(PRIMARY_CONTROLS, primary);
}

void vmx_interrupt_window(struct vcpu *vcpu, bool on)
{
	to_vmx(vcpu)->vmcs.want_irq_window = on;
	update_windows(to_vmx(vcpu));
}

void vmx_nmi_window(struct vcpu *vcpu, bool on)
{
	to_vmx(vcpu)->vmcs.want_nmi_window = on;
	update_windows(to_vmx(vcpu));
}

/* --- injection --- */

static enum interruption_type interruption_type(const struct event *event)
{
	static const u8 types[] = {
		[EVENT_INTERRUPT] = INTERRUPTION_EXTERNAL,
		[EVENT_NMI] = INTERRUPTION_NMI,
		[EVENT_EXCEPTION] = INTERRUPTION_EXCEPTION,
		[EVENT_SOFT_INTERRUPT] = INTERRUPTION_SOFT_INTERRUPT,
		[EVENT_SOFT_EXCEPTION] = INTERRUPTION_SOFT_EXCEPTION,
		[EVENT_PRIVILEGED_EXCEPTION] = INTERRUPTION_PRIVILEGED_EXCEPTION,
	};

	return types[event->type];
}

void vmx_inject(struct vcpu *vcpu, const struct event *event)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 info;

	/* The usual one, by a shorter way. */
	if (likely(event->type == EVENT_INTERRUPT)) {
		vmcs_write32(ENTRY_INTERRUPTION_INFO, INTERRUPTION_VALID | INTERRUPTION_EXTERNAL << 8 | event->vector);
		return;
	}
	info = INTERRUPTION_VALID | (u32)interruption_type(event) << 8 | event->vector;
	if (event->has_error_code) {
		info |= INTERRUPTION_ERROR_CODE;
		vmcs_write32(ENTRY_EXCEPTION_ERROR_CODE, event->error_code);
	}
	if (event->length)
		vmcs_write32(ENTRY_INSTRUCTION_LENGTH, event->length);
	vmcs_write32(ENTRY_INTERRUPTION_INFO, info);

	if (event->type == EVENT_NMI) {
		vmx->nmi_blocked = true;
		update_windows(vmx); /* a second NMI now waits for IRET, not for the end of a shadow */
	}
}

/* --- what may be injected --- */

bool vmx_interrupt_blocked(struct vcpu *vcpu)
{
	/* vcpu_rflags() without the call: this is on the way of each interrupt. */
	u64 rflags = vcpu->regs_available & BIT(REG_RFLAGS) ? vcpu->regs[REG_RFLAGS] : vmcs_readn(GUEST_RFLAGS);

	return !(rflags & RFLAGS_IF) ||
	       (vmcs_read32(GUEST_INTERRUPTIBILITY) &
		(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

bool vmx_nmi_blocked(struct vcpu *vcpu)
{
	u32 interruptibility = vmcs_read32(GUEST_INTERRUPTIBILITY);

	if (interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS))
		return true;
	return vmx_has_virtual_nmis() ? interruptibility & INTERRUPTIBILITY_NMI
				      : to_vmx(vcpu)->nmi_blocked;
}

static void set_nmi_blocking(bool blocked)
{
	u32 old = vmcs_read32(GUEST_INTERRUPTIBILITY);
	u32 new = blocked ? old | INTERRUPTIBILITY_NMI : old & ~(u32)INTERRUPTIBILITY_NMI;

	if (new != old)
		vmcs_write32(GUEST_INTERRUPTIBILITY, new);
}

void vmx_nmi_in_service(struct vcpu *vcpu, bool on)
{
	to_vmx(vcpu)->nmi_blocked = on;
	if (vmx_has_virtual_nmis())
		set_nmi_blocking(on);
	vcpu_request(vcpu, REQ_EVENT);
}

/* --- after an exit --- */

/* The event whose delivery the exit interrupted: it is injected again. */
static struct event interrupted_event(u32 info)
{
	static const u8 types[8] = {
		[INTERRUPTION_EXTERNAL] = EVENT_INTERRUPT,
		[INTERRUPTION_NMI] = EVENT_NMI,
		[INTERRUPTION_EXCEPTION] = EVENT_EXCEPTION,
		[INTERRUPTION_SOFT_INTERRUPT] = EVENT_SOFT_INTERRUPT,
		[INTERRUPTION_PRIVILEGED_EXCEPTION] = EVENT_PRIVILEGED_EXCEPTION,
		[INTERRUPTION_SOFT_EXCEPTION] = EVENT_SOFT_EXCEPTION,
	};
	struct event event = { .type = EVENT_NONE };

	event.type = types[INTERRUPTION_TYPE(info)];
	event.vector = info & INTERRUPTION_VECTOR;
	if (info & INTERRUPTION_ERROR_CODE) {
		event.has_error_code = true;
		event.error_code = vmcs_read32(IDT_VECTORING_ERROR);
	}
	if (event.type >= EVENT_SOFT_INTERRUPT)
		event.length = (u8)vmcs_read32(EXIT_INSTRUCTION_LENGTH);
	return event;
}

/*
 * IRET unblocks NMIs before it reads the stack. If that read exits, the NMI handler has not returned
 * yet and IRET will run again. SDM, "Exit Qualification for EPT Violations", bit 12; the same in notification exits.
 */
static bool iret_unblocked_nmi(const struct vcpu_vmx *vmx, union vmx_exit_reason reason)
{
	return (reason.basic == EXIT_REASON_EPT_VIOLATION || reason.basic == EXIT_REASON_NOTIFY) &&
	       (vmx->qualification & EPT_VIOLATION_NMI_UNBLOCKED);
}

/*
 * Without virtual NMIs the processor does not track the guest's IRET. Assume that the NMI handler has
 * returned once interrupts are on: it keeps them off. The interruptibility state then holds the host's
 * NMI blocking, not the guest's, so clear that bit.
 */
static void track_nmi_blocking(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!vmx->nmi_blocked)
		return;
	set_nmi_blocking(false);
	if (!vmx_interrupt_blocked(vcpu))
		vmx->nmi_blocked = false;
}

/* Rare: vmx_events_after_exit() calls the next two functions only where they are needed. */
void vmx_delivery_cut_off(struct vcpu *vcpu)
{
	vcpu->events.reinject = interrupted_event(to_vmx(vcpu)->vectoring_info);
	vcpu_request(vcpu, REQ_EVENT);
}

void vmx_nmi_blocking_after_exit(struct vcpu *vcpu, union vmx_exit_reason reason)
{
	if (!vmx_has_virtual_nmis())
		track_nmi_blocking(vcpu);
	else if (vcpu->events.reinject.type == EVENT_NMI)
		set_nmi_blocking(false);	/* VM entry injects no NMI while NMIs are blocked */
	else if (vcpu->events.reinject.type == EVENT_NONE && iret_unblocked_nmi(to_vmx(vcpu), reason))
		set_nmi_blocking(true);
}
