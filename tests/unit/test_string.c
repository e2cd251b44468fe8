/* SPDX-License-Identifier: MIT */
/* Our memory and string functions against the C library's, and number parsing. */
/* link: lib/string.c */
/* cflags: -ULAMINA_HOST_TEST -fno-builtin */
/* cflags: -Dmemcpy=our_memcpy -Dmemmove=our_memmove -Dmemset=our_memset */
/* cflags: -Dmemcmp=our_memcmp -Dstrlen=our_strlen -Dstrnlen=our_strnlen */
/* cflags: -Dstrcmp=our_strcmp -Dstrncmp=our_strncmp -Dstrchr=our_strchr */

#include <stdarg.h>
#include <ctype.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "lib/string.h"

#define LENGTH 40

static int sign(int value)
{
	return (value > 0) - (value < 0);
}

static void fill(u8 *bytes, size_t n, u8 first)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (u8)(first + i);
}

static void test_memcpy_copies_exactly_n(void **state)
{
	for (size_t n = 0; n <= LENGTH; n++) {
		u8 from[LENGTH], to[LENGTH + 2];

		fill(from, LENGTH, 100);
		fill(to, LENGTH + 2, 0);
		assert_ptr_equal(memcpy(to + 1, from, n), to + 1);
		assert_int_equal(to[0], 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(to[1 + i], 100 + i);
		assert_int_equal(to[1 + n], 1 + n);
	}
}

static void test_memmove_at_every_overlap(void **state)
{
	for (size_t from = 0; from <= LENGTH; from++) {
		for (size_t to = 0; to <= LENGTH; to++) {
			u8 ours[2 * LENGTH], theirs[2 * LENGTH];

			fill(ours, sizeof(ours), 7);
			fill(theirs, sizeof(theirs), 7);
			assert_ptr_equal(memmove(ours + to, ours + from, LENGTH), ours + to);
			__builtin_memmove(theirs + to, theirs + from, LENGTH);
			assert_memory_equal(ours, theirs, sizeof(ours));
		}
	}
}

/* The direction flag must be clear again, or the next string instruction runs backwards. */
static void test_memmove_restores_the_direction(void **state)
{
	u8 bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	u64 flags;

	memmove(bytes + 1, bytes, 7);
	asm volatile("pushfq; popq %0" : "=r"(flags));
	assert_int_equal(flags & BIT(10), 0);
}

static void test_memset_sets_exactly_n(void **state)
{
	for (size_t n = 0; n <= LENGTH; n++) {
		u8 bytes[LENGTH + 2] = { 0 };

		assert_ptr_equal(memset(bytes + 1, 0x1a5, n), bytes + 1);
		assert_int_equal(bytes[0], 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(bytes[1 + i], 0xa5);
		assert_int_equal(bytes[1 + n], 0);
	}
}

static void test_memcmp_compares_unsigned(void **state)
{
	assert_int_equal(memcmp("abc", "abd", 2), 0);
	assert_true(memcmp("abc", "abd", 3) < 0);
	assert_true(memcmp("\xff", "\x01", 1) > 0);
	assert_true(memcmp("a\0b", "a\0c", 3) < 0);
	assert_int_equal(memcmp("a", "b", 0), 0);
}

static void test_strings_agree_with_the_c_library(void **state)
{
	static const char *const samples[] = {
		"", "a", "b", "ab", "abc", "abd", "\xff", "\x7f", "a\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const char *a = samples[i];

		assert_int_equal(strlen(a), __builtin_strlen(a));
		for (int c = 0; c < 256; c++)
			assert_ptr_equal(strchr(a, c), __builtin_strchr(a, c));
		for (size_t j = 0; j < ARRAY_SIZE(samples); j++) {
			const char *b = samples[j];

			assert_int_equal(sign(strcmp(a, b)), sign(__builtin_strcmp(a, b)));
			for (size_t n = 0; n < 5; n++)
				assert_int_equal(sign(strncmp(a, b, n)),
						 sign(__builtin_strncmp(a, b, n)));
		}
	}
}

static void test_bounded_functions_stay_in_bounds(void **state)
{
	char *text = malloc(3); /* no NUL, and AddressSanitizer guards what is behind */

	text[0] = text[1] = text[2] = 'x';
	assert_int_equal(strnlen(text, 3), 3);
	assert_int_equal(strnlen("ab", 3), 2);
	assert_int_equal(strncmp(text, text, 3), 0);
	free(text);
}

static void test_str_copy_terminates_and_reports_a_cut(void **state)
{
	char to[4];

	memset(to, 'z', sizeof(to));
	assert_true(str_copy(to, "abc", sizeof(to)));
	assert_string_equal(to, "abc");
	memset(to, 'z', sizeof(to));
	assert_false(str_copy(to, "abcd", sizeof(to)));
	assert_string_equal(to, "abc");
	assert_true(str_copy(to, "", 1));
	assert_string_equal(to, "");
	assert_false(str_copy(NULL, "abc", 0));
}

static void test_views(void **state)
{
	struct str_view view = { "kernelxyz", 6 };
	char to[8];

	assert_true(str_view_equals(view, "kernel"));
	assert_false(str_view_equals(view, "kerne"));
	assert_false(str_view_equals(view, "kernelx"));
	assert_true(str_view_equals(str_view_of(""), ""));
	assert_true(str_view_copy(to, view, sizeof(to)));
	assert_string_equal(to, "kernel");
	assert_false(str_view_copy(to, view, 6));
	assert_string_equal(to, "kerne");
}

/* Each character, as a decimal and as a hexadecimal digit: the C library says which it is. */
static void test_each_digit(void **state)
{
	for (int c = 1; c < 256; c++) {
		char decimal[] = { '1', (char)c, 0 }, hexadecimal[] = { '0', 'x', '1', (char)c, 0 };
		u64 value = 77;

		assert_int_equal(parse_u64(decimal, &value), c >= '0' && c <= '9' ? 0 : -EINVAL);
		assert_int_equal(value, c >= '0' && c <= '9' ? 10 + c - '0' : 77);
		value = 77;
		assert_int_equal(parse_u64(hexadecimal, &value), isxdigit(c) ? 0 : -EINVAL);
		assert_int_equal(value, isxdigit(c) ? strtoul(hexadecimal, NULL, 16) : 77);
	}
}

static void test_parse_u64(void **state)
{
	static const struct {
		const char *text;
		int err;
		u64 value;
	} cases[] = {
		{ "0", 0, 0 },
		{ "42", 0, 42 },
		{ "007", 0, 7 },
		{ "0x0", 0, 0 },
		{ "0xfF", 0, 255 },
		{ "0X1234567890abcdef", 0, 0x1234567890abcdef },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "0xffffffffffffffff", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "18446744073709551620", -ERANGE, 0 },
		{ "99999999999999999999999999", -ERANGE, 0 },
		{ "0x10000000000000000", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "0x", -EINVAL, 0 },
		{ "0xg", -EINVAL, 0 },
		{ "x1", -EINVAL, 0 },
		{ "12a", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "99999999999999999999999999x", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 value = 4711;

		assert_int_equal(parse_u64(cases[i].text, &value), cases[i].err);
		assert_int_equal(value, cases[i].err ? 4711 : cases[i].value);
	}
}

static void test_parse_size(void **state)
{
	static const struct {
		const char *text;
		int err;
		u64 bytes;
	} cases[] = {
		{ "0", 0, 0 },
		{ "512", 0, 512 },
		{ "4k", 0, 4096 },
		{ "4K", 0, 4096 },
		{ "512M", 0, 536870912 },
		{ "3g", 0, 3221225472 },
		{ "2T", 0, 2199023255552 },
		{ "0x10M", 0, 16777216 },
		{ "16777215T", 0, 0xffffff0000000000 },
		{ "16777216T", -ERANGE, 0 },
		{ "17179869184G", -ERANGE, 0 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "M", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "1MM", -EINVAL, 0 },
		{ "1MB", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ "1P", -EINVAL, 0 },
		{ "0xM", -EINVAL, 0 },
		{ "-1M", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 bytes = 4711;

		assert_int_equal(parse_size(cases[i].text, &bytes), cases[i].err);
		assert_int_equal(bytes, cases[i].err ? 4711 : cases[i].bytes);
	}
}

static void test_numbers_in_views_end_with_the_view(void **state)
{
	u64 value;
	char *digits = malloc(2);

	digits[0] = '0';
	digits[1] = 'x';
	assert_int_equal(parse_u64_view((struct str_view){ digits, 1 }, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(parse_u64_view((struct str_view){ digits, 2 }, &value), -EINVAL);
	assert_int_equal(parse_u64_view((struct str_view){ digits, 0 }, &value), -EINVAL);
	digits[0] = digits[1] = '1';
	assert_int_equal(parse_size_view((struct str_view){ digits, 2 }, &value), 0);
	assert_int_equal(value, 11);
	free(digits);
	assert_int_equal(parse_size_view((struct str_view){ "64Mx", 3 }, &value), 0);
	assert_int_equal(value, MIB(64));
}

static void test_byte_sum(void **state)
{
	static const u8 bytes[] = { 0xff, 0x80, 0x02, 0x7f };

	assert_int_equal(byte_sum(bytes, 0), 0);
	assert_int_equal(byte_sum(bytes, 1), 0xff);
	assert_int_equal(byte_sum(bytes, 3), 0x81);	/* 0x181 */
	assert_int_equal(byte_sum(bytes, 4), 0);	/* 0x200 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memcpy_copies_exactly_n),
		cmocka_unit_test(test_memmove_at_every_overlap),
		cmocka_unit_test(test_memmove_restores_the_direction),
		cmocka_unit_test(test_memset_sets_exactly_n),
		cmocka_unit_test(test_memcmp_compares_unsigned),
		cmocka_unit_test(test_strings_agree_with_the_c_library),
		cmocka_unit_test(test_bounded_functions_stay_in_bounds),
		cmocka_unit_test(test_str_copy_terminates_and_reports_a_cut),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_each_digit),
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_numbers_in_views_end_with_the_view),
		cmocka_unit_test(test_byte_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
