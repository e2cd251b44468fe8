/* SPDX-License-Identifier: MIT */
/* The grid of characters, against a screen that records what is drawn where. */
/* link: lib/terminal.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "hostile.h"
#include "lib/terminal.h"

#define COLUMNS 10
#define ROWS	4

static struct terminal terminal;
static char text[COLUMNS * ROWS], shown[COLUMNS * ROWS];
static char screen[ROWS][COLUMNS + 1];
static unsigned drawn;

static void draw(unsigned column, unsigned row, char c)
{
	assert_in_range(column, 0, COLUMNS - 1);
	assert_in_range(row, 0, ROWS - 1);
	assert_in_range(c, ' ', '~');
	screen[row][column] = c;
	drawn++;
}

static void clear_screen(void)
{
	for (unsigned row = 0; row < ROWS; row++)
		memset(screen[row], ' ', COLUMNS);
	drawn = 0;
}

static int begin(void **state)
{
	terminal_init(&terminal, COLUMNS, ROWS, text, shown);
	terminal.draw = draw;
	clear_screen();
	return 0;
}

static void write(const char *what)
{
	terminal_write(&terminal, what, strlen(what));
}

static void assert_screen(const char *a, const char *b, const char *c, const char *d)
{
	const char *const rows[ROWS] = { a, b, c, d };

	for (unsigned row = 0; row < ROWS; row++) {
		char expected[COLUMNS + 1];

		snprintf(expected, sizeof(expected), "%-*s", COLUMNS, rows[row]);
		assert_string_equal(screen[row], expected);
	}
}

static void test_lines(void **state)
{
	write("one\ntwo\n");
	assert_screen("one", "two", "", "");
	assert_int_equal(drawn, 6);	/* each cell once, and no empty one */
}

static void test_scrolling_draws_what_changes(void **state)
{
	write("abc\nabd\nabe\nabf");
	drawn = 0;
	write("\nabg");
	assert_screen("abd", "abe", "abf", "abg");
	assert_int_equal(drawn, ROWS);	/* in each row only the last letter is another */
}

/* A line as long as the screen is wide makes no empty one. */
static void test_wrapping(void **state)
{
	write("0123456789\nab\n");
	assert_screen("0123456789", "ab", "", "");
	write("0123456789abc");
	assert_screen("0123456789", "ab", "0123456789", "abc");
}

static void test_control_characters(void **state)
{
	write("abc\rx\na\tb\tc\nabc\b\b-\n\b\a\001y");
	assert_screen("xbc", "a       bc", "a-c", "y");
	write("\n");
	assert_screen("a       bc", "a-c", "y", "");
}

static void test_escape_sequences_are_swallowed(void **state)
{
	write("\033[1;31mred\033[0m\n\033]0;title\aA\033c\033=B\033[6n\n");
	assert_screen("red", "AB", "", "");
	/* In pieces, and broken off by another one. */
	write("\033");
	write("[3");
	write("\033[1mx");
	assert_screen("red", "AB", "x", "");
}

/* ESC [ K: to the end of the line. With a parameter it means something else, and does nothing. */
static void test_erasing_the_rest_of_a_line(void **state)
{
	write("abcdef\r12\033[K");
	assert_screen("12", "", "", "");
	write("34\r\033[1K\033[2K5\nx\r\033[K");
	assert_screen("5234", "", "", "");
	begin(state);
	for (unsigned i = 0; i < COLUMNS; i++)
		write("x");
	write("\033[K");		/* beyond the last column there is nothing to erase */
	assert_int_equal(strspn(screen[0], "x"), COLUMNS);
}

/* A guest that begins an escape sequence and never ends it does not hide the log's next line. */
static void test_unfinished_escape_sequences(void **state)
{
	write("a\033]0;\nb\033[\nc\033\nd");
	assert_screen("a", "b", "c", "d");
}

static void test_other_characters(void **state)
{
	write("\xc3\xa4 \xe2\x82\xac \x7f.");
	assert_screen("? ? .", "", "", "");
}

/* The first and last byte of each kind: printable, a character's first byte in UTF-8, ignored. */
static void test_each_byte(void **state)
{
	for (unsigned byte = ' '; byte < 0x100; byte++) {
		char both[] = { (char)byte, '|', 0 }, expected[3];

		begin(NULL);
		write(both);
		snprintf(expected, sizeof(expected), "%.*s|", byte < 0x7f || byte >= 0xc0,
			 byte < 0x7f ? both : "?");
		assert_screen(expected, "", "", "");
	}
}

/* A control sequence ends with a byte of 40 to 7e (hexadecimal), and nothing below belongs to the text. */
static void test_each_end_of_a_control_sequence(void **state)
{
	for (char byte = ' '; byte < 0x7f; byte++) {
		char sequence[] = { '\033', '[', byte, 'm', 0 };

		begin(NULL);
		write(sequence);
		assert_screen(byte < '@' ? "" : "m", "", "", "");
	}
}

/* ESC and one more byte, unless that begins a longer sequence. */
static void test_each_short_escape_sequence(void **state)
{
	for (char byte = ' '; byte < 0x7f; byte++) {
		char sequence[] = { '\033', byte, 'm', 'x', 0 };

		begin(NULL);
		write(sequence);
		assert_screen(byte == ']' ? "" : byte == '[' ? "x" : "mx", "", "", "");
	}
}

static void test_tabs_stop_at_each_eighth_column(void **state)
{
	static const struct {
		const char *text, *row;
	} cases[] = {
		{ "\tx", "        x" }, { "1234567\tx", "1234567 x" }, { "12345678\tx", "12345678 x" },
		{ "123456789\tx", "123456789x" }, { "\t\tx", "         x" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(NULL);
		write(cases[i].text);
		assert_screen(cases[i].row, "", "", "");
	}
}

static void test_backspace_stops_at_the_first_column(void **state)
{
	write("ab\b\b\b\bx\n\b\by");
	assert_screen("xb", "y", "", "");
	/* Behind a full line it goes back to the line's last column. */
	begin(NULL);
	write("0123456789\bx");
	assert_screen("012345678x", "", "", "");
}

/* Scrolling leaves an empty row at the bottom, and draws blanks where the text was longer. */
static void test_scrolling_clears_what_was_longer(void **state)
{
	write("a\nlonger\nb\nlongest\n");
	assert_screen("longer", "b", "longest", "");
	write("\n\n\n\n");
	assert_screen("", "", "", "");
}

/* Only rows that were written to are compared with the screen, and only once. */
static void test_which_rows_are_compared(void **state)
{
	terminal.draw = NULL;
	write("\n\nx");
	assert_int_equal(terminal.dirty_from, 2);
	assert_int_equal(terminal.dirty_to, 3);
	write("\ry\rz");
	assert_int_equal(terminal.dirty_from, 2);
	assert_int_equal(terminal.dirty_to, 3);
	terminal.draw = draw;
	write("");
	assert_screen("", "", "z", "");
	assert_int_equal(terminal.dirty_from, ROWS);
	assert_int_equal(terminal.dirty_to, 0);
}

/* What was written without a screen is drawn as soon as there is one, and only once. */
static void test_drawing_later(void **state)
{
	terminal.draw = NULL;
	write("one\ntwo");
	assert_int_equal(drawn, 0);
	terminal.draw = draw;
	write("");
	assert_screen("one", "two", "", "");
	assert_int_equal(drawn, 6);
	clear_screen();
	terminal_redraw(&terminal);
	assert_screen("one", "two", "", "");
	assert_int_equal(drawn, 6);
}

static void test_the_smallest(void **state)
{
	char one[1], its[1];

	terminal_init(&terminal, 1, 1, one, its);
	terminal.draw = draw;
	write("abc\t\b\n\rd");
	assert_int_equal(screen[0][0], 'd');
}

/* An NMI may leave any state: no index may be outside the grid. */
static void test_hostile_state(void **state)
{
	u64 random = 3;
	char noise[50];

	for (unsigned i = 0; i < 20000; i++) {
		terminal.column = (unsigned)next_random(&random) % 20;
		terminal.row = (unsigned)next_random(&random) % 8;
		terminal.dirty_from = (unsigned)next_random(&random) % 8;
		terminal.dirty_to = (unsigned)next_random(&random) % 8;
		for (unsigned k = 0; k < sizeof(noise); k++)
			noise[k] = (char)next_random(&random);
		terminal_write(&terminal, noise, sizeof(noise));
	}
}

#define terminal_test(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		terminal_test(test_lines),
		terminal_test(test_scrolling_draws_what_changes),
		terminal_test(test_wrapping),
		terminal_test(test_control_characters),
		terminal_test(test_escape_sequences_are_swallowed),
		terminal_test(test_erasing_the_rest_of_a_line),
		terminal_test(test_unfinished_escape_sequences),
		terminal_test(test_other_characters),
		terminal_test(test_each_byte),
		terminal_test(test_each_end_of_a_control_sequence),
		terminal_test(test_each_short_escape_sequence),
		terminal_test(test_tabs_stop_at_each_eighth_column),
		terminal_test(test_backspace_stops_at_the_first_column),
		terminal_test(test_scrolling_clears_what_was_longer),
		terminal_test(test_which_rows_are_compared),
		terminal_test(test_drawing_later),
		terminal_test(test_the_smallest),
		terminal_test(test_hostile_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
