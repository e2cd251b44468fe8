/* SPDX-License-Identifier: MIT */
/*
 * MSRs of the local APIC: IA32_APIC_BASE with its mode transitions, IA32_TSC_DEADLINE, and the
 * registers of x2APIC mode. Intel SDM, "Extended XAPIC (x2APIC)". Hyper-V's three are for VMs with its interface alone.
 */
#include "core/device.h"
#include "core/irqchip.h"
#include "core/mem/guest_mem.h"
#include "core/vm_log.h"
#include "dev/irq/vlapic.h"
#include "lib/errno.h"

#define MSR_X2APIC_COUNT 0x100

#define MODE_BITS (LAPIC_BASE_ENABLED | LAPIC_BASE_X2APIC)

/* --- IA32_APIC_BASE --- */

static u64 base_address(const struct vlapic *vlapic, u64 value)
{
	return value & (BIT_ULL(vcpu_physical_bits(vlapic->vcpu)) - 1) & PAGE_MASK;
}

/* SDM, "x2APIC State Transitions": transitions without an arrow in its diagram raise #GP. */
static bool transition_allowed(u64 from, u64 to)
{
	from &= MODE_BITS;
	to &= MODE_BITS;
	if (to == LAPIC_BASE_X2APIC)
		return false;
	if (from == 0)
		return to != MODE_BITS;
	if (from == MODE_BITS)
		return to != LAPIC_BASE_ENABLED;
	return true;
}

static int move_page(struct vlapic *vlapic, gpa_t base)
{
	struct vm *vm = vcpu_vm(vlapic->vcpu);

	if (guest_is_ram(vm, base, 1)) {
		if (vm_once(vm, ONCE_OTHER, base))
			vm_warn(vm, "local APIC moved to 0x%llx by the guest, but that is RAM: #GP",
				(unsigned long long)base);
		return -EINVAL;
	}
	vlapic_place_page(vlapic, base);
	return 0;
}

static void enter_mode(struct vlapic *vlapic, u64 mode)
{
	if (mode == 0) {
		vlapic_power_up(vlapic);
	} else if (mode == MODE_BITS) {
		vlapic_derive_ldr(vlapic);
		vlapic->page.by_number[LAPIC_ICR].wide &= 0xffffffff;
	}
}

/* Out of line, so that accesses of other registers save no registers of the processor for it. */
static __noinline int write_base(struct vlapic *vlapic, u64 value)
{
	gpa_t base = base_address(vlapic, value);
	u64 old_mode = vlapic->base & MODE_BITS;

	if (value & ~(base | MODE_BITS | LAPIC_BASE_BSP))
		return -EINVAL;
	if (!transition_allowed(old_mode, value) || move_page(vlapic, base))
		return -EINVAL;
	WRITE_ONCE(vlapic->base, value);
	if ((value & MODE_BITS) != old_mode)
		enter_mode(vlapic, value & MODE_BITS);
	vlapic_mode_changed(vlapic);
	vcpu_interrupt_changed(vlapic->vcpu);
	return 0;
}

/* --- x2APIC registers: SDM, "x2APIC Register Address Space" --- */

#define RANGE(first, last) (((2ull << ((last) - (first))) - 1) << (first))

static const u64 readable = BIT_ULL(LAPIC_ID) | BIT_ULL(LAPIC_VERSION) | BIT_ULL(LAPIC_TPR) |
			    BIT_ULL(LAPIC_PPR) | BIT_ULL(LAPIC_LDR) | BIT_ULL(LAPIC_SVR) |
			    RANGE(LAPIC_ISR, LAPIC_IRR + 7) | BIT_ULL(LAPIC_ESR) |
			    BIT_ULL(LAPIC_ICR) | RANGE(LAPIC_LVT, LAPIC_CURRENT_COUNT) |
			    BIT_ULL(LAPIC_DIVIDE);

static const u64 writable = BIT_ULL(LAPIC_TPR) | BIT_ULL(LAPIC_EOI) | BIT_ULL(LAPIC_SVR) |
			    BIT_ULL(LAPIC_ESR) | BIT_ULL(LAPIC_ICR) |
			    RANGE(LAPIC_LVT, LAPIC_INITIAL_COUNT) | BIT_ULL(LAPIC_DIVIDE) |
			    BIT_ULL(LAPIC_SELF_IPI);

/* Read-only bits of LVT entries: a write may set them, without effect. */
#define LVT_REMOTE_IRR	    0x4000u	/* LINT0 and LINT1 */

/* Bits that may be 1 in a write; any other raises #GP. */
static u64 allowed_bits(unsigned reg)
{
	switch (reg) {
	case LAPIC_TPR:
	case LAPIC_SELF_IPI:
		return 0xff;
	case LAPIC_SVR:
		return 0x3ff;
	case LAPIC_ICR:
		return 0xffffffff000cdfffull;
	case LAPIC_LVT + LVT_LINT0:
	case LAPIC_LVT + LVT_LINT1:
		return vlapic_lvt_writable(LVT_LINT0) | LVT_DELIVERY_STATUS | LVT_REMOTE_IRR;
	case LAPIC_LVT + LVT_TIMER:
	case LAPIC_LVT + LVT_THERMAL:
	case LAPIC_LVT + LVT_PERFORMANCE:
	case LAPIC_LVT + LVT_ERROR:
		return vlapic_lvt_writable(reg - LAPIC_LVT) | LVT_DELIVERY_STATUS;
	case LAPIC_INITIAL_COUNT:
		return 0xffffffff;
	case LAPIC_DIVIDE:
		return 0xb;
	default: /* EOI, ESR */
		return 0;
	}
}

static inline int read_register(struct vlapic *vlapic, unsigned reg, u64 *value)
{
	if (!vlapic_in_x2apic_mode(vlapic) || reg >= LAPIC_REGISTERS || !(readable & BIT_ULL(reg)))
		return -EINVAL;
	*value = reg == LAPIC_ICR ? vlapic->page.by_number[LAPIC_ICR].wide : (u64)vlapic_read(vlapic, reg);
	return 0;
}

static int write_register(struct vlapic *vlapic, unsigned reg, u64 value)
{
	if (!vlapic_in_x2apic_mode(vlapic) || reg >= LAPIC_REGISTERS || !(writable & BIT_ULL(reg)))
		return -EINVAL;
	if (value & ~allowed_bits(reg))
		return -EINVAL;
	switch (reg) {
	case LAPIC_ICR:
		vlapic_send(vlapic, value);
		break;
	case LAPIC_SELF_IPI:
		vlapic_send_self(vlapic, (u8)value);
		break;
	default:
		vlapic_write(vlapic, reg, (u32)value);
	}
	return 0;
}

/* --- Hyper-V's: TLFS, "Local APIC MSR Accesses". In both modes the ICR is one of 64 bits --- */

static int read_hyperv(const struct vlapic *vlapic, u32 msr, u64 *value)
{
	const struct apic_register *icr = &vlapic->page.by_number[LAPIC_ICR];

	if (msr == MSR_HYPERV_EOI || !(vlapic->base & LAPIC_BASE_ENABLED))
		return -EINVAL;
	if (msr == MSR_HYPERV_TPR)
		*value = vlapic_tpr(vlapic);
	else
		*value = vlapic_in_x2apic_mode(vlapic) ? icr->wide : icr->value | (u64)icr[1].value << 32;
	return 0;
}

static int write_hyperv(struct vlapic *vlapic, u32 msr, u64 value)
{
	if (!(vlapic->base & LAPIC_BASE_ENABLED))
		return -EINVAL;
	if (vlapic_in_x2apic_mode(vlapic) && msr == MSR_HYPERV_ICR)
		return vlapic_msr_write(vlapic, MSR_X2APIC(LAPIC_ICR), value);
	if (msr == MSR_HYPERV_ICR)
		vlapic_write(vlapic, LAPIC_ICR_HIGH, (u32)(value >> 32));
	vlapic_write(vlapic, msr == MSR_HYPERV_EOI ? LAPIC_EOI : msr == MSR_HYPERV_TPR ? LAPIC_TPR : LAPIC_ICR, (u32)value);
	return 0;
}

/* --- the MSRs --- */

int vlapic_msr_read(void *vlapic, u32 msr, u64 *value)
{
	if (msr - MSR_X2APIC(0) < MSR_X2APIC_COUNT)
		return read_register(vlapic, msr - MSR_X2APIC(0), value);
	if (msr == MSR_TSC_DEADLINE) {
		*value = vlapic_timer_deadline(vlapic);
		return 0;
	}
	return msr - MSR_HYPERV_EOI < MSR_HYPERV_APIC_COUNT ? read_hyperv(vlapic, msr, value) : -EINVAL;
}

int vlapic_msr_write(void *vlapic, u32 msr, u64 value)
{
	if (msr - MSR_X2APIC(0) < MSR_X2APIC_COUNT)
		return write_register(vlapic, msr - MSR_X2APIC(0), value);
	switch (msr) {
	case MSR_APIC_BASE:
		return write_base(vlapic, value);
	case MSR_TSC_DEADLINE:
		vlapic_timer_set_deadline(vlapic, value);
		return 0;
	default:
		return msr - MSR_HYPERV_EOI < MSR_HYPERV_APIC_COUNT ? write_hyperv(vlapic, msr, value) : -EINVAL;
	}
}
