/* SPDX-License-Identifier: MIT */
/*
 * Each register of the local APIC's page: which accesses are errors, which bytes a read gives, and
 * what a reset leaves. Intel SDM, "Local APIC Register Address Map".
 */
/* link: dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c dev/irq/apic_bus.c */
/* link: dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
/* cflags: -DVM_MAX_VCPUS=4 */
#include "apic_fixture.h"

#define ILLEGAL_REGISTER 0x80

static int set_up(void **state)
{
	*state = apic_vm(1);
	return 0;
}

static struct vlapic *apic_of(struct vm *vm)
{
	return vcpu_vlapic(cpu(vm, 0));
}

static u32 errors(struct vm *vm)
{
	apic_set(vm, 0, LAPIC_ESR, 0);
	return apic_get(vm, 0, LAPIC_ESR);
}

static void accept(struct vm *vm, u8 vector, bool level)
{
	const struct apic_message message = { .vector = vector, .level = level };

	assert_true(vlapic_accept(apic_of(vm), &message));
}

static bool exists(unsigned reg)
{
	switch (reg) {
	case 0x02: case 0x03: case 0x08 ... 0x28: case 0x30 ... 0x39: case 0x3e:
		return true;
	default:
		return false;
	}
}

/* A value that may be written without an effect elsewhere. */
static u32 harmless(struct vm *vm, unsigned reg)
{
	return reg == LAPIC_ICR ? 0xc4500 : apic_get(vm, 0, reg);	/* INIT to the others, of which there are none */
}

static void registers_that_exist_are_no_error(void **state)
{
	struct vm *vm = *state;

	for (unsigned reg = 0; reg < 64; reg++) {
		if (!exists(reg))
			continue;
		apic_get(vm, 0, reg);
		assert_int_equal(errors(vm), 0);
		apic_set(vm, 0, reg, harmless(vm, reg));
		assert_int_equal(errors(vm), 0);
	}
}

static void registers_that_do_not_exist_are_an_error(void **state)
{
	struct vm *vm = *state;

	for (unsigned reg = 0; reg < 0x100; reg++) {
		if (exists(reg))
			continue;
		assert_int_equal(apic_get(vm, 0, reg), 0);
		assert_int_equal(errors(vm), ILLEGAL_REGISTER);
		apic_set(vm, 0, reg, 0);
		assert_int_equal(errors(vm), ILLEGAL_REGISTER);
	}
}

static void registers_without_content_read_0(void **state)
{
	static const u8 registers[] = { LAPIC_EOI, LAPIC_REMOTE_READ };

	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
		assert_true(vlapic_read(apic_of(*state), registers[i]) == 0);
}

/* A register has four bytes; the twelve after them are 0. */
static void narrow_reads_give_the_bytes_that_they_cover(void **state)
{
	static const u8 bytes[16] = { 0xff, 0xff, 0xff, 0xaf };
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_DFR, 0xa0000000);
	for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++)
		assert_int_equal(mmio_read(cpu(vm, 0), LAPIC_DEFAULT_BASE + LAPIC_DFR * 16 + i, 1) & 0xff,
				 bytes[i]);
}

/* 32 vectors in each of the eight registers of TMR, IRR and ISR. */
static void vectors_show_in_their_register(void **state)
{
	for (unsigned word = 0; word < 8; word++) {
		struct vm *vm = apic_vm(1);
		u8 vector = word * 32 + 16 + word;
		u32 bit = BIT(16 + word);

		accept(vm, vector, true);
		assert_int_equal(apic_get(vm, 0, LAPIC_IRR + word), bit);
		assert_int_equal(acknowledge(vm, 0), vector);
		for (unsigned other = 0; other < 8; other++) {
			assert_int_equal(apic_get(vm, 0, LAPIC_IRR + other), 0);
			assert_int_equal(apic_get(vm, 0, LAPIC_TMR + other), other == word ? bit : 0);
			assert_int_equal(apic_get(vm, 0, LAPIC_ISR + other), other == word ? bit : 0);
		}
		fake_destroy(vm);
	}
}

/* SDM, "Arbitration Priority" */
static void arbitration_priority_is_computed(void **state)
{
	static const struct {
		u8 tpr, request, service, apr;	/* vectors; 0: none */
	} rows[] = {
		{ 0x00, 0x00, 0x00, 0x00 },
		{ 0x35, 0x00, 0x00, 0x35 },
		{ 0x35, 0x31, 0x00, 0x35 },	/* TPR's class is as high as the request's */
		{ 0x30, 0x3f, 0x00, 0x30 },
		{ 0x35, 0x47, 0x00, 0x40 },
		{ 0x4a, 0x00, 0x41, 0x40 },	/* it must be above the class in service */
		{ 0x41, 0x00, 0x41, 0x40 },
		{ 0x40, 0x00, 0x4f, 0x40 },
		{ 0x50, 0x00, 0x41, 0x50 },
		{ 0x5a, 0x00, 0x41, 0x5a },
		{ 0x51, 0x52, 0x41, 0x51 },
		{ 0x4a, 0x61, 0x41, 0x60 },
		{ 0x2f, 0x31, 0x51, 0x50 },
		{ 0x1f, 0x71, 0x51, 0x70 },
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vm->irqchip->vcpu_reset(cpu(vm, 0), false);
		if (rows[i].service) {
			accept(vm, rows[i].service, false);
			assert_int_equal(acknowledge(vm, 0), rows[i].service);
		}
		if (rows[i].request)
			accept(vm, rows[i].request, false);
		apic_set(vm, 0, LAPIC_TPR, rows[i].tpr);
		assert_int_equal(apic_get(vm, 0, LAPIC_APR), rows[i].apr);
	}
}

/* SDM, "Local APIC State After Power-Up or Reset" */
static void a_reset_clears_each_register(void **state)
{
	struct vm *vm = *state;

	accept(vm, 0x40, true);
	apic_set(vm, 0, LAPIC_TPR, 0x55);
	apic_set(vm, 0, LAPIC_LDR, 0x12000000);
	apic_set(vm, 0, LAPIC_DFR, 0);
	apic_set(vm, 0, LAPIC_ICR_HIGH, 0x34000000);
	apic_set(vm, 0, LAPIC_ICR, 0xc4500);
	apic_set(vm, 0, LAPIC_DIVIDE, 0xb);
	self_ipi(vm, 0, 3);			/* an error that ESR shows */
	assert_int_equal(errors(vm), 0x20);
	self_ipi(vm, 0, 3);			/* and one that it does not show yet */
	vm->irqchip->vcpu_reset(cpu(vm, 0), false);

	assert_int_equal(apic_get(vm, 0, LAPIC_ESR), 0);
	assert_int_equal(errors(vm), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_TMR + 2), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_IRR + 2), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_TPR), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_LDR), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_DFR), 0xffffffff);
	assert_int_equal(apic_get(vm, 0, LAPIC_ICR), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_ICR_HIGH), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_DIVIDE), 0);
}

/* A write of SVR that leaves the APIC enabled does not touch the local vector table. */
static void another_spurious_vector_leaves_the_timer_alone(void **state)
{
	struct vm *vm = *state;
	u64 deadline;

	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, 0x20031);
	apic_set(vm, 0, LAPIC_DIVIDE, 0xb);
	apic_set(vm, 0, LAPIC_INITIAL_COUNT, 1000);
	deadline = fake_deadline(vm);
	fake_advance(vm, 1234567 % (deadline - vtimer_now()));	/* to the middle of a count */
	apic_set(vm, 0, LAPIC_SVR, 0x1fe);
	assert_int_equal(fake_deadline(vm), deadline);
	assert_int_equal(apic_get(vm, 0, LAPIC_SVR), 0x1fe);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers_that_exist_are_no_error),
		TEST(registers_that_do_not_exist_are_an_error),
		TEST(registers_without_content_read_0),
		TEST(narrow_reads_give_the_bytes_that_they_cover),
		cmocka_unit_test(vectors_show_in_their_register),
		TEST(arbitration_priority_is_computed),
		TEST(a_reset_clears_each_register),
		TEST(another_spurious_vector_leaves_the_timer_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
