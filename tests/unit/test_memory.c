/* SPDX-License-Identifier: MIT */
/* Which physical memory can be reached early, and which is usable. */
/* link: arch/mem/memory.c arch/mem/ranges.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/mem/memory.h"
#include "arch/fault/panic.h"
#include "arch/mem/pool.h"
#include "lib/log.h"
#include "lib/printf.h"
#include "lib/string.h"

const char image_start[0x3000] __aligned(4096);	/* as boot/entry.asm and the linker have them */
hpa_t boot_image;

static char warned[256];

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (level == LOG_WARN)
		vsnprintf(warned, sizeof(warned), format, args);
	va_end(args);
}
void pool_init(hpa_t start, u64 size) { }
u64 pool_bytes(void) { return 0; }
u64 pool_bytes_used(void) { return 0; }

void stop(const char *format, ...)
{
	fail_msg("stopped: %s", format);
	__builtin_unreachable();
}

/* Up to the last byte below 4 GiB, and no sum that overflows. */
static void test_early_map(void **state)
{
	assert_ptr_equal(early_map(0, 1), phys_to_virt(0));
	assert_ptr_equal(early_map(0, GIB(4)), phys_to_virt(0));
	assert_ptr_equal(early_map(0xfffff000, 0x1000), phys_to_virt(0xfffff000));
	assert_ptr_equal(early_map(0xffffffff, 1), phys_to_virt(0xffffffff));
	assert_null(early_map(0xffffffff, 2));
	assert_null(early_map(GIB(4), 1));
	assert_null(early_map(1, GIB(4)));
	assert_null(early_map(0xfffff000, ~0ull));
	assert_null(early_map(~0ull, 2));
}

static void test_image(void **state)
{
	static const hpa_t places[] = { 0x100000, 0x101000, 0x80000000, 0xffffd000 };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		boot_image = places[i];
		assert_int_equal(image_to_phys(image_start), places[i]);
		assert_int_equal(image_to_phys(image_start + 0x3000), places[i] + 0x3000);
	}
}

static void test_usable(void **state)
{
	memory_add(MIB(1), MIB(4));
	memory_add(MIB(5), MIB(1));		/* next to it: one piece */
	memory_add(MIB(8), MIB(1));
	memory_reserve(MIB(3) + 1, 1);		/* the whole page */
	assert_true(memory_usable(MIB(1), MIB(2)));
	assert_true(memory_usable(MIB(4), MIB(2)));
	assert_false(memory_usable(MIB(4), MIB(2) + 1));
	assert_false(memory_usable(MIB(1) - 1, 2));
	assert_false(memory_usable(MIB(3) + 0xfff, 1));
	assert_false(memory_usable(MIB(2), MIB(2)));
	assert_false(memory_usable(MIB(5), MIB(4)));
	assert_false(memory_usable(GIB(4) - 1, 1));
	assert_true(memory_usable(GIB(4), 0));
}

/* A map with RAM that the processor does not reach: the part below is used, and the rest is named. */
static void test_beyond_the_processors_addresses(void **state)
{
	struct memory_stats stats;

	memory_set_width(64);
	assert_true(memory_limit() == BIT_ULL(52));
	memory_set_width(36);
	assert_true(memory_limit() == GIB(64));
	memory_add(MIB(16), MIB(64));
	memory_add(GIB(63), GIB(2));
	memory_add(GIB(100), GIB(1));
	memory_add(GIB(200), ~0ull - GIB(200));
	memory_add(GIB(300), 0);
	memory_reserve(GIB(64), GIB(1));
	assert_true(memory_usable(GIB(63), GIB(1)));
	assert_false(memory_usable(GIB(64) - 1, 2));
	assert_false(memory_usable(GIB(100), 1));
	memory_init(0);
	memory_stats(&stats);
	assert_true(stats.total < GIB(2));
	assert_non_null(strstr(warned, "at 0x1000000000 or above"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_early_map),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_beyond_the_processors_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
