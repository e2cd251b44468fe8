/* SPDX-License-Identifier: MIT */
/* Multiboot kernels: registers and memory at entry, as both specifications require. */
/* link: tests/unit/loader_fixture.c core/load/loader.c core/load/common.c core/load/linux.c */
/* link: core/load/multiboot.c core/load/multiboot_info.c core/load/elf.c core/load/pvh.c core/load/flat.c */
/* link: core/load/bios.c core/load/bios_rom.asm */
/* link: core/load/firmware.c lib/pc_firmware.c */
/* link: lib/bzimage.c lib/crc32.c lib/elf.c lib/multiboot.c lib/string.c */

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

/* The address of the tag of that number of its type; 0: there is none. */
static u64 mb2_tag_number(struct vm *vm, u32 type, u32 number)
{
	u64 info = vm->vcpu.regs[REG_RBX], at = info + 8;
	u64 end = info + guest_number(vm, info, 4), found = 0;

	for (;; at = ALIGN_UP(at + guest_number(vm, at + 4, 4), 8)) {
		assert_true(at + 8 <= end);
		if (guest_number(vm, at, 4) == type && number-- == 0)
			found = at;
		if (guest_number(vm, at, 4) == 0)
			break;
		assert_true(guest_number(vm, at + 4, 4) > 8);
	}
	assert_int_equal(guest_number(vm, at + 4, 4), 8);
	assert_int_equal(at + 8, end);
	return found;
}

/* The only tag of its type. */
static u64 mb2_tag(struct vm *vm, u32 type)
{
	assert_int_equal(mb2_tag_number(vm, type, 1), 0);
	return mb2_tag_number(vm, type, 0);
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
	const u32 unmet[] = { 1, 16, 6, 8, 0, 8 };
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = elf_image();

	put_mb2(image, ELF_HEADER_AT, met, ARRAY_SIZE(met));
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	put_mb2(image, ELF_HEADER_AT, unmet, ARRAY_SIZE(unmet));
	fixture_refused(vm, image, ELF_SIZE, "requires the information tag of type 8");
	free(image);
	fixture_destroy(vm);
}

/* MB2, "Information request header tag": each type of the specification, required alone. */
static void test_mb2_each_demand(void **state)
{
	const u32 given = BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(6) | BIT(9) | BIT(14) | BIT(15) | BIT(21);
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

/* --- several modules, and the first words of their lines --- */

static const u8 module_data[3][16] = { "first", "second module", "third" };

/* A kernel named k.elf, with an initrd and two modules. */
static int load_three(struct vm *vm, const u8 *kernel, const char *cmdline)
{
	static const struct guest_module modules[] = {
		{ .size = 6, .name = { "/a/dom0", 7 }, .string = "root=/dev/x \"a b\"" },
		{ .size = 14, .name = { "initrd", 6 }, .string = "", .is_initrd = true },
		{ .size = 6, .string = "bare" },
	};
	const struct guest_image image = {
		.kernel = kernel, .kernel_size = ELF_SIZE, .name = { "k.elf", 5 }, .cmdline = cmdline,
		.modules = modules, .module_count = 3, .map = fixture_map,
	};

	for (u32 i = 0; i < 3; i++)
		fixture_set_data(i, module_data[i]);
	return fixture_load_image(vm, &image);
}

static const char *const three_strings[] = { "/a/dom0 root=/dev/x \"a b\"", "initrd", "bare" };

static void test_mb1_three_modules(void **state)
{
	struct vm *vm = fixture_create(MIB(16), 0);
	struct places places = { .count = 0 };
	u8 *image = mb1_elf(3);
	u64 info, entry;

	assert_int_equal(load_three(vm, image, "console=com1"), 0);
	info = check_mb1(vm, "k.elf console=com1");
	check_elf_in_memory(vm, image, &places);
	assert_int_equal(guest_number(vm, info + 20, 4), 3);
	entry = guest_number(vm, info + 24, 4);
	for (u32 i = 0; i < 3; i++, entry += 16) {
		check_module(vm, guest_number(vm, entry, 4), guest_number(vm, entry + 4, 4), module_data[i],
			     strlen((const char *)module_data[i]) + 1, &places);
		assert_string_equal(guest_text(vm, guest_number(vm, entry + 8, 4)), three_strings[i]);
		assert_int_equal(guest_number(vm, entry + 12, 4), 0);
	}
	place(&places, info, vm->block.size);
	check_places(vm, &places);
	fixture_said(vm, "initrd 0x202000-0x20200d");
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_three_modules(void **state)
{
	struct vm *vm = fixture_create(MIB(16), 0);
	struct places places = { .count = 0 };
	u8 *image = mb2_elf();
	u64 info, at;
	u32 count = 0;

	assert_int_equal(load_three(vm, image, ""), 0);
	info = vm->vcpu.regs[REG_RBX];
	check_elf_in_memory(vm, image, &places);
	assert_string_equal(guest_text(vm, mb2_tag_number(vm, 1, 0) + 8), "k.elf");
	for (; (at = mb2_tag_number(vm, 3, count)) != 0; count++) {
		check_module(vm, guest_number(vm, at + 8, 4), guest_number(vm, at + 12, 4), module_data[count],
			     strlen((const char *)module_data[count]) + 1, &places);
		assert_string_equal(guest_text(vm, at + 16), three_strings[count]);
		assert_int_equal(guest_number(vm, at + 4, 4), 16 + strlen(three_strings[count]) + 1);
	}
	assert_int_equal(count, 3);
	assert_true(guest_number(vm, info, 4) <= vm->block.size);
	place(&places, info, vm->block.size);
	check_places(vm, &places);
	free(image);
	fixture_destroy(vm);
}

static void test_too_many_modules(void **state)
{
	static struct guest_module modules[LOAD_MODULES + 1];
	struct vm *vm = fixture_create(MIB(16), 0);
	u8 *image = mb2_elf();
	struct guest_image guest = {
		.kernel = image, .kernel_size = ELF_SIZE, .cmdline = "", .modules = modules, .map = fixture_map,
	};

	for (u32 i = 0; i < ARRAY_SIZE(modules); i++)
		modules[i] = (struct guest_module){ .size = 1, .string = "0123456789abcdef" };
	for (u32 i = 0; i < LOAD_MODULES; i++)
		fixture_set_data(i, "x");
	guest.module_count = LOAD_MODULES;
	assert_int_equal(fixture_load_image(vm, &guest), 0);
	assert_true(mb2_tag_number(vm, 3, LOAD_MODULES - 1) != 0);
	assert_true(guest_number(vm, vm->vcpu.regs[REG_RBX], 4) <= vm->block.size);
	guest.module_count++;
	vm->errors = 0;
	assert_int_equal(fixture_load_image(vm, &guest), -EINVAL);
	fixture_said(vm, "it has 65 modules beside the kernel: expected at most 64");
	modules[1].size = 0;
	vm->errors = 0;
	assert_int_equal(fixture_load_image(vm, &guest), -EINVAL);
	fixture_said(vm, "the module's file is empty");
	fixture_set_data(0, NULL);	/* cannot be mapped, which was logged */
	guest.module_count = 1;
	vm->errors = 1;
	assert_int_equal(fixture_load_image(vm, &guest), -ENOMEM);
	free(image);
	fixture_destroy(vm);
}

/* --- ELF sections: MB1's flag 5, MB2's tag 9 --- */

#define SECTIONS_AT ELF_NOTES_AT
#define SYMBOLS_AT  (ELF_NOTES_AT + 0xb0)	/* 16 bytes of no segment */

/* 32-bit section headers: none, code, bss without an address, symbols; of 0x28 bytes each. */
static void put_sections(u8 *image)
{
	const u32 headers[4][10] = {
		{ 0 },
		{ 1, 1, 6, 0xc0100000, ELF_CODE_AT, ELF_CODE_SIZE, 0, 0, 16, 0 },
		{ 7, 8, 3, 0, 0, 0x5000, 0, 0, 32, 0 },
		{ 12, 2, 0, 0, SYMBOLS_AT, 16, 1, 0, 16, 16 },
	};

	memcpy(image + SECTIONS_AT, headers, sizeof(headers));
	put(image, 32, SECTIONS_AT, 4);
	put(image, 46, 40, 2);
	put(image, 48, 4, 2);
	put(image, 50, 3, 2);
	fill(image + SYMBOLS_AT, 16);
}

static void check_section_headers(struct vm *vm, const u8 *image, u64 at, struct places *places)
{
	u64 symbols = guest_number(vm, at + 3 * 40 + 12, 4);

	for (u32 i = 0; i < 3; i++)
		assert_memory_equal(vm->ram + at + 40 * i, image + SECTIONS_AT + 40 * i, 40);
	assert_memory_equal(vm->ram + at + 3 * 40, image + SECTIONS_AT + 3 * 40, 12);
	assert_memory_equal(vm->ram + at + 3 * 40 + 16, image + SECTIONS_AT + 3 * 40 + 16, 24);
	assert_int_equal(symbols % 16, 0);
	assert_memory_equal(vm->ram + symbols, image + SYMBOLS_AT, 16);
	place(places, symbols, 16);
}

static void test_mb1_sections(void **state)
{
	struct vm *vm = fixture_create(MIB(16), 0);
	struct places places = { .count = 0 };
	u8 *image = mb1_elf(3);
	u64 info;

	put_sections(image);
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", image, 100), 0);
	info = vm->vcpu.regs[REG_RBX];
	check_elf_in_memory(vm, image, &places);
	assert_int_equal(guest_number(vm, info, 4), 0x26d);
	assert_int_equal(guest_number(vm, info + 28, 4), 4);
	assert_int_equal(guest_number(vm, info + 32, 4), 40);
	assert_int_equal(guest_number(vm, info + 40, 4), 3);
	check_section_headers(vm, image, guest_number(vm, info + 36, 4), &places);
	place(&places, guest_number(vm, info + 36, 4), 160);
	place(&places, info, vm->block.size);
	place(&places, guest_number(vm, guest_number(vm, info + 24, 4), 4), 100);
	check_places(vm, &places);
	assert_int_equal(vm->warnings, 0);
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_sections(void **state)
{
	struct vm *vm = fixture_create(MIB(16), 0);
	struct places places = { .count = 0 };
	u8 *image = mb2_elf();
	u64 tag;

	put_sections(image);
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	tag = mb2_tag(vm, 9);
	assert_int_equal(guest_number(vm, tag + 4, 4), 20 + 160);
	assert_int_equal(guest_number(vm, tag + 8, 4), 4);
	assert_int_equal(guest_number(vm, tag + 12, 4), 40);
	assert_int_equal(guest_number(vm, tag + 16, 4), 3);
	check_section_headers(vm, image, tag + 20, &places);
	check_elf_in_memory(vm, image, &places);
	place(&places, vm->vcpu.regs[REG_RBX], vm->block.size);
	check_places(vm, &places);
	free(image);
	fixture_destroy(vm);
}

/* Without them the kernel is loaded as well. */
static void test_sections_that_cannot_be_loaded(void **state)
{
	static const struct {
		u32 at, value, width;
	} damage[] = {
		{ 32, ELF_SIZE - 100, 4 },			/* the table's place */
		{ 46, 39, 2 },					/* the size of a header */
		{ SECTIONS_AT + 3 * 40 + 16, ELF_SIZE - 15, 4 },	/* the symbols' place */
		{ SECTIONS_AT + 3 * 40 + 20, 0xffffffff, 4 },	/* their size */
	};
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		free(image);
		image = mb2_elf();
		put_sections(image);
		put(image, damage[i].at, damage[i].value, damage[i].width);
		vm->warnings = 0;
		assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
		assert_int_equal(mb2_tag(vm, 9), 0);
		assert_int_equal(vm->warnings, 1);
		fixture_said(vm, "lie outside of it: the kernel gets none");
	}
	/* The data segment ends with the RAM. */
	put_sections(image);
	put_segment(image, 1, PT_LOAD, ELF_DATA_AT, 0xc0200000, MIB(4) - 0x1000, ELF_DATA_SIZE, 0x1000);
	vm->warnings = 0;
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	assert_int_equal(mb2_tag(vm, 9), 0);
	assert_int_equal(vm->warnings, 1);
	fixture_said(vm, "no room for their 1 KiB");
	put(image, 48, 0, 2);	/* no sections: nothing to warn of */
	vm->warnings = 0;
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	assert_int_equal(vm->warnings, 0);
	free(image);
	fixture_destroy(vm);
}

/* --- MB2, "Relocatable header tag", "Image load base physical address" --- */

static void test_mb2_relocatable(void **state)
{
	static const struct {
		u32 min, max, align;	/* what the image asks for */
		u32 base;		/* where it has to lie; 0: nowhere */
	} cases[] = {
		{ 0x100000, 0xffffffff, 0x1000, 0x100000 },	/* as it is linked */
		{ 0x300000, 0xffffffff, 0x1000, 0x300000 },
		{ 0x300001, 0xffffffff, 0x100000, 0x400000 },
		{ 0x300000, 0x400000 + 0x122, 0x1000, 0 },	/* a byte too few */
		{ 0x300000, 0x400000 + 0x123, 0x1000, 0x300000 },
		{ 0x100000, 0x1ffff0, 0x1000, 0 },
		{ 0xfffff000, 0xffffffff, 0x1000, 0 },
		{ 0x200000, 0x100000, 0x1000, 0 },
	};
	const u32 high_tags[] = { 10, 24, 0x100000, 0xffffffff, 0x200000, 0, 0, 8 };
	struct vm *vm = fixture_create(MIB(16), 0);
	u8 *image = elf_image();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const u32 tags[] = { 10, 24, cases[i].min, cases[i].max, cases[i].align, 1, 0, 8 };
		u32 moved = cases[i].base - 0x100000;

		put_mb2(image, ELF_HEADER_AT, tags, ARRAY_SIZE(tags));
		memset(vm->ram + MIB(1), 0, MIB(8));
		vm->errors = 0;
		if (!cases[i].base) {
			fixture_refused(vm, image, ELF_SIZE, "expected RAM for it from 0x");
			continue;
		}
		assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
		assert_int_equal(guest_number(vm, mb2_tag(vm, 21) + 4, 4), 12);
		assert_int_equal(guest_number(vm, mb2_tag(vm, 21) + 8, 4), cases[i].base);
		check_protected_mode(vm, ELF_ENTRY + moved);
		assert_memory_equal(vm->ram + 0x100000 + moved, image + ELF_CODE_AT, ELF_CODE_SIZE);
		assert_memory_equal(vm->ram + 0x200000 + moved, image + ELF_DATA_AT, ELF_DATA_SIZE);
		if (moved)
			assert_int_equal(guest_number(vm, 0x100000, 8), 0);
	}
	/* Linked where there is no RAM. */
	put_mb2(image, ELF_HEADER_AT, high_tags, ARRAY_SIZE(high_tags));
	put_segment(image, 0, PT_LOAD, ELF_CODE_AT, 0xc0100000, 0x40100000, ELF_CODE_SIZE, ELF_CODE_RAM);
	put_segment(image, 1, PT_LOAD, ELF_DATA_AT, 0xc0200000, 0x40200000, ELF_DATA_SIZE, ELF_DATA_SIZE);
	vm->errors = 0;
	assert_int_equal(fixture_load(vm, image, ELF_SIZE, "", NULL, 0), 0);
	check_protected_mode(vm, 0x200410);
	assert_memory_equal(vm->ram + 0x300000, image + ELF_DATA_AT, ELF_DATA_SIZE);
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_relocatable_with_addresses(void **state)
{
	const u32 tags[] = {
		2, 24, 0x300040, 0x300000, 0x300500, 0x380000, 3, 12, 0x300123, 0,
		10, 24, 0x400000, 0xffffffff, 0x1000, 2, 0, 8,
	};
	struct vm *vm = fixture_create(MIB(16), 0);
	u8 image[0x600];

	fill(image, sizeof(image));
	put_mb2(image, 0x40, tags, ARRAY_SIZE(tags));
	assert_int_equal(fixture_load(vm, image, sizeof(image), "", NULL, 0), 0);
	check_protected_mode(vm, 0x400123);
	assert_memory_equal(vm->ram + 0x400000, image, 0x500);
	assert_int_equal(guest_number(vm, 0x300000, 8), 0);
	assert_int_equal(guest_number(vm, mb2_tag(vm, 21) + 8, 4), 0x400000);
	put(image, 0x40 + 16 + 4 * 14, 0x1800, 4);
	fixture_refused(vm, image, sizeof(image), "the alignment of a relocatable image must be a power of two");
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
		cmocka_unit_test(test_mb1_three_modules),
		cmocka_unit_test(test_mb2_three_modules),
		cmocka_unit_test(test_too_many_modules),
		cmocka_unit_test(test_mb1_sections),
		cmocka_unit_test(test_mb2_sections),
		cmocka_unit_test(test_sections_that_cannot_be_loaded),
		cmocka_unit_test(test_mb2_relocatable),
		cmocka_unit_test(test_mb2_relocatable_with_addresses),
		cmocka_unit_test(test_no_room_for_information),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
