/* SPDX-License-Identifier: MIT */
/* Which information of the boot loader is accepted, and which is refused. */
/* link: arch/bootinfo/bootinfo.c arch/bootinfo/efi.c arch/bootinfo/memory_map.c arch/bootinfo/multiboot1.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/bootinfo/bootinfo.h"
#include "arch/mem/mapping.h"
#include "arch/mem/memory.h"
#include "hostile.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/multiboot.h"

static unsigned errors;
static u8 module_memory[0x1064];
static struct phys_range given_back;
static bool window_open;

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	errors += level == LOG_ERROR;
}

void memory_add(hpa_t start, u64 size)
{
	assert_false(window_open);	/* a guest's memory is in no window */
	given_back = (struct phys_range) { start, size };
}

void *phys_window(unsigned slot, hpa_t pa, u64 size)
{
	assert_true(size <= sizeof(module_memory));
	window_open = true;
	return module_memory;
}

void phys_window_close(unsigned slot)
{
	window_open = false;
}

/* The image lies at 1 MiB. */
const char image_start[1], image_end[1];

hpa_t image_to_phys(const void *p)
{
	return p == image_start ? MIB(1) : MIB(1) + 0x5000;
}

/* The tests' physical addresses are the host's. */
const void *early_map(hpa_t pa, u64 size)
{
	return (const void *)pa;
}

/* A block under construction. */
static u8 block[BOOT_INFO_SIZE + 64] __aligned(8);
static u32 end;

static void begin(void)
{
	memset(block, 0, sizeof(block));
	end = 8;
	errors = 0;
	boot_info = (struct boot_info) { .command_line = "", .loader_name = "" };
}

static void add_tag(u32 type, const void *fixed, u32 fixed_size, const void *rest, u32 rest_size)
{
	struct mb2_tag tag = { type, 8 + fixed_size + rest_size };

	memcpy(block + end, &tag, 8);
	memcpy(block + end + 8, fixed, fixed_size);
	memcpy(block + end + 8 + fixed_size, rest, rest_size);
	end += ALIGN_UP(tag.size, 8);
}

static void add_text(u32 type, const char *text)
{
	add_tag(type, "", 0, text, (u32)strlen(text) + 1);
}

static void add_module(u32 start, u32 stop, const char *text)
{
	u32 fixed[2] = { start, stop };

	add_tag(MB2_TAG_MODULE, fixed, 8, text, (u32)strlen(text) + 1);
}

static int parse(const void *data)
{
	return boot_info_init(MB2_BOOT_MAGIC, (u64)data);
}

static int finish_and_parse(void)
{
	u32 total;

	add_tag(MB2_TAG_END, "", 0, "", 0);
	total = end;
	memcpy(block, &total, 4);
	return parse(block);
}

static void test_all_tags(void **state)
{
	struct mb2_memory_entry map[2] = {
		{ 0, 0x9f000, 1, 0 }, { 0x100000, 0x1ff00000, 1, 0 },
	};
	u32 map_header[2] = { sizeof(map[0]), 0 };
	u8 old[20] = "old", new[36] = "new";

	begin();
	add_text(MB2_TAG_CMDLINE, "loglevel=debug");
	add_text(MB2_TAG_LOADER_NAME, "a loader");
	add_module(0x200000, 0x201234, "vm=a -- quiet");
	add_module(0x300000, 0x300000, "");
	add_tag(MB2_TAG_MEMORY_MAP, map_header, 8, map, sizeof(map));
	add_tag(MB2_TAG_RSDP_NEW, "", 0, new, sizeof(new));
	add_tag(MB2_TAG_RSDP_OLD, "", 0, old, sizeof(old));
	add_tag(77, "", 0, "unknown", 7);
	assert_int_equal(finish_and_parse(), 0);
	memset(block, 0xff, sizeof(block)); /* all is copied */

	assert_int_equal(errors, 0);
	assert_true(boot_info.file_names);	/* the loader is not GRUB */
	assert_string_equal(boot_info.command_line, "loglevel=debug");
	assert_string_equal(boot_info.loader_name, "a loader");
	assert_int_equal(boot_info.modules, 2);
	assert_int_equal(boot_info.module[0].start, 0x200000);
	assert_int_equal(boot_info.module[0].size, 0x1234);
	assert_string_equal(boot_info.module[0].string, "vm=a -- quiet");
	assert_int_equal(boot_info.module[1].size, 0);
	assert_int_equal(boot_info.memory_pieces, 2);
	assert_int_equal(boot_info.memory[1].size, 0x1ff00000);
	assert_memory_equal(boot_info.rsdp, new, sizeof(new));
	assert_int_equal(boot_info.rsdp_size, sizeof(new));
}

/* Of the loaders for Multiboot2, GRUB removes file names from command lines, and kexec puts them there. */
static void test_file_names(void **state)
{
	static const struct {
		const char *loader;
		bool file_names;
	} cases[] = {
		{ "GRUB 2.06-13+deb12u1", false }, { "kexec 2.0.25", true }, { "GRU", true }, { "", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin();
		add_text(MB2_TAG_CMDLINE, "lamina.elf console=com1");
		add_text(MB2_TAG_LOADER_NAME, cases[i].loader);
		assert_int_equal(finish_and_parse(), 0);
		assert_int_equal(boot_info.file_names, cases[i].file_names);
		assert_int_equal(boot_info.bios, !cases[i].file_names);
		assert_int_equal(boot_info.protocol, 2);
	}
	begin();
	add_text(MB2_TAG_LOADER_NAME, "GRUB 2.06");
	add_tag(MB2_TAG_EFI64, "", 0, "\0\0\0\1\0\0\0\0", 8);
	assert_int_equal(finish_and_parse(), 0);
	assert_true(boot_info.uefi);
	assert_false(boot_info.bios);
	begin();
	assert_int_equal(finish_and_parse(), 0);
	assert_true(boot_info.file_names);
}

static void test_refusals(void **state)
{
	begin();
	add_module(0x300000, 0x2fffff, "ends before it starts");
	add_tag(MB2_TAG_CMDLINE, "", 0, "no end", 6);
	add_tag(MB2_TAG_MODULE, "", 0, "short", 4);
	assert_int_equal(finish_and_parse(), 0);
	assert_int_equal(errors, 3);
	assert_int_equal(boot_info.modules, 1);
	assert_int_equal(boot_info.module[0].size, 0);
	assert_string_equal(boot_info.command_line, "");

	begin();
	for (unsigned i = 0; i < BOOT_MAX_MODULES + 3; i++)
		add_module(0x200000 + i * 0x1000, 0x200010 + i * 0x1000, "m");
	assert_int_equal(finish_and_parse(), 0);
	assert_int_equal(errors, 1);
	assert_int_equal(boot_info.modules, BOOT_MAX_MODULES);
	assert_int_equal(boot_info.modules_left_out, 3);
}

/* Only the first of them may be freed; the ones after it keep their numbers. */
static void test_overlapping_modules(void **state)
{
	begin();
	add_module(0x200000, 0x202000, "first");
	add_module(0x201fff, 0x203000, "one byte too low");
	add_module(0x202000, 0x203000, "next to it");
	add_module(0x1ff000, 0x300000, "around");
	add_module(0x200800, 0x200800, "empty");
	add_module(0x203000, 0xffffffff, "up to the end");
	assert_int_equal(finish_and_parse(), 0);
	assert_int_equal(errors, 2);
	assert_int_equal(boot_info.modules, 6);
	assert_int_equal(boot_info.module[0].size, 0x2000);
	assert_int_equal(boot_info.module[1].size, 0);
	assert_string_equal(boot_info.module[1].string, "one byte too low");
	assert_int_equal(boot_info.module[2].size, 0x1000);
	assert_int_equal(boot_info.module[3].size, 0);
	assert_int_equal(boot_info.module[5].size, 0xffffffff - 0x203000);
}

/* Freeing such a module would overwrite Lamina. */
static void test_module_in_the_image(void **state)
{
	begin();
	add_module(MIB(1) - 1, MIB(1), "next to it");
	add_module(MIB(1) - 1, MIB(1) + 1, "one byte too high");
	add_module(MIB(1) + 0x4fff, 0x200000, "one byte too low");
	add_module(MIB(1) + 0x5000, 0x200000, "behind it");
	add_module(MIB(1) + 0x1000, MIB(1) + 0x1000, "empty");
	assert_int_equal(finish_and_parse(), 0);
	assert_int_equal(errors, 2);
	assert_int_equal(boot_info.module[0].size, 1);
	assert_int_equal(boot_info.module[1].size, 0);
	assert_int_equal(boot_info.module[2].size, 0);
	assert_int_equal(boot_info.module[3].size, 0x200000 - MIB(1) - 0x5000);
}

/* Found by fuzzing: entries that are no multiple of 8 bytes would be read from odd addresses. */
static void test_memory_map_entries(void **state)
{
	u32 sizes[] = { 0, 16, 25, 0xfffffff8 };
	struct mb2_memory_entry entry = { 0x100000, 0x1000, 1, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 entries[64] = { 0 };

		begin();
		add_tag(MB2_TAG_MEMORY_MAP, (u32[2]) { sizes[i], 0 }, 8, entries, sizeof(entries));
		assert_int_equal(finish_and_parse(), 0);
		assert_int_equal(boot_info.memory_pieces, 0);
		assert_int_equal(errors, i < 3);	/* the last one: not even one entry fits */
	}
	begin();
	add_tag(MB2_TAG_MEMORY_MAP, (u32[2]) { 32, 0 }, 8, (struct mb2_memory_entry[3]) { entry }, 64);
	assert_int_equal(finish_and_parse(), 0);
	assert_int_equal(errors, 0);
	assert_int_equal(boot_info.memory_pieces, 2);	/* larger entries are skipped over as a whole */
	assert_int_equal(boot_info.memory[1].size, 0x1000);
}

/* A device in RAM is not accepted, whatever sizes the map has. */
static void test_has_ram(void **state)
{
	struct mb2_memory_entry entries[] = {
		{ 0x100000, 0x1000, 1, 0 }, { 0x200000, 0x1000, 2, 0 }, { 0x300000, 0, 1, 0 },
		{ GIB(4), ~0ull, 1, 0 },
	};

	begin();
	add_tag(MB2_TAG_MEMORY_MAP, (u32[2]) { 24, 0 }, 8, entries, sizeof(entries));
	assert_int_equal(finish_and_parse(), 0);
	assert_true(boot_info_has_ram(0x100000, 1));
	assert_true(boot_info_has_ram(0x100fff, 1));
	assert_true(boot_info_has_ram(0xff000, 0x1001));
	assert_false(boot_info_has_ram(0xff000, 0x1000));
	assert_false(boot_info_has_ram(0x101000, 0x1000));
	assert_false(boot_info_has_ram(0x200000, 0x1000));
	assert_false(boot_info_has_ram(0x2ff000, 0x2000));
	assert_false(boot_info_has_ram(GIB(4) - 1, 1));
	assert_true(boot_info_has_ram(GIB(4) - 1, 2));
	assert_true(boot_info_has_ram(GIB(5), 0x1000));
}

/* Memory to write to: all of it within one usable piece, and no other piece says otherwise. */
static void test_is_ram(void **state)
{
	struct mb2_memory_entry entries[] = {
		{ 0, 0x9fc00, 1, 0 }, { 0x9fc00, 0x400, 2, 0 }, { 0x100000, 0x10000, 1, 0 }, { 0x108000, 0x1000, 3, 0 },
		{ 0x110000, 0x1000, 1, 0 }, { 0x105000, 0, 2, 0 },
	};

	begin();
	add_tag(MB2_TAG_MEMORY_MAP, (u32[2]) { 24, 0 }, 8, entries, sizeof(entries));
	assert_int_equal(finish_and_parse(), 0);
	assert_true(boot_info_is_ram(0, 0x1000));
	assert_true(boot_info_is_ram(0x9e000, 0x1000));
	assert_true(boot_info_is_ram(0x9ec00, 0x1000));
	assert_false(boot_info_is_ram(0x9f000, 0x1000));	/* its end is the firmware's */
	assert_false(boot_info_is_ram(0x9fc00, 0x100));
	assert_false(boot_info_is_ram(0xa0000, 0x1000));	/* in no piece */
	assert_true(boot_info_is_ram(0x107000, 0x1000));
	assert_false(boot_info_is_ram(0x108000, 0x1000));
	assert_false(boot_info_is_ram(0x107000, 0x1001));
	assert_true(boot_info_is_ram(0x105000, 0x1000));	/* an empty piece says nothing */
	assert_true(boot_info_is_ram(0x10f000, 0x2000));	/* of two that touch */
	assert_false(boot_info_is_ram(0x110000, 0x2000));	/* beyond the end */
}

static void test_size(void **state)
{
	u32 sizes[] = { 0, 7, BOOT_INFO_SIZE + 1, ~0u };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		begin();
		memcpy(block, &sizes[i], 4);
		assert_int_equal(parse(block), -EINVAL);
		assert_int_equal(errors, 1);
	}
}

/* One piece of type 2 for each conflict; memory that the firmware frees, or keeps elsewhere, is none. */
static void test_efi_memory_map(void **state)
{
	struct { u64 type, start, virtual, pages, attribute, more; } efi[] = {
		{ 7, 0x100000, 0, 0x1000, 15, 0 },
		{ 1, 0x100000, 0, 1, 15, 0 }, { 2, 0x101000, 0, 1, 15, 0 },
		{ 3, 0x102000, 0, 1, 15, 0 }, { 4, 0x103000, 0, 1, 15, 0 },
		{ 6, 0x800000, 0, 0x10, 15, 0 },		/* runtime data: a conflict */
		{ 5, 0xfff000, 0, 2, 15, 0 },			/* half of it in the piece */
		{ 0, 0x1000000, 0, 0x100, 15, 0 },		/* right after it */
		{ 11, 0x80000000, 0, 0x1000, 15, 0 },		/* called reserved, too */
		{ 10, 0x900000, 0, 0, 15, 0 },			/* nothing */
		{ 14, 0x4000000000, 0, ~0ull, 15, 0 },		/* beyond all addresses */
	};
	struct mb2_memory_entry map[] = {
		{ 0x100000, 0xf00000, 1, 0 }, { 0x80000000, 0x1000000, 2, 0 },
		{ 0x100000000, ~0ull, 1, 0 },
	};

	begin();
	add_tag(MB2_TAG_EFI_MEMORY_MAP, (u32[2]) { sizeof(efi[0]), 1 }, 8, efi, sizeof(efi));
	add_tag(MB2_TAG_MEMORY_MAP, (u32[2]) { sizeof(map[0]), 0 }, 8, map, sizeof(map));
	assert_false(boot_info.uefi);
	assert_int_equal(finish_and_parse(), 0);
	assert_true(boot_info.uefi);
	assert_int_equal(errors, 0);
	assert_int_equal(boot_info.memory_pieces, 6);
	assert_int_equal(boot_info.memory[1].start, 0x800000);
	assert_int_equal(boot_info.memory[1].size, 0x10000);
	assert_int_equal(boot_info.memory[1].type, MULTIBOOT_MEMORY_RESERVED);
	assert_int_equal(boot_info.memory[2].start, 0xfff000);
	assert_int_equal(boot_info.memory[5].start, 0x4000000000);
	assert_true(boot_info.memory[5].size == ~0ull - 0x4000000000);

	begin();
	add_tag(MB2_TAG_EFI_MEMORY_MAP, (u32[2]) { 39, 1 }, 8, efi, 78);
	assert_int_equal(finish_and_parse(), 0);
	assert_int_equal(errors, 1);
}

/* If there is no room for another piece, what the firmware keeps is not usable all the same. */
static void test_efi_map_without_room(void **state)
{
	static struct mb2_memory_entry map[BOOT_MAX_MEMORY];
	u64 efi[5] = { 6, 0x505000, 0, 1, 15 };

	for (unsigned i = 0; i < BOOT_MAX_MEMORY; i++)
		map[i] = (struct mb2_memory_entry) { 0x100000 * (i + 1ull), 0x10000, 1, 0 };
	begin();
	add_tag(MB2_TAG_MEMORY_MAP, (u32[2]) { sizeof(map[0]), 0 }, 8, map, sizeof(map));
	add_tag(MB2_TAG_EFI_MEMORY_MAP, (u32[2]) { sizeof(efi), 1 }, 8, efi, sizeof(efi));
	assert_int_equal(finish_and_parse(), 0);
	assert_int_equal(boot_info.memory_pieces, BOOT_MAX_MEMORY);
	assert_true(boot_info_is_ram(0x504000, 0x1000));
	assert_false(boot_info_is_ram(0x505000, 0x1000));
	assert_true(boot_info_is_ram(0x506000, 0x1000));
}

/* Every byte of the block set to extreme values: the sanitizers check the copy's bounds. */
static void parse_damaged(const u8 *image, size_t size)
{
	u32 total;

	memcpy(&total, image, 4);
	if (total > size) /* a block's own size is what a loader must get right */
		return;
	begin();
	parse(image);
}

static void test_damaged(void **state)
{
	u8 copy[512];


	begin();
	add_text(MB2_TAG_CMDLINE, "a=b");
	add_module(0x200000, 0x201234, "vm=a");
	add_tag(MB2_TAG_MEMORY_MAP, (u32[2]) { 24, 0 }, 8, &(struct mb2_memory_entry) { 0 }, 24);
	add_tag(MB2_TAG_RSDP_OLD, "", 0, "RSD PTR 0123456789ab", 20);
	add_tag(MB2_TAG_EFI_MEMORY_MAP, (u32[2]) { 40, 1 }, 8, (u64[5]) { 6, 0, 0, 1, 15 }, 40);
	finish_and_parse();
	memcpy(copy, block, end);
	each_byte_mutation(copy, end, end, parse_damaged);
}

static void test_module_free(void **state)
{
	begin();
	add_module(0x200000, 0x200064, "");
	finish_and_parse();
	memset(module_memory, 0xaa, sizeof(module_memory));
	boot_module_free(0);
	for (unsigned i = 0; i < sizeof(module_memory); i++)
		assert_int_equal(module_memory[i], i < 0x64 ? 0 : 0xaa);
	assert_int_equal(given_back.start, 0x200000);
	assert_int_equal(given_back.size, PAGE_SIZE);

	given_back.size = 0;
	boot_module_free(0);
	assert_int_equal(given_back.size, 0);

	/* Not the page in which the next one begins. */
	begin();
	add_module(0x200000, 0x201064, "");
	add_module(0x201080, 0x202000, "");
	finish_and_parse();
	boot_module_free(0);
	assert_int_equal(given_back.start, 0x200000);
	assert_int_equal(given_back.size, 0x1000);
	given_back.size = 0;

	/* Zeroed, but not added to the free memory if the memory map does not call it usable. */
	begin();
	add_module(0x200000, 0x200064, "");
	finish_and_parse();
	boot_info.module[0].keep = true;
	module_memory[0] = 0xaa;
	boot_module_free(0);
	assert_int_equal(module_memory[0], 0);
	assert_int_equal(given_back.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_tags),
		cmocka_unit_test(test_file_names),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_overlapping_modules),
		cmocka_unit_test(test_module_in_the_image),
		cmocka_unit_test(test_memory_map_entries),
		cmocka_unit_test(test_has_ram), cmocka_unit_test(test_is_ram),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_efi_memory_map),
		cmocka_unit_test(test_efi_map_without_room),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_module_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
