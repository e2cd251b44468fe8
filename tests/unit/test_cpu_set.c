/* SPDX-License-Identifier: MIT */
/* Sets of CPUs as a user writes them: 0,2-5. */
/* link: lib/cpu_set.c lib/keyval.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/cpu_set.h"
#include "lib/errno.h"

static struct cpu_set set;

/* In a heap block of its own, so that a read beyond the text is seen. */
static int parse(const char *text)
{
	size_t length = strlen(text);
	char *copy = malloc(length ? length : 1);
	int error;

	memcpy(copy, text, length);
	memset(&set, 0xa5, sizeof(set));
	error = cpu_set_parse((struct str_view){ copy, length }, &set);
	free(copy);
	return error;
}

/* The set's members are these, in order, and no others. */
static void expect(const char *text, const u32 *members, unsigned count)
{
	unsigned found = 0;

	assert_int_equal(parse(text), 0);
	for (u32 cpu = 0; cpu < 2 * CPU_SET_SIZE; cpu++) {
		if (!cpu_set_has(&set, cpu))
			continue;
		if (found == count || members[found] != cpu)
			fail_msg("%s: CPU %u is in the set", text, cpu);
		found++;
	}
	if (found != count)
		fail_msg("%s: %u members", text, found);
}

#define EXPECT(text, ...) expect(text, (const u32[]){ __VA_ARGS__ }, ARRAY_SIZE(((const u32[]){ __VA_ARGS__ })))

static void lists_and_ranges(void **state)
{
	EXPECT("0", 0);
	EXPECT("255", 255);
	EXPECT("0,2-5", 0, 2, 3, 4, 5);
	EXPECT("7-7", 7);
	EXPECT("5,3,4", 3, 4, 5);
	EXPECT("3,3,2-4", 2, 3, 4);
	EXPECT("62-65,126-129,191,192,254-255", 62, 63, 64, 65, 126, 127, 128, 129, 191, 192, 254, 255);
	EXPECT("0x10", 16);
}

static void all_of_them(void **state)
{
	assert_int_equal(parse("0-255"), 0);
	for (u32 cpu = 0; cpu < 256; cpu++)
		assert_true(cpu_set_has(&set, cpu));
	assert_false(cpu_set_has(&set, 256));
	assert_false(cpu_set_has(&set, ~0u));
}

static void what_is_no_set(void **state)
{
	static const char *const wrong[] = {
		"", ",", "0,", ",0", "0,,1", "-", "-1", "1-", "1--2", "1-2-3", "3-2", "256", "0-256", "255-256", "a", "1a",
		"0, 1", " 0", "0 ", "1;2", "0-a", "18446744073709551615", "0-18446744073709551615",
		"18446744073709551616", "4294967296", "0-4294967296", "4294967295-4294967297",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (parse(wrong[i]) != -EINVAL)
			fail_msg("\"%s\" is accepted", wrong[i]);
	}
}

static void an_empty_set(void **state)
{
	set = (struct cpu_set){ 0 };
	assert_true(cpu_set_is_empty(&set));
	for (u32 cpu = 0; cpu < CPU_SET_SIZE; cpu++) {
		set = (struct cpu_set){ 0 };
		cpu_set_add(&set, cpu);
		assert_false(cpu_set_is_empty(&set));
		assert_true(cpu_set_has(&set, cpu));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_and_ranges),
		cmocka_unit_test(all_of_them),
		cmocka_unit_test(what_is_no_set),
		cmocka_unit_test(an_empty_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
