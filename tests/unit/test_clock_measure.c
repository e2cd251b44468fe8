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
static u64 step_ns;		/* what each look at the TSC takes */
static unsigned reads;
static char said[1024];
static u64 lapic_hz;
static struct cpuid_regs leaf_15, leaf_16;


u64 test_tsc(void)
{
	now_ns += step_ns;
	return (u64)((unsigned __int128)now_ns * tsc_hz / 1000000000);
}

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	return leaf == 0 ? (struct cpuid_regs){ .eax = cpu_features.max_leaf } : leaf == 0x15 ? leaf_15 : leaf_16;
}
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

/* A reading that took 2 us longer than it should, by which 10 ms are wrong by 200 millionths. */
static u64 late_once;

static u32 count_with_delay(const struct timesource *source)
{
	u32 value = count(source);

	now_ns += late_once ? 2000 : 0;
	late_once = late_once ? late_once - 1 : 0;
	return value;
}

static void refine(void)
{
	while (!clock_refine()) { }
}

static void the_clock_is_measured_again(void **state)
{
	u64 before;

	one_source(count_with_delay);
	timesources[0].hz = 14318180;
	timesources[0].mask = 0xffffffff;
	late_once = 8;		/* all readings of the first sample */
	clock_init();
	before = clock_tsc_hz();
	assert_false(near(before, TSC_HZ, 50));
	now_ns += 150000000;	/* the start-up goes on */
	refine();
	assert_true(near(clock_tsc_hz(), TSC_HZ, 20));
	assert_true(now_ns < 165000000);
}

/* A counter that is to be read again is measured by for half the time. */
static void the_first_measurement_is_short(void **state)
{
	one_source(count);
	timesources[0].hz = 3579545;
	timesources[0].mask = 0xffffff;
	clock_init();
	assert_in_range(now_ns, 5000000, 6000000);
	assert_true(near(clock_tsc_hz(), TSC_HZ, 500));
}

/* Before the 50 ms are over nothing is measured, and nothing changes. */
static void too_early_it_says_so(void **state)
{
	u64 hz;

	one_source(count);
	timesources[0].hz = 14318180;
	timesources[0].mask = 0xffffffff;
	clock_init();
	reads = 0;
	assert_false(clock_refine());
	assert_int_equal(reads, 0);
	now_ns += 50000000;
	assert_true(clock_refine());
	hz = clock_tsc_hz();
	/* Guests know it now. */
	now_ns += 100000000;
	tsc_hz += tsc_hz / 10000;
	assert_true(clock_refine());
	assert_int_equal(clock_tsc_hz(), hz);
}

/* At least 50 ms are between the samples, if it takes a wait. */
static void the_least_time(void **state)
{
	one_source(count);
	timesources[0].hz = 14318180;
	timesources[0].mask = 0xffffffff;
	step_ns = 100;
	clock_init();
	refine();
	assert_in_range(now_ns, 50000000, 52000000);
	assert_true(near(clock_tsc_hz(), TSC_HZ, 50));
}

/* The PM timer has 24 bits: 4.7 s, of which nobody knows how often they have passed. */
static void a_counter_that_has_wrapped_begins_anew(void **state)
{
	one_source(count);
	timesources[0].hz = 3579545;
	timesources[0].mask = 0xffffff;
	step_ns = 100;
	clock_init();
	now_ns += 30000000000;
	refine();
	assert_true(near(clock_tsc_hz(), TSC_HZ, 50));
	assert_in_range(now_ns, 30050000000, 30070000000);
}

/* The 8254 wraps within 55 ms. */
static void the_8254_is_not_asked_again(void **state)
{
	u64 hz, at;

	one_source(count);
	clock_init();
	hz = clock_tsc_hz();
	at = now_ns;
	refine();
	assert_int_equal(clock_tsc_hz(), hz);
	assert_int_equal(now_ns, at);
}

static void what_does_not_agree_is_not_believed(void **state)
{
	u64 hz;

	one_source(count);
	timesources[0].hz = 14318180;
	timesources[0].mask = 0xffffffff;
	clock_init();
	hz = clock_tsc_hz();
	now_ns += 100000000;
	tsc_hz = TSC_HZ / 100 * 101;
	refine();
	assert_int_equal(clock_tsc_hz(), hz);
	assert_non_null(strstr(said, "the first measurement stays"));
}

/* CPUID.15h: TSC = crystal * EBX / EAX; ECX is the crystal's frequency in Hz, or 0. */
static void an_exact_frequency_stays(void **state)
{
	one_source(count);
	cpu_features.max_leaf = 0x16;
	leaf_15 = (struct cpuid_regs){ .eax = 2, .ebx = 166, .ecx = 24000000 };
	tsc_hz = 1992100000;
	clock_init();
	assert_int_equal(clock_tsc_hz(), 1992000000);
	now_ns += 100000000;
	refine();
	assert_int_equal(clock_tsc_hz(), 1992000000);
}

static void the_crystal_is_found_by_measuring(void **state)
{
	static const struct {
		u64 crystal;
		u32 eax, ebx;
	} cases[] = { { 24000000, 2, 216 }, { 25000000, 2, 168 }, { 19200000, 3, 228 }, { 38400000, 1, 65 } };

	cpu_features.max_leaf = 0x16;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 exact = cases[i].crystal * cases[i].ebx / cases[i].eax;

		one_source(count);
		now_ns = 0;
		leaf_15 = (struct cpuid_regs){ .eax = cases[i].eax, .ebx = cases[i].ebx };
		leaf_16 = (struct cpuid_regs){ .eax = (u32)(exact / 1000000 + 8) };	/* rounded */
		tsc_hz = exact + exact / 20000;
		clock_init();
		assert_int_equal(clock_tsc_hz(), exact);
	}
	/* No crystal that is known: what was measured is taken. */
	one_source(count);
	tsc_hz = 22000000ull * 108;
	leaf_15 = (struct cpuid_regs){ .eax = 2, .ebx = 216 };
	now_ns = 0;
	clock_init();
	assert_true(near(clock_tsc_hz(), tsc_hz, 1000));
	assert_int_not_equal(clock_tsc_hz(), 24000000ull * 108);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_counts_is_taken),
		cmocka_unit_test(one_that_stands_still_is_left_soon),
		cmocka_unit_test(no_fast_reader_takes_a_counter_for_a_dead_one),
		cmocka_unit_test(one_that_crawls_ends_too),
		cmocka_unit_test(the_clock_is_measured_again),
		cmocka_unit_test(the_first_measurement_is_short),
		cmocka_unit_test(too_early_it_says_so),
		cmocka_unit_test(the_least_time),
		cmocka_unit_test(a_counter_that_has_wrapped_begins_anew),
		cmocka_unit_test(the_8254_is_not_asked_again),
		cmocka_unit_test(what_does_not_agree_is_not_believed),
		cmocka_unit_test(an_exact_frequency_stays),
		cmocka_unit_test(the_crystal_is_found_by_measuring),
	};

	return run_apart("test_clock", tests, ARRAY_SIZE(tests));
}
