/* SPDX-License-Identifier: MIT */
/* The set of interrupt vectors that a local APIC keeps as IRR, ISR and TMR. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dev/irq/vector_set.h"

static void an_empty_set_has_no_highest_vector(void **state)
{
	const struct vector_set set = { };

	assert_int_equal(vector_set_highest(&set, 0), -1);
	assert_int_equal(vector_set_highest(&set, VECTOR_HINT_ALL), -1);
	for (unsigned vector = 0; vector < 256; vector++)
		assert_false(vector_set_has(&set, vector));
}

static void each_vector_is_kept_apart(void **state)
{
	for (unsigned vector = 0; vector < 256; vector++) {
		struct vector_set set = { };
		vector_hint hint = 0;

		vector_set_add(&set, &hint, vector);
		assert_int_equal(hint, BIT(vector / 32));
		assert_int_equal(vector_set_highest(&set, hint), vector);
		for (unsigned other = 0; other < 256; other++)
			assert_int_equal(vector_set_has(&set, other), other == vector);
		vector_set_remove(&set, &hint, vector);
		assert_int_equal(hint, 0);
		assert_int_equal(vector_set_highest(&set, VECTOR_HINT_ALL), -1);
	}
}

static void the_highest_vector_comes_first(void **state)
{
	struct vector_set set = { };
	vector_hint hint = 0;

	for (unsigned vector = 0; vector < 256; vector++)
		vector_set_add(&set, &hint, vector);
	assert_int_equal(hint, VECTOR_HINT_ALL);
	for (int vector = 255; vector >= 0; vector--) {
		assert_int_equal(vector_set_highest(&set, hint), vector);
		/* A processor has emptied other registers without a word to the hint. */
		assert_int_equal(vector_set_highest(&set, VECTOR_HINT_ALL), vector);
		vector_set_remove(&set, &hint, vector);
	}
	assert_int_equal(hint, 0);
}

/* SDM, "IRR, ISR and TMR Registers": 32 vectors in each of eight registers. */
static void registers_show_32_vectors_each(void **state)
{
	struct vector_set set = { };
	vector_hint hint = 0;

	assert_int_equal(sizeof(set), 0x80);
	for (unsigned reg = 0; reg < 8; reg++)
		vector_set_add(&set, &hint, reg * 32 + reg + 20);
	for (unsigned reg = 0; reg < 8; reg++)
		assert_int_equal(vector_set_register(&set, reg), BIT(reg + 20));
	/* One each 16 bytes. */
	for (unsigned reg = 0; reg < 8; reg++)
		assert_int_equal(((u32 *)&set)[reg * 4], BIT(reg + 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_set_has_no_highest_vector),
		cmocka_unit_test(each_vector_is_kept_apart),
		cmocka_unit_test(the_highest_vector_comes_first),
		cmocka_unit_test(registers_show_32_vectors_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
