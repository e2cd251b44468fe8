/* SPDX-License-Identifier: MIT */
/*
 * IA32_APIC_BASE, the modes of the local APIC, and its x2APIC registers. The expected values are
 * from the Intel SDM, "Extended XAPIC (x2APIC)".
 */
/* link: dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c dev/irq/apic_bus.c */
/* link: dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
/* cflags: -Xlinker --wrap=log_line */
#include "apic_fixture.h"
#include "dev/irq/irqchip.h"

static unsigned logged;

void __wrap_log_line(enum log_level level, const char *tag, const char *format, ...);

void __wrap_log_line(enum log_level level, const char *tag, const char *format, ...)
{
	logged++;
}

static int set_up(void **state)
{
	*state = apic_vm(1);
	logged = 0;
	return 0;
}

static void enter_x2apic(struct vm *vm, u32 index)
{
	u64 bsp = index == 0 ? BASE_BSP : 0;

	assert_int_equal(msr_set(vm, index, MSR_APIC_BASE, BASE_X2APIC | bsp), 0);
	assert_int_equal(msr_set(vm, index, X2APIC(LAPIC_SVR), 0x1ff), 0);
}

/* The processors that the tests use, in two clusters; the others are disabled. The last is out of xAPIC's reach. */
static const u32 ids[] = { 0, 1, 15, 0x112 };

static int set_up_x2apic(void **state)
{
	struct vm *vm = apic_vm(0x113);

	for (u32 i = 0; i < ARRAY_SIZE(ids); i++)
		enter_x2apic(vm, ids[i]);
	*state = vm;
	return 0;
}

/* --- IA32_APIC_BASE --- */

/* "Local APIC Control through IA32_APIC_BASE MSR Changes": rows from, columns to. */
static void test_mode_transitions(void **state)
{
	enum { OFF, INVALID, XAPIC, X2APIC_MODE };
	static const bool allowed[4][4] = {
		[OFF]	      = { [OFF] = true, [XAPIC] = true },
		[XAPIC]	      = { [OFF] = true, [XAPIC] = true, [X2APIC_MODE] = true },
		[X2APIC_MODE] = { [OFF] = true, [X2APIC_MODE] = true },
	};
	static const u64 way_there[4][2] = {
		[OFF] = { BASE_OFF, BASE_OFF },
		[XAPIC] = { BASE_XAPIC, BASE_XAPIC },
		[X2APIC_MODE] = { BASE_XAPIC, BASE_X2APIC },
	};

	for (unsigned from = 0; from < 4; from++) {
		if (from == INVALID)
			continue;
		for (unsigned to = 0; to < 4; to++) {
			struct vm *vm = apic_vm(1);
			u64 target = BASE_OFF | to << 10, now;
			int error;

			assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, way_there[from][0]), 0);
			assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, way_there[from][1]), 0);
			error = msr_set(vm, 0, MSR_APIC_BASE, target);
			assert_int_equal(error, allowed[from][to] ? 0 : -EINVAL);
			now = msr_value(vm, 0, MSR_APIC_BASE);
			assert_int_equal(now, allowed[from][to] ? target : way_there[from][1]);
			fake_destroy(vm);
		}
	}
}

/* The fake processor has 40 bits of physical address. */
static void test_reserved_bits_of_the_base(void **state)
{
	struct vm *vm = *state;

	for (unsigned bit = 0; bit < 64; bit++) {
		bool reserved = bit < 8 || bit == 9 || bit >= 40;

		if (reserved)
			assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, BASE_XAPIC | BIT_ULL(bit)),
					 -EINVAL);
	}
	assert_int_equal(msr_value(vm, 0, MSR_APIC_BASE), BASE_XAPIC | BASE_BSP);
}

static void test_page_moves(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, 0xfd00000800ull), 0);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfd00000030ull, 4), 0x50014);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfee00030, 4), 0xffffffff);
	/* RAM is mapped there and would be written instead. */
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, 0x00100800), -EINVAL);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfd00000030ull, 4), 0x50014);
	vm->irqchip->vcpu_reset(cpu(vm, 0), false);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfee00030, 4), 0x50014);
}

/* SDM, "Relocating the Local APIC Registers": each processor has an IA32_APIC_BASE of its own. */
static void test_page_moves_for_one_processor(void **state)
{
	struct vm *vm = apic_vm(3);

	assert_int_equal(msr_set(vm, 1, MSR_APIC_BASE, 0xfed40800), 0);
	assert_int_equal(mmio_read(cpu(vm, 1), 0xfed40020, 4), 1u << 24);
	mmio_write(cpu(vm, 1), 0xfed40080, 4, 0x50);
	assert_int_equal(mmio_read(cpu(vm, 1), 0xfed40080, 4), 0x50);
	assert_int_equal(apic_get(vm, 1, LAPIC_ID), 0xffffffff);
	apic_set(vm, 1, LAPIC_TPR, 0x20);
	assert_int_equal(mmio_read(cpu(vm, 1), 0xfed40080, 4), 0x50);
	/* The others have it where it was, and something else at that place. */
	assert_int_equal(apic_get(vm, 0, LAPIC_ID), 0);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfed40020, 4), 0xffffffff);
	assert_int_equal(msr_set(vm, 2, MSR_APIC_BASE, 0xfed50800), 0);
	assert_int_equal(mmio_read(cpu(vm, 2), 0xfed50020, 4), 2u << 24);
	assert_int_equal(mmio_read(cpu(vm, 2), 0xfed40020, 4), 0xffffffff);
	assert_int_equal(mmio_read(cpu(vm, 1), 0xfed40020, 4), 1u << 24);
	/* INIT leaves the base alone. */
	vm->irqchip->vcpu_reset(cpu(vm, 1), true);
	assert_int_equal(mmio_read(cpu(vm, 1), 0xfed40020, 4), 1u << 24);
	assert_int_equal(msr_set(vm, 1, MSR_APIC_BASE, BASE_XAPIC), 0);
	assert_int_equal(apic_get(vm, 1, LAPIC_ID), 1u << 24);
	assert_int_equal(mmio_read(cpu(vm, 1), 0xfed40020, 4), 0xffffffff);
	vm->irqchip->vcpu_reset(cpu(vm, 2), false);
	assert_int_equal(apic_get(vm, 2, LAPIC_ID), 2u << 24);
	assert_int_equal(mmio_read(cpu(vm, 2), 0xfed50020, 4), 0xffffffff);
	fake_destroy(vm);
}

/* Switched off, or in x2APIC mode, the page is not there, wherever it was. */
static void test_moved_page_goes(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, 0xfed40800), 0);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfed40030, 4), 0x50014);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, 0xfed40c00), 0);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfed40030, 4), 0xffffffff);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfee00030, 4), 0xffffffff);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, 0xfed40000), 0);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfed40030, 4), 0xffffffff);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, 0xfed40900), 0);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfed40030, 4), 0x50014);
}

static void test_page_at_the_end_of_ram(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, (MIB(2) - PAGE_SIZE) | 0x800), -EINVAL);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, MIB(2) | 0x800), 0);
	assert_int_equal(mmio_read(cpu(vm, 0), MIB(2) + 0x30, 4), 0x50014);
}

/* Each address once, or a guest could fill the log. */
static void test_page_in_ram_is_logged_once(void **state)
{
	struct vm *vm = *state;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, 0x00100800), -EINVAL);
	assert_int_equal(logged, 1);
}

static u64 read_nothing(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	return 0x12345678;
}

static void write_nothing(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
}

/* The local APICs move their own page, which need not be the first MMIO region of the VM. */
static void test_page_moves_and_no_other_region(void **state)
{
	const struct io_region other = { "other", 0xd0000000, PAGE_SIZE, { read_nothing }, { write_nothing }, NULL, false };
	struct vm *vm = fake_create(MIB(2));

	vm_set_platform(vm, &fixture_platform);
	fixture_platform.vpic = vpic_create(vm);
	assert_int_equal(mmio_register(vm, &other), 0);
	assert_int_equal(apic_create(vm), 0);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, 0xfd00000800ull), 0);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xd0000000, 4), 0x12345678);
	assert_int_equal(mmio_read(cpu(vm, 0), 0xfd00000030ull, 4), 0x50014);
	fake_destroy(vm);
}

static void test_no_memory(void **state)
{
	struct vm *vm = fake_create(MIB(2));

	for (unsigned limit = 0; limit < 2; limit++) {
		fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count + limit;
		vm->mmio.count = 0;
		assert_int_equal(apic_create(vm), -ENOMEM);
	}
	fake_destroy(vm);
}

static void test_off_forgets_everything(void **state)
{
	struct vm *vm = *state;

	self_ipi(vm, 0, 0x40);
	acknowledge(vm, 0);
	self_ipi(vm, 0, 0x50);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, BASE_OFF), 0);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(apic_get(vm, 0, LAPIC_VERSION), 0xffffffff);
	apic_set(vm, 0, LAPIC_TPR, 0x10);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, BASE_XAPIC), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_SVR), 0xff);
	assert_int_equal(apic_get(vm, 0, LAPIC_TPR), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_PPR), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_LVT + LVT_LINT0), 0x10000);
}

/* xAPIC mode does not have these bits, so the SDM leaves them open; here they start as 0. */
static void test_upper_half_of_the_icr_starts_as_0(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_ICR_HIGH, 0x12000000);
	apic_set(vm, 0, LAPIC_ICR, 0xc4500);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, BASE_X2APIC | BASE_BSP), 0);
	assert_int_equal(msr_value(vm, 0, X2APIC(LAPIC_ICR)), 0xc4500);
}

static void test_state_survives_the_way_to_x2apic(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_TPR, 0x25);
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, 0x20033);
	self_ipi(vm, 0, 0x40);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, BASE_X2APIC | BASE_BSP), 0);
	assert_int_equal(msr_value(vm, 0, X2APIC(LAPIC_TPR)), 0x25);
	assert_int_equal(msr_value(vm, 0, X2APIC(LAPIC_SVR)), 0x1ff);
	assert_int_equal(msr_value(vm, 0, X2APIC(LAPIC_LVT + LVT_TIMER)), 0x20033);
	assert_int_equal(pending(vm, 0), 0x40);
	/* The page is gone. */
	assert_int_equal(apic_get(vm, 0, LAPIC_VERSION), 0xffffffff);
	apic_set(vm, 0, LAPIC_TPR, 0);
	assert_int_equal(msr_value(vm, 0, X2APIC(LAPIC_TPR)), 0x25);
}

/* A write of IA32_APIC_BASE that changes no mode. */
static void test_same_mode_keeps_the_state(void **state)
{
	struct vm *vm = *state;

	enter_x2apic(vm, 0);
	assert_int_equal(msr_set(vm, 0, X2APIC(LAPIC_ICR), 0x12345678000c4500), 0);
	assert_int_equal(msr_set(vm, 0, X2APIC(LAPIC_TPR), 0x33), 0);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, BASE_X2APIC | BASE_BSP), 0);
	assert_int_equal(msr_value(vm, 0, X2APIC(LAPIC_ICR)), 0x12345678000c4500);
	assert_int_equal(msr_value(vm, 0, X2APIC(LAPIC_TPR)), 0x33);
}

/* --- registers --- */

/* "Local APIC Register Address Map Supported by x2APIC" */
static char access_of(unsigned reg)
{
	switch (reg) {
	case 0x02: case 0x03: case 0x0a: case 0x0d: case 0x10 ... 0x27: case 0x39:
		return 'r';
	case 0x0b: case 0x3f:
		return 'w';
	case 0x08: case 0x0f: case 0x28: case 0x30: case 0x32 ... 0x38: case 0x3e:
		return 'b';
	default:
		return 0;
	}
}

static void test_register_map(void **state)
{
	struct vm *vm = *state;
	u64 value;

	enter_x2apic(vm, 0);
	for (unsigned reg = 0; reg < 0x100; reg++) {
		char access = access_of(reg);
		u64 harmless = 0;

		if (reg == LAPIC_SVR)
			harmless = 0x1ff;
		else if (reg == LAPIC_ICR)
			harmless = 0xc4500; /* INIT to the others, of which there are none */
		else if (reg == LAPIC_SELF_IPI)
			harmless = 0x40;
		assert_int_equal(msr_get(vm, 0, X2APIC(reg), &value),
				 access == 'r' || access == 'b' ? 0 : -EINVAL);
		assert_int_equal(msr_set(vm, 0, X2APIC(reg), harmless),
				 access == 'w' || access == 'b' ? 0 : -EINVAL);
	}
}

static void test_no_registers_outside_of_x2apic_mode(void **state)
{
	struct vm *vm = *state;
	u64 value;

	for (unsigned reg = 0; reg < 0x100; reg++) {
		assert_int_equal(msr_get(vm, 0, X2APIC(reg), &value), -EINVAL);
		assert_int_equal(msr_set(vm, 0, X2APIC(reg), 0), -EINVAL);
	}
}

static void test_other_msrs_are_not_its_own(void **state)
{
	static const u32 msrs[] = { 0x1a, 0x1c, 0x6df, 0x6e1, 0x7ff, 0x900 };
	struct vm *vm = *state;
	u64 value;

	enter_x2apic(vm, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_int_equal(msr_get(vm, 0, msrs[i], &value), -EINVAL);
		assert_int_equal(msr_set(vm, 0, msrs[i], 0), -EINVAL);
	}
}

static void test_reserved_bits_fault(void **state)
{
	/* What may be written with any value; delivery status and remote IRR are read-only. */
	static const struct {
		unsigned reg;
		u64 writable;
	} registers[] = {
		{ LAPIC_TPR, 0xff },
		{ LAPIC_EOI, 0 },
		{ LAPIC_ESR, 0 },
		{ LAPIC_LVT + LVT_TIMER, 0x710ff },
		{ LAPIC_LVT + LVT_THERMAL, 0x117ff },
		{ LAPIC_LVT + LVT_PERFORMANCE, 0x117ff },
		{ LAPIC_LVT + LVT_LINT0, 0x1f7ff },
		{ LAPIC_LVT + LVT_LINT1, 0x1f7ff },
		{ LAPIC_LVT + LVT_ERROR, 0x110ff },
		{ LAPIC_INITIAL_COUNT, 0xffffffff },
		{ LAPIC_DIVIDE, 0xb },
		{ LAPIC_SELF_IPI, 0xff },
		{ LAPIC_ICR, 0xffffffff000cdfff },
	};
	struct vm *vm = *state;

	enter_x2apic(vm, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			bool ok = registers[i].writable >> bit & 1;
			u32 msr = X2APIC(registers[i].reg);

			if (!ok || registers[i].reg == LAPIC_LVT + LVT_THERMAL)
				assert_int_equal(msr_set(vm, 0, msr, BIT_ULL(bit)),
						 ok ? 0 : -EINVAL);
		}
	}
	/* Bit 12: the version register does not announce the suppression of EOI broadcasts. */
	assert_int_equal(msr_set(vm, 0, X2APIC(LAPIC_SVR), 0x11ff), -EINVAL);
}

/* Each bit that is not reserved may be written, and is kept unless it is read-only. */
static void test_other_bits_are_kept(void **state)
{
	static const struct {
		unsigned reg;
		u64 writable, kept, others;	/* others: what is written with each bit */
	} registers[] = {
		{ LAPIC_TPR, 0xff, 0xff, 0 },
		{ LAPIC_SVR, 0x3ff, 0x3ff, 0x100 },
		{ LAPIC_LVT + LVT_TIMER, 0x710ff, 0x700ff, 0 },
		{ LAPIC_LVT + LVT_THERMAL, 0x117ff, 0x107ff, 0 },
		{ LAPIC_LVT + LVT_PERFORMANCE, 0x117ff, 0x107ff, 0 },
		{ LAPIC_LVT + LVT_LINT0, 0x1f7ff, 0x1a7ff, 0 },
		{ LAPIC_LVT + LVT_LINT1, 0x1f7ff, 0x1a7ff, 0 },
		{ LAPIC_LVT + LVT_ERROR, 0x110ff, 0x100ff, 0 },
		{ LAPIC_INITIAL_COUNT, 0xffffffff, 0xffffffff, 0 },
		{ LAPIC_DIVIDE, 0xb, 0xb, 0 },
		/* To the others, of which there are none. */
		{ LAPIC_ICR, 0xffffffff000cdfff, 0xffffffff000ccfff, 0xc0000 },
	};
	struct vm *vm = *state;

	enter_x2apic(vm, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			u64 value = BIT_ULL(bit) | registers[i].others;
			u32 msr = X2APIC(registers[i].reg);

			if (!(registers[i].writable >> bit & 1))
				continue;
			assert_int_equal(msr_set(vm, 0, msr, value), 0);
			assert_int_equal(msr_value(vm, 0, msr), value & registers[i].kept);
		}
		assert_int_equal(msr_set(vm, 0, X2APIC(LAPIC_LVT + LVT_TIMER), 0x10000), 0);
	}
}

static void test_ids(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(msr_value(vm, 0x112, X2APIC(LAPIC_ID)), 0x112);
	/* Cluster in the upper half, a bit of sixteen in the lower. */
	assert_int_equal(msr_value(vm, 0, X2APIC(LAPIC_LDR)), 0x00000001);
	assert_int_equal(msr_value(vm, 15, X2APIC(LAPIC_LDR)), 0x00008000);
	assert_int_equal(msr_value(vm, 0x112, X2APIC(LAPIC_LDR)), 0x00110004);
}

/* --- IPIs --- */

/* Bit n of the result: ids[n] has got it. */
static unsigned send(struct vm *vm, u32 from, u32 destination, u32 low)
{
	u64 icr = (u64)destination << 32 | low | 0x66;
	unsigned set = 0;

	assert_int_equal(msr_set(vm, from, X2APIC(LAPIC_ICR), icr), 0);
	assert_int_equal(msr_value(vm, from, X2APIC(LAPIC_ICR)), icr);
	for (u32 i = 0; i < ARRAY_SIZE(ids); i++) {
		if (pending(vm, ids[i]) < 0)
			continue;
		assert_int_equal(acknowledge(vm, ids[i]), 0x66);
		assert_int_equal(msr_set(vm, ids[i], X2APIC(LAPIC_EOI), 0), 0);
		set |= BIT(i);
	}
	return set;
}

static void test_destinations(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(send(vm, 0, 0x112, 0), BIT(3));
	assert_int_equal(send(vm, 0, 0x12, 0), 0);
	assert_int_equal(send(vm, 0x112, 0xffffffff, 0), 0xf);
	assert_int_equal(send(vm, 0, 0xff, 0), 0);
	assert_int_equal(send(vm, 0, 0x00008001, 0x800), BIT(0) | BIT(2));
	assert_int_equal(send(vm, 0, 0x00110004, 0x800), BIT(3));
	assert_int_equal(send(vm, 0, 0x00120004, 0x800), 0);
	assert_int_equal(send(vm, 0, 0xffffffff, 0x800), 0xf);
	assert_int_equal(send(vm, 1, 0, 3 << 18), 0xf & ~BIT(1));
}

static void test_self_ipi(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(msr_set(vm, 0, X2APIC(LAPIC_SELF_IPI), 0x77), 0);
	assert_int_equal(acknowledge(vm, 0), 0x77);
	assert_int_equal(msr_set(vm, 0, X2APIC(LAPIC_SELF_IPI), 0x0f), 0);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(msr_set(vm, 0, X2APIC(LAPIC_ESR), 0), 0);
	assert_int_equal(msr_value(vm, 0, X2APIC(LAPIC_ESR)), 0x20);
}

/* TLFS, "Local APIC MSR Accesses": EOI can only be written, TPR has 8 bits, ICR is one register of 64 bits in both modes. */
static void hyperv_registers(struct vm *vm, u64 to_itself)
{
	u64 value;

	assert_int_equal(msr_get(vm, 0, MSR_HYPERV_EOI, &value), -EINVAL);
	assert_int_equal(msr_set(vm, 0, MSR_HYPERV_ICR, to_itself | 0x77), 0);
	assert_int_equal(msr_value(vm, 0, MSR_HYPERV_ICR), to_itself | 0x77);
	assert_int_equal(acknowledge(vm, 0), 0x77);
	assert_int_equal(msr_set(vm, 0, MSR_HYPERV_ICR, to_itself | 0x66), 0);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(msr_set(vm, 0, MSR_HYPERV_EOI, 0), 0);
	assert_int_equal(pending(vm, 0), 0x66);
	assert_int_equal(msr_set(vm, 0, MSR_HYPERV_TPR, 0x65), 0);
	assert_int_equal(msr_value(vm, 0, MSR_HYPERV_TPR), 0x65);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(msr_set(vm, 0, MSR_HYPERV_TPR, 0), 0);
	assert_int_equal(acknowledge(vm, 0), 0x66);
	assert_int_equal(msr_set(vm, 0, MSR_HYPERV_EOI, 0), 0);
	assert_int_equal(msr_get(vm, 0, MSR_HYPERV_TPR + 1, &value), -EINVAL);
}

static void test_hyperv_registers(void **state)
{
	struct vm *vm = *state;
	u64 value;

	apic_enable(vm, 0);
	apic_set(vm, 0, LAPIC_LDR, 2u << 24);
	hyperv_registers(vm, 2ull << 56 | 0x800);	/* logical, in xAPIC mode */
	enter_x2apic(vm, 0);
	hyperv_registers(vm, 0);			/* physical: id 0 */
	assert_int_equal(msr_set(vm, 0, MSR_HYPERV_ICR, BIT(20)), -EINVAL);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, BASE_OFF | BASE_BSP), 0);
	assert_int_equal(msr_get(vm, 0, MSR_HYPERV_TPR, &value), -EINVAL);
	assert_int_equal(msr_set(vm, 0, MSR_HYPERV_TPR, 0), -EINVAL);
}

/* Its destinations are ids. */
static void test_ioapic_to_x2apic(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, 5, 0x66, 15);
	line(vm, 5, true);
	line(vm, 5, false);
	assert_int_equal(acknowledge(vm, 15), 0x66);
	/* With ids above it FFh is one of them: KVM's KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK. */
	enter_x2apic(vm, 0xff);
	entry_set(vm, 5, 0x77, 0xff);
	line(vm, 5, true);
	assert_int_equal(pending(vm, 0xff), 0x77);
	for (u32 i = 0; i < ARRAY_SIZE(ids); i++)
		assert_int_equal(pending(vm, ids[i]), -1);
}

static void test_ioapic_broadcasts_with_short_ids(void **state)
{
	struct vm *vm = apic_vm(255);

	for (u32 i = 0; i < 3; i++)
		enter_x2apic(vm, ids[i]);
	entry_set(vm, 5, 0x67, 0xff);
	line(vm, 5, true);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(pending(vm, ids[i]), 0x67);
	*state = vm;
}

/* SDM, "Local APIC State After It Receives an INIT Message": as power-up, but for the id, the base and the mode. */
static void test_init_keeps_the_mode(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(msr_set(vm, 0x112, X2APIC(LAPIC_TPR), 0x20), 0);
	assert_int_equal(msr_set(vm, 0x112, X2APIC(LAPIC_SELF_IPI), 0x40), 0);
	vm->irqchip->vcpu_reset(cpu(vm, 0x112), true);
	assert_int_equal(msr_value(vm, 0x112, MSR_APIC_BASE), BASE_X2APIC);
	assert_int_equal(msr_value(vm, 0x112, X2APIC(LAPIC_ID)), 0x112);
	assert_int_equal(msr_value(vm, 0x112, X2APIC(LAPIC_LDR)), 0x00110004);
	assert_int_equal(msr_value(vm, 0x112, X2APIC(LAPIC_TPR)), 0);
	assert_int_equal(msr_value(vm, 0x112, X2APIC(LAPIC_SVR)), 0xff);
	assert_int_equal(msr_value(vm, 0x112, X2APIC(LAPIC_LVT + LVT_LINT0)), 0x10000);
	assert_int_equal(pending(vm, 0x112), -1);
	/* Power-up with ids of more than 8 bits, and without. */
	vm->irqchip->vcpu_reset(cpu(vm, 0x112), false);
	assert_int_equal(msr_value(vm, 0x112, MSR_APIC_BASE), BASE_X2APIC);
	assert_int_equal(msr_value(vm, 0x112, X2APIC(LAPIC_LDR)), 0x00110004);
}

static void test_power_up_with_short_ids(void **state)
{
	struct vm *vm = apic_vm(255);

	assert_int_equal(msr_value(vm, 0, MSR_APIC_BASE), BASE_XAPIC | BASE_BSP);
	assert_int_equal(msr_value(vm, 254, MSR_APIC_BASE), BASE_XAPIC);
	*state = vm;
}

#define ON(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define ON_X2APIC(f) cmocka_unit_test_setup_teardown(f, set_up_x2apic, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode_transitions),
		ON(test_reserved_bits_of_the_base),
		ON(test_hyperv_registers),
		ON(test_page_moves),
		cmocka_unit_test(test_page_moves_for_one_processor),
		ON(test_moved_page_goes),
		ON(test_page_at_the_end_of_ram),
		ON(test_page_in_ram_is_logged_once),
		cmocka_unit_test(test_page_moves_and_no_other_region),
		cmocka_unit_test(test_no_memory),
		ON(test_off_forgets_everything),
		ON(test_state_survives_the_way_to_x2apic),
		ON(test_upper_half_of_the_icr_starts_as_0),
		ON(test_same_mode_keeps_the_state),
		ON(test_register_map),
		ON(test_no_registers_outside_of_x2apic_mode),
		ON(test_other_msrs_are_not_its_own),
		ON(test_reserved_bits_fault),
		ON(test_other_bits_are_kept),
		ON_X2APIC(test_ids),
		ON_X2APIC(test_destinations),
		ON_X2APIC(test_self_ipi),
		ON_X2APIC(test_ioapic_to_x2apic),
		cmocka_unit_test_teardown(test_ioapic_broadcasts_with_short_ids, tear_down),
		cmocka_unit_test_teardown(test_power_up_with_short_ids, tear_down),
		ON_X2APIC(test_init_keeps_the_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
