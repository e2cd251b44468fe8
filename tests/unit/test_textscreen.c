/* SPDX-License-Identifier: MIT */
/* Lines of a VGA's text page, and which of them are new. The characters are those of IBM's code page 437. */
/* link: lib/textscreen.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/textscreen.h"

static const char *line_of(const char *text, unsigned columns)
{
	static char line[TEXTSCREEN_COLUMNS + 1];
	static u16 page[256];

	for (unsigned i = 0; i < columns; i++)
		page[(250 + i) % 256] = (u16)(0x1f00 | (u8)text[i]);
	memset(line, 'x', sizeof(line));
	textscreen_line(page, 256, 250, columns, line);
	return line;
}

static void test_characters(void **state)
{
	assert_string_equal(line_of("Hello, world~ !", 15), "Hello, world~ !");
	assert_string_equal(line_of("ab  ", 4), "ab");
	assert_string_equal(line_of("\0a\0\0", 4), " a");
	assert_string_equal(line_of("    ", 4), "");
	/* The frames of a window: single, then double. */
	assert_string_equal(line_of("\xda\xc4\xc2\xbf\xb3\xc3\xc5\xb4\xc0\xc1\xd9", 11), "+-++|++++++");
	assert_string_equal(line_of("\xc9\xcd\xcb\xbb\xba\xcc\xce\xb9\xc8\xca\xbc", 11), "+-++|++++++");
	assert_string_equal(line_of("\xb0\xb1\xb2\xdb\xdc\xdd\xde\xdf", 8), "####_||#");
	assert_string_equal(line_of("\x01\x7f\x80\xaf\xe0\xfe\xff.", 8), "?????? .");
}

static void test_widest(void **state)
{
	char text[TEXTSCREEN_COLUMNS];

	memset(text, 'w', sizeof(text));
	assert_int_equal(strlen(line_of(text, TEXTSCREEN_COLUMNS)), TEXTSCREEN_COLUMNS);
}

static struct textscreen *screen_of(const char *lines)
{
	struct textscreen *screen = calloc(1, sizeof(*screen));

	screen->columns = 80;
	screen->rows = (unsigned)strlen(lines);
	/* A letter is a line, a dot a blank one. */
	for (unsigned row = 0; row < screen->rows; row++)
		if (lines[row] != '.')
			memset(screen->lines[row], lines[row], 3);
	return screen;
}

static void expect(const char *before, const char *now, const char *fresh)
{
	struct textscreen *old = screen_of(before), *new = screen_of(now);
	bool is_new[TEXTSCREEN_ROWS];
	unsigned count = textscreen_new_lines(old, new, is_new), expected = 0;

	for (unsigned row = 0; row < new->rows; row++) {
		assert_int_equal(is_new[row], fresh[row] == '!');
		expected += fresh[row] == '!';
	}
	assert_int_equal(count, expected);
	free(old);
	free(new);
}

static void test_new_lines(void **state)
{
	expect("", "ab..", "!!..");
	expect("....", "ab..", "!!..");
	expect("ab..", "ab..", "....");
	expect("ab..", "abc.", "..!.");
	expect("abcd", "axcd", ".!..");
	expect("abcd", "....", "....");		/* cleared */
	expect("abcd", "xyz.", "!!!.");		/* cleared, and written anew */
}

static void test_scrolled(void **state)
{
	expect("abcd", "bcde", "...!");
	expect("abcd", "cdef", "..!!");
	expect("abcd", "defg", ".!!!");
	expect("abcd", "efgh", "!!!!");
	expect("abc.", "bcde", "..!!");
	expect("aaaa", "aaab", "...!");		/* the smaller scroll of two that fit */
	expect("a.b.", ".b.c", "...!");
	expect("TabcS", "TbcdS", ".!!!.");		/* lines that stay at top and bottom: two of two fit without a scroll */
}

/* The number of rows changes. */
static void test_other_mode(void **state)
{
	expect("abcd", "ab", "..");
	expect("ab", "abcd", "..!!");
	expect("abcd", "cd", "..");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_widest),
		cmocka_unit_test(test_new_lines),
		cmocka_unit_test(test_scrolled),
		cmocka_unit_test(test_other_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
