/* SPDX-License-Identifier: MIT */
/*
 * Events: what is delivered to a guest through its IDT.
 * Intel SDM, "Event Injection", "Information for VM Exits During Event Delivery";
 * AMD APM vol. 2, "Event Injection", "EXITINTINFO".
 */
#pragma once

#include "lib/types.h"

struct vcpu;
struct vm;

enum event_type {
	EVENT_NONE,
	EVENT_INTERRUPT,		/* external interrupt, acknowledged already */
	EVENT_NMI,
	EVENT_EXCEPTION,		/* hardware exception */
	EVENT_SOFT_INTERRUPT,		/* INT n */
	EVENT_SOFT_EXCEPTION,		/* INT3, INTO */
	EVENT_PRIVILEGED_EXCEPTION,	/* INT1 (ICEBP) */
};

struct event {
	u8 type;		/* enum event_type */
	u8 vector;
	bool has_error_code;
	u8 length;		/* instruction bytes, for the three software types */
	u32 error_code;
};

/* A vCPU's events between two entries. */
struct vcpu_events {
	/*
	 * The event whose delivery the last exit interrupted. Injected again at the next entry, unless
	 * an exception was raised meanwhile. Written by the vendor after every real exit
	 * (EVENT_NONE if nothing was interrupted).
	 */
	struct event reinject;
	struct event exception;	/* raised by emulation, not yet injected; EVENT_NONE or EVENT_EXCEPTION */
	u64 payload;		/* of `exception`: CR2 for #PF, DR6 bits for #DB; applied at injection */
	struct event injected;	/* at the last entry: for trace and failure report */
	u8 nmi_pending;		/* pending NMIs: at most 2, or 1 while one is in service */
	bool irq_window, nmi_window;	/* which window exits are requested now */
};

/* Nothing but an interrupt can be injected, and no NMI waits for its window. */
static inline bool events_are_interrupts(const struct vcpu_events *events)
{
	return !(events->exception.type | events->reinject.type | events->nmi_pending | events->nmi_window);
}

/*
 * Raise an exception in the guest from emulation. If another one is being delivered, the two combine as
 * the table in the SDM says, "Interrupt 8: Double Fault Exception": some pairs to #DF, and anything
 * during #DF to a triple fault, which ends the VM.
 */
void event_raise(struct vcpu *vcpu, u8 vector);
void event_raise_error(struct vcpu *vcpu, u8 vector, u32 error_code);
void event_raise_page_fault(struct vcpu *vcpu, gva_t address, u32 error_code);
void event_raise_debug(struct vcpu *vcpu, u64 dr6_bits);

/* Home CPU: make an NMI pending for the guest, as its local APIC does. Others: vcpu_raise_nmi(). */
void event_queue_nmi(struct vcpu *vcpu);

/*
 * Choose the event to inject at the next entry, by priority: exception raised by emulation, interrupted
 * delivery, NMI, external interrupt. Request window exits for events that are blocked. Returns true if
 * another event is pending behind the injected one, so that the next entry must exit before the
 * guest's first instruction.
 */
bool event_inject(struct vcpu *vcpu);
/* What a vCPU of this VM has as vcpu->choose_event while its own code runs: that, and more with an APIC by hardware. */
bool (*event_chooser(const struct vm *vm))(struct vcpu *vcpu);

/*
 * Is an event pending that wakes this vCPU, whose activity is VCPU_HALTED? It need not be loaded. Then it is
 * VCPU_RUNNING, and a wake-up by vcpu_unhalt() is used up.
 */
bool event_wakes(struct vcpu *vcpu);

bool exception_has_error_code(u8 vector);	/* in protected mode */
