/* SPDX-License-Identifier: MIT */
/* Which typed characters are for Lamina, and which are the guest's. */
/* link: core/monitor_keys.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/monitor.h"

#define CTRL_UNDERSCORE 0x1f

static bool escaped;

static int set_up(void **state)
{
	escaped = false;
	return 0;
}

static void ordinary_characters_are_the_guests(void **state)
{
	for (int c = 0; c < 256; c++) {
		if (c != CTRL_UNDERSCORE)
			assert_int_equal(monitor_decide(&escaped, (char)c), MONITOR_PASS);
	}
}

static void keys_behind_the_escape(void **state)
{
	static const struct {
		char key;
		enum monitor_action action;
	} keys[] = {
		{ 's', MONITOR_STATISTICS }, { 't', MONITOR_TRACE }, { 'v', MONITOR_SCREEN }, { 'q', MONITOR_STOP },
		{ '?', MONITOR_HELP }, { CTRL_UNDERSCORE, MONITOR_PASS },
		{ 'n', MONITOR_NEXT }, { 'p', MONITOR_PREVIOUS }, { ':', MONITOR_COMMAND },
		{ '1', MONITOR_NUMBER }, { '5', MONITOR_NUMBER }, { '9', MONITOR_NUMBER },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		assert_int_equal(monitor_decide(&escaped, CTRL_UNDERSCORE), MONITOR_WAIT);
		assert_int_equal(monitor_decide(&escaped, keys[i].key), keys[i].action);
		/* Ctrl-_ is valid for one key only. */
		assert_int_equal(monitor_decide(&escaped, 'q'), MONITOR_PASS);
	}
}

/* A mistyped key must neither stop a VM nor reach the guest. */
static void an_unknown_key_gets_the_list(void **state)
{
	static const char unknown[] = { 'Q', 'x', '\r', 0, '0', (char)0xff };

	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		monitor_decide(&escaped, CTRL_UNDERSCORE);
		assert_int_equal(monitor_decide(&escaped, unknown[i]), MONITOR_HELP);
		assert_int_equal(monitor_decide(&escaped, unknown[i]), MONITOR_PASS);
	}
}

static void two_consoles_do_not_affect_each_other(void **state)
{
	bool other = false;

	monitor_decide(&escaped, CTRL_UNDERSCORE);
	assert_int_equal(monitor_decide(&other, 'q'), MONITOR_PASS);
	assert_int_equal(monitor_decide(&escaped, 'q'), MONITOR_STOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ordinary_characters_are_the_guests, set_up),
		cmocka_unit_test_setup(keys_behind_the_escape, set_up),
		cmocka_unit_test_setup(an_unknown_key_gets_the_list, set_up),
		cmocka_unit_test_setup(two_consoles_do_not_affect_each_other, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
