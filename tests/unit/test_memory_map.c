/* SPDX-License-Identifier: MIT */
/* The boot loader's memory map: sorted, joined, and with more pieces than there is room for. */
/* link: arch/bootinfo/memory_map.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/bootinfo/bootinfo.h"
#include "arch/bootinfo/memory_map.h"
#include "lib/log.h"
#include "lib/multiboot.h"
#include "lib/printf.h"
#include "lib/string.h"

enum { RAM = MULTIBOOT_MEMORY_AVAILABLE, RESERVED = MULTIBOOT_MEMORY_RESERVED, TABLES = MULTIBOOT_MEMORY_ACPI };

struct boot_info boot_info;

static unsigned warnings;
static char said[256];

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	assert_int_equal(level, LOG_WARN);
	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
	warnings++;
}

static int begin(void **state)
{
	warnings = 0;
	boot_info = (struct boot_info) { 0 };
	return 0;
}

static void piece_is(unsigned i, hpa_t start, u64 size, u32 type)
{
	assert_true(i < boot_info.memory_pieces);
	assert_true(boot_info.memory[i].start == start);
	assert_true(boot_info.memory[i].size == size);
	assert_int_equal(boot_info.memory[i].type, type);
}

static void test_pieces_that_touch_are_one(void **state)
{
	boot_memory_add(0x5000, 0x1000, RAM);
	boot_memory_add(0x1000, 0x1000, RAM);
	boot_memory_add(0x2000, 0x1000, RESERVED);
	boot_memory_add(0x3000, 0x2000, RAM);		/* touches the first one */
	assert_int_equal(boot_info.memory_pieces, 3);
	piece_is(0, 0x1000, 0x1000, RAM);
	piece_is(1, 0x2000, 0x1000, RESERVED);
	piece_is(2, 0x3000, 0x3000, RAM);
	boot_memory_add(0x1800, 0x2000, RAM);		/* all of them: a reserved one stays */
	assert_int_equal(boot_info.memory_pieces, 2);
	piece_is(0, 0x1000, 0x5000, RAM);
	piece_is(1, 0x2000, 0x1000, RESERVED);
	boot_memory_add(0x3000, 0x1000, TABLES);	/* another type */
	assert_int_equal(boot_info.memory_pieces, 3);
	boot_memory_report();
	assert_int_equal(warnings, 0);
}

static void test_the_last_address(void **state)
{
	boot_memory_add(~0ull - 0xfff, 0x1000, RAM);
	boot_memory_add(~0ull - 0x1fff, ~0ull, RAM);
	boot_memory_add(~0ull, ~0ull, RESERVED);
	boot_memory_add(0, 0, RAM);
	assert_int_equal(boot_info.memory_pieces, 3);
	piece_is(0, 0, 0, RAM);
	piece_is(1, ~0ull - 0x1fff, 0x1fff, RAM);
	piece_is(2, ~0ull, 0, RESERVED);
}

/* 1 MiB of RAM, then 4 KiB that are reserved, and so on: as if a user had taken out that many bad pages. */
static void test_holes_in_ram(void **state)
{
	u64 ram = 0;

	for (unsigned i = 0; i < 2 * BOOT_MAX_MEMORY; i++) {
		boot_memory_add(MIB(1) * i, MIB(1) - 0x1000, RAM);
		boot_memory_add(MIB(1) * (i + 1) - 0x1000, 0x1000, RESERVED);
	}
	boot_memory_add(GIB(64), GIB(8), RAM);
	assert_int_equal(boot_info.memory_pieces, BOOT_MAX_MEMORY);
	piece_is(BOOT_MAX_MEMORY - 1, GIB(64), GIB(8), RAM);
	for (unsigned i = 0; i < boot_info.memory_pieces; i++)
		ram += boot_info.memory[i].type == RAM ? boot_info.memory[i].size : 0;
	/* At least those that have room beside the reserved pieces between them. */
	assert_true(ram >= GIB(8) + (BOOT_MAX_MEMORY / 2 - 1) * (MIB(1) - 0x1000));
	boot_memory_report();
	assert_int_equal(warnings, 1);
	assert_non_null(strstr(said, "more than 512 pieces"));
	boot_memory_report();
	assert_int_equal(warnings, 1);		/* that was the end of this map */
}

/* Pieces without RAM between them count as one before any RAM is lost, the closest first. */
static void test_reserved_pieces_are_joined_first(void **state)
{
	for (unsigned i = 0; i < BOOT_MAX_MEMORY; i++)
		boot_memory_add(GIB(1) + MIB(1) * i, i == 8 ? 0xff000 : 0x1000, i % 2 ? RESERVED : TABLES);
	boot_memory_add(0, MIB(1), RAM);
	assert_int_equal(boot_info.memory_pieces, BOOT_MAX_MEMORY);
	piece_is(0, 0, MIB(1), RAM);
	piece_is(9, GIB(1) + MIB(8), MIB(1) + 0x1000, RESERVED);	/* of two types */
	piece_is(10, GIB(1) + MIB(10), 0x1000, TABLES);
	boot_memory_report();
	assert_non_null(strstr(said, " 0 KiB of RAM"));
}

static void test_the_smallest_is_left_out(void **state)
{
	for (unsigned i = 0; i < BOOT_MAX_MEMORY; i++)
		boot_memory_add(MIB(2) * i, i == 77 ? 0x1000 : MIB(1), RAM);
	boot_memory_add(GIB(64), 0, RAM);		/* empty ones make no difference */
	boot_memory_add(GIB(65), 0, RESERVED);
	assert_int_equal(boot_info.memory_pieces, BOOT_MAX_MEMORY);
	piece_is(77, MIB(2) * 77, 0x1000, RAM);
	boot_memory_add(GIB(66), GIB(1), RAM);
	assert_int_equal(boot_info.memory_pieces, BOOT_MAX_MEMORY);
	piece_is(77, MIB(2) * 78, MIB(1), RAM);
	piece_is(BOOT_MAX_MEMORY - 1, GIB(66), GIB(1), RAM);
	boot_memory_report();
	assert_non_null(strstr(said, " 4 KiB of RAM"));
}

/* --- random maps: what is usable in the result is usable in the map, too --- */

#define UNITS 4096u

static void check_random_map(unsigned entries)
{
	static u8 usable[UNITS], kept[UNITS];
	u64 lost = 0;

	memset(usable, 0, sizeof(usable));
	memset(kept, 0, sizeof(kept));
	begin(NULL);
	for (unsigned i = 0; i < entries; i++) {
		unsigned start = (unsigned)rand() % UNITS, size = (unsigned)rand() % 4;
		bool ram = rand() % 2;

		size = MIN(size, UNITS - start);
		boot_memory_add((u64)start * PAGE_SIZE, size * PAGE_SIZE, ram ? RAM : 2 + rand() % 3);
		memset((ram ? usable : kept) + start, 1, size);
	}
	assert_true(boot_info.memory_pieces <= BOOT_MAX_MEMORY);
	for (unsigned unit = 0; unit < UNITS; unit++) {
		bool ram = false, not = false;

		for (unsigned i = 0; i < boot_info.memory_pieces; i++) {
			const struct boot_memory *m = &boot_info.memory[i];
			bool within = unit * PAGE_SIZE >= m->start && unit * PAGE_SIZE < m->start + m->size;

			assert_true(!i || m[-1].start <= m->start);
			ram |= within && m->type == RAM;
			not |= within && m->type != RAM;
		}
		assert_true(usable[unit] || !ram);
		assert_true(!kept[unit] || not);
		lost += usable[unit] && !kept[unit] && (!ram || not);
	}
	boot_memory_report();
	assert_int_equal(lost && !warnings, 0);
	if (entries < BOOT_MAX_MEMORY)
		assert_int_equal(warnings, 0);
}

static void test_random_maps(void **state)
{
	srand(1);
	for (unsigned i = 0; i < 8; i++)
		check_random_map(100 + i * 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_pieces_that_touch_are_one, begin),
		cmocka_unit_test_setup(test_the_last_address, begin),
		cmocka_unit_test_setup(test_holes_in_ram, begin),
		cmocka_unit_test_setup(test_reserved_pieces_are_joined_first, begin),
		cmocka_unit_test_setup(test_the_smallest_is_left_out, begin),
		cmocka_unit_test_setup(test_random_maps, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
