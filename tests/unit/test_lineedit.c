/* SPDX-License-Identifier: MIT */
/* Editing of a typed line. */
/* link: lib/lineedit.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "hostile.h"
#include "lib/lineedit.h"

static struct line_editor editor;

static int begin(void **state)
{
	memset(&editor, 0, sizeof(editor));
	return 0;
}

/* Returns the last event; all before must have changed the line only. */
static enum line_event type(const char *text)
{
	enum line_event event = LINE_CHANGED;

	for (; *text; text++) {
		assert_int_equal(event, LINE_CHANGED);
		event = line_editor_type(&editor, *text);
	}
	return event;
}

static void enter(const char *text)
{
	type(text);
	assert_int_equal(type("\r"), LINE_DONE);
	assert_string_equal(editor.text, text);
	line_editor_clear(&editor, true);
	assert_string_equal(editor.text, "");
}

static void test_typing(void **state)
{
	assert_int_equal(type("vms"), LINE_CHANGED);
	assert_string_equal(editor.text, "vms");
	assert_int_equal(type("\n"), LINE_DONE);
	assert_int_equal(type("\t"), LINE_TAB);
	assert_string_equal(editor.text, "vms");
}

static void test_deleting(void **state)
{
	type("vmsx\b\x7f");
	assert_string_equal(editor.text, "vm");
	type("\b\b\b\bab");
	assert_string_equal(editor.text, "ab");
	type("\x15");
	assert_string_equal(editor.text, "");
}

static void test_leaving(void **state)
{
	assert_int_equal(type("vms\x03"), LINE_LEFT);
	line_editor_clear(&editor, false);
	assert_int_equal(type("\x04"), LINE_LEFT);
	assert_int_equal(type("a\x04"), LINE_CHANGED);
	/* Escape alone is known by what follows, or by nothing that follows. */
	assert_false(line_editor_escape_waits(&editor));
	assert_int_equal(type("\x1b"), LINE_CHANGED);
	assert_true(line_editor_escape_waits(&editor));
	assert_int_equal(type("x"), LINE_LEFT);
}

static void test_history(void **state)
{
	enter("one");
	enter("two");
	enter("two");		/* kept once */
	type("new");
	assert_int_equal(type("\033[A"), LINE_CHANGED);
	assert_false(line_editor_escape_waits(&editor));
	assert_string_equal(editor.text, "two");
	type("\033[A");
	assert_string_equal(editor.text, "one");
	type("\033[A");		/* there is no older one */
	assert_string_equal(editor.text, "one");
	type("\033OB");
	assert_string_equal(editor.text, "two");
	type("\033[B");
	assert_string_equal(editor.text, "");
	type("\033[B");
	assert_string_equal(editor.text, "");
	type("\033[A!");
	assert_string_equal(editor.text, "two!");
}

static void test_history_forgets_the_oldest(void **state)
{
	char text[] = "0";

	for (; *text <= '9'; ++*text)
		enter(text);
	for (unsigned i = 0; i < 20; i++)
		type("\033[A");
	assert_string_equal(editor.text, "2");	/* eight lines: 2 to 9 */
	line_editor_clear(&editor, true);
	type("\033[A");
	assert_string_equal(editor.text, "2");
}

static void test_other_keys_do_nothing(void **state)
{
	type("a\033[C\033[D\033[1;5C\033[3~\x01\x80\xff");
	assert_string_equal(editor.text, "a");
}

static void test_a_long_line_is_full(void **state)
{
	for (unsigned i = 0; i < 2 * LINE_SIZE; i++)
		type("x");
	assert_int_equal(strlen(editor.text), LINE_SIZE - 1);
	line_editor_append(&editor, "yy");
	assert_int_equal(strlen(editor.text), LINE_SIZE - 1);
	type("\b\b");
	line_editor_append(&editor, "yz!");
	assert_string_equal(editor.text + LINE_SIZE - 3, "yz");
}

static void test_hostile(void **state)
{
	u64 seed = 9;

	for (unsigned i = 0; i < 300000; i++) {
		u64 random = next_random(&seed);
		char c = random & 0x300 ? (char)("\033[AB\b\x15\r\t;x"[random % 10]) : (char)random;

		if (line_editor_type(&editor, c) == LINE_DONE)
			line_editor_clear(&editor, random & 0x400);
		assert_true(editor.length < LINE_SIZE && strlen(editor.text) == editor.length);
	}
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_typing), T(test_deleting), T(test_leaving), T(test_history),
		T(test_history_forgets_the_oldest), T(test_other_keys_do_nothing),
		T(test_a_long_line_is_full), T(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
