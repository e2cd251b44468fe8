/* SPDX-License-Identifier: MIT */
/* Measuring the TSC by counters that count, stand still, crawl or are not there. */
/* link: arch/time/clock.c lib/printf.c lib/string.c */
#include <string.h>

#include "tests/unit/apart.h"

#include "arch/apic/lapic_timer.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/fault/panic.h"
#include "arch/time/clock.h"
#include "arch/time/timesource.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/printf.h"

#define TSC_HZ	 2000000000ull
#define LAPIC_HZ 100000000ull
#define POLL_NS	 1000u		/* what a reading of a counter takes on a real machine */

u64 boot_tsc;
struct cpu_features cpu_features;
static u64 now_ns;
static u64 tsc_hz = TSC_HZ;
static unsigned reads;
static char said[1024];
static u64 lapic_hz;
static struct cpuid_regs leaf_15, leaf_16;

u64 test_tsc(void) { return (u64)((unsigned __int128)now_ns * tsc_hz / 1000000000); }
struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf) { return leaf == 0x15 ? leaf_15 : leaf_16; }
void lapic_timer_start_calibration(void) { }
u32 lapic_timer_count(void) { return (u32)(~0u - now_ns * LAPIC_HZ / 1000000000); }
void lapic_timer_set_hz(u64 hz) { lapic_hz = hz; }
void stop(const char *format, ...) { fail_msg("stopped: %s", format); abort(); }

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t length = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + length, sizeof(said) - length, format, args);
	va_end(args);
	strncat(said, "\n", sizeof(said) - strlen(said) - 1);
}

static int start(struct timesource *source) { return 0; }
static int absent(struct timesource *source) { return -ENODEV; }

static u32 count(const struct timesource *source)
{
	reads++;
	now_ns += POLL_NS;
	return (u32)((unsigned __int128)now_ns * source->hz / 1000000000) & source->mask;
}

static u32 stand_still(const struct timesource *source)
{
	reads++;
	now_ns += POLL_NS;
	return 0;
}

/* A tick each millisecond, where there should be one each 0.8 us. */
static u32 crawl(const struct timesource *source)
{
	reads++;
	now_ns += POLL_NS;
	return (u32)(now_ns / 1000000);
}

struct timesource timesources[4];

static void one_source(u32 (*read)(const struct timesource *))
{
	timesources[0] = (struct timesource){ "first", start, read, 1193182, 0xffff };
	timesources[1] = (struct timesource){ "absent", absent, NULL, 0, 0 };
	timesources[2] = (struct timesource){ "second", start, count, 14318180, 0xffffffff };
}

static bool near(u64 value, u64 expected, u64 ppm)
{
	u64 off = value > expected ? value - expected : expected - value;

	return off <= expected * ppm / 1000000;
}

static void the_first_that_counts_is_taken(void **state)
{
	one_source(count);
	clock_init();
	assert_true(near(clock_tsc_hz(), TSC_HZ, 1000));
	assert_true(near(lapic_hz, LAPIC_HZ, 1000));
	assert_non_null(strstr(said, "(first)"));
	assert_null(strstr(said, "does not count"));
	/* The measurement takes a hundredth of a second. */
	assert_in_range(now_ns, 10000000, 12000000);
}

/* The whole boot is held up by at most 100 ms, with readings of 1 us, and the next counter is used. */
static void one_that_stands_still_is_left_soon(void **state)
{
	one_source(stand_still);
	clock_init();
	assert_true(near(clock_tsc_hz(), TSC_HZ, 1000));
	assert_non_null(strstr(said, "the first does not count as it should"));
	assert_non_null(strstr(said, "(second)"));
	assert_true(now_ns < 100000000);
}

/* On an emulator a reading takes 50 ns at least: 0.5 ms are 600 ticks of the slowest counter, and it must be seen to move. */
static void no_fast_reader_takes_a_counter_for_a_dead_one(void **state)
{
	one_source(stand_still);
	clock_init();
	assert_true(reads > 10000);
}

static void one_that_crawls_ends_too(void **state)
{
	one_source(crawl);
	clock_init();
	assert_non_null(strstr(said, "the first does not count as it should"));
	assert_true(near(clock_tsc_hz(), TSC_HZ, 1000));
	assert_true(reads < 1100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_counts_is_taken),
		cmocka_unit_test(one_that_stands_still_is_left_soon),
		cmocka_unit_test(no_fast_reader_takes_a_counter_for_a_dead_one),
		cmocka_unit_test(one_that_crawls_ends_too),
	};

	return run_apart("test_clock", tests, ARRAY_SIZE(tests));
}
