/* SPDX-License-Identifier: MIT */
/* Sets of physical addresses, against a plain array of flags. */
/* link: arch/mem/ranges.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/mem/ranges.h"
#include "hostile.h"
#include "lib/errno.h"

#define UNITS 96 /* addresses are small numbers here */

static void check_shape(const struct ranges *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		assert_true(r->range[i].size > 0);
		if (i > 0) /* sorted, and a gap in between */
			assert_true(r->range[i].start > r->range[i - 1].start + r->range[i - 1].size);
	}
}

static void check_members(const struct ranges *r, const bool *expected)
{
	bool found[UNITS] = { false };

	for (unsigned i = 0; i < r->count; i++)
		for (u64 a = r->range[i].start; a < r->range[i].start + r->range[i].size; a++)
			found[a] = true;
	assert_memory_equal(found, expected, UNITS);
}

static void check_questions(const struct ranges *r, const bool *expected)
{
	for (u64 start = 0; start < UNITS; start++) {
		bool all = true, any = false;

		assert_true(ranges_cover(r, start, 0));
		assert_false(ranges_touch(r, start, 0));
		for (u64 size = 1; start + size <= UNITS; size++) {
			all = all && expected[start + size - 1];
			any = any || expected[start + size - 1];
			assert_int_equal(ranges_cover(r, start, size), all);
			assert_int_equal(ranges_touch(r, start, size), any);
		}
	}
}

static void test_random(void **state)
{
	static struct ranges r;
	bool expected[UNITS] = { false };
	u64 seed = 1, total;

	for (unsigned step = 0; step < 20000; step++) {
		u64 start = next_random(&seed) % UNITS;
		u64 size = next_random(&seed) % (UNITS - start) / (step % 3 + 1);
		bool add = next_random(&seed) % 2;

		assert_int_equal(add ? ranges_add(&r, start, size) : ranges_remove(&r, start, size), 0);
		memset(expected + start, add, size);
		check_shape(&r);
		check_members(&r, expected);
		total = 0;
		for (unsigned a = 0; a < UNITS; a++)
			total += expected[a];
		assert_int_equal(ranges_total(&r), total);
		if (step % 100 == 0)
			check_questions(&r, expected);
	}
}

static void test_neighbours_become_one(void **state)
{
	static struct ranges r;

	ranges_add(&r, 0x1000, 0x1000);
	ranges_add(&r, 0x3000, 0x1000);
	assert_int_equal(r.count, 2);
	ranges_add(&r, 0x2000, 0x1000);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.range[0].start, 0x1000);
	assert_int_equal(r.range[0].size, 0x3000);
}

static void test_full_list_stays_as_it_was(void **state)
{
	static struct ranges r;

	for (unsigned i = 0; i < RANGES_MAX; i++)
		assert_int_equal(ranges_add(&r, i * 0x10, 8), 0);
	assert_int_equal(ranges_add(&r, RANGES_MAX * 0x10, 8), -ENOSPC);
	assert_int_equal(ranges_remove(&r, 2, 4), -ENOSPC); /* would leave two pieces */
	assert_int_equal(r.count, RANGES_MAX);
	assert_int_equal(ranges_total(&r), RANGES_MAX * 8);
	assert_int_equal(ranges_add(&r, 8, 8), 0); /* joins two: one less */
	assert_int_equal(r.count, RANGES_MAX - 1);
}

/* A firmware's map may end at the very top, or beyond it. */
static void test_end_of_addresses(void **state)
{
	static struct ranges r;

	assert_int_equal(ranges_add(&r, 0x1000, 0x9000), 0);
	assert_int_equal(ranges_add(&r, ~0ull - 0xfff, 0x2000), 0); /* wraps: not memory */
	assert_int_equal(r.count, 1);
	assert_int_equal(ranges_remove(&r, 0x8000, ~0ull), 0);
	assert_int_equal(ranges_total(&r), 0x7000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_neighbours_become_one),
		cmocka_unit_test(test_full_list_stays_as_it_was),
		cmocka_unit_test(test_end_of_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
