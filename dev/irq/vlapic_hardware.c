/* SPDX-License-Identifier: MIT */
/*
 * The local APIC where the processor does its work: it reads registers from the page, delivers and ends interrupts, and
 * leaves to the model what has other effects. Intel SDM, "APIC Virtualization and Virtual Interrupts".
 *
 * TPR, PPR, ISR, IRR, TMR and ICR are in the page only. While the guest runs the processor changes them, so that
 * the hints of ISR and IRR have all bits then. Whatever the model changes in them it announces by REQ_EVENT, and
 * before the next entry the processor gets its vectors anew, whoever changed what.
 */
#include "core/irqchip.h"
#include "dev/irq/vioapic.h"
#include "dev/irq/vlapic.h"

/* Registers that the model keeps elsewhere, and which a processor reads from the page. */
static const u64 copied = BIT_ULL(LAPIC_ID) | BIT_ULL(LAPIC_VERSION) | BIT_ULL(LAPIC_LDR) | BIT_ULL(LAPIC_DFR) |
			  BIT_ULL(LAPIC_SVR) | BIT_ULL(LAPIC_ESR) | (BIT_ULL(LVT_COUNT) - 1) << LAPIC_LVT |
			  BIT_ULL(LAPIC_INITIAL_COUNT) | BIT_ULL(LAPIC_DIVIDE);

static void publish(struct vlapic *vlapic, u64 registers)
{
	for (registers &= copied; registers; registers &= registers - 1) {
		unsigned reg = (unsigned)__builtin_ctzll(registers);

		vlapic->page.by_number[reg].value = (u32)vlapic_read(vlapic, reg);
	}
}

/* SVR masks all of the local vector table. */
void vlapic_publish(struct vlapic *vlapic, unsigned reg)
{
	if (reg < LAPIC_REGISTERS)
		publish(vlapic, reg == LAPIC_SVR ? copied : BIT_ULL(reg));
}

static enum apic_access access_of(const struct vlapic *vlapic)
{
	if (!(vlapic->base & LAPIC_BASE_ENABLED))
		return APIC_ACCESS_NONE;
	if (vlapic_in_x2apic_mode(vlapic))
		return APIC_ACCESS_MSRS;
	return (vlapic->base & PAGE_MASK) == LAPIC_DEFAULT_BASE ? APIC_ACCESS_PAGE : APIC_ACCESS_NONE;
}

void vlapic_mode_changed(struct vlapic *vlapic)
{
	if (vm_apic_hardware(vcpu_vm(vlapic->vcpu)) != APIC_BY_HARDWARE)
		return;
	publish(vlapic, copied);
	vcpu_apic_access_changed(vlapic->vcpu, access_of(vlapic));
}

static __noinline u8 highest(const struct vector_set *set)
{
	return (u8)MAX(vector_set_highest_of_all(set), 0);
}

void vlapic_hand_over(struct vlapic *vlapic, struct apic_vectors *vectors)
{
	const struct vector_set *tmr = &vlapic->page.tmr;

	if (posted_outstanding(vlapic->posted))
		vlapic_merge(vlapic);
	vectors->requested = highest(&vlapic->page.irr);
	vectors->in_service = highest(&vlapic->page.isr);
	vlapic->irr_hint = vlapic->isr_hint = VECTOR_HINT_ALL;
	/* After the merge: a sender sets the trigger mode before it posts the vector. */
	vectors->level_changed = READ_ONCE(vlapic->tmr_changed) &&
				 __atomic_exchange_n(&vlapic->tmr_changed, false, __ATOMIC_SEQ_CST);
	if (likely(!vectors->level_changed))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(vectors->level); i++)
		vectors->level[i] = (u64)vector_set_register(tmr, 2 * i + 1) << 32 | vector_set_register(tmr, 2 * i);
}

/*
 * What the guest has written is in the page already. A self-IPI by MSR comes here if its vector is illegal; else the
 * processor has sent it.
 */
void vlapic_register_written(struct vlapic *vlapic, u32 offset)
{
	unsigned reg = offset / 16;
	u32 value;

	if (reg >= LAPIC_REGISTERS)
		return;
	value = vlapic->page.by_number[reg].value;
	if (reg == LAPIC_SELF_IPI)
		vlapic_send_self(vlapic, (u8)value);
	else
		vlapic_write(vlapic, reg, value);
	vlapic_publish(vlapic, reg);
}

void vlapic_interrupt_ended(struct vlapic *vlapic, u8 vector)
{
	vioapic_eoi(vcpu_vm(vlapic->vcpu), vector);
}
