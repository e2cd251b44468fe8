/* SPDX-License-Identifier: MIT */
/*
 * The local APIC in xAPIC mode: registers, priorities, acceptance, IPIs. The expected values are
 * from the Intel SDM, "Advanced Programmable Interrupt Controller (APIC)".
 */
/* link: dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c dev/irq/apic_bus.c */
/* link: dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
/* cflags: -DVM_MAX_VCPUS=4 */
#include "apic_fixture.h"

static int set_up(void **state)
{
	*state = apic_vm(1);
	return 0;
}

/* Four processors, all enabled. */
static int set_up_four(void **state)
{
	struct vm *vm = apic_vm(4);

	for (u32 i = 1; i < 4; i++)
		apic_enable(vm, i);
	*state = vm;
	return 0;
}

/* --- state and registers --- */

static void test_boot_processor_as_firmware_leaves_it(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(msr_value(vm, 0, MSR_APIC_BASE), 0xfee00900);
	assert_int_equal(apic_get(vm, 0, LAPIC_ID), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_VERSION), 0x50014);
	assert_int_equal(apic_get(vm, 0, LAPIC_SVR), 0x1ff);
	assert_int_equal(apic_get(vm, 0, LAPIC_LVT + LVT_LINT0), 0x700);
	assert_int_equal(apic_get(vm, 0, LAPIC_LVT + LVT_LINT1), 0x400);
	assert_int_equal(apic_get(vm, 0, LAPIC_LVT + LVT_TIMER), 0x10000);
	assert_int_equal(apic_get(vm, 0, LAPIC_DFR), 0xffffffff);
	assert_int_equal(apic_get(vm, 0, LAPIC_TPR), 0);
	assert_int_equal(pending(vm, 0), -1);
}

/* "Local APIC State After Power-Up or Reset" */
static void test_other_processors_as_after_reset(void **state)
{
	struct vm *vm = apic_vm(2);

	assert_int_equal(msr_value(vm, 1, MSR_APIC_BASE), 0xfee00800);
	assert_int_equal(apic_get(vm, 1, LAPIC_ID), 1 << 24);
	assert_int_equal(apic_get(vm, 1, LAPIC_SVR), 0xff);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		assert_int_equal(apic_get(vm, 1, LAPIC_LVT + i), 0x10000);
	assert_int_equal(apic_get(vm, 1, LAPIC_LDR), 0);
	assert_int_equal(apic_get(vm, 1, LAPIC_ICR), 0);
	assert_int_equal(apic_get(vm, 1, LAPIC_INITIAL_COUNT), 0);
	assert_int_equal(apic_get(vm, 1, LAPIC_DIVIDE), 0);
	fake_destroy(vm);
}

static void test_reset_forgets_everything(void **state)
{
	struct vm *vm = *state;

	self_ipi(vm, 0, 0x40);
	self_ipi(vm, 0, 0x50);
	acknowledge(vm, 0);
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, 0x30);
	apic_set(vm, 0, LAPIC_INITIAL_COUNT, 1000);
	vm->irqchip->vcpu_reset(cpu(vm, 0), false);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(apic_get(vm, 0, LAPIC_PPR), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_CURRENT_COUNT), 0);
	assert_true(fake_deadline(vm) == VTIMER_NEVER);
	test_boot_processor_as_firmware_leaves_it(state);
}

static void test_only_defined_bits_are_kept(void **state)
{
	static const struct {
		unsigned reg;
		u32 kept;
	} registers[] = {
		{ LAPIC_TPR, 0xff },
		{ LAPIC_LDR, 0xff000000 },
		{ LAPIC_LVT + LVT_TIMER, 0x700ff },
		{ LAPIC_LVT + LVT_THERMAL, 0x107ff },
		{ LAPIC_LVT + LVT_PERFORMANCE, 0x107ff },
		{ LAPIC_LVT + LVT_LINT0, 0x1a7ff },
		{ LAPIC_LVT + LVT_LINT1, 0x1a7ff },
		{ LAPIC_LVT + LVT_ERROR, 0x100ff },
		{ LAPIC_DIVIDE, 0xb },
		{ LAPIC_ICR_HIGH, 0xff000000 },
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		apic_set(vm, 0, registers[i].reg, 0xffffffff);
		assert_int_equal(apic_get(vm, 0, registers[i].reg), registers[i].kept);
	}
	apic_set(vm, 0, LAPIC_DFR, 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_DFR), 0x0fffffff);
}

static void test_read_only_registers(void **state)
{
	static const u8 registers[] = { LAPIC_ID, LAPIC_VERSION, LAPIC_APR, LAPIC_PPR, LAPIC_ISR,
					LAPIC_TMR, LAPIC_IRR + 7, LAPIC_CURRENT_COUNT };
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		u32 before = apic_get(vm, 0, registers[i]);

		apic_set(vm, 0, registers[i], ~before);
		assert_int_equal(apic_get(vm, 0, registers[i]), before);
	}
	apic_set(vm, 0, LAPIC_ESR, 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_ESR), 0);
}

static void test_odd_accesses_are_harmless(void **state)
{
	struct vm *vm = *state;
	u64 version = LAPIC_DEFAULT_BASE + LAPIC_VERSION * 16;
	u64 tpr = LAPIC_DEFAULT_BASE + LAPIC_TPR * 16;

	assert_int_equal(mmio_read(cpu(vm, 0), version + 2, 1) & 0xff, 0x05);
	assert_int_equal(mmio_read(cpu(vm, 0), version, 2) & 0xffff, 0x0014);
	assert_int_equal(mmio_read(cpu(vm, 0), version, 8), 0x50014);
	assert_int_equal(mmio_read(cpu(vm, 0), version + 8, 4), 0);
	mmio_write(cpu(vm, 0), tpr, 1, 0x55);
	mmio_write(cpu(vm, 0), tpr, 8, 0x55);
	mmio_write(cpu(vm, 0), tpr + 4, 4, 0x55);
	assert_int_equal(apic_get(vm, 0, LAPIC_TPR), 0);
	/* Past the last register, at the end of the page. */
	mmio_write(cpu(vm, 0), LAPIC_DEFAULT_BASE + 0xff0, 4, 0x55);
	assert_int_equal(mmio_read(cpu(vm, 0), LAPIC_DEFAULT_BASE + 0xff0, 4), 0);
}

/* --- priorities --- */

static void test_highest_vector_first(void **state)
{
	struct vm *vm = *state;

	self_ipi(vm, 0, 0x31);
	self_ipi(vm, 0, 0xef);
	self_ipi(vm, 0, 0x80);
	assert_int_equal(pending(vm, 0), 0xef);
	assert_true(apic_bit(vm, 0, LAPIC_IRR, 0x31));
	assert_int_equal(acknowledge(vm, 0), 0xef);
	assert_false(apic_bit(vm, 0, LAPIC_IRR, 0xef));
	assert_true(apic_bit(vm, 0, LAPIC_ISR, 0xef));
	assert_int_equal(apic_get(vm, 0, LAPIC_PPR), 0xe0);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(acknowledge(vm, 0), -1);
	end_interrupt(vm, 0);
	assert_int_equal(acknowledge(vm, 0), 0x80);
	end_interrupt(vm, 0);
	assert_int_equal(acknowledge(vm, 0), 0x31);
	end_interrupt(vm, 0);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(apic_get(vm, 0, LAPIC_PPR), 0);
}

/* The class is bits 7:4: within it nothing interrupts anything. */
static void test_same_class_waits(void **state)
{
	struct vm *vm = *state;

	self_ipi(vm, 0, 0x41);
	assert_int_equal(acknowledge(vm, 0), 0x41);
	self_ipi(vm, 0, 0x4f);
	assert_int_equal(pending(vm, 0), -1);
	self_ipi(vm, 0, 0x50);
	assert_int_equal(acknowledge(vm, 0), 0x50);
	assert_int_equal(apic_get(vm, 0, LAPIC_PPR), 0x50);
	end_interrupt(vm, 0);
	assert_false(apic_bit(vm, 0, LAPIC_ISR, 0x50));
	assert_true(apic_bit(vm, 0, LAPIC_ISR, 0x41));
	assert_int_equal(apic_get(vm, 0, LAPIC_PPR), 0x40);
	end_interrupt(vm, 0);
	assert_int_equal(pending(vm, 0), 0x4f);
}

static void test_task_priority(void **state)
{
	struct vm *vm = *state;

	self_ipi(vm, 0, 0x52);
	apic_set(vm, 0, LAPIC_TPR, 0x53);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(apic_get(vm, 0, LAPIC_PPR), 0x53);
	assert_int_equal(vm->irqchip->cr8_read(cpu(vm, 0)), 5);
	vm->irqchip->cr8_write(cpu(vm, 0), 4);
	assert_int_equal(apic_get(vm, 0, LAPIC_TPR), 0x40);
	assert_int_equal(pending(vm, 0), 0x52);
	assert_int_equal(acknowledge(vm, 0), 0x52);
	/* PPR: the sub-class of TPR counts only while its class is not below that in service. */
	apic_set(vm, 0, LAPIC_TPR, 0x5a);
	assert_int_equal(apic_get(vm, 0, LAPIC_PPR), 0x5a);
	apic_set(vm, 0, LAPIC_TPR, 0x4a);
	assert_int_equal(apic_get(vm, 0, LAPIC_PPR), 0x50);
}

/* The vCPU is notified when an interrupt becomes deliverable, or no longer is. */
static void test_changes_are_announced(void **state)
{
	struct vm *vm = *state;
	struct vcpu *vcpu = cpu(vm, 0);

	fake_interrupt_changed(vcpu);
	self_ipi(vm, 0, 0x60);
	assert_true(fake_interrupt_changed(vcpu));
	apic_set(vm, 0, LAPIC_TPR, 0x70);
	assert_true(fake_interrupt_changed(vcpu));
	apic_set(vm, 0, LAPIC_TPR, 0);
	assert_true(fake_interrupt_changed(vcpu));
	acknowledge(vm, 0);
	self_ipi(vm, 0, 0x60);
	fake_interrupt_changed(vcpu);
	end_interrupt(vm, 0);
	assert_true(fake_interrupt_changed(vcpu));
}

static void test_arbitration_priority(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_TPR, 0x35);
	assert_int_equal(apic_get(vm, 0, LAPIC_APR), 0x35);
	self_ipi(vm, 0, 0x47);
	assert_int_equal(apic_get(vm, 0, LAPIC_APR), 0x40);
	acknowledge(vm, 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_APR), 0x40);
}

static void test_eoi_without_service_is_ignored(void **state)
{
	struct vm *vm = *state;

	end_interrupt(vm, 0);
	self_ipi(vm, 0, 0x40);
	end_interrupt(vm, 0);
	assert_int_equal(pending(vm, 0), 0x40);
}

/* --- software disable, errors --- */

static void test_software_disable(void **state)
{
	struct vm *vm = *state;

	self_ipi(vm, 0, 0x40);
	apic_set(vm, 0, LAPIC_SVR, 0xff);
	assert_int_equal(apic_get(vm, 0, LAPIC_LVT + LVT_LINT0), 0x10700);
	apic_set(vm, 0, LAPIC_LVT + LVT_ERROR, 0x33);
	assert_int_equal(apic_get(vm, 0, LAPIC_LVT + LVT_ERROR), 0x10033);
	/* Pending interrupts stay; new ones are not accepted, except NMI, INIT and so on. */
	assert_int_equal(pending(vm, 0), 0x40);
	self_ipi(vm, 0, 0x50);
	assert_int_equal(pending(vm, 0), 0x40);
	apic_set(vm, 0, LAPIC_ICR, 0x400);
	assert_int_equal(fake_vcpu_of(cpu(vm, 0))->nmis, 1);
	apic_enable(vm, 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_LVT + LVT_LINT0), 0x10700);
}

static void test_error_status_in_two_steps(void **state)
{
	struct vm *vm = *state;

	self_ipi(vm, 0, 0x0f);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(apic_get(vm, 0, LAPIC_ESR), 0);
	apic_set(vm, 0, LAPIC_ESR, 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_ESR), 0x20);
	apic_get(vm, 0, 0x3f); /* reserved */
	assert_int_equal(apic_get(vm, 0, LAPIC_ESR), 0x20);
	apic_set(vm, 0, LAPIC_ESR, 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_ESR), 0x80);
	apic_set(vm, 0, LAPIC_ESR, 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_ESR), 0);
}

static void test_error_interrupt_once_until_rearmed(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_ERROR, 0x71);
	self_ipi(vm, 0, 3);
	assert_int_equal(acknowledge(vm, 0), 0x71);
	end_interrupt(vm, 0);
	self_ipi(vm, 0, 3);
	assert_int_equal(pending(vm, 0), -1);
	apic_set(vm, 0, LAPIC_ESR, 0);
	self_ipi(vm, 0, 3);
	assert_int_equal(pending(vm, 0), 0x71);
}

/* An error interrupt with an illegal vector is an error by itself. */
static void test_error_about_an_error(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_ERROR, 5);
	self_ipi(vm, 0, 3);
	apic_set(vm, 0, LAPIC_ESR, 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_ESR), 0x60);
	assert_int_equal(pending(vm, 0), -1);
}

/* --- IPIs --- */

/* Which of the four processors have the vector, as a bit each; clears it. */
static unsigned receivers(struct vm *vm)
{
	unsigned set = 0;

	for (u32 i = 0; i < 4; i++) {
		if (pending(vm, i) < 0)
			continue;
		assert_int_equal(acknowledge(vm, i), 0x66);
		end_interrupt(vm, i);
		set |= BIT(i);
	}
	return set;
}

static unsigned send(struct vm *vm, u32 from, u8 destination, u32 low)
{
	apic_set(vm, from, LAPIC_ICR_HIGH, (u32)destination << 24);
	apic_set(vm, from, LAPIC_ICR, low | 0x66);
	assert_int_equal(apic_get(vm, from, LAPIC_ICR) & 0x1000, 0); /* never busy */
	return receivers(vm);
}

static void test_physical_destination(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(send(vm, 0, 2, 0), BIT(2));
	assert_int_equal(send(vm, 3, 3, 0), BIT(3));
	assert_int_equal(send(vm, 0, 9, 0), 0);
	assert_int_equal(send(vm, 0, 0xff, 0), 0xf);
}

static void test_shorthands(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(send(vm, 1, 3, 1 << 18), BIT(1));
	assert_int_equal(send(vm, 1, 3, 2 << 18), 0xf);
	assert_int_equal(send(vm, 1, 3, 3 << 18), 0xf & ~BIT(1));
}

static void test_logical_destination_flat(void **state)
{
	struct vm *vm = *state;

	for (u32 i = 0; i < 4; i++)
		apic_set(vm, i, LAPIC_LDR, 1u << (24 + i));
	assert_int_equal(send(vm, 0, 0x05, 0x800), BIT(0) | BIT(2));
	assert_int_equal(send(vm, 0, 0x0f, 0x800), 0xf);
	assert_int_equal(send(vm, 0, 0x70, 0x800), 0);
	assert_int_equal(send(vm, 0, 0xff, 0x800), 0xf);
}

static void test_logical_destination_cluster(void **state)
{
	struct vm *vm = *state;

	/* Clusters 1 and 2 of two processors each. */
	for (u32 i = 0; i < 4; i++) {
		apic_set(vm, i, LAPIC_DFR, 0);
		apic_set(vm, i, LAPIC_LDR, ((i / 2 + 1) << 4 | 1 << i % 2) << 24);
	}
	assert_int_equal(send(vm, 0, 0x12, 0x800), BIT(1));
	assert_int_equal(send(vm, 0, 0x23, 0x800), BIT(2) | BIT(3));
	assert_int_equal(send(vm, 0, 0x33, 0x800), 0);
	assert_int_equal(send(vm, 0, 0xf1, 0x800), BIT(0) | BIT(2));
	assert_int_equal(send(vm, 0, 0xff, 0x800), 0xf);
}

static void test_lowest_priority_goes_to_one(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_TPR, 0x30);
	apic_set(vm, 1, LAPIC_TPR, 0x20);
	apic_set(vm, 2, LAPIC_TPR, 0x10);
	apic_set(vm, 3, LAPIC_TPR, 0x20);
	assert_int_equal(send(vm, 0, 0xff, 0x100), BIT(2));
	apic_set(vm, 2, LAPIC_SVR, 0xff); /* does not accept any more */
	/* Of equals each gets its turn. */
	assert_int_equal(send(vm, 0, 0xff, 0x100), BIT(3));
	assert_int_equal(send(vm, 0, 0xff, 0x100), BIT(1));
	assert_int_equal(send(vm, 0, 0xff, 0x100), BIT(3));
}

static void test_signals(void **state)
{
	struct vm *vm = *state;

	send(vm, 0, 1, 0x400);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->nmis, 1);
	send(vm, 0, 1, 0xc500); /* INIT, assert */
	send(vm, 0, 1, 0x8500); /* INIT level de-assert does nothing */
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->inits, 1);
	send(vm, 0, 1, 0x600);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->startups, 1);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->startup_vector, 0x66);
	/* INIT to all including self is not among the valid combinations. */
	send(vm, 0, 0, 0x80500 | 0x4000);
	assert_int_equal(fake_vcpu_of(cpu(vm, 0))->inits, 0);
	send(vm, 0, 0, 0xc0500 | 0x4000);
	assert_int_equal(fake_vcpu_of(cpu(vm, 0))->inits, 0);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->inits, 2);
	assert_int_equal(fake_vcpu_of(cpu(vm, 3))->inits, 1);
	/* Delivery modes that no IPI has. */
	assert_int_equal(send(vm, 0, 1, 0x300), 0);
	assert_int_equal(send(vm, 0, 1, 0x700), 0);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->nmis, 1);
}

/* --- the 8259s' way in --- */

static void program_pic(struct vm *vm)
{
	static const u8 master[] = { 0x20, 0x04, 0x01, 0xfe };

	out8(vm, 0x20, 0x11);
	for (unsigned i = 0; i < ARRAY_SIZE(master); i++)
		out8(vm, 0x21, master[i]);
}

static void test_virtual_wire(void **state)
{
	struct vm *vm = *state;

	program_pic(vm);
	line(vm, 0, true);
	/* ExtINT knows no priority. */
	apic_set(vm, 0, LAPIC_TPR, 0xf0);
	assert_true(pending(vm, 0) >= 0);
	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, 0x10700);
	assert_int_equal(pending(vm, 0), -1);
	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, 0x700);
	assert_int_equal(acknowledge(vm, 0), 0x20);
	/* It is in service at the 8259, not here. */
	assert_int_equal(apic_get(vm, 0, LAPIC_ISR + 1), 0);
	assert_int_equal(acknowledge(vm, 0), -1);
}

static void test_pic_passes_an_apic_that_is_off(void **state)
{
	struct vm *vm = *state;

	program_pic(vm);
	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, 0x10000);
	line(vm, 0, true);
	assert_int_equal(acknowledge(vm, 0), -1);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, BASE_OFF | BASE_BSP), 0);
	assert_int_equal(acknowledge(vm, 0), 0x20);
}

/* LINT0 programmed to an interrupt or NMI of its own takes the 8259s' output as an edge. */
static void test_lint0_without_extint(void **state)
{
	struct vm *vm = *state;

	program_pic(vm);
	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, 0x45);
	line(vm, 0, true);
	assert_int_equal(acknowledge(vm, 0), 0x45);
	end_interrupt(vm, 0);
	assert_int_equal(pending(vm, 0), -1);

	vm->irqchip->vcpu_reset(cpu(vm, 0), false);
	acknowledge(vm, 0);
	out8(vm, 0x20, 0x20);
	line(vm, 0, false);
	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, 0x400);
	line(vm, 0, true);
	assert_int_equal(fake_vcpu_of(cpu(vm, 0))->nmis, 1);
	assert_int_equal(pending(vm, 0), -1);
}

#define ON(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define ON_FOUR(f) cmocka_unit_test_setup_teardown(f, set_up_four, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(test_boot_processor_as_firmware_leaves_it),
		cmocka_unit_test(test_other_processors_as_after_reset),
		ON(test_reset_forgets_everything),
		ON(test_only_defined_bits_are_kept),
		ON(test_read_only_registers),
		ON(test_odd_accesses_are_harmless),
		ON(test_highest_vector_first),
		ON(test_same_class_waits),
		ON(test_task_priority),
		ON(test_changes_are_announced),
		ON(test_arbitration_priority),
		ON(test_eoi_without_service_is_ignored),
		ON(test_software_disable),
		ON(test_error_status_in_two_steps),
		ON(test_error_interrupt_once_until_rearmed),
		ON(test_error_about_an_error),
		ON_FOUR(test_physical_destination),
		ON_FOUR(test_shorthands),
		ON_FOUR(test_logical_destination_flat),
		ON_FOUR(test_logical_destination_cluster),
		ON_FOUR(test_lowest_priority_goes_to_one),
		ON_FOUR(test_signals),
		ON(test_virtual_wire),
		ON(test_pic_passes_an_apic_that_is_off),
		ON(test_lint0_without_extint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
