/* SPDX-License-Identifier: MIT */
/* The local APIC's registers, and the page in which xAPIC mode shows them. */
#include "core/irqchip.h"
#include "dev/irq/vlapic.h"

#define VERSION (0x14 | (LVT_COUNT - 1) << 16)

#define SVR_WRITABLE	  0x3ffu
#define DIVIDE_WRITABLE	  0xbu
#define DFR_RESERVED_ONES 0x0fffffffu

/* SDM, "Arbitration Priority": of historical interest, but a register that can be read. */
static u32 arbitration_priority(const struct lapic *lapic)
{
	u8 request = MAX(vector_set_highest(&lapic->irr), 0) & 0xf0;
	u8 service = MAX(vector_set_highest(&lapic->isr), 0) & 0xf0;
	u8 higher = MAX(request, service);

	if (lapic->tpr >= request && (lapic->tpr & 0xf0) > service)
		return lapic->tpr;
	return MAX(higher, (u8)(lapic->tpr & 0xf0));
}

u32 lapic_lvt_writable(enum lapic_lvt entry)
{
	static const u32 writable[LVT_COUNT] = {
		[LVT_TIMER] = 0x700ff,	/* mode, mask, vector */
		[LVT_THERMAL] = 0x107ff, /* mask, delivery mode, vector */
		[LVT_PERFORMANCE] = 0x107ff,
		[LVT_LINT0] = 0x1a7ff,	/* and trigger mode, polarity */
		[LVT_LINT1] = 0x1a7ff,
		[LVT_ERROR] = 0x100ff,	/* mask, vector */
	};

	return writable[entry];
}

static void write_lvt(struct lapic *lapic, enum lapic_lvt entry, u32 value)
{
	value &= lapic_lvt_writable(entry);
	if (!(lapic->svr & SVR_ENABLED))
		value |= LVT_MASKED;
	if (entry == LVT_TIMER)
		lapic_timer_set_lvt(lapic, value);
	else
		lapic->lvt[entry] = value;
	if (entry == LVT_LINT0)
		vcpu_interrupt_changed(lapic->vcpu);
}

static void write_svr(struct lapic *lapic, u32 value)
{
	lapic->svr = value & SVR_WRITABLE;
	if (lapic->svr & SVR_ENABLED)
		return;
	/* SDM, "Local APIC State After It Has Been Software Disabled" */
	for (unsigned i = 0; i < LVT_COUNT; i++)
		write_lvt(lapic, i, lapic->lvt[i]);
}

bool lapic_read(struct lapic *lapic, unsigned reg, u32 *value)
{
	switch (reg) {
	case LAPIC_ID:
		*value = lapic_in_x2apic_mode(lapic) ? lapic->id : lapic->id << 24;
		return true;
	case LAPIC_VERSION:
		*value = VERSION;
		return true;
	case LAPIC_TPR:
		*value = lapic->tpr;
		return true;
	case LAPIC_APR:
		*value = arbitration_priority(lapic);
		return true;
	case LAPIC_PPR:
		*value = lapic->ppr;
		return true;
	case LAPIC_EOI:
	case LAPIC_REMOTE_READ:
		*value = 0;
		return true;
	case LAPIC_LDR:
		*value = lapic->ldr;
		return true;
	case LAPIC_DFR:
		*value = lapic->dfr;
		return true;
	case LAPIC_SVR:
		*value = lapic->svr;
		return true;
	case LAPIC_ISR ... LAPIC_ISR + 7:
		*value = vector_set_register(&lapic->isr, reg - LAPIC_ISR);
		return true;
	case LAPIC_TMR ... LAPIC_TMR + 7:
		*value = vector_set_register(&lapic->tmr, reg - LAPIC_TMR);
		return true;
	case LAPIC_IRR ... LAPIC_IRR + 7:
		*value = vector_set_register(&lapic->irr, reg - LAPIC_IRR);
		return true;
	case LAPIC_ESR:
		*value = lapic->esr;
		return true;
	case LAPIC_ICR:
		*value = lapic->icr_low;
		return true;
	case LAPIC_ICR_HIGH:
		*value = lapic->icr_high;
		return true;
	case LAPIC_LVT ... LAPIC_LVT + LVT_COUNT - 1:
		*value = lapic->lvt[reg - LAPIC_LVT];
		return true;
	case LAPIC_INITIAL_COUNT:
		*value = lapic->timer.initial;
		return true;
	case LAPIC_CURRENT_COUNT:
		*value = lapic_timer_current(lapic);
		return true;
	case LAPIC_DIVIDE:
		*value = lapic->timer.divide;
		return true;
	default:
		return false;
	}
}

bool lapic_write(struct lapic *lapic, unsigned reg, u32 value)
{
	u32 old;

	switch (reg) {
	case LAPIC_EOI:
		lapic_end_of_interrupt(lapic);
		return true;
	case LAPIC_TPR:
		lapic_set_tpr(lapic, (u8)value);
		return true;
	case LAPIC_LDR:
		lapic->ldr = value & 0xff000000;
		return true;
	case LAPIC_DFR:
		lapic->dfr = value | DFR_RESERVED_ONES;
		return true;
	case LAPIC_SVR:
		write_svr(lapic, value);
		return true;
	case LAPIC_ESR:
		lapic->esr = lapic->errors;
		lapic->errors = 0;
		return true;
	case LAPIC_ICR:
		lapic_send(lapic, (u64)lapic->icr_high << 32 | value);
		return true;
	case LAPIC_ICR_HIGH:
		lapic->icr_high = value & 0xff000000;
		return true;
	case LAPIC_LVT ... LAPIC_LVT + LVT_COUNT - 1:
		write_lvt(lapic, reg - LAPIC_LVT, value);
		return true;
	case LAPIC_INITIAL_COUNT:
		lapic_timer_set_initial(lapic, value);
		return true;
	case LAPIC_DIVIDE:
		lapic_timer_set_divide(lapic, value & DIVIDE_WRITABLE);
		return true;
	default:
		/* A write to a read-only register is ignored. */
		return lapic_read(lapic, reg, &old);
	}
}

/*
 * SDM, "Local APIC Register Address Map": 32-bit accesses to 16-byte-aligned addresses; for others
 * the architecture defines nothing. Here they read what part of the register they cover, and
 * writes are dropped.
 */
u64 lapic_mmio_read(void *device __maybe_unused, struct vcpu *vcpu, u64 offset, unsigned size)
{
	struct lapic *lapic = vcpu_lapic(vcpu);
	u32 value = 0;

	if (unlikely(!(lapic->base & LAPIC_BASE_ENABLED) || lapic_in_x2apic_mode(lapic)))
		return ~0ull;
	if (unlikely(offset >= LAPIC_REGISTERS * 16 || !lapic_read(lapic, offset / 16, &value)))
		lapic_note_error(lapic, ESR_ILLEGAL_REGISTER);
	return offset % 16 < 4 ? value >> (offset % 4 * 8) : 0;
}

void lapic_mmio_write(void *device __maybe_unused, struct vcpu *vcpu, u64 offset, unsigned size,
		      u64 value)
{
	struct lapic *lapic = vcpu_lapic(vcpu);

	if (unlikely(!(lapic->base & LAPIC_BASE_ENABLED) || lapic_in_x2apic_mode(lapic)))
		return;
	if (unlikely(size != 4 || offset % 16))
		return;
	if (unlikely(offset >= LAPIC_REGISTERS * 16 ||
		     !lapic_write(lapic, offset / 16, (u32)value)))
		lapic_note_error(lapic, ESR_ILLEGAL_REGISTER);
}
