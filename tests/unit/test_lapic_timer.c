/* SPDX-License-Identifier: MIT */
/* The host's APIC timer, and a TSC deadline that fires at a wrong time. Intel SDM, "APIC Timer", "TSC-Deadline Mode". */
/* link: arch/apic/lapic_timer.c lib/printf.c lib/string.c tests/unit/fake_cpu.c */
#include <string.h>

#include "tests/unit/apart.h"
#include "tests/unit/fake_cpu.h"
#include "tests/unit/home_cpu.h"
#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/apic/lapic_timer.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/time/clock.h"
#include "lib/log.h"
#include "lib/printf.h"

#define TSC_HZ	 1000000000ull
#define LAPIC_HZ 100000000ull
#define US	 1000ull	/* ticks */
#define DEADLINE 0x6e0
#define NEVER	 (1ull << 62)

struct cpu_features cpu_features;
static u64 now = 1000000;
static u64 step = 100;		/* what each look at the time takes */
static s64 off;			/* the deadline fires so many ticks after its time */
static unsigned good_from;	/* from which try on it fires in time */
static unsigned tries;
static bool pending;
static u32 lvt, initial;
static char said[1024];

struct percpu *this_cpu(void) { return &home; }
u64 test_tsc(void) { return now += step; }
u64 clock_tsc_hz(void) { return TSC_HZ; }
u64 clock_deadline_us(u64 us) { return now + us * US; }

u32 lapic_reg_read(enum lapic_register reg) { return 0; }

void lapic_reg_write(enum lapic_register reg, u32 value)
{
	if (reg == LAPIC_LVT + LVT_TIMER)
		lvt = value;
	if (reg == LAPIC_INITIAL_COUNT)
		initial = value;
}

/* Tells the tries apart by the deadlines that are written. */
bool lapic_irr_pending(u8 vector)
{
	static u64 last;
	u64 deadline = fake_msr(DEADLINE)->value;

	assert_int_equal(vector, lvt & 0xff);
	assert_int_equal(lvt & ~0xffu, 1 << 18);	/* TSC-deadline mode, not masked */
	if (deadline && deadline != last)
		tries++;
	last = deadline;
	pending |= deadline && (s64)(now - deadline) >= (tries >= good_from ? 0 : off);
	return pending;
}

void irq_window(void) { pending = false; }

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

static void start(s64 late, unsigned good, u64 hz)
{
	home_reset();
	cpu_features.tsc_deadline = true;
	off = late;
	good_from = good;
	lapic_timer_set_hz(hz);
}

static void expect_deadline(void)
{
	assert_int_equal(lvt, IRQ_VECTOR_TIMER | 1 << 18);
	lapic_timer_arm(0x123456789);
	assert_true(fake_msr(DEADLINE)->value == 0x123456789);
	lapic_timer_arm(LAPIC_TIMER_OFF);
	assert_true(fake_msr(DEADLINE)->value == 0);
	assert_int_equal(initial, 0);
}

/* A tenth of the TSC's rate. */
static void expect_count(void)
{
	assert_int_equal(lvt, IRQ_VECTOR_TIMER);
	lapic_timer_arm(now + 1000 * US + step);
	assert_int_equal(initial, 100 * US);
	assert_true(fake_msr(DEADLINE)->value == 0);
}

static void a_deadline_in_time_is_used(void **state)
{
	start(0, 0, LAPIC_HZ);
	assert_string_equal(said, "");
	assert_int_equal(tries, 1);
	expect_deadline();
}

static void a_millisecond_late_is_a_fault(void **state)
{
	start(900 * (s64)US, ~0u, LAPIC_HZ);
	assert_string_equal(said, "");
	expect_deadline();
	fake_msr(DEADLINE)->value = 0;
	start(1100 * (s64)US, ~0u, LAPIC_HZ);
	assert_string_equal(said, "CPU 0: the TSC deadline timer fires more than 1 ms late: the APIC's timer counts instead");
	expect_count();
}

static void one_that_never_fires_is_a_fault(void **state)
{
	start((s64)NEVER, ~0u, LAPIC_HZ);
	assert_non_null(strstr(said, "late"));
	assert_int_equal(tries, 3);
	expect_count();
	assert_true(now < 1000000 + 5000 * US);
}

static void too_early_is_a_fault(void **state)
{
	start(-10 * (s64)US, ~0u, LAPIC_HZ);
	assert_non_null(strstr(said, "fires too early: the APIC's timer counts instead"));
	expect_count();
}

/* An SMI, or a busy outer hypervisor: it is tried again. */
static void one_bad_try_is_none(void **state)
{
	start((s64)NEVER, 3, LAPIC_HZ);
	assert_string_equal(said, "");
	expect_deadline();
}

/* The CPU was away for long: the interrupt is there when it looks. */
static void a_late_look_is_no_late_timer(void **state)
{
	step = 5000 * US;
	start(0, 0, LAPIC_HZ);
	assert_string_equal(said, "");
	assert_int_equal(tries, 1);
}

static void without_a_count_the_deadline_stays(void **state)
{
	start((s64)NEVER, ~0u, 0);
	assert_non_null(strstr(said, "late, and the APIC's timer does not count"));
	expect_deadline();
}

/* Each CPU's own: microcode can differ. */
static void another_cpu_is_tried_too(void **state)
{
	start(0, 0, LAPIC_HZ);
	home.index = 3;
	off = (s64)NEVER;
	good_from = ~0u;
	lapic_timer_init_secondary();
	assert_non_null(strstr(said, "CPU 3: the TSC deadline timer fires more than 1 ms late"));
	expect_count();
}

static void without_deadline_it_counts(void **state)
{
	home_reset();
	lapic_timer_set_hz(LAPIC_HZ);
	assert_string_equal(said, "");
	expect_count();
	assert_int_equal(fake_cpu_count(DO_WRMSR), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(a_deadline_in_time_is_used, NULL),
		fake_cpu_test_setup(a_millisecond_late_is_a_fault, NULL),
		fake_cpu_test_setup(one_that_never_fires_is_a_fault, NULL),
		fake_cpu_test_setup(too_early_is_a_fault, NULL),
		fake_cpu_test_setup(one_bad_try_is_none, NULL),
		fake_cpu_test_setup(a_late_look_is_no_late_timer, NULL),
		fake_cpu_test_setup(without_a_count_the_deadline_stays, NULL),
		fake_cpu_test_setup(another_cpu_is_tried_too, NULL),
		fake_cpu_test_setup(without_deadline_it_counts, NULL),
	};

	return run_apart("test_lapic_timer", tests, ARRAY_SIZE(tests));
}
