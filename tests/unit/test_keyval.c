/* SPDX-License-Identifier: MIT */
/* The tokenizer of command lines. */
/* link: lib/keyval.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "hostile.h"
#include "lib/errno.h"
#include "lib/keyval.h"

/* What comes out, as text: [key], [key=value], "!" for an open quote, and the rest in (). */
static const char *tokens(const char *text)
{
	static char out[512];
	struct keyval_cursor cursor;
	struct keyval keyval;
	size_t n = 0;
	int err;

	keyval_begin(&cursor, str_view_of(text));
	while ((err = keyval_next(&cursor, &keyval)) != -ENOENT) {
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s[%.*s%s%.*s]", err ? "!" : "",
				      (int)keyval.key.len, keyval.key.ptr,
				      keyval.has_value ? "=" : "", (int)keyval.value.len,
				      keyval.value.ptr);
	}
	snprintf(out + n, sizeof(out) - n, "(%.*s)", (int)cursor.rest.len, cursor.rest.ptr);
	return out;
}

static void test_tokens(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "", "()" },
		{ "   \t\n", "()" },
		{ "flag", "[flag]()" },
		{ "vm=web role=kernel mem=512M", "[vm=web][role=kernel][mem=512M]()" },
		{ "  a=1\t b \r\n", "[a=1][b]()" },
		{ "console=com1,115200", "[console=com1,115200]()" },
		{ "a=b=c", "[a=b=c]()" },
		{ "a=", "[a=]()" },
		{ "=b", "[=b]()" },
		/* text after -- is not parsed */
		{ "vm=web -- console=ttyS0 quiet", "[vm=web](console=ttyS0 quiet)" },
		{ "--   root=\"/dev/sda  ", "(root=\"/dev/sda  )" },
		{ "a -- b -- c", "[a](b -- c)" },
		{ "a --", "[a]()" },
		{ "--", "()" },
		{ "--x a=-- ---", "[--x][a=--][---]()" },
		/* quotes */
		{ "name=\"two words\" x", "[name=two words][x]()" },
		{ "\"name=two words\" x", "[name=two words][x]()" },
		{ "a=\"\" b", "[a=][b]()" },
		{ "\"\"", "[]()" },
		{ "a=\"--\" \"--\" b", "[a=--][--][b]()" },
		{ "a=x\"y z\"", "[a=x\"y z\"]()" },
		{ "a=\"x\"\"y\"", "[a=\"x\"\"y\"]()" },
		{ "\"a b\"=c", "[\"a b\"=c]()" },
		{ "\"a=b\"=c", "[\"a=b\"=c]()" },
		/* GRUB puts a backslash in front of quotes and backslashes */
		{ "a=\"x \\\" y\" b", "[a=x \\\" y][b]()" },
		{ "a=x\\ y b", "[a=x\\ y][b]()" },
		{ "a=\"x\\\\\" b", "[a=x\\\\][b]()" },
		{ "a=x\\", "[a=x\\]()" },
		/* a quote that is not closed takes the rest with it */
		{ "a=1 b=\"two words", "[a=1]![b=\"two words]()" },
		{ "\"", "![\"]()" },
		{ "a=\"x\\\"", "![a=\"x\\\"]()" },
		{ "a \"b -- c", "[a]![\"b -- c]()" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(tokens(cases[i].text), cases[i].expected);
}

/* A path or URI has a / before any =, or no = at all. */
static void test_what_may_be_a_file_name(void **state)
{
	static const struct {
		const char *text;
		bool may;
	} cases[] = {
		{ "vmlinuz", true }, { "/boot/vmlinuz", true }, { "(hd0)/a=b", true }, { "/=", true },
		{ "http://host/vmlinuz?a=b", true }, { "vm=web", false }, { "dir=/boot", false }, { "=", false },
		{ "=/", false }, { "a.b=", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct keyval_cursor cursor;
		struct keyval keyval;

		keyval_begin(&cursor, str_view_of(cases[i].text));
		assert_int_equal(keyval_next(&cursor, &keyval), 0);
		assert_int_equal(keyval_may_name_file(&keyval), cases[i].may);
	}
}

static void test_the_end_stays_the_end(void **state)
{
	struct keyval_cursor cursor;
	struct keyval keyval;

	keyval_begin(&cursor, str_view_of("a -- b c"));
	assert_int_equal(keyval_next(&cursor, &keyval), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(keyval_next(&cursor, &keyval), -ENOENT);
		assert_true(str_view_equals(cursor.rest, "b c"));
	}
}

static void test_a_nul_or_the_length_ends_the_text(void **state)
{
	struct keyval_cursor cursor;
	struct keyval keyval;

	keyval_begin(&cursor, (struct str_view){ "ab\0cd", 5 });
	assert_int_equal(keyval_next(&cursor, &keyval), 0);
	assert_true(str_view_equals(keyval.key, "ab"));
	assert_int_equal(keyval_next(&cursor, &keyval), -ENOENT);
	assert_int_equal(cursor.rest.len, 0);

	keyval_begin(&cursor, (struct str_view){ "abcd", 2 });
	assert_int_equal(keyval_next(&cursor, &keyval), 0);
	assert_true(str_view_equals(keyval.key, "ab"));
}

/* All views lie in the text, in order, and the tokenizer comes to an end. */
static void check_views(const u8 *text, size_t size)
{
	const char *at = (const char *)text, *end = at + size;
	struct keyval_cursor cursor;
	struct keyval keyval;
	size_t count = 0;
	int err;

	keyval_begin(&cursor, (struct str_view){ at, size });
	while ((err = keyval_next(&cursor, &keyval)) != -ENOENT) {
		assert_true(keyval.key.ptr >= at);
		at = keyval.key.ptr + keyval.key.len;
		keyval_may_name_file(&keyval);	/* for AddressSanitizer to see what it reads */
		if (!err && !keyval.has_value)
			assert_true(keyval.value.ptr == at && !keyval.value.len);
		if (keyval.has_value) {
			assert_true(keyval.value.ptr > at);
			at = keyval.value.ptr + keyval.value.len;
		}
		assert_true(at <= end);
		assert_true(++count <= size);
	}
	assert_true(cursor.rest.ptr >= at && cursor.rest.ptr + cursor.rest.len <= end);
}

static void test_random_texts(void **state)
{
	static const char alphabet[] = "ab=\"\\ -\t\0";
	u64 random = 42;

	for (int i = 0; i < 200000; i++) {
		char text[24];
		size_t length = next_random(&random) % sizeof(text);
		u8 *copy;

		for (size_t j = 0; j < length; j++)
			text[j] = alphabet[next_random(&random) % (sizeof(alphabet) - 1)];
		copy = exact_copy(text, length);
		check_views(copy, length);
		free(copy);
	}
}

static void test_truncations(void **state)
{
	static const char text[] = "vm=web name=\"two words\" \"a=b c\" x\\\" -- console=ttyS0 \"";

	each_truncation(text, sizeof(text), check_views);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_what_may_be_a_file_name),
		cmocka_unit_test(test_the_end_stays_the_end),
		cmocka_unit_test(test_a_nul_or_the_length_ends_the_text),
		cmocka_unit_test(test_random_texts),
		cmocka_unit_test(test_truncations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
