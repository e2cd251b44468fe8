/* SPDX-License-Identifier: MIT */
/*
 * Nested page tables: which page sizes are used, what the entries hold, and that nothing is left of
 * them. SDM, "EPT Translation Mechanism"; APM vol. 2, "Nested Paging": four levels of nine bits.
 */
/* link: core/mem/tdp.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "counted_pages.h"

#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/mem/tdp.h"
#include "core/vm.h"
#include "lib/errno.h"

#define TABLE	0x7ull		/* bits that no address has */
#define PAGE	0x37ull
#define LARGE	0x80ull

static const struct tdp_format format = {
	.table_bits = TABLE, .page_bits = PAGE, .large_bits = PAGE, .largest = TDP_1G,
};
static struct vm vm;

static int set_up(void **state)
{
	vm = (struct vm){ 0 };
	pages = 0;
	page_limit = 1000;
	assert_int_equal(tdp_create(&vm), 0);
	assert_int_equal(vm.tdp_pages, 1);
	return 0;
}

static int tear_down(void **state)
{
	tdp_destroy(&vm);
	assert_int_equal(vm.tdp_root, 0);
	assert_int_equal(vm.tdp_pages, 0);
	assert_int_equal(pages, 0);
	return 0;
}

static void map(gpa_t gpa, hpa_t hpa, u64 size)
{
	assert_int_equal(tdp_map(&vm, &format, gpa, hpa, size), 0);
}

static void assert_entry(gpa_t gpa, u64 entry, int level)
{
	int found = -1;

	assert_int_equal(tdp_entry(&vm, gpa, &found), entry);
	assert_int_equal(found, level);
}

static void empty_tables_map_nothing(void **state)
{
	assert_entry(0, 0, 3);
	assert_entry(0x123456789000, 0, 3);
}

static void small_pages(void **state)
{
	map(0x1000, 0x7000, 0x2000);
	assert_entry(0x1000, 0x7000 | PAGE, 0);
	assert_entry(0x1fff, 0x7000 | PAGE, 0);
	assert_entry(0x2000, 0x8000 | PAGE, 0);
	assert_entry(0, 0, 0);
	assert_entry(0x3000, 0, 0);
	assert_entry(MIB(2), 0, 1);
	assert_entry(GIB(1), 0, 2);
	assert_entry(GIB(512), 0, 3);
	assert_int_equal(vm.tdp_pages, 4);	/* one table of each level */
	assert_int_equal(pages, 4);
}

/* The tables between are reached by entries with the format's bits. */
static void entries_of_tables(void **state)
{
	u64 *table = phys_to_virt(vm.tdp_root);
	const u64 address = 0x000ffffffffff000ull;

	/* Index 1 at each level, from 512 GiB down. */
	map(GIB(512) | GIB(1) | MIB(2) | 0x1000, 0x5000, 0x1000);
	for (int level = 3; level > 0; level--) {
		for (unsigned i = 0; i < 512; i++)
			assert_int_equal(table[i] & ~address, i == 1 ? TABLE : 0);
		table = phys_to_virt(table[1] & address);
	}
	assert_int_equal(table[1], 0x5000 | PAGE);
}

static void pages_of_2_mib(void **state)
{
	map(MIB(2), MIB(4), MIB(4));
	assert_entry(MIB(2), MIB(4) | PAGE | LARGE, 1);
	assert_entry(MIB(6) - 1, MIB(6) | PAGE | LARGE, 1);
	assert_int_equal(vm.tdp_pages, 3);
}

static void pages_of_1_gib(void **state)
{
	map(GIB(1), GIB(3), GIB(2));
	assert_entry(GIB(1), GIB(3) | PAGE | LARGE, 2);
	assert_entry(GIB(3) - 1, GIB(4) | PAGE | LARGE, 2);
	assert_entry(GIB(3), 0, 2);
	assert_int_equal(vm.tdp_pages, 2);
}

/* Both addresses have to be aligned. */
static void alignment_decides(void **state)
{
	map(GIB(1), GIB(3) + MIB(2), GIB(1));
	assert_entry(GIB(1), (GIB(3) + MIB(2)) | PAGE | LARGE, 1);
	map(GIB(4) + MIB(2), GIB(8), MIB(2));
	assert_entry(GIB(4) + MIB(2), GIB(8) | PAGE | LARGE, 1);
	map(GIB(5), 0x1000, MIB(2));
	assert_entry(GIB(5), 0x1000 | PAGE, 0);
	map(GIB(6) + 0x1000, MIB(2), 0x1000);
	assert_entry(GIB(6) + 0x1000, MIB(2) | PAGE, 0);
}

/* A range with ragged ends: small pages, then large ones, then small ones again. */
static void sizes_change_on_the_way(void **state)
{
	map(GIB(1) - MIB(2) - 0x1000, GIB(5) - MIB(2) - 0x1000, 0x1000 + MIB(2) + GIB(1) + MIB(2) + 0x1000);
	assert_entry(GIB(1) - MIB(2) - 0x1000, (GIB(5) - MIB(2) - 0x1000) | PAGE, 0);
	assert_entry(GIB(1) - MIB(2), (GIB(5) - MIB(2)) | PAGE | LARGE, 1);
	assert_entry(GIB(1), GIB(5) | PAGE | LARGE, 2);
	assert_entry(GIB(2), GIB(6) | PAGE | LARGE, 1);
	assert_entry(GIB(2) + MIB(2), (GIB(6) + MIB(2)) | PAGE, 0);
	assert_entry(GIB(2) + MIB(2) + 0x1000, 0, 0);
}

static void the_format_limits_the_size(void **state)
{
	const struct tdp_format small = { TABLE, PAGE, PAGE, TDP_4K }, medium = { TABLE, PAGE, PAGE, TDP_2M };

	assert_int_equal(tdp_map(&vm, &medium, GIB(1), GIB(1), GIB(1)), 0);
	assert_entry(GIB(1), GIB(1) | PAGE | LARGE, 1);
	assert_int_equal(tdp_map(&vm, &small, GIB(2), GIB(2), MIB(2)), 0);
	assert_entry(GIB(2), GIB(2) | PAGE, 0);
	assert_entry(GIB(2) + MIB(2) - 1, (GIB(2) + MIB(2) - 0x1000) | PAGE, 0);
	assert_entry(GIB(2) + MIB(2), 0, 1);
}

/* --- splitting, with large pages that have less rights --- */

#define LESS 0x33ull

static const struct tdp_format careful = {
	.table_bits = TABLE, .page_bits = PAGE, .large_bits = LESS, .largest = TDP_1G,
};

static void each_size_has_its_bits(void **state)
{
	assert_int_equal(tdp_map(&vm, &careful, GIB(1) - MIB(2) - 0x1000, GIB(3) - MIB(2) - 0x1000,
				 GIB(1) + MIB(2) + 0x1000), 0);
	assert_entry(GIB(1) - MIB(2) - 0x1000, (GIB(3) - MIB(2) - 0x1000) | PAGE, 0);
	assert_entry(GIB(1) - MIB(2), (GIB(3) - MIB(2)) | LESS | LARGE, 1);
	assert_entry(GIB(1), GIB(3) | LESS | LARGE, 2);
}

static void only_the_split_page_becomes_small(void **state)
{
	const gpa_t at = GIB(5) + MIB(6) + 0x7123;

	assert_int_equal(tdp_map(&vm, &careful, GIB(4), GIB(9), GIB(3)), 0);
	assert_int_equal(vm.tdp_pages, 2);
	assert_int_equal(tdp_split(&vm, &careful, at), 0);
	assert_int_equal(vm.tdp_pages, 4);
	for (gpa_t gpa = GIB(5) + MIB(6); gpa < GIB(5) + MIB(8); gpa += PAGE_SIZE)
		assert_entry(gpa, (gpa + GIB(5)) | PAGE, 0);
	for (gpa_t gpa = GIB(5); gpa < GIB(6); gpa += MIB(2))
		if (gpa != GIB(5) + MIB(6))
			assert_entry(gpa, (gpa + GIB(5)) | LESS | LARGE, 1);
	assert_entry(GIB(4), GIB(9) | LESS | LARGE, 2);
	assert_entry(GIB(6), GIB(11) | LESS | LARGE, 2);

	/* Another CPU's fault at the same place finds it done; one nearby takes one table more. */
	assert_int_equal(tdp_split(&vm, &careful, at), 0);
	assert_int_equal(vm.tdp_pages, 4);
	assert_int_equal(tdp_split(&vm, &careful, GIB(5)), 0);
	assert_int_equal(vm.tdp_pages, 5);
	assert_entry(GIB(5), GIB(10) | PAGE, 0);
}

static void nothing_is_split_where_nothing_is(void **state)
{
	assert_int_equal(tdp_split(&vm, &careful, 0x1000), -ENOENT);
	assert_int_equal(tdp_map(&vm, &careful, 0x1000, 0x1000, 0x1000), 0);
	assert_int_equal(tdp_split(&vm, &careful, 0x1000), 0);
	assert_int_equal(tdp_split(&vm, &careful, 0x2000), -ENOENT);
	assert_int_equal(tdp_split(&vm, &careful, MIB(2)), -ENOENT);
	assert_int_equal(vm.tdp_pages, 4);
}

static void a_split_without_memory_changes_nothing(void **state)
{
	assert_int_equal(tdp_map(&vm, &careful, GIB(1), GIB(1), GIB(1)), 0);
	page_limit = pages;
	assert_int_equal(tdp_split(&vm, &careful, GIB(1)), -ENOMEM);
	assert_entry(GIB(1), GIB(1) | LESS | LARGE, 2);
	page_limit = pages + 1;
	assert_int_equal(tdp_split(&vm, &careful, GIB(1)), -ENOMEM);
	assert_entry(GIB(1), GIB(1) | LESS | LARGE, 2);
	assert_int_equal(pages, page_limit - 1);	/* the first of two tables is not kept */
	assert_int_equal(vm.tdp_pages, pages);
}

static void nothing_to_map(void **state)
{
	map(0, 0, 0);
	assert_int_equal(vm.tdp_pages, 1);
}

/* SDM, "Format of an EPT Page-Table Entry"; APM vol. 2, "Page-Translation-Table Entry Fields": bit 1. */
static void rom_is_small_pages_without_bit_1(void **state)
{
	struct tdp_format rom = tdp_read_only(&format);

	assert_int_equal(tdp_map(&vm, &rom, GIB(4) - MIB(2), MIB(6), MIB(2)), 0);
	assert_entry(GIB(4) - MIB(2), MIB(6) | (PAGE & ~2ull), 0);
	assert_entry(GIB(4) - 1, (MIB(8) - 0x1000) | (PAGE & ~2ull), 0);
	assert_int_equal(*(u64 *)phys_to_virt(vm.tdp_root) & 0xfff, TABLE);
}

static void out_of_memory(void **state)
{
	struct vm other = { 0 };

	page_limit = 1;
	assert_int_equal(tdp_create(&other), -ENOMEM);
	assert_int_equal(other.tdp_root, 0);
	tdp_destroy(&other);	/* nothing to free */
	for (page_limit = 1; page_limit < 4; page_limit++) {
		assert_int_equal(tdp_map(&vm, &format, 0, 0, 0x1000), -ENOMEM);
		assert_int_equal(pages, page_limit);
		assert_int_equal(vm.tdp_pages, page_limit);
	}
	map(0, 0, 0x1000);	/* the tables that there are already are used */
	assert_int_equal(pages, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(empty_tables_map_nothing),
		TEST(small_pages),
		TEST(entries_of_tables),
		TEST(pages_of_2_mib),
		TEST(pages_of_1_gib),
		TEST(alignment_decides),
		TEST(sizes_change_on_the_way),
		TEST(the_format_limits_the_size),
		TEST(each_size_has_its_bits),
		TEST(only_the_split_page_becomes_small),
		TEST(nothing_is_split_where_nothing_is),
		TEST(a_split_without_memory_changes_nothing),
		TEST(rom_is_small_pages_without_bit_1),
		TEST(nothing_to_map),
		TEST(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
