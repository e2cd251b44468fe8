/* SPDX-License-Identifier: MIT */
/* The estimate of the TSC's frequency at the first moment, and the times that follow from it. */
/* link: arch/time/clock.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/apic/lapic_timer.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/fault/panic.h"
#include "arch/time/clock.h"
#include "arch/time/timesource.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "apart.h"

#define PIT_HZ 1193182ull

struct cpu_features cpu_features;
u64 boot_tsc;

static u64 tsc = 1000, tsc_hz, tsc_per_read;
static bool counts = true, present = true;
static unsigned reads;
static struct cpuid_regs leaf_15, leaf_16;
static u32 max_leaf;

u64 test_tsc(void)
{
	return tsc;
}

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	return leaf == 0 ? (struct cpuid_regs) { .eax = max_leaf } :
	       leaf == 0x15 ? leaf_15 : leaf == 0x16 ? leaf_16 : (struct cpuid_regs) { 0 };
}

static int pit_start(struct timesource *source)
{
	return present ? 0 : -ENODEV;
}

static u32 pit_read(const struct timesource *source)
{
	reads++;
	tsc += tsc_per_read;
	return counts ? (u32)((tsc - 1000) * PIT_HZ / tsc_hz) & 0xffff : 7;
}

/* Only the 8254 is used. */
struct timesource timesources[] = {
	[TIMESOURCE_8254] = { "8254", pit_start, pit_read, PIT_HZ, 0xffff },
	{ .name = NULL },
};

void lapic_timer_start_calibration(void) { }
u32 lapic_timer_count(void) { return 0; }
void lapic_timer_set_hz(u64 hz) { }
void log_line(enum log_level level, const char *tag, const char *format, ...) { }

void stop(const char *format, ...)
{
	fail();
	__builtin_unreachable();
}

/* The time that is shown for a second, in us: at most 2 % short, so that the exact times do not step back. */
static void a_second_is_one(void)
{
	u64 us;

	boot_tsc = tsc;
	tsc += tsc_hz;
	us = clock_us_since_boot();
	assert_in_range(us, 975000, 1000000);
}

static void test_by_the_8254(void **state)
{
	tsc_hz = 2600000000;
	tsc_per_read = 3 * 2600;	/* a read takes three accesses of ports, of a microsecond each */
	assert_int_equal(clock_us_since_boot(), 0);
	clock_estimate();
	assert_true(tsc < tsc_hz / 500);	/* and took about 1 ms */
	a_second_is_one();
	assert_int_equal(clock_tsc_hz(), 0);	/* which is for exact uses */
}

/* An emulated processor that executes 10 million instructions per second, and announces another frequency. */
static void test_a_slow_emulator(void **state)
{
	tsc_hz = 10000000;
	tsc_per_read = 30;
	max_leaf = 0x16;
	leaf_16 = (struct cpuid_regs) { .eax = 3600 };
	clock_estimate();
	a_second_is_one();
}

static void test_by_cpuid(void **state)
{
	tsc_hz = 2400000000;
	tsc_per_read = 100;
	counts = false;
	max_leaf = 0x16;
	leaf_15 = (struct cpuid_regs) { .eax = 2, .ebx = 200, .ecx = 24000000 };
	clock_estimate();
	assert_in_range(reads, 1, 10000);
	a_second_is_one();
}

static void test_by_the_base_frequency(void **state)
{
	tsc_hz = 2400000000;
	present = false;
	max_leaf = 0x16;
	leaf_16 = (struct cpuid_regs) { .eax = 2400 };
	clock_estimate();
	assert_int_equal(reads, 0);
	a_second_is_one();
}

static void test_by_nothing(void **state)
{
	counts = false;
	clock_estimate();
	tsc += 1000000;
	assert_int_equal(clock_us_since_boot(), 0);
}

#define clock_test(test) { #test, test, NULL, NULL, NULL }

static const struct CMUnitTest tests[] = {
	clock_test(test_by_the_8254),
	clock_test(test_a_slow_emulator),
	clock_test(test_by_cpuid),
	clock_test(test_by_the_base_frequency),
	clock_test(test_by_nothing),
};

/* The estimate is made once per boot, so each test is a process of its own. */
int main(void)
{
	return run_apart("test_clock", tests, ARRAY_SIZE(tests));
}
