/* SPDX-License-Identifier: MIT */
/* Multiboot1's information: what QEMU, GRUB and iPXE pass, and what is refused. */
/* link: arch/bootinfo/bootinfo.c arch/bootinfo/efi.c arch/bootinfo/memory_map.c arch/bootinfo/multiboot1.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/bootinfo/bootinfo.h"
#include "arch/mem/mapping.h"
#include "arch/mem/memory.h"
#include "hostile.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/multiboot.h"

/* The machine's memory from LOW on: a heap block of its own, so that the sanitizers see its ends. */
#define LOW	   0x9000u
#define ARENA_SIZE (0x11000u + (u32)BOOT_INFO_SIZE)
static u8 *arena;
static unsigned errors;

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	errors += level == LOG_ERROR;
}

void memory_add(hpa_t start, u64 size) { }
void *phys_window(unsigned slot, hpa_t pa, u64 size) { return NULL; }
void phys_window_close(unsigned slot) { }

/* The image lies at 1 MiB. */
const char image_start[1], image_end[1];

hpa_t image_to_phys(const void *p)
{
	return p == image_start ? MIB(1) : MIB(1) + 0x5000;
}

/*
 * All memory below 4 GiB can be read, as on a machine: outside of the arena it reads as all ones, as where
 * no device answers.
 */
const void *early_map(hpa_t pa, u64 size)
{
	static u8 *ones;

	if (pa > GIB(4) || size > GIB(4) - pa)
		return NULL;
	if (pa >= LOW && pa - LOW < ARENA_SIZE)
		return arena + (pa - LOW);
	if (!ones) {
		ones = malloc(BOOT_INFO_SIZE + 1);
		memset(ones, 0xff, BOOT_INFO_SIZE + 1);
	}
	return ones;
}

static struct mb1_info *info;
static u32 used;

static void *place(u32 pa)
{
	assert_in_range(pa, LOW, LOW + ARENA_SIZE - 1);
	return arena + (pa - LOW);
}

static u32 put(const void *data, size_t size)
{
	u32 pa = LOW + used;

	memcpy(place(pa), data, size);
	used += ALIGN_UP((u32)size, 4);
	assert_true(used < ARENA_SIZE);
	return pa;
}

static u32 put_text(const char *text)
{
	return put(text, strlen(text) + 1);
}

static void begin(u32 flags)
{
	memset(arena, 0, ARENA_SIZE);
	used = errors = 0;
	boot_info = (struct boot_info) { 0 };
	info = place(put(&(struct mb1_info){ .flags = flags }, sizeof(*info)));
}

static int parse(void)
{
	return boot_info_init(MB1_BOOT_MAGIC, LOW);
}

static void test_all(void **state)
{
	struct mb1_memory_entry map[] = {
		{ 20, 0, 0x9f000, 1 }, { 20, 0x100000, 0x1ff00000, 1 },
		{ 20, 0x100000000, 0x40000000, 1 }, { 20, 0xfd00000000, 0x300000000, 2 },
	};
	struct mb1_module modules[2] = {
		{ 0x200000, 0x201234, 0, 0 }, { 0x300000, 0x300000, 0, 0 },
	};

	begin(MB1_INFO_CMDLINE | MB1_INFO_LOADER_NAME | MB1_INFO_MODULES | MB1_INFO_MEMORY |
	      MB1_INFO_MEMORY_MAP | MB1_INFO_FRAMEBUFFER);
	info->cmdline = put_text("lamina.elf loglevel=debug");
	info->boot_loader_name = put_text("qemu");
	modules[0].string = put_text("vmlinuz vm=a -- quiet");
	info->mods_count = 2;
	info->mods_addr = put(modules, sizeof(modules));
	info->mmap_length = sizeof(map);
	info->mmap_addr = put(map, sizeof(map));
	info->framebuffer_addr = 0x8000000000;
	info->framebuffer_pitch = 3200;
	info->framebuffer_width = 800;
	info->framebuffer_height = 600;
	info->framebuffer_bpp = 32;
	info->framebuffer_type = MB2_FRAMEBUFFER_RGB;
	assert_int_equal(parse(), 0);
	memset(arena, 0xff, ARENA_SIZE); /* all is copied */

	assert_int_equal(errors, 0);
	assert_true(boot_info.file_names);
	assert_int_equal(boot_info.protocol, 1);
	assert_false(boot_info.bios || boot_info.uefi);
	assert_string_equal(boot_info.command_line, "lamina.elf loglevel=debug");
	assert_string_equal(boot_info.loader_name, "qemu");
	assert_int_equal(boot_info.modules, 2);
	assert_int_equal(boot_info.module[0].start, 0x200000);
	assert_int_equal(boot_info.module[0].size, 0x1234);
	assert_string_equal(boot_info.module[0].string, "vmlinuz vm=a -- quiet");
	assert_int_equal(boot_info.module[1].size, 0);
	assert_string_equal(boot_info.module[1].string, "");
	assert_int_equal(boot_info.memory_pieces, 4);
	assert_int_equal(boot_info.memory[2].start, 0x100000000);
	assert_int_equal(boot_info.memory[3].start, 0xfd00000000);
	assert_int_equal(boot_info.memory[3].size, 0x300000000);
	assert_int_equal(boot_info.memory[3].type, 2);
	assert_int_equal(boot_info.framebuffer.address, 0x8000000000);
	assert_int_equal(boot_info.framebuffer.width, 800);
	assert_null(boot_info.rsdp);
}

/* Fields without their flag are not used. */
static void test_nothing(void **state)
{
	begin(0);
	memset(place(LOW + 4), 0xff, sizeof(*info) - 4);
	assert_int_equal(parse(), 0);
	assert_int_equal(errors, 0);
	assert_int_equal(boot_info.modules + boot_info.memory_pieces, 0);
	assert_string_equal(boot_info.command_line, "");
	assert_string_equal(boot_info.loader_name, "an unnamed boot loader");
	assert_int_equal(boot_info.framebuffer.address, 0);

	assert_int_equal(boot_info_init(MB1_BOOT_MAGIC, 0xffffffff), -EINVAL);
	assert_int_equal(errors, 1);
}

static void test_memory_sizes(void **state)
{
	begin(MB1_INFO_MEMORY);
	info->mem_lower = 639;
	info->mem_upper = 0xffffffff;
	assert_int_equal(parse(), 0);
	assert_int_equal(boot_info.memory_pieces, 2);
	assert_int_equal(boot_info.memory[0].size, 639 * 1024);
	assert_int_equal(boot_info.memory[1].start, MIB(1));
	assert_int_equal(boot_info.memory[1].size, 0xffffffffull * 1024);
}

/* Entries of other sizes; an entry whose size is too small; one that is cut off; a map without an end. */
static void test_memory_map(void **state)
{
	u32 sizes[] = { 20, 28, 24, 4, 20 };
	u32 start;

	begin(MB1_INFO_MEMORY_MAP);
	start = LOW + used;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct mb1_memory_entry entry = { sizes[i], i << 20, 0x1000, 1 };

		memcpy(place(LOW + used), &entry, sizeof(entry));
		used += sizes[i] + 4;
	}
	info->mmap_addr = start;
	info->mmap_length = LOW + used - start;
	assert_int_equal(parse(), 0);
	assert_int_equal(errors, 1); /* the entry of 4 bytes */
	assert_int_equal(boot_info.memory_pieces, 3);
	assert_int_equal(boot_info.memory[2].start, 2 << 20);

	errors = boot_info.memory_pieces = 0;
	info->mmap_length = 24 + 32 + 23;
	parse();
	assert_int_equal(errors, 0);
	assert_int_equal(boot_info.memory_pieces, 2);

	begin(MB1_INFO_MEMORY_MAP);
	for (unsigned i = 0; i < BOOT_MAX_MEMORY + 1; i++)
		put(&(struct mb1_memory_entry){ 20, i << 20, 0x1000, 1 }, 24);
	info->mmap_addr = LOW + sizeof(*info);
	info->mmap_length = (BOOT_MAX_MEMORY + 1) * 24;
	parse();
	assert_int_equal(errors, 0);
	assert_int_equal(boot_info.memory_pieces, BOOT_MAX_MEMORY);
	boot_info.memory_pieces = 0;
	info->mmap_length = ~0u;
	parse();
	assert_int_equal(errors, 2);	/* its length, and what is behind the last entry */
	assert_int_equal(boot_info.memory_pieces, BOOT_MAX_MEMORY);
}

static void test_modules(void **state)
{
	begin(MB1_INFO_MODULES);
	info->mods_addr = LOW + used;
	info->mods_count = 0x10000000;
	for (unsigned i = 0; i < BOOT_MAX_MODULES + 1; i++)
		put(&(struct mb1_module){ 0x200000 + i * 0x1000, 0x200010 + i * 0x1000, 0, 0 }, 16);
	parse();
	assert_int_equal(errors, 1);
	assert_int_equal(boot_info.modules, BOOT_MAX_MODULES);
	assert_int_equal(boot_info.modules_left_out, 0x10000000 - BOOT_MAX_MODULES);

	begin(MB1_INFO_MODULES);
	info->mods_addr = 0xfffffff8;
	info->mods_count = 3;
	assert_int_equal(parse(), 0);
	assert_int_equal(errors, 1);
	assert_int_equal(boot_info.modules, 0);
}

/* Texts that fill the room; one without its end is left out, and those after it still fit. */
static void test_texts(void **state)
{
	begin(MB1_INFO_CMDLINE | MB1_INFO_LOADER_NAME);
	info->boot_loader_name = put_text("short");
	info->cmdline = LOW + used;
	memset(place(info->cmdline), 'x', BOOT_INFO_SIZE + 1);
	assert_int_equal(parse(), 0);
	assert_int_equal(errors, 1);
	assert_string_equal(boot_info.command_line, "");
	assert_string_equal(boot_info.loader_name, "short");

	errors = 0;
	*(char *)place(info->cmdline + BOOT_INFO_SIZE - 1) = 0;
	assert_int_equal(parse(), 0);
	assert_int_equal(errors, 1); /* no room for the loader's name */
	assert_int_equal(strlen(boot_info.command_line), BOOT_INFO_SIZE - 1);
	assert_string_equal(boot_info.loader_name, "");

	begin(MB1_INFO_CMDLINE);
	info->cmdline = 0xffffffff; /* all ones, where no memory is */
	assert_int_equal(parse(), 0);
	assert_int_equal(errors, 1);
	assert_string_equal(boot_info.command_line, "");
}

static void parse_damaged(const u8 *image, size_t size)
{
	begin(0);
	memcpy(arena, image, size);
	parse();
	assert_true(boot_info.modules <= BOOT_MAX_MODULES);
	assert_true(boot_info.memory_pieces <= BOOT_MAX_MEMORY);
}

static void test_damaged(void **state)
{
	u8 copy[512];

	begin(MB1_INFO_CMDLINE | MB1_INFO_LOADER_NAME | MB1_INFO_MODULES | MB1_INFO_MEMORY_MAP |
	      MB1_INFO_FRAMEBUFFER);
	info->cmdline = put_text("a=b");
	info->boot_loader_name = put_text("x");
	info->mmap_length = 48;
	info->mmap_addr = put((struct mb1_memory_entry[]){ { 20, 0, 1, 1 }, { 20, 2, 1, 1 } }, 48);
	info->mods_count = 1;
	info->mods_addr = put(&(struct mb1_module){ 0x200000, 0x201000, info->cmdline, 0 }, 16);
	assert_true(used <= sizeof(copy));
	memcpy(copy, arena, used);
	each_byte_mutation(copy, used, used, parse_damaged);
}

static int set_up(void **state)
{
	arena = malloc(ARENA_SIZE);
	return !arena;
}

static int tear_down(void **state)
{
	free(arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_memory_sizes),
		cmocka_unit_test(test_memory_map),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
