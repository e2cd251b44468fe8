/* SPDX-License-Identifier: MIT */
/*
 * What a BIOS leaves in memory. IBM, "Personal System/2 and Personal Computer BIOS Interface Technical Reference", "BIOS Data
 * Area", "Interrupts". The code behind the vectors runs in the guests of tests/guests/flat.
 */
/* link: tests/unit/loader_fixture.c core/load/loader.c core/load/common.c core/load/linux.c */
/* link: core/load/multiboot.c core/load/multiboot_info.c core/load/elf.c core/load/pvh.c core/load/flat.c */
/* link: core/load/bios.c core/load/bios_rom.asm */
/* link: core/load/firmware.c lib/pc_firmware.c */
/* link: lib/bzimage.c lib/crc32.c lib/elf.c lib/multiboot.c lib/string.c */
#include "loader_fixture.h"

void service_pause(void) { }

static struct vm *load_boot_sector(struct vm *vm)
{
	u8 image[512] = { 0xf4, [510] = 0x55, [511] = 0xaa };

	assert_int_equal(fixture_load(vm, image, sizeof(image), "", NULL, 0), 0);
	return vm;
}

static void test_data_area(void **state)
{
	struct vm *vm = load_boot_sector(fixture_create(MIB(4), 0));

	assert_int_equal(guest_number(vm, 0x400, 2), 0x3f8);	/* COM1 */
	assert_int_equal(guest_number(vm, 0x402, 2), 0x2f8);	/* COM2 */
	assert_int_equal(guest_number(vm, 0x404, 4), 0);	/* no COM3, no COM4 */
	assert_int_equal(guest_number(vm, 0x408, 6), 0);	/* no printers */
	assert_int_equal(guest_number(vm, 0x40e, 2), 0x9fc0);
	assert_int_equal(guest_number(vm, 0x410, 2) & 0x0031, 0x0020);	/* no diskette; 80 columns, colour */
	assert_int_equal(guest_number(vm, 0x410, 2) & 0x0002, 0x0002);	/* FPU */
	assert_int_equal(guest_number(vm, 0x413, 2), 639);
	assert_int_equal(guest_number(vm, 0x417, 2), 0);	/* no shift key is pressed */
	assert_int_equal(guest_number(vm, 0x41a, 4), 0x001e001e);	/* no key waits */
	assert_int_equal(guest_number(vm, 0x449, 1), 3);
	assert_int_equal(guest_number(vm, 0x44a, 2), 80);
	assert_int_equal(guest_number(vm, 0x44c, 2), 0x1000);
	assert_int_equal(guest_number(vm, 0x44e, 2), 0);
	assert_int_equal(guest_number(vm, 0x450, 8), 0);	/* cursors */
	assert_int_equal(guest_number(vm, 0x462, 1), 0);
	assert_int_equal(guest_number(vm, 0x463, 2), 0x3d4);
	assert_int_equal(guest_number(vm, 0x470, 1), 0);
	assert_int_equal(guest_number(vm, 0x475, 1), 0);	/* no hard disks */
	assert_int_equal(guest_number(vm, 0x480, 4), 0x003e001e);
	assert_int_equal(guest_number(vm, 0x484, 1), 24);
	assert_int_equal(guest_number(vm, 0x485, 2), 16);
	assert_int_equal(guest_number(vm, 0x496, 1), 0x10);	/* a keyboard of 101 keys */
	assert_int_equal(guest_number(vm, 0x9fc00, 2), 1);	/* the extended area has 1 KiB */
	fixture_destroy(vm);
}

/* The number of serial ports, in bits 9-11, is that of the ports that are named. */
static void test_serial_ports_are_counted(void **state)
{
	struct vm *vm = load_boot_sector(fixture_create(MIB(4), 0));
	unsigned count = 0;

	for (unsigned i = 0; i < 4; i++)
		count += guest_number(vm, 0x400 + 2 * i, 2) != 0;
	assert_int_equal(guest_number(vm, 0x410, 2) >> 9 & 7, count);
	fixture_destroy(vm);
}

/* 1,193,182 / 65,536 ticks a second. */
static void test_ticks_since_midnight(void **state)
{
	static const struct {
		u8 hour, minute, second;
		u32 ticks;
	} times[] = {
		{ 0, 0, 0, 0 }, { 0, 0, 1, 18 }, { 0, 1, 0, 1092 }, { 0x12, 0x34, 0x56, 824682 },
		{ 0x23, 0x59, 0x59, 1573024 },
	};
	struct vm *vm = fixture_create(MIB(4), 0);

	for (unsigned i = 0; i < ARRAY_SIZE(times); i++) {
		vm->clock[4] = times[i].hour;
		vm->clock[2] = times[i].minute;
		vm->clock[0] = times[i].second;
		load_boot_sector(vm);
		assert_int_equal(guest_number(vm, 0x46c, 4), times[i].ticks);
	}
	fixture_destroy(vm);
}

/* Each vector leads to code in F000: of its own, unless it is served. */
static void test_vectors(void **state)
{
	static const u8 served[] = { 8, 9, 10, 11, 12, 13, 14, 15, 0x1b, 0x1c, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77 };
	struct vm *vm = load_boot_sector(fixture_create(MIB(4), 0));

	for (unsigned n = 0; n < 256; n++) {
		u32 vector = (u32)guest_number(vm, 4 * n, 4);
		gpa_t at = 0xf0000 + (u16)vector;

		assert_int_equal(vector >> 16, 0xf000);
		if (memchr(served, (int)n, sizeof(served))) {
			assert_in_range(at, 0xfe400, 0xfffef);
			continue;
		}
		assert_int_equal(at, 0xfe000 + 4 * n);
		assert_int_equal(guest_number(vm, at, 2), 0xb2e6);	/* OUT B2h, AL */
		assert_int_equal(guest_number(vm, at + 2, 2), 0xfeeb);	/* JMP $ */
	}
	assert_int_equal(guest_number(vm, 0xf0000 + (guest_number(vm, 4 * 0x1c, 4) & 0xffff), 1), 0xcf);	/* IRET */
	assert_true(vm->bios_calls);
	fixture_destroy(vm);
}

/* F000:FFF0 resets the machine by the 8042: MOV AL, FEh; OUT 64h, AL. The model byte is an AT's. */
static void test_reset(void **state)
{
	struct vm *vm = load_boot_sector(fixture_create(MIB(4), 0));
	u16 to = (u16)(0xfff3 + guest_number(vm, 0xffff1, 2));

	assert_int_equal(guest_number(vm, 0xffff0, 1), 0xe9);	/* JMP */
	assert_int_equal(guest_number(vm, 0xf0000 + to, 4), 0x64e6feb0);
	assert_int_equal(guest_number(vm, 0xffff7, 1), '/');
	assert_int_equal(guest_number(vm, 0xffffa, 1), '/');
	assert_int_equal(guest_number(vm, 0xffffe, 1), 0xfc);
	fixture_destroy(vm);
}

/* The area between the tables before it and the code is left alone. */
static void test_extent(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);

	memset(vm->ram + 0x500, 0xa5, 0x100);
	memset(vm->ram + 0xfdf00, 0xa5, 0x100);
	memset(vm->ram + 0x9fb00, 0xa5, 0x100);
	vm->ram[0x100000] = 0xa5;
	load_boot_sector(vm);
	for (unsigned i = 0; i < 0x100; i++)
		assert_true(vm->ram[0x500 + i] == 0xa5 && vm->ram[0xfdf00 + i] == 0xa5 && vm->ram[0x9fb00 + i] == 0xa5);
	assert_int_equal(vm->ram[0x100000], 0xa5);
	fixture_destroy(vm);
}

/* A kernel that is loaded over vectors and data finds its own bytes, and zeros behind them. */
static void test_kernel_over_it(void **state)
{
	static const struct {
		u32 address, size;
	} segments[] = { { 0, 0x1000 }, { 0x3f0, 0x200 }, { 0x4ff, 0x300 } };

	for (unsigned i = 0; i < ARRAY_SIZE(segments); i++) {
		struct vm *vm = fixture_create(MIB(4), 0);
		u8 *image = elf_image();

		put_mb1(image, ELF_HEADER_AT, 0);
		put_segment(image, 1, PT_LOAD, ELF_DATA_AT, 0, segments[i].address, 0, segments[i].size);
		vm->ram[0x500] = 0xa5;
		assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
		for (u32 at = segments[i].address; at < segments[i].address + segments[i].size; at++)
			assert_int_equal(vm->ram[at], at == 0x500 ? 0xa5 : 0);
		if (segments[i].address)
			assert_int_equal(guest_number(vm, segments[i].address - 4, 4) != 0, segments[i].address == 0x3f0);
		free(image);
		fixture_destroy(vm);
	}
}

/* Multiboot, "Machine state": the rest of the machine is as the BIOS left it. PVH says nothing of interrupt controllers. */
static void test_interrupts(void **state)
{
	const u32 note[5] = { 4, 4, 18, 0x006e6558 /* "Xen" */, ELF_ENTRY };
	struct vm *vm = load_boot_sector(fixture_create(MIB(4), 0));
	u8 *image = elf_image();

	check_bios_interrupts(vm, true);
	put_segment(image, 2, PT_NOTE, ELF_NOTES_AT, 0, 0, sizeof(note), 0);
	memcpy(image + ELF_NOTES_AT, note, sizeof(note));
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	check_bios_interrupts(vm, false);
	assert_int_equal(guest_number(vm, 0x413, 2), 639);
	fixture_destroy(vm);
	vm = fixture_create(MIB(4), 0);
	put_mb1(image, ELF_HEADER_AT, 0);
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	check_bios_interrupts(vm, true);
	free(image);
	fixture_destroy(vm);
}

static void test_no_memory(void **state)
{
	struct vm *vm = fixture_create(0xff000, 0);
	u8 image[1] = { 0xf4 };

	fixture_refused(vm, image, sizeof(image), "the memory for its BIOS data cannot be used");
	fixture_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data_area),
		cmocka_unit_test(test_serial_ports_are_counted),
		cmocka_unit_test(test_ticks_since_midnight),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_extent),
		cmocka_unit_test(test_kernel_over_it),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
