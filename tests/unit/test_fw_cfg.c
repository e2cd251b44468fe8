/* SPDX-License-Identifier: MIT */
/* QEMU's firmware configuration device: keys, sizes and byte order as its specification has them. */
/* link: dev/firmware/fw_cfg.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c lib/string.c */
#include "fake_vm.h"

#include <string.h>

#include "dev/firmware/fw_cfg.h"
#include "lib/errno.h"

#define SELECTOR 0x510
#define DATA	 0x511

static int set_up(void **state)
{
	struct vm *vm = fake_create(MIB(4));

	*state = vm;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void read_item(struct vm *vm, u16 key, void *to, unsigned size)
{
	out16(vm, SELECTOR, key);
	for (unsigned i = 0; i < size; i++)
		((u8 *)to)[i] = in8(vm, DATA);
}

static u64 number(struct vm *vm, u16 key, unsigned size)
{
	u64 value = 0;

	read_item(vm, key, &value, size);
	return value;
}

static void the_numbers(void **state)
{
	struct vm *vm = *state;
	char signature[5] = "";

	fake_of(vm)->high_ram = GIB(3);
	vm->vcpu_count = 5;
	assert_non_null(fw_cfg_create(vm));
	for (unsigned i = 0; i < 4; i++)	/* after power-on the signature is selected */
		signature[i] = (char)in8(vm, DATA);
	assert_string_equal(signature, "QEMU");
	read_item(vm, 0, signature, 4);
	assert_string_equal(signature, "QEMU");
	assert_int_equal(number(vm, 1, 4), 1);		/* the traditional interface, and no DMA */
	assert_int_equal(number(vm, 3, 8), MIB(4) + GIB(3));
	assert_int_equal(number(vm, 5, 2), 5);
	assert_int_equal(number(vm, 0xf, 2), 5);
	/* Zeros follow, and are all of an item that is not there. */
	assert_int_equal(number(vm, 5, 8), 5);
	assert_int_equal(number(vm, 2, 8), 0);
	assert_int_equal(number(vm, 0xffff, 8), 0);
	assert_int_equal(number(vm, 0x8005, 2), 0);	/* an item of the architecture's own */
	assert_int_equal(number(vm, 0x4005, 2), 5);	/* to be written: can be read, too */
}

/* "FW_CFG_FILE_DIR": a count, then size, key, two reserved bytes and a name of 56 bytes; big-endian. */
static u32 find_file(struct vm *vm, const char *name, u16 *key)
{
	u8 entry[64], count[4];

	read_item(vm, 0x19, count, 4);
	for (u32 i = 0; i < count[3]; i++) {
		for (unsigned j = 0; j < 64; j++)
			entry[j] = in8(vm, DATA);
		*key = (u16)(entry[4] << 8 | entry[5]);
		if (!strcmp((char *)entry + 8, name))
			return (u32)(entry[0] << 24 | entry[1] << 16 | entry[2] << 8 | entry[3]);
	}
	fail_msg("no file %s", name);
	return 0;
}

static void the_file_of_ram(void **state)
{
	for (unsigned high = 0; high < 2; high++) {
		struct vm *vm = fake_create(MIB(4));
		u8 ranges[40] = { 0 };
		u16 key;

		fake_of(vm)->high_ram = high * GIB(2);
		assert_non_null(fw_cfg_create(vm));
		assert_int_equal(find_file(vm, "etc/e820", &key), high ? 40 : 20);
		assert_true(key >= 0x20);
		read_item(vm, key, ranges, sizeof(ranges));
		for (unsigned i = 0; i <= high; i++) {
			u64 address, length;
			u32 type;

			memcpy(&address, ranges + 20 * i, 8);
			memcpy(&length, ranges + 20 * i + 8, 8);
			memcpy(&type, ranges + 20 * i + 16, 4);
			assert_int_equal(address, i ? GIB(4) : 0);
			assert_int_equal(length, i ? GIB(2) : MIB(4));
			assert_int_equal(type, 1);
		}
		if (!high)
			assert_int_equal(ranges[36], 0);
		fake_destroy(vm);
	}
}

static void other_accesses_change_nothing(void **state)
{
	struct vm *vm = *state;

	assert_non_null(fw_cfg_create(vm));
	out16(vm, SELECTOR, 0);
	assert_int_equal(in8(vm, DATA), 'Q');
	out8(vm, SELECTOR, 5);		/* the selector takes 16 bits at once */
	out8(vm, DATA, 'x');		/* and the data is read-only */
	assert_int_equal(in8(vm, SELECTOR), 0);
	assert_int_equal(in16(vm, SELECTOR), 0);
	assert_int_equal(in8(vm, DATA), 'E');
	assert_int_equal(number(vm, 0, 4), 0x554d4551);
}

/* "Firmware Configuration Items": files have keys of their own, from 20h on. */
static void more_files(void **state)
{
	struct vm *vm = *state;
	struct fw_cfg *fw_cfg = fw_cfg_create(vm);
	char name[] = "etc/x", long_name[80];
	u16 key, other;

	for (unsigned i = 0; i < 6; i++) {
		name[4] = (char)('a' + i);
		assert_int_equal(fw_cfg_add(fw_cfg, name, "0123456789" + i, 10 - i), 0);
	}
	assert_int_equal(fw_cfg_add(fw_cfg, "etc/z", "x", 1), -ENOSPC);
	assert_int_equal(number(vm, 0x19, 4), 0x08000000);
	assert_int_equal(find_file(vm, "etc/a", &key), 10);
	assert_int_equal(number(vm, key, 4), 0x33323130);
	assert_int_equal(find_file(vm, "etc/f", &other), 5);
	assert_int_equal(other, key + 5);
	assert_int_equal(number(vm, other, 8), 0x3938373635);	/* zeros follow */
	assert_int_equal(number(vm, (u16)(other + 1), 8), 0);
	assert_int_equal(number(vm, other | 0x4000, 4), 0x38373635);
	assert_int_equal(find_file(vm, "etc/e820", &key), 20);
	assert_int_equal(find_file(vm, "etc/boot-cpus", &key), 2);
	assert_int_equal(number(vm, key, 8), 1);
	fake_destroy(vm);
	vm = *state = fake_create(MIB(4));
	memset(long_name, 'n', sizeof(long_name));
	long_name[79] = 0;
	assert_int_equal(fw_cfg_add(fw_cfg_create(vm), long_name, "x", 1), 0);
	long_name[55] = 0;
	assert_int_equal(find_file(vm, long_name, &key), 1);	/* cut, with its NUL */
}

static void no_memory(void **state)
{
	struct vm *vm = *state;

	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	assert_null(fw_cfg_create(vm));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_numbers, set_up, tear_down),
		cmocka_unit_test(the_file_of_ram),
		cmocka_unit_test_setup_teardown(other_accesses_change_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(more_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
