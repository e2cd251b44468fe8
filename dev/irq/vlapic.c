/* SPDX-License-Identifier: MIT */
/* The local APIC: what it accepts, what it delivers when, and what it sends. */
#include "dev/irq/vlapic.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "dev/irq/vioapic.h"
#include "lib/errno.h"

#define ICR_WRITABLE 0xccfffu	/* without delivery status, which is always idle */
#define FIRST_VECTOR 16		/* those below are illegal */

#define XAPIC_BROADCAST	 0xffu
#define X2APIC_BROADCAST 0xffffffffu

/* --- priorities: SDM, "Task and Processor Priorities" --- */

static void priority_changed(struct lapic *lapic)
{
	int in_service = vector_set_highest(&lapic->isr);
	u8 service_class = in_service < 0 ? 0 : in_service & 0xf0;

	lapic->ppr = (lapic->tpr & 0xf0) >= service_class ? lapic->tpr : service_class;
	if (lapic->irr_hint)
		vcpu_interrupt_changed(lapic->vcpu);
}

void lapic_set_tpr(struct lapic *lapic, u8 tpr)
{
	lapic->tpr = tpr;
	priority_changed(lapic);
}

int lapic_pending(const struct lapic *lapic)
{
	int vector;

	if (likely(!READ_ONCE(lapic->irr_hint)))
		return -1;
	vector = vector_set_highest(&lapic->irr);
	return vector >= 0 && (vector & 0xf0) > (lapic->ppr & 0xf0) ? vector : -1;
}

int lapic_acknowledge(struct lapic *lapic)
{
	int vector = lapic_pending(lapic);

	if (vector < 0)
		return -1;
	/* The hint goes first: a sender that comes in between sets it again. */
	WRITE_ONCE(lapic->irr_hint, false);
	vector_set_remove(&lapic->irr, (u8)vector);
	if (vector_set_highest(&lapic->irr) >= 0)
		WRITE_ONCE(lapic->irr_hint, true);
	vector_set_add(&lapic->isr, (u8)vector);
	priority_changed(lapic);
	return vector;
}

void lapic_end_of_interrupt(struct lapic *lapic)
{
	int vector = vector_set_highest(&lapic->isr);

	if (vector < 0)
		return;
	vector_set_remove(&lapic->isr, (u8)vector);
	priority_changed(lapic);
	if (vector_set_has(&lapic->tmr, (u8)vector))
		ioapic_eoi(vcpu_vm(lapic->vcpu), (u8)vector);
}

/* --- acceptance --- */

bool lapic_is_addressed(const struct lapic *lapic, const struct apic_message *message)
{
	u32 destination = message->destination;
	u32 ldr = lapic->ldr >> 24;

	if (!(lapic->base & LAPIC_BASE_ENABLED))
		return false;
	if (destination == (message->wide ? X2APIC_BROADCAST : XAPIC_BROADCAST))
		return true;
	if (!message->logical)
		return destination == lapic->id;
	if (lapic_in_x2apic_mode(lapic))
		return destination >> 16 == lapic->ldr >> 16 && (destination & lapic->ldr & 0xffff);

	switch (lapic->dfr >> 28) {
	case 0xf: /* flat model */
		return destination & ldr;
	case 0: /* cluster model; cluster 15 is all clusters */
		return (destination >> 4 == ldr >> 4 || destination >> 4 == 0xf) &&
		       (destination & ldr & 0xf);
	default:
		return false;
	}
}

static bool accept_vector(struct lapic *lapic, u8 vector, bool level)
{
	if (!lapic_enabled(lapic))
		return false;
	if (vector < FIRST_VECTOR) {
		lapic_note_error(lapic, ESR_RECEIVED_ILLEGAL_VECTOR);
		return false;
	}
	if (level)
		vector_set_add(&lapic->tmr, vector);
	else
		vector_set_remove(&lapic->tmr, vector);
	vector_set_add(&lapic->irr, vector);
	WRITE_ONCE(lapic->irr_hint, true);
	vcpu_interrupt_changed(lapic->vcpu);
	return true;
}

bool lapic_accept(struct lapic *lapic, const struct apic_message *message)
{
	switch (message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return accept_vector(lapic, message->vector, message->level);
	case APIC_SMI:
		return true;
	case APIC_NMI:
		vcpu_raise_nmi(lapic->vcpu);
		return true;
	case APIC_INIT:
		vcpu_raise_init(lapic->vcpu);
		return true;
	case APIC_STARTUP:
		vcpu_raise_startup(lapic->vcpu, message->vector);
		return true;
	case APIC_EXTINT:
		vcpu_interrupt_changed(lapic->vcpu);
		return true;
	default:
		return false;
	}
}

void lapic_signal(struct lapic *lapic, enum lapic_lvt source)
{
	u32 entry = lapic->lvt[source];
	const struct apic_message message = {
		.delivery = LVT_DELIVERY(entry),
		.vector = (u8)entry,
	};

	if (!(entry & LVT_MASKED))
		lapic_accept(lapic, &message);
}

bool lapic_passes_extint(const struct lapic *lapic)
{
	u32 entry = lapic->lvt[LVT_LINT0];

	if (!(lapic->base & LAPIC_BASE_ENABLED))
		return true;
	return !(entry & LVT_MASKED) && LVT_DELIVERY(entry) == APIC_EXTINT;
}

/* Each rise counts as an edge, also where the guest programs the pin as level-sensitive. */
void lapic_set_lint0(struct lapic *lapic, bool level)
{
	bool rises = level && !lapic->lint0;

	lapic->lint0 = level;
	if (rises && (lapic->base & LAPIC_BASE_ENABLED))
		lapic_signal(lapic, LVT_LINT0);
}

/* SDM, "Error Handling": the error interrupt is armed again by a write to the ESR. */
void lapic_note_error(struct lapic *lapic, enum lapic_error error)
{
	bool armed = !lapic->errors;

	lapic->errors |= error;
	if (armed)
		lapic_signal(lapic, LVT_ERROR);
}

/* --- sending: SDM, "Interrupt Command Register (ICR)" --- */

enum shorthand { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };

static void send_to_all(struct lapic *sender, const struct apic_message *message, bool also_self)
{
	struct vm *vm = vcpu_vm(sender->vcpu);

	for (u32 i = 0; i < vm_vcpu_count(vm); i++) {
		struct lapic *lapic = vcpu_lapic(vm_vcpu(vm, i));

		if ((lapic->base & LAPIC_BASE_ENABLED) && (also_self || lapic != sender))
			lapic_accept(lapic, message);
	}
}

void lapic_send(struct lapic *lapic, u64 icr)
{
	u32 low = (u32)icr;
	bool wide = lapic_in_x2apic_mode(lapic);
	const struct apic_message message = {
		.destination = wide ? (u32)(icr >> 32) : (u32)(icr >> 56),
		.logical = low & BIT(11),
		.wide = wide,
		.delivery = low >> 8 & 7,
		.vector = (u8)low,
	};
	enum shorthand shorthand = low >> 18 & 3;
	bool vectored = message.delivery == APIC_FIXED || message.delivery == APIC_LOWEST;
	bool signal = message.delivery == APIC_INIT || message.delivery == APIC_STARTUP;
	bool deassert = message.delivery == APIC_INIT && (low & 0xc000) == 0x8000;

	lapic->icr_low = low & ICR_WRITABLE;
	lapic->icr_high = (u32)(icr >> 32);

	/* No IPI has these modes; INIT level de-assert does nothing since the P6. */
	if (message.delivery == 3 || message.delivery == APIC_EXTINT || deassert)
		return;
	/* A processor cannot reset or start itself by shorthand. */
	if (signal && (shorthand == TO_SELF || shorthand == TO_ALL))
		return;
	if (vectored && message.vector < FIRST_VECTOR) {
		lapic_note_error(lapic, ESR_SEND_ILLEGAL_VECTOR);
		return;
	}
	switch (shorthand) {
	case TO_DESTINATION:
		apic_bus_send(vcpu_vm(lapic->vcpu), &message);
		break;
	case TO_SELF:
		lapic_accept(lapic, &message);
		break;
	case TO_ALL:
	case TO_OTHERS:
		send_to_all(lapic, &message, shorthand == TO_ALL);
		break;
	}
}

void lapic_send_self(struct lapic *lapic, u8 vector)
{
	if (vector < FIRST_VECTOR)
		lapic_note_error(lapic, ESR_SEND_ILLEGAL_VECTOR);
	else
		accept_vector(lapic, vector, false);
}

/* --- set-up --- */

/* SDM, "Local APIC State After Power-Up or Reset". */
void lapic_power_up(struct lapic *lapic)
{
	lapic->irr = (struct vector_set){ };
	lapic->isr = (struct vector_set){ };
	lapic->tmr = (struct vector_set){ };
	lapic->irr_hint = false;
	lapic->tpr = lapic->ppr = 0;
	lapic->ldr = 0;
	lapic->dfr = 0xffffffff;
	lapic->svr = 0xff;
	lapic->esr = lapic->errors = 0;
	lapic->icr_low = lapic->icr_high = 0;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		lapic->lvt[i] = LVT_MASKED;
	lapic_timer_reset(lapic);
}

void lapic_reset(struct lapic *lapic)
{
	struct vm *vm = vcpu_vm(lapic->vcpu);
	bool bsp = lapic->vcpu == vm_bsp(vm);

	mmio_move(vm, LAPIC_REGION, vm, LAPIC_DEFAULT_BASE, LAPIC_SIZE);
	lapic->base = LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLED | (bsp ? LAPIC_BASE_BSP : 0);
	lapic_power_up(lapic);
	if (bsp) {
		lapic->svr |= SVR_ENABLED;
		lapic->lvt[LVT_LINT0] = APIC_EXTINT << 8;
		lapic->lvt[LVT_LINT1] = APIC_NMI << 8;
	}
	vcpu_interrupt_changed(lapic->vcpu);
}

int lapic_create(struct vcpu *vcpu)
{
	struct lapic *lapic = vm_alloc(vcpu_vm(vcpu), sizeof(*lapic));

	if (!lapic)
		return -ENOMEM;
	lapic->vcpu = vcpu;
	lapic->id = vcpu_apic_id(vcpu);
	lapic_timer_create(lapic);
	vcpu_set_lapic(vcpu, lapic);
	lapic_reset(lapic);
	return 0;
}
