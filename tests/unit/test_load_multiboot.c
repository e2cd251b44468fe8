/* SPDX-License-Identifier: MIT */
/* Multiboot kernels: registers and memory at entry, as both specifications require. */
/* link: tests/unit/loader_fixture.c core/load/loader.c core/load/common.c core/load/linux.c */
/* link: core/load/multiboot.c core/load/pvh.c core/load/flat.c core/load/bios.c core/load/bios_rom.asm */
/* link: lib/bzimage.c lib/elf.c lib/multiboot.c lib/string.c */

#include "loader_fixture.h"

void service_pause(void) { }

#include <stdio.h>

/* `tags` includes the end tag. */
static void put_mb2(u8 *image, size_t at, const u32 *tags, size_t count)
{
	u32 length = (u32)(16 + 4 * count);

	put(image, at, 0xe85250d6, 4);
	put(image, at + 4, 0, 4);
	put(image, at + 8, length, 4);
	put(image, at + 12, -(0xe85250d6 + length), 4);
	memcpy(image + at + 16, tags, 4 * count);
}

static const u32 no_tags[] = { 0, 8 };

static u8 *mb1_elf(u32 flags)
{
	u8 *image = elf_image();

	put_mb1(image, ELF_HEADER_AT, flags);
	return image;
}

static u8 *mb2_elf(void)
{
	u8 *image = elf_image();

	put_mb2(image, ELF_HEADER_AT, no_tags, 2);
	return image;
}

/* --- Multiboot, "Boot information format" --- */

static void check_mb1_map(struct vm *vm, u64 info)
{
	u64 at = guest_number(vm, info + 48, 4), end = at + guest_number(vm, info + 44, 4);
	struct map_piece map[32];
	unsigned count = 0;

	while (at < end) {
		u64 size = guest_number(vm, at, 4);

		assert_int_equal(size, 20);
		map[count++] = (struct map_piece){ guest_number(vm, at + 4, 8),
						   guest_number(vm, at + 12, 8),
						   (u32)guest_number(vm, at + 20, 4) };
		at += size + 4;
	}
	check_memory_map(vm, map, count);
}

static u64 check_mb1(struct vm *vm, const char *cmdline)
{
	u64 info = vm->vcpu.regs[REG_RBX];

	assert_int_equal(vm->vcpu.regs[REG_RAX], 0x2badb002);
	assert_int_equal(guest_number(vm, info, 4) & 0x245, 0x245);
	assert_int_equal(guest_number(vm, info, 4) & ~0x24dull, 0);
	assert_int_equal(guest_number(vm, info + 4, 4), 639);
	assert_int_equal(guest_number(vm, info + 8, 4), (vm->low - MIB(1)) / 1024);
	assert_string_equal(guest_text(vm, guest_number(vm, info + 16, 4)), cmdline);
	assert_string_equal(guest_text(vm, guest_number(vm, info + 64, 4)), "Lamina 7.8");
	assert_int_equal(info, vm->block.start);
	assert_true(guest_number(vm, info + 16, 4) + strlen(cmdline) + 1 <= info + vm->block.size);
	check_mb1_map(vm, info);
	return info;
}

static void test_mb1(void **state)
{
	struct vm *vm = fixture_create(MIB(16), MIB(2));
	struct places places = { .count = 0 };
	u8 *image = mb1_elf(3);
	u64 info;

	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "first second", NULL, 0), 0);
	check_protected_mode(vm, ELF_ENTRY);
	check_elf_in_memory(vm, image, &places);
	info = check_mb1(vm, "first second");
	assert_int_equal(guest_number(vm, info + 20, 4), 0);
	place(&places, info, 116);
	place(&places, guest_number(vm, info + 16, 4), 13);
	place(&places, guest_number(vm, info + 64, 4), 11);
	place(&places, guest_number(vm, info + 48, 4), guest_number(vm, info + 44, 4));
	check_places(vm, &places);
	assert_int_equal(vm->warnings, 0);
	fixture_said(vm, "loaded: a Multiboot kernel, entry 0x100410, initrd none, "
			 "command line \"first second\"");
	free(image);
	fixture_destroy(vm);
}

static void test_mb1_module(void **state)
{
	struct vm *vm = fixture_create(MIB(16), 0);
	struct places places = { .count = 0 };
	u8 *image = mb1_elf(3), module[5000];
	u64 info, entry;

	fill(module, sizeof(module));
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", module, sizeof(module)), 0);
	check_elf_in_memory(vm, image, &places);
	info = check_mb1(vm, "");
	assert_int_equal(guest_number(vm, info, 4) & 8, 8);
	assert_int_equal(guest_number(vm, info + 20, 4), 1);
	entry = guest_number(vm, info + 24, 4);
	check_module(vm, guest_number(vm, entry, 4), guest_number(vm, entry + 4, 4), module,
		     sizeof(module), &places);
	assert_int_equal(guest_number(vm, entry + 12, 4), 0);	/* reserved */
	fixture_said(vm, "entry 0x100410, initrd 0x201000-0x202387, command line \"\"");
	assert_string_equal(guest_text(vm, guest_number(vm, entry + 8, 4)), "initrd");
	assert_int_equal(guest_number(vm, entry, 4), 0x201000);	/* right behind the kernel */
	place(&places, info, 116);
	place(&places, entry, 16);
	check_places(vm, &places);
	free(image);
	fixture_destroy(vm);
}

/* Addresses in the header take precedence; the file need not be ELF. */
static void test_mb1_addresses(void **state)
{
	struct vm *vm = fixture_create(MIB(16), 0);
	u8 image[0x600];

	fill(image, sizeof(image));
	put_mb1(image, 0x40, 0x10003);
	put(image, 0x4c, 0x300040, 4);	/* header */
	put(image, 0x50, 0x300000, 4);	/* load */
	put(image, 0x54, 0x300500, 4);	/* load end */
	put(image, 0x58, 0x380000, 4);	/* bss end */
	put(image, 0x5c, 0x300123, 4);	/* entry */
	assert_int_equal(fixture_load(vm, image, sizeof(image), "", NULL, 0), 0);
	check_protected_mode(vm, 0x300123);
	check_mb1(vm, "");
	assert_memory_equal(vm->ram + 0x300000, image, 0x500);
	assert_int_equal(guest_number(vm, 0x300500, 8), 0);
	fixture_destroy(vm);
}

/* Load and header address are as far apart in the file: the load begins at 0x100 in it. */
static void test_addresses_may_leave_out_the_beginning_of_the_file(void **state)
{
	struct vm *vm = fixture_create(MIB(16), 0);
	u8 image[0x600];

	fill(image, sizeof(image));
	put_mb1(image, 0x140, 0x10003);
	put(image, 0x14c, 0x300040, 4);	/* header */
	put(image, 0x150, 0x300000, 4);	/* load, which is 0x100 in the file */
	put(image, 0x154, 0x300400, 4);	/* load end */
	put(image, 0x158, 0, 4);	/* no bss */
	put(image, 0x15c, 0x300000, 4);	/* entry */
	assert_int_equal(fixture_load(vm, image, sizeof(image), "", NULL, 0), 0);
	check_protected_mode(vm, 0x300000);
	assert_memory_equal(vm->ram + 0x300000, image + 0x100, 0x400);
	assert_int_equal(guest_number(vm, 0x300400, 8), 0);
	put(image, 0x15c, 0x300400, 4);
	fixture_refused(vm, image, sizeof(image), "the entry address must lie in what is loaded");
	put(image, 0x15c, 0x3003ff, 4);
	vm->errors = 0;
	assert_int_equal(fixture_load(vm, image, sizeof(image), "", NULL, 0), 0);
	fixture_destroy(vm);
}

/* The ELF header says how many program headers there are: bytes behind them are none. */
static void test_entry_behind_the_program_headers(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb1_elf(3);

	put_segment(image, 3, PT_LOAD, ELF_DATA_AT, 0xd0000000, 0x300000, ELF_DATA_SIZE, ELF_DATA_SIZE);
	put(image, 24, 0xd0000010, 4);
	fixture_refused(vm, image, ELF_SIZE, "the ELF entry 0xd0000010: expected it in a segment");
	assert_int_equal(guest_number(vm, 0x300000, 8), 0);
	put(image, 44, 4, 2);
	vm->errors = 0;
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	check_protected_mode(vm, 0x300010);
	free(image);
	fixture_destroy(vm);
}

static void test_entry_in_the_second_segment(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb1_elf(3);

	put_segment(image, 1, PT_LOAD, ELF_DATA_AT, 0xd0000000, 0x200000, ELF_DATA_SIZE,
		    ELF_DATA_SIZE);
	put(image, 24, 0xd0000010, 4);
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	check_protected_mode(vm, 0x200010);
	put(image, 24, 0xd0000000 + ELF_DATA_SIZE, 4);
	fixture_refused(vm, image, ELF_SIZE, "the ELF entry 0xd0000123: expected it in a segment");
	free(image);
	fixture_destroy(vm);
}

static void test_mb1_refused(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb1_elf(0x13);
	u8 flat[0x200] = { 0 };

	fixture_refused(vm, image, ELF_SIZE, "Multiboot kernel is not supported: of the flags");
	free(image);
	put_mb1(flat, 0, 3);
	fixture_refused(vm, flat, sizeof(flat), "no load addresses: expected them, or an ELF file");
	image = mb1_elf(3);
	put(image, 24, 0x700410, 4);
	fixture_refused(vm, image, ELF_SIZE, "the ELF entry 0x700410: expected it in a segment");
	free(image);
	fixture_destroy(vm);
}

/* Virtual segments and a physical entry: as GRUB takes it. */
static void test_mb1_physical_entry(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb1_elf(3);

	put(image, 24, 0x100410, 4);
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	assert_int_equal(vm->vcpu.regs[REG_RIP], 0x100410);
	free(image);
	fixture_destroy(vm);
}

static void test_mb1_asks_for_video(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb1_elf(7);

	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	assert_int_equal(vm->warnings, 1);
	fixture_said(vm, "asks for a screen");
	free(image);
	fixture_destroy(vm);
}

/* --- Multiboot2, "Boot information format" --- */

/* The tag's address; 0: there is none. */
static u64 mb2_tag(struct vm *vm, u32 type)
{
	u64 info = vm->vcpu.regs[REG_RBX], at = info + 8;
	u64 end = info + guest_number(vm, info, 4), found = 0;

	for (;; at = ALIGN_UP(at + guest_number(vm, at + 4, 4), 8)) {
		assert_true(at + 8 <= end);
		if (guest_number(vm, at, 4) == type) {
			assert_int_equal(found, 0);
			found = at;
		}
		if (guest_number(vm, at, 4) == 0)
			break;
		assert_true(guest_number(vm, at + 4, 4) > 8);
	}
	assert_int_equal(guest_number(vm, at + 4, 4), 8);
	assert_int_equal(at + 8, end);
	return found;
}

static void check_mb2_map(struct vm *vm)
{
	u64 tag = mb2_tag(vm, 6), size = guest_number(vm, tag + 8, 4);
	unsigned count = (unsigned)((guest_number(vm, tag + 4, 4) - 16) / size);
	struct map_piece map[32];

	assert_int_equal(size % 8, 0);
	assert_int_equal(guest_number(vm, tag + 12, 4), 0);
	for (unsigned i = 0; i < count; i++) {
		u64 at = tag + 16 + size * i;

		map[i] = (struct map_piece){ guest_number(vm, at, 8), guest_number(vm, at + 8, 8),
					     (u32)guest_number(vm, at + 16, 4) };
	}
	check_memory_map(vm, map, count);
}

static void check_mb2(struct vm *vm, const char *cmdline)
{
	u64 info = vm->vcpu.regs[REG_RBX];

	assert_int_equal(vm->vcpu.regs[REG_RAX], 0x36d76289);
	assert_int_equal(info % 8, 0);
	assert_int_equal(info, vm->block.start);
	assert_true(guest_number(vm, info, 4) <= vm->block.size);
	assert_int_equal(guest_number(vm, info + 4, 4), 0);
	assert_string_equal(guest_text(vm, mb2_tag(vm, 1) + 8), cmdline);
	assert_int_equal(guest_number(vm, mb2_tag(vm, 1) + 4, 4), 8 + strlen(cmdline) + 1);
	assert_string_equal(guest_text(vm, mb2_tag(vm, 2) + 8), "Lamina 7.8");
	assert_int_equal(guest_number(vm, mb2_tag(vm, 4) + 8, 4), 639);
	assert_int_equal(guest_number(vm, mb2_tag(vm, 4) + 12, 4), (vm->low - MIB(1)) / 1024);
	check_mb2_map(vm);
	/* ACPI, "Root System Description Pointer": 20 bytes of old, 36 of new. */
	assert_int_equal(guest_number(vm, mb2_tag(vm, 14) + 4, 4), 8 + 20);
	assert_memory_equal(vm->ram + mb2_tag(vm, 14) + 8, vm->ram + 0xe0000, 20);
	assert_int_equal(guest_number(vm, mb2_tag(vm, 15) + 4, 4), 8 + 36);
	assert_memory_equal(vm->ram + mb2_tag(vm, 15) + 8, vm->ram + 0xe0000, 36);
}

static void test_mb2(void **state)
{
	struct vm *vm = fixture_create(MIB(16), GIB(1));
	struct places places = { .count = 0 };
	u8 *image = mb2_elf(), module[5000];
	char cmdline[2048];
	u64 tag;

	fill(module, sizeof(module));
	memset(cmdline, 'c', sizeof(cmdline) - 1);
	cmdline[2047] = 0;
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, cmdline, module, sizeof(module)), 0);
	check_protected_mode(vm, ELF_ENTRY);
	check_elf_in_memory(vm, image, &places);
	check_mb2(vm, cmdline);
	tag = mb2_tag(vm, 3);
	check_module(vm, guest_number(vm, tag + 8, 4), guest_number(vm, tag + 12, 4), module,
		     sizeof(module), &places);
	assert_string_equal(guest_text(vm, tag + 16), "initrd");
	place(&places, vm->vcpu.regs[REG_RBX], guest_number(vm, vm->vcpu.regs[REG_RBX], 4));
	check_places(vm, &places);
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_without_module(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb2_elf();

	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	check_mb2(vm, "");
	assert_int_equal(mb2_tag(vm, 3), 0);
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_wins_over_mb1(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb2_elf();

	put_mb1(image, ELF_HEADER_AT - 0x20, 3);
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	check_mb2(vm, "");
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_entry_tag(void **state)
{
	const u32 tags[] = { 3, 12, 0x100500, 0, 0, 8 };
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = elf_image();

	put_mb2(image, ELF_HEADER_AT, tags, ARRAY_SIZE(tags));
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	check_protected_mode(vm, 0x100500);
	put(image, ELF_HEADER_AT + 24, 0x180000, 4);
	fixture_refused(vm, image, ELF_SIZE, "the entry 0x180000 lies outside of what is loaded");
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_demands(void **state)
{
	const u32 met[] = { 1, 24, 1, 4, 6, 15, 0, 8 };	/* requires tags 1, 4, 6 and 15 */
	const u32 unmet[] = { 1, 16, 6, 9, 0, 8 };
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = elf_image();

	put_mb2(image, ELF_HEADER_AT, met, ARRAY_SIZE(met));
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	put_mb2(image, ELF_HEADER_AT, unmet, ARRAY_SIZE(unmet));
	fixture_refused(vm, image, ELF_SIZE, "requires the information tag of type 9");
	free(image);
	fixture_destroy(vm);
}

/* MB2, "Information request header tag": each type of the specification, required alone. */
static void test_mb2_each_demand(void **state)
{
	const u32 given = BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(6) | BIT(14) | BIT(15);
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = elf_image();

	for (u32 type = 1; type <= 21; type++) {
		const u32 tags[] = { 1, 12, type, 0, 0, 8 };
		char words[64];

		put_mb2(image, ELF_HEADER_AT, tags, ARRAY_SIZE(tags));
		vm->errors = 0;
		snprintf(words, sizeof(words), "requires the information tag of type %u,", type);
		if (given >> type & 1)
			assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
		else
			fixture_refused(vm, image, ELF_SIZE, words);
	}
	free(image);
	fixture_destroy(vm);
}

static void test_no_room_for_information(void **state)
{
	const struct load_range kernel = { 0x100000, 0x103000 + ELF_DATA_SIZE };
	struct vm *vm = fixture_create(MIB(16), 0);
	u8 *images[] = { mb1_elf(3), mb2_elf() };

	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		const struct guest_image guest = { .kernel = images[i], .kernel_size = ELF_SIZE, .cmdline = "" };

		put_segment(images[i], 1, PT_LOAD, ELF_DATA_AT, 0xc0103000, 0x103000, ELF_DATA_SIZE, ELF_DATA_SIZE);
		assert_int_equal(fixture_load_cramped(vm, load_multiboot, &guest, 1, &kernel), 0);
		assert_int_equal(fixture_load_cramped(vm, load_multiboot, &guest, 0, &kernel), -ENOMEM);
		fixture_said(vm, "bytes of boot information: expected a larger mem=");
		assert_int_equal(vm->errors, 1);
		free(images[i]);
	}
	fixture_destroy(vm);
}

/* --- hostile ones --- */

static void test_hostile(void **state)
{
	u8 *images[] = { mb1_elf(3), mb2_elf() };

	each_truncation(images[1], ELF_SIZE, use_hostile);
	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		/* The headers lie close together, so that most mutations hit them. */
		random_mutations(images[i], ELF_SIZE, ELF_HEADERS, 1000, use_hostile);
		random_mutations(images[i], ELF_SIZE, ELF_SIZE, 500, use_hostile);
		each_byte_mutation(images[i], ELF_SIZE, ELF_HEADERS, use_hostile);
		free(images[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mb1),
		cmocka_unit_test(test_mb1_module),
		cmocka_unit_test(test_mb1_addresses),
		cmocka_unit_test(test_addresses_may_leave_out_the_beginning_of_the_file),
		cmocka_unit_test(test_entry_behind_the_program_headers),
		cmocka_unit_test(test_entry_in_the_second_segment),
		cmocka_unit_test(test_mb1_refused),
		cmocka_unit_test(test_mb1_physical_entry),
		cmocka_unit_test(test_mb1_asks_for_video),
		cmocka_unit_test(test_mb2),
		cmocka_unit_test(test_mb2_without_module),
		cmocka_unit_test(test_mb2_wins_over_mb1),
		cmocka_unit_test(test_mb2_entry_tag),
		cmocka_unit_test(test_mb2_demands),
		cmocka_unit_test(test_mb2_each_demand),
		cmocka_unit_test(test_no_room_for_information),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
