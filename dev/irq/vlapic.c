/* SPDX-License-Identifier: MIT */
/* The local APIC: priorities, acceptance of interrupts, IPIs, reset. */
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

static void priority_changed(struct vlapic *vlapic)
{
	int in_service = vector_set_highest(&vlapic->isr);
	u8 service_class = in_service < 0 ? 0 : in_service & 0xf0;

	vlapic->ppr = (vlapic->tpr & 0xf0) >= service_class ? vlapic->tpr : service_class;
	if (vlapic->irr_hint)
		vcpu_interrupt_changed(vlapic->vcpu);
}

void vlapic_set_tpr(struct vlapic *vlapic, u8 tpr)
{
	vlapic->tpr = tpr;
	priority_changed(vlapic);
}

int vlapic_pending(const struct vlapic *vlapic)
{
	int vector;

	if (likely(!READ_ONCE(vlapic->irr_hint)))
		return -1;
	vector = vector_set_highest(&vlapic->irr);
	return vector >= 0 && (vector & 0xf0) > (vlapic->ppr & 0xf0) ? vector : -1;
}

int vlapic_acknowledge(struct vlapic *vlapic)
{
	int vector = vlapic_pending(vlapic);

	if (vector < 0)
		return -1;
	/* Clear the hint before IRR is checked again, not after: a sender may set it in between. */
	WRITE_ONCE(vlapic->irr_hint, false);
	vector_set_remove(&vlapic->irr, (u8)vector);
	if (vector_set_highest(&vlapic->irr) >= 0)
		WRITE_ONCE(vlapic->irr_hint, true);
	vector_set_add(&vlapic->isr, (u8)vector);
	priority_changed(vlapic);
	return vector;
}

void vlapic_end_of_interrupt(struct vlapic *vlapic)
{
	int vector = vector_set_highest(&vlapic->isr);

	if (vector < 0)
		return;
	vector_set_remove(&vlapic->isr, (u8)vector);
	priority_changed(vlapic);
	if (vector_set_has(&vlapic->tmr, (u8)vector))
		vioapic_eoi(vcpu_vm(vlapic->vcpu), (u8)vector);
}

/* --- acceptance --- */

bool vlapic_is_addressed(const struct vlapic *vlapic, const struct apic_message *message)
{
	u32 destination = message->destination;
	u32 ldr = vlapic->ldr >> 24;

	if (!(vlapic->base & LAPIC_BASE_ENABLED))
		return false;
	if (destination == (message->wide ? X2APIC_BROADCAST : XAPIC_BROADCAST))
		return true;
	if (!message->logical)
		return destination == vlapic->id;
	if (vlapic_in_x2apic_mode(vlapic))
		return destination >> 16 == vlapic->ldr >> 16 && (destination & vlapic->ldr & 0xffff);

	switch (vlapic->dfr >> 28) {
	case 0xf: /* flat model */
		return destination & ldr;
	case 0: /* cluster model; cluster 15 is all clusters */
		return (destination >> 4 == ldr >> 4 || destination >> 4 == 0xf) &&
		       (destination & ldr & 0xf);
	default:
		return false;
	}
}

static bool accept_vector(struct vlapic *vlapic, u8 vector, bool level)
{
	if (!vlapic_enabled(vlapic))
		return false;
	if (vector < FIRST_VECTOR) {
		vlapic_note_error(vlapic, ESR_RECEIVED_ILLEGAL_VECTOR);
		return false;
	}
	if (level)
		vector_set_add(&vlapic->tmr, vector);
	else
		vector_set_remove(&vlapic->tmr, vector);
	vector_set_add(&vlapic->irr, vector);
	WRITE_ONCE(vlapic->irr_hint, true);
	vcpu_interrupt_changed(vlapic->vcpu);
	return true;
}

bool vlapic_accept(struct vlapic *vlapic, const struct apic_message *message)
{
	switch (message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return accept_vector(vlapic, message->vector, message->level);
	case APIC_SMI:
		return true;
	case APIC_NMI:
		vcpu_raise_nmi(vlapic->vcpu);
		return true;
	case APIC_INIT:
		vcpu_raise_init(vlapic->vcpu);
		return true;
	case APIC_STARTUP:
		vcpu_raise_startup(vlapic->vcpu, message->vector);
		return true;
	case APIC_EXTINT:
		vcpu_interrupt_changed(vlapic->vcpu);
		return true;
	default:
		return false;
	}
}

void vlapic_signal(struct vlapic *vlapic, enum lapic_lvt source)
{
	u32 entry = vlapic->lvt[source];
	const struct apic_message message = {
		.delivery = LVT_DELIVERY(entry),
		.vector = (u8)entry,
	};

	if (!(entry & LVT_MASKED))
		vlapic_accept(vlapic, &message);
}

bool vlapic_passes_extint(const struct vlapic *vlapic)
{
	u32 entry = vlapic->lvt[LVT_LINT0];

	if (!(vlapic->base & LAPIC_BASE_ENABLED))
		return true;
	return !(entry & LVT_MASKED) && LVT_DELIVERY(entry) == APIC_EXTINT;
}

/* Each rise counts as an edge, also where the guest programs the pin as level-sensitive. */
void vlapic_set_lint0(struct vlapic *vlapic, bool level)
{
	bool rises = level && !vlapic->lint0;

	vlapic->lint0 = level;
	if (rises && (vlapic->base & LAPIC_BASE_ENABLED))
		vlapic_signal(vlapic, LVT_LINT0);
}

/* SDM, "Error Handling": no further error interrupt until a write to ESR re-arms it. */
void vlapic_note_error(struct vlapic *vlapic, enum lapic_error error)
{
	bool armed = !vlapic->errors;

	vlapic->errors |= error;
	if (armed)
		vlapic_signal(vlapic, LVT_ERROR);
}

/* --- sending: SDM, "Interrupt Command Register (ICR)" --- */

enum shorthand { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };

static void send_to_all(struct vlapic *sender, const struct apic_message *message, bool also_self)
{
	struct vm *vm = vcpu_vm(sender->vcpu);

	for (u32 i = 0; i < vm_vcpu_count(vm); i++) {
		struct vlapic *vlapic = vcpu_vlapic(vm_vcpu(vm, i));

		if ((vlapic->base & LAPIC_BASE_ENABLED) && (also_self || vlapic != sender))
			vlapic_accept(vlapic, message);
	}
}

void vlapic_send(struct vlapic *vlapic, u64 icr)
{
	u32 low = (u32)icr;
	bool wide = vlapic_in_x2apic_mode(vlapic);
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

	vlapic->icr_low = low & ICR_WRITABLE;
	vlapic->icr_high = (u32)(icr >> 32);

	/* Both modes are reserved in the ICR. Current processors ignore an INIT level de-assert. */
	if (message.delivery == 3 || message.delivery == APIC_EXTINT || deassert)
		return;
	/* A processor cannot reset or start itself by shorthand. */
	if (signal && (shorthand == TO_SELF || shorthand == TO_ALL))
		return;
	if (vectored && message.vector < FIRST_VECTOR) {
		vlapic_note_error(vlapic, ESR_SEND_ILLEGAL_VECTOR);
		return;
	}
	switch (shorthand) {
	case TO_DESTINATION:
		apic_bus_send(vcpu_vm(vlapic->vcpu), &message);
		break;
	case TO_SELF:
		vlapic_accept(vlapic, &message);
		break;
	case TO_ALL:
	case TO_OTHERS:
		send_to_all(vlapic, &message, shorthand == TO_ALL);
		break;
	}
}

void vlapic_send_self(struct vlapic *vlapic, u8 vector)
{
	if (vector < FIRST_VECTOR)
		vlapic_note_error(vlapic, ESR_SEND_ILLEGAL_VECTOR);
	else
		accept_vector(vlapic, vector, false);
}

/* --- set-up --- */

/* SDM, "Local APIC State After Power-Up or Reset". */
void vlapic_power_up(struct vlapic *vlapic)
{
	vlapic->irr = (struct vector_set){ };
	vlapic->isr = (struct vector_set){ };
	vlapic->tmr = (struct vector_set){ };
	vlapic->irr_hint = false;
	vlapic->tpr = vlapic->ppr = 0;
	vlapic->ldr = 0;
	vlapic->dfr = 0xffffffff;
	vlapic->svr = 0xff;
	vlapic->esr = vlapic->errors = 0;
	vlapic->icr_low = vlapic->icr_high = 0;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		vlapic->lvt[i] = LVT_MASKED;
	vlapic_timer_reset(vlapic);
}

void vlapic_reset(struct vlapic *vlapic)
{
	struct vm *vm = vcpu_vm(vlapic->vcpu);
	bool bsp = vlapic->vcpu == vm_bsp(vm);

	mmio_move(vm, vlapic->page, LAPIC_DEFAULT_BASE, LAPIC_SIZE);
	vlapic->base = LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLED | (bsp ? LAPIC_BASE_BSP : 0);
	vlapic_power_up(vlapic);
	if (bsp) {
		vlapic->svr |= SVR_ENABLED;
		vlapic->lvt[LVT_LINT0] = APIC_EXTINT << 8;
		vlapic->lvt[LVT_LINT1] = APIC_NMI << 8;
	}
	vcpu_interrupt_changed(vlapic->vcpu);
}

int vlapic_create(struct vcpu *vcpu, u32 page)
{
	struct vlapic *vlapic = vm_alloc(vcpu_vm(vcpu), sizeof(*vlapic));

	if (!vlapic)
		return -ENOMEM;
	vlapic->vcpu = vcpu;
	vlapic->page = page;
	vlapic->id = vcpu_apic_id(vcpu);
	vlapic_timer_create(vlapic);
	vcpu_set_vlapic(vcpu, vlapic);
	vlapic_reset(vlapic);
	return 0;
}
