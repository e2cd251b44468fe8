/* SPDX-License-Identifier: MIT */
/*
 * PVH guests and flat binaries: registers and memory at entry; ELF segments; files that are no guest.
 * Linux and Multiboot have test_load_linux.c and test_load_multiboot.c.
 */
/* link: tests/unit/loader_fixture.c core/load/loader.c core/load/common.c core/load/linux.c */
/* link: core/load/multiboot.c core/load/multiboot_info.c core/load/elf.c core/load/pvh.c core/load/flat.c */
/* link: core/load/bios.c core/load/bios_rom.asm */
/* link: core/load/firmware.c lib/pc_firmware.c */
/* link: lib/bzimage.c lib/crc32.c lib/elf.c lib/multiboot.c lib/string.c */

#include "loader_fixture.h"

void service_pause(void) { }

static u8 *pvh_elf(u32 entry)
{
	u8 *image = elf_image();
	const u32 note[5] = { 4, 4, 18, 0x006e6558 /* "Xen" */, entry };

	put_segment(image, 2, PT_NOTE, ELF_NOTES_AT, 0, 0, sizeof(note), 0);
	memcpy(image + ELF_NOTES_AT, note, sizeof(note));
	return image;
}

/* --- PVH --- */

static void check_pvh_map(struct vm *vm, u64 info)
{
	u64 at = guest_number(vm, info + 40, 8);
	unsigned count = (unsigned)guest_number(vm, info + 48, 4);
	struct map_piece map[32];

	for (unsigned i = 0; i < count; i++, at += 24)
		map[i] = (struct map_piece){ guest_number(vm, at, 8), guest_number(vm, at + 8, 8),
					     (u32)guest_number(vm, at + 16, 4) };
	check_memory_map(vm, map, count);
}

static void test_pvh(void **state)
{
	struct vm *vm = fixture_create(MIB(16), MIB(2));
	struct places places = { .count = 0 };
	u8 *image = pvh_elf(ELF_ENTRY), module[5000];
	u64 info, entry;

	fill(module, sizeof(module));
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "one two", module, sizeof(module)), 0);
	check_protected_mode(vm, ELF_ENTRY);
	check_elf_in_memory(vm, image, &places);
	info = vm->vcpu.regs[REG_RBX];
	assert_int_equal(guest_number(vm, info, 4), 0x336ec578);
	assert_int_equal(guest_number(vm, info + 4, 4), 1);
	assert_int_equal(guest_number(vm, info + 8, 4), 0);
	assert_int_equal(guest_number(vm, info + 12, 4), 1);
	assert_string_equal(guest_text(vm, guest_number(vm, info + 24, 8)), "one two");
	assert_int_equal(guest_number(vm, info + 32, 8), 0xe0000);
	assert_int_equal(info, vm->block.start);
	assert_true(guest_number(vm, info + 24, 8) + sizeof("one two") <= info + vm->block.size);
	assert_int_equal(vm->vcpu.regs[REG_RAX], 0);	/* the ABI leaves it open: as after a reset */
	check_pvh_map(vm, info);
	entry = guest_number(vm, info + 16, 8);
	check_module(vm, guest_number(vm, entry, 8),
		     guest_number(vm, entry, 8) + guest_number(vm, entry + 8, 8), module,
		     sizeof(module), &places);
	place(&places, info, 56);
	place(&places, entry, 32);
	place(&places, guest_number(vm, info + 24, 8), 8);
	check_places(vm, &places);
	free(image);
	fixture_destroy(vm);
}

static void test_pvh_without_module(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = pvh_elf(ELF_ENTRY);

	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	assert_int_equal(guest_number(vm, vm->vcpu.regs[REG_RBX] + 12, 4), 0);
	assert_int_equal(guest_number(vm, vm->vcpu.regs[REG_RBX] + 16, 8), 0);
	free(image);
	fixture_destroy(vm);
}

static void test_pvh_entry_elsewhere(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = pvh_elf(0x100000 + ELF_CODE_RAM);

	fixture_refused(vm, image, ELF_SIZE, "the PVH entry 0x103000 lies outside");
	free(image);
	fixture_destroy(vm);
}

static void test_pvh_without_room_for_information(void **state)
{
	const struct load_range kernel = { 0x100000, 0x103000 + ELF_DATA_SIZE };
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = pvh_elf(ELF_ENTRY);
	const struct guest_image guest = { .kernel = image, .kernel_size = ELF_SIZE, .cmdline = "" };

	put_segment(image, 1, PT_LOAD, ELF_DATA_AT, 0xc0103000, 0x103000, ELF_DATA_SIZE, ELF_DATA_SIZE);
	assert_int_equal(fixture_load_cramped(vm, load_pvh, &guest, 1, &kernel), 0);
	assert_int_equal(fixture_load_cramped(vm, load_pvh, &guest, 0, &kernel), -ENOMEM);
	assert_int_equal(vm->errors, 1);
	free(image);
	fixture_destroy(vm);
}

/* --- ELF segments --- */

static void test_segments_that_do_not_fit(void **state)
{
	static const struct {
		u32 address, size;
		const char *words;
	} bad[] = {
		{ 0x400000, 0x1000, "ELF segment 1, 0x1000 bytes at 0x400000: expected it in RAM" },
		{ 0x3ff000, 0x1001, "expected it in RAM" },
		{ 0x9fc00, 0x123, "expected it in RAM, below 0x9fc00 or from 0x100000 up to "
				  "0x400000" },
		{ 0x9f000, 0x1000, "expected it in RAM" },
		{ 0xa0000, 0x123, "expected it in RAM" },
		{ 0xe0000, 0x123, "expected it in RAM" },
		{ 0xfffff000, 0x123, "expected it in RAM" },
		{ 0x100000, 0x123, "ELF segment 1 at 0x100000-0x100122 overlaps what is loaded at "
				   "0x100000-0x102fff" },
		{ 0x102fff, 0x123, "overlaps" },
	};
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = pvh_elf(ELF_ENTRY);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_segment(image, 1, PT_LOAD, ELF_DATA_AT, 0xc0200000, bad[i].address,
			    ELF_DATA_SIZE, bad[i].size);
		fixture_refused(vm, image, ELF_SIZE, bad[i].words);
	}
	fixture_destroy(vm);
	vm = fixture_create(MIB(4), 0);
	put_segment(image, 1, PT_LOAD, ELF_DATA_AT, 0xc0103000, 0x103000, ELF_DATA_SIZE, 0x2fd000);
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	free(image);
	fixture_destroy(vm);
}

/* The boot information moves out of the way of a kernel in low memory. */
static void test_kernel_in_low_memory(void **state)
{
	static const struct {
		u32 address, size, info;
	} kernels[] = {
		{ 0x1000, 0x9ec00, 0x103000 }, { 0x10000, 0x1000, 0x11000 },
		{ 0x9f000, 0xc00, 0x10000 }, { 0x8000, 0x9000, 0x11000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++) {
		struct vm *vm = fixture_create(MIB(4), 0);
		struct places places = { .count = 0 };
		u8 *image = pvh_elf(ELF_ENTRY);

		put_segment(image, 1, PT_LOAD, ELF_DATA_AT, 0, kernels[i].address, ELF_DATA_SIZE,
			    kernels[i].size);
		assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
		assert_memory_equal(vm->ram + kernels[i].address, image + ELF_DATA_AT,
				    ELF_DATA_SIZE);
		assert_int_equal(vm->vcpu.regs[REG_RBX], kernels[i].info);
		place(&places, kernels[i].address, kernels[i].size);
		place(&places, 0x100000, ELF_CODE_RAM);
		place(&places, vm->vcpu.regs[REG_RBX], 56);
		check_places(vm, &places);
		free(image);
		fixture_destroy(vm);
	}
}

static void test_no_room_beside_the_kernel(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = pvh_elf(ELF_ENTRY), module[5000] = { 0 };

	put_segment(image, 1, PT_LOAD, ELF_DATA_AT, 0, 0x103000, ELF_DATA_SIZE, 0x2fd000);
	assert_int_not_equal(fixture_load(vm, image, ELF_SIZE, "", module, sizeof(module)), 0);
	fixture_said(vm, "the initrd of 4 KiB does not fit behind the kernel and what is loaded with it, up to "
			 "0x400000");
	put_segment(image, 2, PT_LOAD, ELF_DATA_AT, 0, 0x1000, ELF_DATA_SIZE, 0x9ec00);
	memcpy(image + ELF_HEADER_AT, (u32[]){ 0x1badb002, 0, -0x1badb002u }, 12);
	fixture_refused(vm, image, ELF_SIZE, "bytes of boot information: expected a larger mem=");
	free(image);
	fixture_destroy(vm);
}

static void test_elf_refused(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = elf_image();

	fixture_refused(vm, image, ELF_SIZE, "an ELF file that does not say how to enter it");
	put(image, 18, 62 + 1, 2);
	fixture_refused(vm, image, ELF_SIZE, "damaged ELF file: the ELF machine");
	put_mb1(image, ELF_HEADER_AT, 3);
	fixture_refused(vm, image, ELF_SIZE, "damaged ELF file: the ELF machine");
	free(image);
	fixture_destroy(vm);
}

/* --- flat binaries --- */

static void test_flat(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 image[512];

	fill(image, sizeof(image));
	image[510] = 0x55;
	image[511] = 0xaa;
	assert_int_equal(fixture_load(vm, image, sizeof(image), "", NULL, 0), 0);
	assert_memory_equal(vm->ram + 0x7c00, image, sizeof(image));
	assert_int_equal(vm->controls[CTL_CR0], 0x10);
	assert_int_equal(vcpu_reg_read(&vm->vcpu, REG_RIP), 0x7c00);
	assert_int_equal(vcpu_rflags(&vm->vcpu), 2);
	assert_int_equal(vm->vcpu.regs[REG_RDX], 0x80);
	assert_int_equal(vcpu_reg_read(&vm->vcpu, REG_RSP), 0x7c00);
	for (int i = SEG_ES; i <= SEG_GS; i++) {
		assert_int_equal(vm->segments[i].selector, 0);
		assert_int_equal(vm->segments[i].base, 0);
		assert_int_equal(vm->segments[i].limit, 0xffff);
		assert_true(vm->segments[i].present && vm->segments[i].s);
		assert_int_equal(vm->segments[i].type, i == SEG_CS ? 11 : 3);
	}
	assert_int_equal(vm->warnings, 0);
	fixture_destroy(vm);
}

static void test_flat_gets_no_command_line(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 image[16] = { 0xf4 };

	assert_int_equal(fixture_load(vm, image, sizeof(image), "quiet", NULL, 0), 0);
	assert_int_equal(vm->warnings, 1);
	assert_int_equal(fixture_load(vm, image, sizeof(image), "", image, sizeof(image)), 0);
	assert_int_equal(vm->warnings, 2);
	fixture_destroy(vm);
}

static void test_size_of_flat(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = calloc(1, 0x98001);

	image[0x97fff] = 0x77;
	assert_int_equal(fixture_load(vm, image, 0x98000, "", NULL, 0), 0);
	assert_int_equal(vm->ram[0x9fbff], 0x77);
	fixture_refused(vm, image, 0x98001, "the kernel's kind is unknown: expected a Linux");
	fixture_refused(vm, image, 0, "the kernel's file is empty");
	fixture_refused(vm, NULL, 0, "the kernel's file is empty");
	free(image);
	fixture_destroy(vm);
}

/* The first bytes of each kind of file: RFC 1952, bzip2, xz-file-format, RFC 8878, lz4's frame format, old and new. */
static void test_compressed(void **state)
{
	static const struct {
		const char *magic, *words;
	} kinds[] = {
		{ "\x1f\x8b\x08\x00\x00\x00", "compressed: expected it unpacked, for example by \"gzip -d\"" },
		{ "BZh91A", "\"bzip2 -d\"" }, { "\xfd""7zXZ\0", "\"xz -d\"" }, { "\x28\xb5\x2f\xfd\x04\x00", "\"zstd -d\"" },
		{ "\x04\x22\x4d\x18\x64\x40", "\"lz4 -d\"" }, { "\x02\x21\x4c\x18\x00\x00", "\"lz4 -d\"" },
	};
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 image[512] = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		memcpy(image, kinds[i].magic, 6);
		image[510] = image[511] = 0;
		fixture_refused(vm, image, sizeof(image), kinds[i].words);
		vm->errors = 0;
		/* A boot sector may have these bytes, too. */
		image[510] = 0x55;
		image[511] = 0xaa;
		assert_int_equal(fixture_load(vm, image, sizeof(image), "", NULL, 0), 0);
	}
	assert_int_equal(fixture_load(vm, (const u8 *)"\x1f", 1, "", NULL, 0), 0);
	fixture_destroy(vm);
}

/* --- hostile ones --- */

static void test_hostile(void **state)
{
	u8 *image = pvh_elf(ELF_ENTRY);

	random_mutations(image, ELF_SIZE, ELF_HEADERS, 2000, use_hostile);
	random_mutations(image, ELF_SIZE, ELF_SIZE, 500, use_hostile);
	each_byte_mutation(image, ELF_SIZE, ELF_HEADERS, use_hostile);
	free(image);
}

/* More segments than any real kernel has, one byte each. */
static void test_many_segments(void **state)
{
	enum { COUNT = 1000 };
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = calloc(1, 0x3000 + COUNT * 32);

	memcpy(image, "\x7f" "ELF\1\1\1", 7);
	put(image, 16, 2, 2);
	put(image, 18, 3, 2);
	put(image, 20, 1, 4);
	put(image, 24, 0x100000, 4);
	put(image, 28, 0x3000, 4);
	put(image, 42, 32, 2);
	put(image, 44, COUNT, 2);
	put_mb1(image, 0x1000, 3);
	for (u32 i = 0; i < COUNT; i++) {
		const u32 words[8] = { PT_LOAD, 0, 0x100000 + i, 0x100000 + i, 1, 1, 7, 1 };

		memcpy(image + 0x3000 + 32 * i, words, sizeof(words));
	}
	fixture_refused(vm, image, 0x3000 + COUNT * 32, "it has more than 128 parts");
	free(image);
	fixture_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pvh),
		cmocka_unit_test(test_pvh_without_module),
		cmocka_unit_test(test_pvh_entry_elsewhere),
		cmocka_unit_test(test_pvh_without_room_for_information),
		cmocka_unit_test(test_segments_that_do_not_fit),
		cmocka_unit_test(test_kernel_in_low_memory),
		cmocka_unit_test(test_no_room_beside_the_kernel),
		cmocka_unit_test(test_elf_refused),
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_flat_gets_no_command_line),
		cmocka_unit_test(test_size_of_flat),
		cmocka_unit_test(test_compressed),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_many_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
