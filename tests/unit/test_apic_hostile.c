/* SPDX-License-Identifier: MIT */
/*
 * Guests that access their APICs at random and in every size, on several processors, while lines change
 * and time passes. Whatever they do, the invariants of the state hold, and timers do not fire so often
 * that the host does nothing else.
 */
/* link: dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c dev/irq/apic_bus.c */
/* link: dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
/* cflags: -DVM_MAX_VCPUS=4 */
#include "apic_fixture.h"

#define VCPUS	   3
#define ROUNDS	   1000000
#define REMOTE_IRR BIT_ULL(14)
#define LEVEL	   BIT_ULL(15)
#define MASKED	   BIT_ULL(16)

static u64 seed;

static u64 random_below(u64 n)
{
	return (fake_random(&seed) >> 16) % n;
}

/* Numbers that find edges more often than uniform ones do. */
static u64 random_value(void)
{
	u64 value = fake_random(&seed);

	switch (random_below(6)) {
	case 0:
		return value;
	case 1:
		return (u32)value;
	case 2:
		return value & 0xff;
	case 3:
		return value & 0x710ff;		/* LVT timer entries, IPIs */
	case 4:
		return value & 0x000cffff;
	default:
		return BIT_ULL(value & 63) - (value >> 63);
	}
}

static struct vlapic *vlapic_of(struct vm *vm, u32 index)
{
	return vcpu_vlapic(cpu(vm, index));
}

/* --- what a guest and its devices can do --- */

static void access_lapic_page(struct vm *vm, u32 index)
{
	gpa_t base = vlapic_of(vm, 0)->base & 0xfffffff000;
	gpa_t gpa = base + (random_below(4) ? random_below(0x40) * 16 : random_below(0x1000));
	unsigned size = random_below(4) ? 4 : 1 << random_below(4);

	if (random_below(2))
		mmio_write(cpu(vm, index), gpa, size, random_value());
	else
		mmio_read(cpu(vm, index), gpa, size);
}

static void access_ioapic(struct vm *vm, u32 index)
{
	static const u16 offsets[] = { 0, 0x10, 0x10, 0x10, 0x40 };
	u64 offset = random_below(8) ? offsets[random_below(5)] : random_below(IOAPIC_SIZE);
	gpa_t gpa = IOAPIC_BASE + offset;
	unsigned size = random_below(4) ? 4 : 1 << random_below(4);
	u64 value = random_value();

	if (gpa == IOAPIC_BASE && random_below(2))
		value = 0x10 + random_below(48);
	if (random_below(3))
		mmio_write(cpu(vm, index), gpa, size, value);
	else
		mmio_read(cpu(vm, index), gpa, size);
}

static void access_msr(struct vm *vm, u32 index)
{
	u32 msr = X2APIC(random_below(0x100));
	u64 value = random_value();

	switch (random_below(8)) {
	case 0:
		msr = MSR_APIC_BASE;
		/* Rarely off: else little would happen. */
		value = random_below(8) ? BASE_XAPIC | random_below(2) << 10 : value;
		break;
	case 1:
		msr = MSR_TSC_DEADLINE;
		if (random_below(2))
			value = vcpu_guest_tsc(cpu(vm, index), vtimer_now()) + (u16)value;
		break;
	}
	if (random_below(3))
		msr_set(vm, index, msr, value);
	else
		msr_get(vm, index, msr, &value);
}

static void take_interrupt(struct vm *vm, u32 index)
{
	const struct vlapic *vlapic = vlapic_of(vm, index);
	u8 ppr = vlapic_ppr(vlapic);
	int expected = pending(vm, index);
	int vector = acknowledge(vm, index);

	if (expected < 0) {
		assert_int_equal(vector, -1);
	} else if (expected > 0) {
		assert_int_equal(vector, expected);
		assert_true(vector >= 16 && (vector & 0xf0) > (ppr & 0xf0));
		assert_true(vector_set_has(&vlapic->page.isr, (u8)vector));
		assert_false(vector_set_has(&vlapic->page.irr, (u8)vector));
		assert_int_equal(vlapic_ppr(vlapic) & 0xf0, vector & 0xf0);
	} else {
		assert_true(vector >= 0); /* the 8259s' */
	}
}

static void access_pic(struct vm *vm)
{
	static const u16 ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	u16 port = ports[random_below(ARRAY_SIZE(ports))];

	if (random_below(4))
		out8(vm, port, (u8)fake_random(&seed));
	else
		in8(vm, port);
}

static void change_tsc(struct vm *vm, u32 index)
{
	cpu(vm, index)->tsc_offset = random_value();
	vm->irqchip->tsc_changed(cpu(vm, index));
}

/* A well-behaved start, so that the random rest meets a machine that works. */
static void make_usable(struct vm *vm, u32 index)
{
	if (random_below(2)) {
		vm->irqchip->vcpu_reset(cpu(vm, index), false);
		apic_enable(vm, index);
	} else {
		apic_set(vm, index, LAPIC_TPR, 0);
		apic_set(vm, index, LAPIC_LVT + LVT_TIMER, 0x20000 | (u8)(random_below(240) + 16));
		apic_set(vm, index, LAPIC_INITIAL_COUNT, (u32)random_below(100));
	}
}

static void act(struct vm *vm)
{
	u32 index = (u32)random_below(VCPUS);

	switch (random_below(16)) {
	case 0 ... 3:
		access_lapic_page(vm, index);
		break;
	case 4 ... 5:
		access_ioapic(vm, index);
		break;
	case 6 ... 7:
		access_msr(vm, index);
		break;
	case 8 ... 9:
		line(vm, (unsigned)random_below(26), random_below(2));
		break;
	case 10:
		take_interrupt(vm, index);
		break;
	case 11:
		end_interrupt(vm, index);
		msr_set(vm, index, X2APIC(LAPIC_EOI), 0);
		break;
	case 12:
		fake_advance(vm, random_below(random_below(64) ? 10000 : 1000000));
		break;
	case 13:
		vm->irqchip->cr8_write(cpu(vm, index), random_below(16));
		break;
	case 14:
		access_pic(vm);
		break;
	default:
		switch (random_below(64)) {
		case 0:
			change_tsc(vm, index);
			break;
		case 1:
			fake_stall(vm, random_below(10000000));
			break;
		case 2 ... 8:
			make_usable(vm, index);
			break;
		}
	}
}

/* --- invariants --- */

static void check_lapic(struct vm *vm, u32 index)
{
	struct vlapic *vlapic = vlapic_of(vm, index);
	int request = vector_set_highest(&vlapic->page.irr, VECTOR_HINT_ALL), service = vector_set_highest(&vlapic->page.isr, VECTOR_HINT_ALL);
	int vector = vlapic_pending(vlapic);
	u8 service_class = service < 0 ? 0 : service & 0xf0;

	/* Vectors 0 to 15 are never accepted. */
	assert_int_equal(vector_set_register(&vlapic->page.irr, 0) & 0xffff, 0);
	assert_int_equal(vector_set_register(&vlapic->page.isr, 0) & 0xffff, 0);

	for (unsigned i = 0; i < VECTOR_REGISTERS; i++) {
		assert_int_equal(vlapic->irr_hint >> i & 1, vector_set_register(&vlapic->page.irr, i) != 0);
		assert_int_equal(vlapic->isr_hint >> i & 1, vector_set_register(&vlapic->page.isr, i) != 0);
	}
	assert_int_equal(vlapic_ppr(vlapic),
			 (vlapic_tpr(vlapic) & 0xf0) >= service_class ? vlapic_tpr(vlapic) : service_class);
	if (vector >= 0)
		assert_true(vector == request && (vector & 0xf0) > (vlapic_ppr(vlapic) & 0xf0));
	else
		assert_true(request < 0 || (request & 0xf0) <= (vlapic_ppr(vlapic) & 0xf0));

	/* One of the three legal modes; switched off there is nothing in it. */
	assert_int_not_equal(vlapic->base & 0xc00, 0x400);
	if (!(vlapic->base & 0x800))
		assert_true(request < 0 && service < 0);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		assert_true(vlapic_enabled(vlapic) || (vlapic->lvt[i] & LVT_MASKED));

	assert_true(vlapic->timer.remaining <= vlapic->timer.initial);
	assert_true(vlapic_timer_current(vlapic) <= vlapic->timer.initial);
	if (vlapic->timer.vtimer.armed)
		assert_false(vlapic->lvt[LVT_TIMER] & LVT_MASKED);
}

static void check_ioapic(struct vm *vm)
{
	const struct vioapic *vioapic = vm_irqchip_data(vm); /* its first member */

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 entry = vioapic->entries[pin];

		assert_int_equal(entry & ~0xff0000000001efffull, 0);
		if (entry & REMOTE_IRR)
			assert_true((entry & LEVEL) && (entry >> 8 & 7) <= 1);
	}
	assert_int_equal(vioapic->lines >> IOAPIC_PINS, 0);
}

static void run(u64 start)
{
	struct vm *vm = apic_vm(VCPUS);
	unsigned interrupts = 0;

	seed = start;
	for (u32 i = 0; i < VCPUS; i++)
		make_usable(vm, i);
	for (unsigned i = 0; i < ROUNDS; i++) {
		act(vm);
		for (u32 index = 0; index < VCPUS; index++) {
			check_lapic(vm, index);
			interrupts += vlapic_pending(vlapic_of(vm, index)) >= 0;
		}
		check_ioapic(vm);
	}
	/* The run tested something: interrupts were deliverable, signals arrived. */
	assert_true(interrupts > ROUNDS / 100);
	assert_true(fake_vcpu_of(cpu(vm, 0))->nmis > 100);
	fake_destroy(vm);
}

static void test_random_guest(void **state)
{
	run(0x1234567);
}

static void test_another_random_guest(void **state)
{
	run(0xfedcba9876543210);
}

/* The shortest periods on all processors at the same time: together the timers stay below the bound. */
static void test_timers_stay_below_the_bound(void **state)
{
	struct vm *vm = apic_vm(VCPUS);
	u64 end = vtimer_now() + vtimer_from_ns(20000000);
	unsigned fired = 0;

	for (u32 i = 0; i < VCPUS; i++) {
		apic_enable(vm, i);
		apic_set(vm, i, LAPIC_LVT + LVT_TIMER, 0x20040);
		apic_set(vm, i, LAPIC_DIVIDE, 0xb);
		apic_set(vm, i, LAPIC_INITIAL_COUNT, i + 1);
	}
	while (fake_deadline(vm) < end) {
		fake_advance(vm, fake_deadline(vm) - vtimer_now());
		fired++;
	}
	assert_in_range(fired, VCPUS, VCPUS * (20000000 / LAPIC_TIMER_MIN_PERIOD_NS + 1));
	fake_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_guest),
		cmocka_unit_test(test_another_random_guest),
		cmocka_unit_test(test_timers_stay_below_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
