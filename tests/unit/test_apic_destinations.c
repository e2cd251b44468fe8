/* SPDX-License-Identifier: MIT */
/*
 * Whom a message reaches: all destination modes, shorthands and both widths, with ids up to 287, against a
 * plain reading of the SDM, "Determining IPI Destination", "Logical Destination Mode in x2APIC Mode".
 */
/* link: dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c dev/irq/apic_bus.c */
/* link: dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
#include "apic_fixture.h"

#include "dev/irq/apic_bus.h"

#define VECTOR 0x66
#define COUNT  288

static const u32 edges[] = { 0, 15, 16, 254, 255, 256, 287 };

static void set_base(struct vm *vm, u32 id, u64 base)
{
	assert_int_equal(msr_set(vm, id, MSR_APIC_BASE, base | (id ? 0 : BASE_BSP)), 0);
}

/* They start in x2APIC mode: xAPIC mode is reached by way of a disabled APIC. */
static int set_up_xapic(void **state)
{
	struct vm *vm = apic_vm(COUNT);

	for (u32 i = 0; i < COUNT; i++) {
		set_base(vm, i, BASE_OFF);
		set_base(vm, i, BASE_XAPIC);
		apic_enable(vm, i);
	}
	*state = vm;
	return 0;
}

static int set_up_x2apic(void **state)
{
	struct vm *vm = apic_vm(COUNT);

	for (u32 i = 0; i < COUNT; i++) {
		assert_int_equal(msr_value(vm, i, MSR_APIC_BASE), BASE_X2APIC | (i ? 0 : BASE_BSP));
		assert_int_equal(msr_set(vm, i, X2APIC(LAPIC_SVR), 0x1ff), 0);
	}
	*state = vm;
	return 0;
}

/* Has it got the message? Takes it away again. */
static bool has_got(struct vm *vm, u32 id)
{
	struct vlapic *vlapic = vcpu_vlapic(cpu(vm, id));

	if (vlapic_pending(vlapic) != VECTOR)
		return false;
	assert_int_equal(vlapic_acknowledge(vlapic), VECTOR);
	vlapic_end_of_interrupt(vlapic);
	return true;
}

static void expect(struct vm *vm, const struct apic_message *message, bool (*reaches)(u32 id, const struct apic_message *m))
{
	bool any = false;

	for (u32 id = 0; id < COUNT; id++)
		any |= reaches(id, message);
	assert_int_equal(apic_bus_send(vm, message), any);
	for (u32 id = 0; id < COUNT; id++)
		assert_int_equal(has_got(vm, id), reaches(id, message));
}

static bool by_shorthand(u32 id, const struct apic_message *m)
{
	return m->shorthand == APIC_TO_ALL || (id == m->sender) == (m->shorthand == APIC_TO_SELF);
}

/* Whatever the destination field has. */
static void shorthands(void **state)
{
	static const u32 destinations[] = { 0, 1, 0xff, 0x110001, 0xffffffff };

	for (unsigned i = 0; i < ARRAY_SIZE(edges); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(destinations); j++) {
			for (unsigned bits = 0; bits < 4; bits++) {
				for (u8 shorthand = APIC_TO_SELF; shorthand <= APIC_TO_OTHERS; shorthand++) {
					const struct apic_message message = {
						.destination = destinations[j], .logical = bits & 1, .wide = bits & 2,
						.shorthand = shorthand, .sender = edges[i], .vector = VECTOR,
					};

					expect(*state, &message, by_shorthand);
				}
			}
		}
	}
}

static bool by_physical_id(u32 id, const struct apic_message *m)
{
	return id == m->destination || m->destination == (m->wide ? 0xffffffff : 0xff);
}

/* An id of 8 bits reaches 255 processors; FFh is a broadcast there, and the id 255 in an x2APIC's ICR. */
static void physical_ids(void **state)
{
	static const u32 others[] = { 1, 14, 17, 253, 257, 286, 288, 0x7fffffff, 0xfffffffe, 0xffffffff };

	for (unsigned wide = 0; wide < 2; wide++) {
		for (unsigned i = 0; i < ARRAY_SIZE(edges) + ARRAY_SIZE(others); i++) {
			struct apic_message message = { .wide = wide, .vector = VECTOR };

			message.destination = i < ARRAY_SIZE(edges) ? edges[i] : others[i - ARRAY_SIZE(edges)];
			if (!wide && message.destination > 0xff)
				continue;
			expect(*state, &message, by_physical_id);
		}
	}
}

static bool by_cluster(u32 id, const struct apic_message *m)
{
	return m->destination == 0xffffffff || (id / 16 == m->destination >> 16 && (m->destination >> id % 16 & 1));
}

static void x2apic_logical_ids(void **state)
{
	static const u32 destinations[] = {
		0x00000001, 0x00008000, 0x00010001, 0x000f4000, 0x000f8000, 0x00100001, 0x00118000, 0x0011ffff,
		0x00000000, 0x00120001, 0xffff0001, 0x00018001, 0x10000001, 0xffffffff,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(destinations); i++) {
		const struct apic_message message = {
			.destination = destinations[i], .logical = true, .wide = true, .vector = VECTOR,
		};

		expect(*state, &message, by_cluster);
	}
}

/* The IOAPIC's 8 bits are the lower half of an id in cluster 0. */
static bool by_narrow_logical_id(u32 id, const struct apic_message *m)
{
	return m->destination == 0xff || (id < 8 && (m->destination >> id & 1));
}

static void narrow_logical_ids_address_cluster_0(void **state)
{
	for (u32 destination = 0; destination < 256; destination += 5) {
		const struct apic_message message = { .destination = destination, .logical = true, .vector = VECTOR };

		expect(*state, &message, by_narrow_logical_id);
	}
}

/* Logical ids of xAPIC mode are the guest's: any processor may have any, and several the same. */
static void xapic_logical_ids_may_alias(void **state)
{
	const struct apic_message message = { .destination = 0x40, .logical = true, .vector = VECTOR };
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(edges); i++)
		apic_set(vm, edges[i], LAPIC_LDR, 0x40u << 24);
	assert_true(apic_bus_send(vm, &message));
	for (unsigned i = 0; i < ARRAY_SIZE(edges); i++)
		assert_true(has_got(vm, edges[i]));
	for (u32 id = 0; id < COUNT; id++)
		assert_false(has_got(vm, id));
}

static void wide_logical_ids_address_no_xapic(void **state)
{
	const struct apic_message message = { .destination = 1, .logical = true, .wide = true, .vector = VECTOR };
	struct vm *vm = *state;

	for (u32 id = 0; id < COUNT; id++)
		apic_set(vm, id, LAPIC_LDR, 0x01u << 24);
	assert_false(apic_bus_send(vm, &message));
}

/* --- the I/O APIC's long ids: bits 49 to 55 of an entry are bits 8 to 14, and FFh is an id --- */

#define PIN	5	/* also its ISA interrupt */
#define LOGICAL 0x800

static void send_by_pin(struct vm *vm, u32 low, u32 high)
{
	vioapic_set(vm, 0x10 + 2 * PIN, ENTRY_MASKED);
	vioapic_set(vm, 0x11 + 2 * PIN, high);
	vioapic_set(vm, 0x10 + 2 * PIN, low);
	line(vm, PIN, true);
	line(vm, PIN, false);
}

static void an_entry_reaches_every_id(void **state)
{
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(edges); i++) {
		send_by_pin(vm, VECTOR, (edges[i] & 0xff) << 24 | (edges[i] >> 8) << 17);
		for (u32 id = 0; id < COUNT; id++)
			assert_int_equal(has_got(vm, id), id == edges[i]);
	}
	send_by_pin(vm, VECTOR, 0xfffe0000);
	for (u32 id = 0; id < COUNT; id++)
		assert_false(has_got(vm, id));
	assert_int_equal(entry_get(vm, PIN), 0xfffe000000000000 | VECTOR);
	vioapic_set(vm, 0x11 + 2 * PIN, 0xffffffff);
	assert_int_equal(entry_get(vm, PIN), 0xfffe000000000000 | VECTOR);
}

/* As KVM has it: the 15 bits are the lower ones of a logical x2APIC id, so in cluster 0, and FFh alone is all. */
static void a_logical_entry_addresses_cluster_0(void **state)
{
	struct vm *vm = *state;

	send_by_pin(vm, VECTOR | LOGICAL, 0x81020000);
	for (u32 id = 0; id < COUNT; id++)
		assert_int_equal(has_got(vm, id), id == 0 || id == 7 || id == 8);
	send_by_pin(vm, VECTOR | LOGICAL, 0xff000000);
	for (u32 id = 0; id < COUNT; id++)
		assert_true(has_got(vm, id));
}

static void a_logical_entry_addresses_xapics(void **state)
{
	struct vm *vm = *state;

	for (u32 id = 0; id < COUNT; id++)
		apic_set(vm, id, LAPIC_LDR, (id == 3 || id == 287 ? 0x40u : 0x01u) << 24);
	send_by_pin(vm, VECTOR | LOGICAL, 0x40000000);
	for (u32 id = 0; id < COUNT; id++)
		assert_int_equal(has_got(vm, id), id == 3 || id == 287);
}

/* --- lowest priority --- */

static u32 receiver(struct vm *vm, u32 destination)
{
	const struct apic_message message = {
		.destination = destination, .logical = true, .wide = true, .delivery = APIC_LOWEST, .vector = VECTOR,
	};
	u32 found = COUNT;

	if (!apic_bus_send(vm, &message))
		return COUNT;
	for (u32 id = 0; id < COUNT; id++) {
		if (!has_got(vm, id))
			continue;
		assert_int_equal(found, COUNT);	/* one only */
		found = id;
	}
	assert_int_not_equal(found, COUNT);
	return found;
}

static void lowest_priority_stays_in_the_destination_set(void **state)
{
	struct vm *vm = *state;

	/* Processor 0 has the lowest priority of all, and is not addressed. */
	for (u32 id = 1; id < 16; id++)
		assert_int_equal(msr_set(vm, id, X2APIC(LAPIC_TPR), 0x20), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(receiver(vm, BIT(1)), 1);
	assert_int_equal(receiver(vm, BIT(1) | BIT(2)), 2);
	assert_int_equal(receiver(vm, BIT(1) | BIT(2)), 1);
	assert_int_equal(receiver(vm, BIT(1) | BIT(2)), 2);
	assert_int_equal(receiver(vm, 0), COUNT);
	assert_int_equal(msr_set(vm, 2, X2APIC(LAPIC_TPR), 0x30), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(receiver(vm, BIT(1) | BIT(2)), 1);
	assert_int_equal(msr_set(vm, 1, X2APIC(LAPIC_SVR), 0xff), 0);	/* disabled */
	assert_int_equal(receiver(vm, BIT(1) | BIT(2)), 2);
}

static void lowest_priority_goes_round(void **state)
{
	for (unsigned round = 0; round < 2; round++)
		for (u32 id = 272; id < 288; id++)
			assert_int_equal(receiver(*state, 0x11ffff), id);
}

/* --- the hypercall's way --- */

static void an_ipi_to_one_id(void **state)
{
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(edges); i++) {
		assert_true(vm->irqchip->send_ipi(cpu(vm, 0), edges[i], VECTOR));
		for (u32 id = 0; id < COUNT; id++)
			assert_int_equal(has_got(vm, id), id == edges[i]);
	}
	assert_false(vm->irqchip->send_ipi(cpu(vm, 0), 288, VECTOR));
	assert_false(vm->irqchip->send_ipi(cpu(vm, 0), 1, 15));
	assert_false(vm->irqchip->send_ipi(cpu(vm, 0), 1, 0x500));	/* INIT */
	assert_true(vm->irqchip->send_ipi(cpu(vm, 0), 287, 0x400));
	assert_int_equal(fake_vcpu_of(cpu(vm, 287))->nmis, 1);
}

#define XAPIC(f)      cmocka_unit_test_setup_teardown(f, set_up_xapic, tear_down)
#define ON_X2APIC(f)  cmocka_unit_test_setup_teardown(f, set_up_x2apic, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		XAPIC(shorthands),
		ON_X2APIC(shorthands),
		XAPIC(physical_ids),
		ON_X2APIC(physical_ids),
		ON_X2APIC(x2apic_logical_ids),
		ON_X2APIC(narrow_logical_ids_address_cluster_0),
		XAPIC(xapic_logical_ids_may_alias),
		XAPIC(wide_logical_ids_address_no_xapic),
		ON_X2APIC(an_entry_reaches_every_id),
		ON_X2APIC(a_logical_entry_addresses_cluster_0),
		XAPIC(a_logical_entry_addresses_xapics),
		ON_X2APIC(lowest_priority_stays_in_the_destination_set),
		ON_X2APIC(lowest_priority_goes_round),
		ON_X2APIC(an_ipi_to_one_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
