/* SPDX-License-Identifier: MIT */
/* The local APIC's registers, and the xAPIC page. */
#include "core/device.h"
#include "core/irqchip.h"
#include "dev/irq/vlapic.h"

#define VLAPIC_VERSION (0x14 | (LVT_COUNT - 1) << 16)

#define SVR_WRITABLE	  0x3ffu
#define DIVIDE_WRITABLE	  0xbu
#define DFR_RESERVED_ONES 0x0fffffffu

/* SDM, "Arbitration Priority": nothing arbitrates by it any more, but guests can read the register. */
static u32 arbitration_priority(const struct vlapic *vlapic)
{
	u8 request = MAX(vector_set_highest(&vlapic->page.irr, vlapic->irr_hint), 0) & 0xf0;
	u8 service = MAX(vector_set_highest(&vlapic->page.isr, vlapic->isr_hint), 0) & 0xf0;
	u8 higher = MAX(request, service), tpr = vlapic_tpr(vlapic);

	if (tpr >= request && (tpr & 0xf0) > service)
		return tpr;
	return MAX(higher, (u8)(tpr & 0xf0));
}

u32 vlapic_lvt_writable(enum lapic_lvt entry)
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

static void write_lvt(struct vlapic *vlapic, enum lapic_lvt entry, u32 value)
{
	value &= vlapic_lvt_writable(entry);
	if (!(vlapic->svr & SVR_ENABLED))
		value |= LVT_MASKED;
	if (entry == LVT_TIMER)
		vlapic_timer_set_lvt(vlapic, value);
	else
		WRITE_ONCE(vlapic->lvt[entry], value);
	if (entry == LVT_LINT0)
		vcpu_interrupt_changed(vlapic->vcpu);
}

static void write_svr(struct vlapic *vlapic, u32 value)
{
	/* What was posted before the change was sent to the APIC as it is now: enabled or not. */
	vlapic_merge(vlapic);
	WRITE_ONCE(vlapic->svr, value & SVR_WRITABLE);
	if (vlapic->svr & SVR_ENABLED)
		return;
	/* SDM, "Local APIC State After It Has Been Software Disabled" */
	for (unsigned i = 0; i < LVT_COUNT; i++)
		write_lvt(vlapic, i, vlapic->lvt[i]);
}

s64 vlapic_read(struct vlapic *vlapic, unsigned reg)
{
	switch (reg) {
	case LAPIC_ID:
		return vlapic_in_x2apic_mode(vlapic) ? vlapic->id : (u32)(vlapic->id << 24);
	case LAPIC_VERSION:
		return VLAPIC_VERSION;
	case LAPIC_TPR:
		return vlapic_tpr(vlapic);
	case LAPIC_APR:
		return arbitration_priority(vlapic);
	case LAPIC_PPR:
		vlapic_update_ppr(vlapic);
		return vlapic_ppr(vlapic);
	case LAPIC_EOI:
	case LAPIC_REMOTE_READ:
		return 0;
	case LAPIC_LDR:
		return vlapic->ldr;
	case LAPIC_DFR:
		return vlapic->dfr;
	case LAPIC_SVR:
		return vlapic->svr;
	case LAPIC_ISR ... LAPIC_ISR + 7:
		return vector_set_register(&vlapic->page.isr, reg - LAPIC_ISR);
	case LAPIC_TMR ... LAPIC_TMR + 7:
		return vector_set_register(&vlapic->page.tmr, reg - LAPIC_TMR);
	case LAPIC_IRR ... LAPIC_IRR + 7:
		vlapic_merge(vlapic);
		return vector_set_register(&vlapic->page.irr, reg - LAPIC_IRR);
	case LAPIC_ESR:
		return vlapic->esr;
	case LAPIC_ICR:
		return vlapic->page.by_number[LAPIC_ICR].value;
	case LAPIC_ICR_HIGH:
		return vlapic->page.by_number[LAPIC_ICR_HIGH].value;
	case LAPIC_LVT ... LAPIC_LVT + LVT_COUNT - 1:
		return vlapic->lvt[reg - LAPIC_LVT];
	case LAPIC_INITIAL_COUNT:
		return vlapic->timer.initial;
	case LAPIC_CURRENT_COUNT:
		return vlapic_timer_current(vlapic);
	case LAPIC_DIVIDE:
		return vlapic->timer.divide;
	default:
		return -1;
	}
}

bool vlapic_write(struct vlapic *vlapic, unsigned reg, u32 value)
{
	switch (reg) {
	case LAPIC_EOI:
		vlapic_end_of_interrupt(vlapic);
		return true;
	case LAPIC_TPR:
		vlapic_set_tpr(vlapic, (u8)value);
		return true;
	case LAPIC_LDR:
		WRITE_ONCE(vlapic->ldr, value & 0xff000000);
		return true;
	case LAPIC_DFR:
		WRITE_ONCE(vlapic->dfr, value | DFR_RESERVED_ONES);
		return true;
	case LAPIC_SVR:
		write_svr(vlapic, value);
		return true;
	case LAPIC_ESR:
		vlapic->esr = vlapic->errors;
		vlapic->errors = 0;
		return true;
	case LAPIC_ICR:
		vlapic_send(vlapic, (u64)vlapic->page.by_number[LAPIC_ICR_HIGH].value << 32 | value);
		return true;
	case LAPIC_ICR_HIGH:
		vlapic->page.by_number[LAPIC_ICR_HIGH].value = value & 0xff000000;
		return true;
	case LAPIC_LVT ... LAPIC_LVT + LVT_COUNT - 1:
		write_lvt(vlapic, reg - LAPIC_LVT, value);
		return true;
	case LAPIC_INITIAL_COUNT:
		vlapic_timer_set_initial(vlapic, value);
		return true;
	case LAPIC_DIVIDE:
		vlapic_timer_set_divide(vlapic, value & DIVIDE_WRITABLE);
		return true;
	default:
		/* A write to a read-only register is ignored. */
		return vlapic_read(vlapic, reg) >= 0;
	}
}

/* Where all processors start with it there is a fixed region, which leaves out those that have moved it. */
void vlapic_place_page(struct vlapic *vlapic, gpa_t base)
{
	struct io_region *moved = vcpu_own_region(vlapic->vcpu);

	moved->base = base;
	moved->size = base == LAPIC_DEFAULT_BASE ? 0 : LAPIC_SIZE;
	moved->device = vlapic_page_at(base);
}

/* Is the page there, and not elsewhere, or switched off, or replaced by MSRs? */
static bool is_at(const struct vlapic *vlapic, const void *place)
{
	return (vlapic->base & ~(u64)LAPIC_BASE_BSP) == (u64)place;
}

/*
 * SDM, "Local APIC Register Address Map": 32-bit accesses to 16-byte-aligned addresses. Others are
 * undefined: here a read returns the bytes of the register that it covers, and a write is dropped.
 */
u64 vlapic_mmio_read(void *place, struct vcpu *vcpu, u64 offset, unsigned size)
{
	struct vlapic *vlapic = vcpu_vlapic(vcpu);
	s64 value;

	if (unlikely(!is_at(vlapic, place)))
		return ~0ull;
	value = likely(offset < LAPIC_REGISTERS * 16) ? vlapic_read(vlapic, (unsigned)offset / 16) : -1;
	if (unlikely(value < 0)) {
		vlapic_note_error(vlapic, ESR_ILLEGAL_REGISTER);
		return 0;
	}
	if (likely(!(offset % 16)))
		return value;
	return offset % 16 < 4 ? (u64)value >> (offset % 4 * 8) : 0;
}

void vlapic_mmio_write(void *place, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	struct vlapic *vlapic = vcpu_vlapic(vcpu);

	if (unlikely(!is_at(vlapic, place) || size != 4 || offset % 16))
		return;
	if (unlikely(offset >= LAPIC_REGISTERS * 16 || !vlapic_write(vlapic, (unsigned)offset / 16, (u32)value)))
		vlapic_note_error(vlapic, ESR_ILLEGAL_REGISTER);
}
