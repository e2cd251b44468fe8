/* SPDX-License-Identifier: MIT */
/* The SMBIOS table, read as a guest reads it. DMTF DSP0134, "Structure table entry point", "Structure definitions". */
/* link: dev/firmware/smbios.c tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: dev/firmware/fw_cfg.c lib/string.c */
#include "fake_vm.h"

#include <string.h>

#include "dev/firmware/fw_cfg.h"
#include "dev/firmware/smbios.h"
#include "lib/errno.h"

static u8 *ram;

static struct vm *create(u64 low, u64 high)
{
	struct vm *vm = fake_create(MAX(low, MIB(1)));

	ram = fake_of(vm)->ram;
	memset(ram, 0xa5, MIB(1));
	fake_of(vm)->ram_size = low;
	fake_of(vm)->high_ram = high;
	assert_int_equal(smbios_write(vm), 0);
	return vm;
}

static u64 field(const u8 *at, unsigned size)
{
	u64 value = 0;

	memcpy(&value, at, size);
	return value;
}

static u8 sum(const u8 *at, size_t size)
{
	u8 value = 0;

	while (size--)
		value = (u8)(value + *at++);
	return value;
}

/* On a 16-byte boundary in 0xf0000-0xfffff, and only once. */
static const u8 *find(const char *anchor)
{
	const u8 *found = NULL;

	for (u32 at = 0xf0000; at < 0x100000; at += 16) {
		if (memcmp(ram + at, anchor, strlen(anchor)))
			continue;
		assert_null(found);
		found = ram + at;
	}
	assert_non_null(found);
	return found;
}

/* The strings end with two zeros. */
static const u8 *after(const u8 *structure)
{
	const u8 *at = structure + structure[1];

	while (at[0] || at[1])
		at++;
	return at + 2;
}

static const char *string(const u8 *structure, unsigned number)
{
	const char *text = (const char *)structure + structure[1];

	while (--number)
		text += strlen(text) + 1;
	return text;
}

/* The n-th structure of a type; NULL: there are not so many. */
static const u8 *structure(u8 type, unsigned n)
{
	const u8 *at = ram + field(find("_SM_") + 24, 4);

	for (;; at = after(at)) {
		if (at[0] == type && !n--)
			return at;
		if (at[0] == 127)
			return NULL;
	}
}

static void test_entry_points(void **state)
{
	struct vm *vm = create(MIB(16), 0);
	const u8 *entry = find("_SM_"), *entry_3 = find("_SM3_");
	const u8 *table = ram + field(entry + 24, 4), *at = table;
	unsigned count = 1, longest = 0;

	assert_int_equal(entry[5], 0x1f);
	assert_int_equal(sum(entry, 0x1f), 0);
	assert_int_equal(entry[6], 2);
	assert_int_equal(entry[7], 8);
	assert_int_equal(field(entry + 11, 5), 0);
	assert_memory_equal(entry + 16, "_DMI_", 5);
	assert_int_equal(sum(entry + 16, 15), 0);
	assert_int_equal(entry[30], 0x28);
	for (; at[0] != 127; at = after(at), count++)
		longest = MAX(longest, (unsigned)(after(at) - at));
	assert_int_equal(field(entry + 22, 2), after(at) - table);
	assert_int_equal(field(entry + 28, 2), count);
	assert_int_equal(field(entry + 8, 2), longest);

	assert_int_equal(entry_3[6], 0x18);
	assert_int_equal(sum(entry_3, 0x18), 0);
	assert_int_equal(entry_3[7], 3);
	assert_int_equal(entry_3[10], 1);
	assert_int_equal(field(entry_3 + 12, 4), after(at) - table);
	assert_int_equal(field(entry_3 + 16, 8), table - ram);
	assert_int_equal(ram[SMBIOS_ADDRESS - 1], 0xa5);
	assert_int_equal(ram[SMBIOS_END], 0xa5);
	assert_true(after(at) <= ram + SMBIOS_END);
	fake_destroy(vm);
}

/* Lengths of the versions that the entry points name; each handle once. */
static void test_structures(void **state)
{
	static const struct {
		u8 type, length;
	} expected[] = { { 0, 0x18 }, { 1, 0x1b }, { 3, 0x16 }, { 16, 0x17 }, { 17, 0x28 }, { 19, 0x1f }, { 32, 0x0b }, { 127, 4 } };
	struct vm *vm = create(MIB(16), 0);
	u64 handles[16];

	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
		const u8 *found = structure(expected[i].type, 0);

		assert_non_null(found);
		assert_int_equal(found[1], expected[i].length);
		handles[i] = field(found + 2, 2);
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(handles[i], handles[j]);
	}
	fake_destroy(vm);
}

static void test_machine(void **state)
{
	struct vm *vm = create(MIB(16), 0);
	const u8 *bios = structure(0, 0), *system = structure(1, 0), *chassis = structure(3, 0);

	assert_string_equal(string(bios, bios[4]), "Lamina");
	assert_int_equal(field(bios + 6, 2), 0xf000);
	assert_string_equal(string(bios, bios[8]), "01/01/2026");
	assert_int_equal(field(bios + 0x0a, 8), 1 << 7);	/* PCI */
	assert_int_equal(bios[0x12], 1);			/* ACPI */
	assert_int_equal(bios[0x13], 1 << 4);			/* a virtual machine */
	assert_string_equal(string(system, system[4]), "Lamina");
	assert_string_equal(string(system, system[5]), "Lamina VM");
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(system[8 + i], 0);		/* no UUID */
	assert_string_equal(string(chassis, chassis[4]), "Lamina");
	fake_destroy(vm);
}

static void memory_is(u64 low, u64 high, u32 kib, u64 bytes, u16 mib, u32 extended_mib)
{
	struct vm *vm = fake_create(MIB(1));
	const u8 *array, *device;

	ram = fake_of(vm)->ram;
	fake_of(vm)->ram_size = low;	/* of which the test touches what lies below 1 MiB */
	fake_of(vm)->high_ram = high;
	assert_int_equal(smbios_write(vm), 0);
	array = structure(16, 0);
	device = structure(17, 0);
	assert_int_equal(field(array + 7, 4), kib);
	assert_int_equal(field(array + 0x0f, 8), bytes);
	assert_int_equal(field(array + 0x0d, 2), 1);
	assert_int_equal(field(device + 0x0c, 2), mib);
	assert_int_equal(field(device + 0x1c, 4), extended_mib);
	assert_int_equal(field(device + 4, 2), field(array + 2, 2));
	assert_int_equal(field(structure(19, 0) + 12, 2), field(array + 2, 2));
	fake_destroy(vm);
}

static void test_memory(void **state)
{
	memory_is(MIB(16), 0, 16 << 10, 0, 16, 0);
	memory_is(GIB(3), GIB(1), 4 << 20, 0, 4096, 0);
	memory_is(GIB(3), GIB(29) - MIB(2), (32 << 20) - 2048, 0, 0x7ffe, 0);
	memory_is(GIB(3), GIB(29) - MIB(1), (32 << 20) - 1024, 0, 0x7fff, 0x7fff);
	memory_is(GIB(3), GIB(253), 256u << 20, 0, 0x7fff, 256 << 10);
	memory_is(GIB(3), GIB(2045), 0x80000000, 2048ull << 30, 0x7fff, 2048 << 10);
}

static void test_memory_map(void **state)
{
	struct vm *vm = fake_create(MIB(1));
	const u8 *map;

	ram = fake_of(vm)->ram;
	fake_of(vm)->ram_size = GIB(3);
	fake_of(vm)->high_ram = GIB(2);
	assert_int_equal(smbios_write(vm), 0);
	map = structure(19, 0);
	assert_int_equal(field(map + 4, 4), 0);
	assert_int_equal(field(map + 8, 4), (3 << 20) - 1);
	map = structure(19, 1);
	assert_int_equal(field(map + 4, 4), 4 << 20);
	assert_int_equal(field(map + 8, 4), (6 << 20) - 1);
	assert_int_equal(field(map + 0x0f, 8), 0);
	assert_null(structure(19, 2));
	fake_of(vm)->high_ram = GIB(4092) - 1024;	/* the last KiB has the number 0xfffffffe */
	assert_int_equal(smbios_write(vm), 0);
	assert_int_equal(field(structure(19, 1) + 8, 4), 0xfffffffe);
	fake_of(vm)->high_ram = GIB(4092);
	assert_int_equal(smbios_write(vm), 0);
	map = structure(19, 1);
	assert_int_equal(field(map + 4, 8), ~0ull);
	assert_int_equal(field(map + 0x0f, 8), GIB(4));
	assert_int_equal(field(map + 0x17, 8), GIB(4096) - 1);
	fake_destroy(vm);
}

static void test_no_ram(void **state)
{
	struct vm *vm = fake_create(SMBIOS_END - 1);

	assert_int_equal(smbios_write(vm), -EFAULT);
	fake_destroy(vm);
}

/* QEMU, "docs/specs/fw_cfg.rst": files by name; size and key in the directory are big-endian. */
static u32 read_file(struct vm *vm, const char *name, u8 *to)
{
	u8 entry[64];
	u32 size, key;

	out16(vm, 0x510, 0x19);
	for (unsigned i = 0; i < 4; i++)
		in8(vm, 0x511);
	do {
		for (unsigned i = 0; i < sizeof(entry); i++)
			entry[i] = in8(vm, 0x511);
		assert_true(entry[8]);
	} while (strcmp((const char *)entry + 8, name));
	size = (u32)(entry[0] << 24 | entry[1] << 16 | entry[2] << 8 | entry[3]);
	key = (u32)(entry[4] << 8 | entry[5]);
	out16(vm, 0x510, (u16)key);
	for (u32 i = 0; i < size; i++)
		to[i] = in8(vm, 0x511);
	return size;
}

/* Firmware gets the same structures, and the entry point of 2.x, whose address it corrects. */
static void test_files_for_firmware(void **state)
{
	struct vm *vm = create(MIB(16), GIB(2));
	struct fw_cfg *fw_cfg = fw_cfg_create(vm);
	u8 anchor[64], table[1024];
	const u8 *entry = find("_SM_");

	assert_int_equal(smbios_offer(vm, fw_cfg), 0);
	assert_int_equal(read_file(vm, "etc/smbios/smbios-anchor", anchor), 0x1f);
	assert_memory_equal(anchor, entry, 0x1f);
	assert_int_equal(read_file(vm, "etc/smbios/smbios-tables", table), field(entry + 0x16, 2));
	assert_memory_equal(table, ram + field(entry + 0x18, 4), field(entry + 0x16, 2));
	while (!fw_cfg_add(fw_cfg, "more", "", 0))
		;
	assert_int_equal(smbios_offer(vm, fw_cfg), -ENOSPC);
	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	assert_int_equal(smbios_offer(vm, fw_cfg), -ENOMEM);
	fake_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_points),
		cmocka_unit_test(test_structures),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_memory_map),
		cmocka_unit_test(test_no_ram),
		cmocka_unit_test(test_files_for_firmware),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
