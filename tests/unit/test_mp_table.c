/* SPDX-License-Identifier: MIT */
/*
 * The MP table as a guest finds it, field by field from Intel's "MultiProcessor Specification", version 1.4,
 * "MP Configuration Table"; and every area that is too small for it.
 */
/* link: tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include <stdlib.h>
#include <string.h>

#include "dev/firmware/mp_table.c"

static u64 field(const u8 *at, unsigned size)
{
	u64 value = 0;

	memcpy(&value, at, size);
	return value;
}

static u8 sum(const u8 *bytes, size_t size)
{
	u8 total = 0;

	while (size--)
		total += *bytes++;
	return total;
}

static struct vm *create(u32 processors)
{
	struct vm *vm = fake_create(MIB(2));

	memset(fake_of(vm)->ram, 0xa5, MIB(2));
	vm->vcpu_count = processors;
	assert_int_equal(mp_table_write(vm), 0);
	return vm;
}

/* "MP Floating Pointer Structure": on a 16-byte boundary of the ROM between 0F0000h and 0FFFFFh. */
static const u8 *find_table(const struct vm *vm)
{
	const u8 *ram = fake_of(vm)->ram, *found = NULL;

	for (u32 at = 0xf0000; at < 0x100000; at += 16) {
		if (memcmp(ram + at, "_MP_", 4))
			continue;
		assert_null(found);
		found = ram + at;
	}
	assert_non_null(found);
	assert_int_equal(found[8], 1);		/* length */
	assert_int_equal(found[9], 4);		/* specification 1.4 */
	assert_int_equal(sum(found, 16), 0);
	assert_int_equal(field(found + 11, 5), 0);	/* a table is there; virtual wire mode */
	return ram + field(found + 4, 4);
}

static void test_header(void **state)
{
	struct vm *vm = create(4);
	const u8 *table = find_table(vm);
	u16 length = (u16)field(table + 4, 2);

	assert_memory_equal(table, "PCMP", 4);
	assert_int_equal(length, 44 + 4 * 20 + 2 * 8 + 8 + 16 * 8 + 31 * 4 * 8 + 2 * 8);
	assert_int_equal(table[6], 4);
	assert_int_equal(sum(table, length), 0);
	assert_memory_equal(table + 8, "LAMINA  LAMINA VM   ", 20);
	assert_int_equal(field(table + 28, 6), 0);	/* no OEM table */
	assert_int_equal(field(table + 34, 2), 4 + 2 + 1 + 16 + 31 * 4 + 2);
	assert_int_equal(field(table + 36, 4), 0xfee00000);
	assert_int_equal(field(table + 40, 4), 0);	/* no extended table */
	assert_int_equal(fake_of(vm)->ram[MP_TABLE_ADDRESS - 1], 0xa5);
	assert_int_equal(fake_of(vm)->ram[MP_TABLE_END], 0xa5);
	fake_destroy(vm);
}

/* 8-bit ids: 255 is no processor. */
static void test_processors(void **state)
{
	static const u32 counts[] = { 2, 255, 256, 288 };

	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		struct vm *vm = create(counts[i]);
		const u8 *entry = find_table(vm) + 44;

		for (u32 id = 0; id < MIN(counts[i], 255u); id++, entry += 20) {
			assert_int_equal(entry[0], 0);
			assert_int_equal(entry[1], id);
			assert_int_equal(entry[2], 0x14);		/* as the model's version register */
			assert_int_equal(entry[3], id == 0 ? 3 : 1);	/* enabled, boot processor */
			assert_int_equal(field(entry + 8, 4) & 0x201, 0x201);	/* FPU, APIC */
			assert_int_equal(field(entry + 12, 8), 0);
		}
		assert_int_equal(entry[0], 1);
		assert_int_equal(sum(find_table(vm), field(find_table(vm) + 4, 2)), 0);
		fake_destroy(vm);
	}
}

static void expect_interrupt(const u8 *entry, u8 type, u8 kind, u16 flags, u8 bus, u8 irq, u8 apic, u8 pin)
{
	const u8 expected[8] = { type, kind, (u8)flags, (u8)(flags >> 8), bus, irq, apic, pin };

	assert_memory_equal(entry, expected, 8);
}

static void test_buses_and_interrupts(void **state)
{
	struct vm *vm = create(2);
	const u8 *entry = find_table(vm) + 44 + 2 * 20;

	assert_memory_equal(entry, "\x01\x00" "PCI   ", 8);
	assert_memory_equal(entry + 8, "\x01\x01" "ISA   ", 8);
	assert_memory_equal(entry + 16, "\x02\x00\x20\x01\x00\x00\xc0\xfe", 8);
	entry += 24;
	expect_interrupt(entry, 3, 3, 0, 1, 0, 0, 0);	/* the 8259s' ExtINT at pin 0 */
	entry += 8;
	for (u8 irq = 0; irq < 16; irq++) {
		if (irq == 2)
			continue;
		/* ISA: edge, active high, but for ACPI's interrupt, which is level-triggered. */
		expect_interrupt(entry, 3, 0, irq == 9 ? 0x0d : 0, 1, irq, 0, irq == 0 ? 2 : irq);
		entry += 8;
	}
	for (u8 slot = 1; slot < 32; slot++)
		for (u8 pin = 0; pin < 4; pin++, entry += 8)
			expect_interrupt(entry, 3, 0, 0, 0, (u8)(slot * 4 + pin), 0, (u8)(16 + (slot + pin) % 4));
	expect_interrupt(entry, 4, 3, 0, 1, 0, 0, 0);		/* ExtINT: LINT0 of the boot processor */
	expect_interrupt(entry + 8, 4, 1, 0, 1, 0, 0xff, 1);	/* NMI: LINT1 of all */
	fake_destroy(vm);
}

static void test_without_a_pci_bus(void **state)
{
	struct vm *vm = fake_create(MIB(2));
	const u8 *table;

	vm->vcpu_count = 2;
	fake_of(vm)->no_pci = true;
	assert_int_equal(mp_table_write(vm), 0);
	table = find_table(vm);
	assert_int_equal(field(table + 4, 2), 44 + 2 * 20 + 8 + 8 + 16 * 8 + 2 * 8);
	assert_int_equal(field(table + 34, 2), 2 + 1 + 1 + 16 + 2);
	assert_memory_equal(table + 44 + 2 * 20, "\x01\x01" "ISA   ", 8);
	fake_destroy(vm);
}

static void test_every_area_that_is_too_small_is_an_error(void **state)
{
	const size_t needed = 16 + 44 + 3 * 20 + 2 * 8 + 8 + 16 * 8 + 31 * 4 * 8 + 2 * 8;

	for (size_t size = 0; size <= needed; size++) {
		u8 *memory = calloc(1, MAX(size, 1u));

		assert_int_equal(build(memory, size, 3, true), size == needed ? 0 : -ENOSPC);
		free(memory);
	}
}

static void test_no_ram_is_an_error(void **state)
{
	struct vm *vm = fake_create(KIB(64));

	assert_int_equal(mp_table_write(vm), -EFAULT);
	fake_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_processors),
		cmocka_unit_test(test_without_a_pci_bus),
		cmocka_unit_test(test_buses_and_interrupts),
		cmocka_unit_test(test_every_area_that_is_too_small_is_an_error),
		cmocka_unit_test(test_no_ram_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
