/* SPDX-License-Identifier: MIT */
/* A PC firmware's ROM as guest: by which form it is known, where its bytes are, and that the vCPU stays as after a reset. */
/* link: tests/unit/loader_fixture.c core/load/loader.c core/load/common.c core/load/linux.c */
/* link: core/load/multiboot.c core/load/multiboot_info.c core/load/elf.c core/load/pvh.c core/load/flat.c */
/* link: core/load/bios.c core/load/bios_rom.asm core/load/firmware.c lib/pc_firmware.c */
/* link: lib/bzimage.c lib/crc32.c lib/elf.c lib/multiboot.c lib/string.c */
#include "loader_fixture.h"

#include "arch/cpu/x86.h"
#include "lib/pc_firmware.h"

#define ROM_AT 0x7654000ull	/* where the boot loader has put it */

void service_pause(void) { }

/* SDM, "First Instruction Executed": at FFFFFFF0h, a far JMP, as in an IBM PC: F000:E05B. */
static u8 *rom(u64 size)
{
	u8 *image = malloc(size);

	fill(image, size);
	memcpy(image + size - 16, "\xea\x5b\xe0\x00\xf0", 5);
	return image;
}

static struct guest_image image_of(const u8 *kernel, u64 size)
{
	return (struct guest_image){ .kernel = kernel, .kernel_memory = ROM_AT, .kernel_size = size, .cmdline = "" };
}

static void test_the_form(void **state)
{
	static const struct {
		u64 size;
		u8 first;
		bool is;
	} forms[] = {
		{ KIB(32), 0xea, false }, { KIB(64), 0xea, true }, { KIB(128), 0xe9, true }, { KIB(256), 0xeb, true },
		{ MIB(16), 0xea, true }, { MIB(32), 0xea, false }, { KIB(192), 0xea, false }, { KIB(64) - 1, 0xea, false },
		{ KIB(64) + 1, 0xea, false }, { KIB(64), 0xe8, false }, { KIB(64), 0xec, false }, { KIB(64), 0, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		u8 *image = rom(forms[i].size);

		image[forms[i].size - 16] = forms[i].first;
		assert_int_equal(pc_firmware_has_form(image, forms[i].size), forms[i].is);
		image[forms[i].size - 16] = 0;
		image[forms[i].size - 17] = image[forms[i].size - 15] = forms[i].first;
		assert_false(pc_firmware_has_form(image, forms[i].size));
		free(image);
	}
	assert_false(pc_firmware_has_form("", 0));
}

/* What has a magic number is what that says. */
static void test_other_kinds_come_first(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = rom(KIB(64));
	const struct guest_image guest = image_of(image, KIB(64));

	assert_true(loader_is_firmware(&guest));
	put_mb1(image, 0x40, 0);
	assert_false(loader_is_firmware(&guest));
	put(image, 0x40, 0, 4);
	assert_true(loader_is_firmware(&guest));
	memcpy(image, "\x7f" "ELF", 4);
	assert_false(loader_is_firmware(&guest));
	put(image, 0, 0, 4);
	put(image, 0x1fe, 0xaa55, 2);
	memcpy(image + 0x202, "HdrS", 4);
	assert_false(loader_is_firmware(&guest));
	free(image);
	fixture_destroy(vm);
}

/* Its end is below 1 MiB, too, up to 256 KiB of it, and nothing of what other guests find there. */
static void test_loading(void **state)
{
	static const u64 sizes[] = { KIB(64), KIB(128), KIB(256), MIB(1) };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vm *vm = fixture_create(MIB(8), 0);
		u64 shadow = MIN(sizes[i], KIB(256));
		u8 *image = rom(sizes[i]);
		const struct guest_image guest = image_of(image, sizes[i]);

		assert_int_equal(fixture_load_image(vm, &guest), 0);
		assert_int_equal(vm->rom, ROM_AT);
		assert_int_equal(vm->rom_size, sizes[i]);
		assert_memory_equal(vm->ram + MIB(1) - shadow, image + sizes[i] - shadow, shadow);
		for (u64 at = 0; at < MIB(1) - shadow; at++)
			assert_int_equal(vm->ram[at], 0);
		assert_int_equal(vm->controls[CTL_CR0], CR0_CD | CR0_NW | CR0_ET);
		for (unsigned reg = 0; reg < SEG_COUNT; reg++)
			assert_false(vm->segments[reg].present);
		assert_false(vm->gdt_set || vm->bios_calls);
		assert_int_equal(vm->out_count, 0);
		assert_int_equal(vm->warnings, 0);
		fixture_said(vm, "a PC firmware's ROM, in real mode, entry 0xfffffff0");
		free(image);
		fixture_destroy(vm);
	}
}

static void test_nothing_is_passed_on(void **state)
{
	struct vm *vm = fixture_create(MIB(8), 0);
	u8 *image = rom(KIB(64));

	assert_int_equal(fixture_load(vm, image, KIB(64), "quiet", "initrd", 6), 0);
	assert_int_equal(vm->warnings, 1);
	fixture_said(vm, "neither modules nor a command line");
	free(image);
	fixture_destroy(vm);
}

static void test_little_memory(void **state)
{
	struct vm *vm = fixture_create(MIB(6), 0);
	u8 *image = rom(KIB(64));

	assert_int_equal(fixture_load(vm, image, KIB(64), "", NULL, 0), 0);
	assert_int_equal(vm->warnings, 1);
	fixture_said(vm, "mem=6M is little for a PC firmware");
	free(image);
	fixture_destroy(vm);
}

static void test_what_fails(void **state)
{
	struct vm *vm = fixture_create(MIB(8), 0);
	u8 *image = rom(KIB(64));
	struct guest_image guest = image_of(image, KIB(64));

	guest.kernel_memory += 8;
	assert_int_equal(fixture_load_image(vm, &guest), -EINVAL);
	fixture_said(vm, "has put the firmware's ROM at 0x7654008: expected a multiple of 4096");
	assert_int_equal(vm->rom_size, 0);
	guest.kernel_memory -= 8;
	vm->errors = 0;
	vm->rom_error = -ENOMEM;
	assert_int_equal(fixture_load_image(vm, &guest), -EINVAL);
	fixture_said(vm, "the firmware's ROM of 64 KiB cannot be mapped");
	fixture_destroy(vm);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_form),
		cmocka_unit_test(test_other_kinds_come_first),
		cmocka_unit_test(test_loading),
		cmocka_unit_test(test_nothing_is_passed_on),
		cmocka_unit_test(test_little_memory),
		cmocka_unit_test(test_what_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
