/* SPDX-License-Identifier: MIT */
/*
 * The local APIC by MSR: IA32_APIC_BASE with its mode transitions, IA32_TSC_DEADLINE, and the
 * registers of x2APIC mode. Intel SDM, "Extended XAPIC (x2APIC)".
 */
#include "core/device.h"
#include "core/mem/guest_mem.h"
#include "core/irqchip.h"
#include "core/vm_log.h"
#include "dev/irq/vlapic.h"
#include "lib/errno.h"

#define MSR_APIC_BASE	 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC	 0x800
#define MSR_X2APIC_COUNT 0x100

#define MODE_BITS (LAPIC_BASE_ENABLED | LAPIC_BASE_X2APIC)

/* --- IA32_APIC_BASE --- */

static u64 base_address(const struct lapic *lapic, u64 value)
{
	return value & (BIT_ULL(vcpu_physical_bits(lapic->vcpu)) - 1) & PAGE_MASK;
}

/* SDM, "x2APIC State Transitions": what has no arrow there raises #GP. */
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

/* The page is one MMIO region of the VM: it moves for all vCPUs. */
static int move_page(struct lapic *lapic, gpa_t base)
{
	struct vm *vm = vcpu_vm(lapic->vcpu);

	if (base == base_address(lapic, lapic->base))
		return 0;
	if (guest_is_ram(vm, base, 1)) {
		if (vm_once(vm, ONCE_OTHER, base))
			vm_warn(vm, "local APIC moved to 0x%llx by the guest, but that is RAM: #GP",
				(unsigned long long)base);
		return -EINVAL;
	}
	return mmio_move(vm, LAPIC_REGION, vm, base, LAPIC_SIZE) ? -EINVAL : 0;
}

static void enter_mode(struct lapic *lapic, u64 mode)
{
	if (mode == 0) {
		lapic_power_up(lapic);
	} else if (mode == MODE_BITS) {
		/* SDM, "Logical Destination Mode in x2APIC Mode": cluster of 16, one bit each. */
		lapic->ldr = lapic->id >> 4 << 16 | BIT(lapic->id & 15);
		lapic->icr_high = 0;
	}
}

static int write_base(struct lapic *lapic, u64 value)
{
	gpa_t base = base_address(lapic, value);
	u64 old_mode = lapic->base & MODE_BITS;

	if (value & ~(base | MODE_BITS | LAPIC_BASE_BSP))
		return -EINVAL;
	if (!transition_allowed(old_mode, value) || move_page(lapic, base))
		return -EINVAL;
	lapic->base = value;
	if ((value & MODE_BITS) != old_mode)
		enter_mode(lapic, value & MODE_BITS);
	vcpu_interrupt_changed(lapic->vcpu);
	return 0;
}

/* --- x2APIC registers: SDM, "x2APIC Register Address Space" --- */

#define REGISTERS(first, last) (((2ull << ((last) - (first))) - 1) << (first))

static const u64 readable = BIT_ULL(LAPIC_ID) | BIT_ULL(LAPIC_VERSION) | BIT_ULL(LAPIC_TPR) |
			    BIT_ULL(LAPIC_PPR) | BIT_ULL(LAPIC_LDR) | BIT_ULL(LAPIC_SVR) |
			    REGISTERS(LAPIC_ISR, LAPIC_IRR + 7) | BIT_ULL(LAPIC_ESR) |
			    BIT_ULL(LAPIC_ICR) | REGISTERS(LAPIC_LVT, LAPIC_CURRENT_COUNT) |
			    BIT_ULL(LAPIC_DIVIDE);

static const u64 writable = BIT_ULL(LAPIC_TPR) | BIT_ULL(LAPIC_EOI) | BIT_ULL(LAPIC_SVR) |
			    BIT_ULL(LAPIC_ESR) | BIT_ULL(LAPIC_ICR) |
			    REGISTERS(LAPIC_LVT, LAPIC_INITIAL_COUNT) | BIT_ULL(LAPIC_DIVIDE) |
			    BIT_ULL(LAPIC_SELF_IPI);

/* Read-only bits of LVT entries, which may be written as they were read. */
#define LVT_DELIVERY_STATUS 0x1000u
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
		return lapic_lvt_writable(LVT_LINT0) | LVT_DELIVERY_STATUS | LVT_REMOTE_IRR;
	case LAPIC_LVT + LVT_TIMER:
	case LAPIC_LVT + LVT_THERMAL:
	case LAPIC_LVT + LVT_PERFORMANCE:
	case LAPIC_LVT + LVT_ERROR:
		return lapic_lvt_writable(reg - LAPIC_LVT) | LVT_DELIVERY_STATUS;
	case LAPIC_INITIAL_COUNT:
		return 0xffffffff;
	case LAPIC_DIVIDE:
		return 0xb;
	default: /* EOI, ESR */
		return 0;
	}
}

static int read_register(struct lapic *lapic, unsigned reg, u64 *value)
{
	u32 low, high = 0;

	if (!lapic_in_x2apic_mode(lapic) || reg >= LAPIC_REGISTERS || !(readable & BIT_ULL(reg)))
		return -EINVAL;
	lapic_read(lapic, reg, &low);
	if (reg == LAPIC_ICR)
		high = lapic->icr_high;
	*value = (u64)high << 32 | low;
	return 0;
}

static int write_register(struct lapic *lapic, unsigned reg, u64 value)
{
	if (!lapic_in_x2apic_mode(lapic) || reg >= LAPIC_REGISTERS || !(writable & BIT_ULL(reg)))
		return -EINVAL;
	if (value & ~allowed_bits(reg))
		return -EINVAL;
	switch (reg) {
	case LAPIC_ICR:
		lapic_send(lapic, value);
		break;
	case LAPIC_SELF_IPI:
		lapic_send_self(lapic, (u8)value);
		break;
	default:
		lapic_write(lapic, reg, (u32)value);
	}
	return 0;
}

/* --- the MSRs --- */

int lapic_msr_read(struct lapic *lapic, u32 msr, u64 *value)
{
	if (msr - MSR_X2APIC < MSR_X2APIC_COUNT)
		return read_register(lapic, msr - MSR_X2APIC, value);
	switch (msr) {
	case MSR_APIC_BASE:
		*value = lapic->base;
		return 0;
	case MSR_TSC_DEADLINE:
		*value = lapic_timer_deadline(lapic);
		return 0;
	default:
		return -EINVAL;
	}
}

int lapic_msr_write(struct lapic *lapic, u32 msr, u64 value)
{
	if (msr - MSR_X2APIC < MSR_X2APIC_COUNT)
		return write_register(lapic, msr - MSR_X2APIC, value);
	switch (msr) {
	case MSR_APIC_BASE:
		return write_base(lapic, value);
	case MSR_TSC_DEADLINE:
		lapic_timer_set_deadline(lapic, value);
		return 0;
	default:
		return -EINVAL;
	}
}
