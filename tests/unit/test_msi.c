/* SPDX-License-Identifier: MIT */
/*
 * What interrupt messages of PCI functions mean: which local APICs a message addresses, and what it makes of them. Intel SDM,
 * "Message Address Register Format", "Message Data Register Format".
 */
/* link: dev/irq/msi.c dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c */
/* link: dev/irq/apic_bus.c dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c */
/* link: tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c core/pace.c */
#include "apic_fixture.h"

#include "dev/irq/msi.h"

#define VECTOR 0x51

static struct vm *create(u32 vcpus)
{
	struct vm *vm = apic_vm(vcpus);

	for (u32 i = 1; i < vcpus; i++) {
		if (vcpus > 255)
			assert_int_equal(msr_set(vm, i, X2APIC(LAPIC_SVR), 0x1ff), 0);
		else
			apic_enable(vm, i);
	}
	return vm;
}

/* Was the vector sent to this vCPU's APIC? Takes it away. */
static bool took(struct vm *vm, u32 index, u8 vector)
{
	int taken = pending(vm, index) < 0 ? -1 : acknowledge(vm, index);

	if (taken >= 0)
		end_interrupt(vm, index);
	return taken == vector;
}

static void expect_only(struct vm *vm, u32 index, u8 vector)
{
	for (u32 i = 0; i < vm->vcpu_count; i++)
		if (took(vm, i, vector) != (i == index))
			fail_msg("vCPU %u, but the message is for %u", i, index);
}

/* Bits 19:12: the destination. */
static void a_physical_destination(void **state)
{
	struct vm *vm = create(4);

	for (u32 i = 0; i < 4; i++) {
		msi_send(vm, 0xfee00000 | i << 12, VECTOR + i);
		expect_only(vm, i, (u8)(VECTOR + i));
	}
	/* The redirection hint means nothing for a physical destination. */
	msi_send(vm, 0xfee02008, VECTOR);
	expect_only(vm, 2, VECTOR);
	/* Reserved bits are ignored; so are bits 31:16 of the data. */
	msi_send(vm, 0xfee01ff3, 0xffff0000 | VECTOR);
	expect_only(vm, 1, VECTOR);
	/* Nobody has this id. */
	msi_send(vm, 0xfee44000, VECTOR);
	for (u32 i = 0; i < 4; i++)
		assert_false(took(vm, i, VECTOR));
	/* All. */
	msi_send(vm, 0xfeeff000, VECTOR);
	for (u32 i = 0; i < 4; i++)
		assert_true(took(vm, i, VECTOR));
	fake_destroy(vm);
}

static void set_logical_ids(struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++)
		apic_set(vm, i, LAPIC_LDR, BIT(24 + i));
}

/* Bit 2: logical destinations. Bit 3: one of them. */
static void a_logical_destination(void **state)
{
	struct vm *vm = create(4);
	unsigned count = 0;

	set_logical_ids(vm);
	msi_send(vm, 0xfee0a004, VECTOR);
	assert_false(took(vm, 0, VECTOR));
	assert_true(took(vm, 1, VECTOR));
	assert_false(took(vm, 2, VECTOR));
	assert_true(took(vm, 3, VECTOR));
	msi_send(vm, 0xfee0a00c, VECTOR);
	for (u32 i = 0; i < 4; i++)
		count += took(vm, i, VECTOR);
	assert_int_equal(count, 1);
	/* The same by the delivery mode. */
	msi_send(vm, 0xfee0a004, 0x100 | VECTOR);
	count = 0;
	for (u32 i = 0; i < 4; i++)
		count += took(vm, i, VECTOR);
	assert_int_equal(count, 1);
	fake_destroy(vm);
}

/* Bits 10:8 of the data: fixed, lowest priority, SMI, reserved, NMI, INIT, reserved, ExtINT. */
static void delivery_modes(void **state)
{
	struct vm *vm = create(2);
	struct fake_vcpu *second = fake_vcpu_of(cpu(vm, 1));

	msi_send(vm, 0xfee01000, 0x400);
	assert_int_equal(second->nmis, 1);
	msi_send(vm, 0xfee01000, 0x500);
	assert_int_equal(second->inits, 1);
	msi_send(vm, 0xfee01000, 0x200);
	msi_send(vm, 0xfee01000, 0x300 | VECTOR);
	msi_send(vm, 0xfee01000, 0x600 | VECTOR);	/* in an ICR it would start the processor */
	assert_int_equal(second->startups, 0);
	assert_int_equal(second->nmis, 1);
	assert_int_equal(second->inits, 1);
	assert_false(took(vm, 1, VECTOR));
	fake_destroy(vm);
}

#define is_level(vm, index, vector) apic_bit(vm, index, LAPIC_TMR, vector)

/* Bit 15 of the data: level; bit 14: 1 asserts, 0 deasserts, and means nothing for an edge. */
static void trigger_modes(void **state)
{
	struct vm *vm = create(2);

	msi_send(vm, 0xfee01000, 0x8000 | VECTOR);
	assert_false(took(vm, 1, VECTOR));
	msi_send(vm, 0xfee01000, 0x4000 | VECTOR);
	assert_int_equal(pending(vm, 1), VECTOR);
	assert_false(is_level(vm, 1, VECTOR));
	assert_true(took(vm, 1, VECTOR));
	msi_send(vm, 0xfee01000, 0xc000 | VECTOR);
	assert_int_equal(pending(vm, 1), VECTOR);
	assert_true(is_level(vm, 1, VECTOR));
	fake_destroy(vm);
}

static void other_addresses_are_no_interrupts(void **state)
{
	static const u64 addresses[] = { 0, 0xfed01000, 0xfef01000, 0x1fee01000, 0xfffffffffee01000, 0xfec00000 };
	struct vm *vm = create(2);

	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
		unsigned before = fake_of(vm)->logged;

		msi_send(vm, addresses[i], VECTOR);
		assert_false(took(vm, 0, VECTOR));
		assert_false(took(vm, 1, VECTOR));
		assert_int_equal(fake_of(vm)->logged, before + 1);
	}
	fake_destroy(vm);
}

/* Linux, KVM_FEATURE_MSI_EXT_DEST_ID: bits 11:5 are bits 14:8 of the destination, where ids are that long. */
static void extended_destinations(void **state)
{
	struct vm *vm = create(288);

	msi_send(vm, 0xfee00000 | 1 << 5 | 0x1e << 12, VECTOR);	/* 0x11e = 286 */
	assert_int_equal(pending(vm, 286), VECTOR);
	assert_int_equal(pending(vm, 0x1e), -1);
	/* 255 is an id like others. */
	msi_send(vm, 0xfeeff000, VECTOR);
	assert_int_equal(pending(vm, 255), VECTOR);
	assert_int_equal(pending(vm, 0), -1);
	fake_destroy(vm);
	/* Where they are short, the bits are ignored. */
	vm = create(4);
	msi_send(vm, 0xfee00000 | 0x7f << 5 | 3 << 12, VECTOR);
	expect_only(vm, 3, VECTOR);
	fake_destroy(vm);
}

/* A VM whose processors have halted with interrupts off is over, unless a device's message may be an NMI. */
static void a_halted_processor_may_wait_for_a_message(void **state)
{
	struct vm *vm = create(2);

	for (u32 mode = 0; mode < 8; mode++) {
		if (mode == 4)
			continue;
		msi_prepared(vm, mode << 8 | VECTOR);
		assert_false(vm->irqchip->nmi_may_come(cpu(vm, 0)));
	}
	msi_prepared(vm, 0x400);
	assert_true(vm->irqchip->nmi_may_come(cpu(vm, 0)));
	assert_true(vm->irqchip->nmi_may_come(cpu(vm, 1)));
	fake_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_physical_destination),
		cmocka_unit_test(a_logical_destination),
		cmocka_unit_test(delivery_modes),
		cmocka_unit_test(trigger_modes),
		cmocka_unit_test(other_addresses_are_no_interrupts),
		cmocka_unit_test(extended_destinations),
		cmocka_unit_test(a_halted_processor_may_wait_for_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
