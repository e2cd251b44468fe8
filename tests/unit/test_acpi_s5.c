/* SPDX-License-Identifier: MIT */
/* The search for the soft-off state's sleep types, in AML written by hand. */
/* link: arch/acpi/s5.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/acpi/s5.h"
#include "hostile.h"
#include "lib/errno.h"

#define AML(...) { (const u8[]) { __VA_ARGS__ }, sizeof((const u8[]) { __VA_ARGS__ }) }

static const struct {
	const char *name;
	struct {
		const u8 *bytes;
		size_t size;
	} aml;
	int err;
	u8 a, b;
} cases[] = {
	{ "numbers below two have opcodes of their own",
	  AML(0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x01, 0x00, 0x00, 0x00), 0, 1, 0 },
	{ "bytes", AML(0x08, '_', 'S', '5', '_', 0x12, 0x0a, 0x04, 0x0a, 5, 0x0a, 7, 0, 0), 0, 5, 7 },
	{ "words and double words",
	  AML(0x08, '_', 'S', '5', '_', 0x12, 0x0a, 0x02, 0x0b, 6, 0, 0x0c, 3, 0, 0, 0), 0, 6, 3 },
	{ "name from the root",
	  AML(0x08, '\\', '_', 'S', '5', '_', 0x12, 0x07, 0x02, 0x0a, 5, 0x0a, 4), 0, 5, 4 },
	{ "package length of two bytes",
	  AML(0x08, '_', 'S', '5', '_', 0x12, 0x47, 0x00, 0x02, 0x0a, 5, 0x0a, 4), 0, 5, 4 },
	{ "one element serves both registers",
	  AML(0x08, '_', 'S', '5', '_', 0x12, 0x04, 0x01, 0x0a, 5), 0, 5, 5 },
	{ "behind a reference to the name, which is not its definition",
	  AML(0x70, '_', 'S', '5', '_', 0x60, 0x08, '_', 'S', '5', '_', 0x12, 0x05, 0x02, 0x01, 0x01),
	  0, 1, 1 },
	{ "another state", AML(0x08, '_', 'S', '4', '_', 0x12, 0x05, 0x02, 0x01, 0x01), -ENOENT, 0, 0 },
	{ "not a package", AML(0x08, '_', 'S', '5', '_', 0x0a, 5, 0x0a, 5), -ENOENT, 0, 0 },
	{ "cut off in the name", AML(0x08, '_', 'S', '5'), -ENOENT, 0, 0 },
	{ "cut off in a number", AML(0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x02, 0x0a), -ENOENT, 0, 0 },
	{ "nothing", { (const u8 *)"", 0 }, -ENOENT, 0, 0 },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *aml = exact_copy(cases[i].aml.bytes, cases[i].aml.size);
		u8 a = 0, b = 0;
		int err = acpi_find_s5(aml, cases[i].aml.size, &a, &b);

		free(aml);
		if (err != cases[i].err || a != cases[i].a || b != cases[i].b)
			fail_msg("%s: %d, %u, %u", cases[i].name, err, a, b);
	}
}

static void search(const u8 *aml, size_t size)
{
	u8 a, b;

	acpi_find_s5(aml, size, &a, &b);
}

static void test_damaged(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		each_truncation(cases[i].aml.bytes, cases[i].aml.size, search);
		each_byte_mutation(cases[i].aml.bytes, cases[i].aml.size, cases[i].aml.size, search);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
