/* SPDX-License-Identifier: MIT */
/* Scaling by a fraction, against the compiler's 128-bit arithmetic. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/time/muldiv.h"
#include "hostile.h"

static u64 expected(u64 a, u64 b, u64 c)
{
	unsigned __int128 quotient;

	if (c == 0)
		return ~0ull;
	quotient = (unsigned __int128)a * b / c;
	return quotient > ~0ull ? ~0ull : (u64)quotient;
}

static void test_corners(void **state)
{
	static const u64 values[] = {
		0, 1, 2, 999999999, 1000000000, 0xffffffff, 0x100000000, 1ull << 63, ~0ull - 1, ~0ull,
	};
	const size_t n = ARRAY_SIZE(values);

	for (size_t i = 0; i < n * n * n; i++) {
		u64 a = values[i % n], b = values[i / n % n], c = values[i / n / n];

		if (mul_div(a, b, c) != expected(a, b, c))
			fail_msg("%llu * %llu / %llu", (unsigned long long)a, (unsigned long long)b,
				 (unsigned long long)c);
	}
}

static void test_random(void **state)
{
	u64 seed = 7;

	for (unsigned i = 0; i < 100000; i++) {
		u64 a = next_random(&seed) >> next_random(&seed) % 64;
		u64 b = next_random(&seed) >> next_random(&seed) % 64;
		u64 c = next_random(&seed) >> next_random(&seed) % 64;

		assert_int_equal(mul_div(a, b, c), expected(a, b, c));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corners),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
