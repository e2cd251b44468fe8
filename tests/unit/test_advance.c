/* SPDX-License-Identifier: MIT */
/* The timer advance: how it is learnt, within which bounds, and that the wait ends at the deadline and not before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/advance.c"
#include "tests/unit/choice.h"

#define NOW  1000000ull
#define LOOK 7

static struct vcpu vcpu;
static struct advance advance;
static u64 now, ns_per_tick, armed;

u64 vtimer_now(void) { return now += LOOK; }
u64 vtimer_from_ns(u64 ns) { return ns / ns_per_tick; }
void lapic_timer_arm(u64 deadline) { armed = deadline; }

void vtimer_set_advance(struct vtimer_list *list, u64 ticks)
{
	list->advance = ticks;
}

static int set_up(void **state)
{
	memset(&vcpu, 0, sizeof(vcpu));
	now = NOW;
	ns_per_tick = 1;
	armed = 0;
	off = false;
	advance_init(&advance);
	return 0;
}

static void the_option(void **state)
{
	choose(&option_timeradvance, "off");
	advance_init(&advance);
	assert_int_equal(advance.ticks, 0);
	choose(&option_timeradvance, "auto");
	advance_init(&advance);
	assert_int_not_equal(advance.ticks, 0);
}

/* The way takes `way` ticks each time: from the second time on it is covered, with a little left. */
static void a_steady_way_is_learnt_by_one_time(void **state)
{
	for (u64 way = 1; way < 9000; way = way * 2 + 1) {
		advance_init(&advance);
		advance_learn(&advance, (s64)(advance.ticks - way));
		for (unsigned i = 0; i < 100; i++) {
			s64 left = (s64)(advance.ticks - way);

			assert_in_range(left, 0, 2 * LEAST);
			advance_learn(&advance, left);
		}
	}
}

/* A way that has become shorter leaves time for waiting: less from time to time. */
static void it_shrinks(void **state)
{
	u64 before;

	advance.ticks = 8000;
	for (unsigned i = 0; i < 300; i++) {
		before = advance.ticks;
		advance_learn(&advance, (s64)(advance.ticks - 1000));
		assert_true(advance.ticks <= before);
	}
	assert_in_range(advance.ticks, 1000, 1000 + 2 * LEAST);
	/* But never to nothing: then it would not be learnt any more. */
	for (unsigned i = 0; i < 1000; i++)
		advance_learn(&advance, INT64_MAX);
	assert_int_equal(advance.ticks, LEAST);
}

/* One slow time in ten: it stays covered, though the others shrink it. */
static void slower_ones_stay_covered(void **state)
{
	unsigned late = 0;

	for (unsigned i = 0; i < 1000; i++) {
		u64 way = i % 10 ? 1000 : 1100;
		s64 left = (s64)(advance.ticks - way);

		late += i > 100 && left < 0;
		advance_learn(&advance, left);
	}
	assert_int_equal(late, 0);
}

static void it_is_bounded(void **state)
{
	for (unsigned i = 0; i < 100; i++)
		advance_learn(&advance, -5000);
	assert_int_equal(advance.ticks, MOST_NS);
	/* On a TSC of 20 MHz 10 us are 200 ticks. */
	ns_per_tick = 50;
	advance_init(&advance);
	for (unsigned i = 0; i < 100; i++)
		advance_learn(&advance, -2000);
	assert_int_equal(advance.ticks, MOST_TICKS);
}

/* An SMI, or an outer hypervisor that has run something else. */
static void what_takes_too_long_is_not_learnt(void **state)
{
	u64 before = advance.ticks;

	advance_learn(&advance, -(s64)MOST_NS - 1);
	advance_learn(&advance, INT64_MIN + (s64)LEAST);
	assert_int_equal(advance.ticks, before);
}

static void wait_until(u64 until, struct advance *learner)
{
	vcpu.wait.until = until;
	vcpu.wait.advance = &advance;
	vcpu.wait.learner = learner;
	advance_wait(&vcpu);
	assert_int_equal(vcpu.wait.until, 0);
}

static void the_wait_ends_at_the_deadline(void **state)
{
	for (u64 wait = 0; wait < 3000; wait += 13) {
		u64 until = now + wait;

		wait_until(until, &advance);
		assert_in_range(now, until, MAX(until, until - wait + LOOK) + 2 * LOOK);
	}
	/* Long ago. */
	wait_until(NOW - 500000, &advance);
}

/* The host's timer is armed before the wait and not after it, if it is this vCPU's that counts. */
static void nothing_is_left_to_be_done(void **state)
{
	vcpu.timer_deadline = 4711;
	wait_until(now + 100, &advance);
	assert_int_equal(armed, 4711);
	armed = 0;
	vcpu.deadline_in_hardware = true;
	wait_until(now + 100, &advance);
	assert_int_equal(armed, 0);
}

/* What is learnt counts for this vCPU from now on, if its timers are waited for in this way. */
static void the_next_timer_is_waited_for_as_learnt(void **state)
{
	wait_until(now - 700, &advance);
	assert_true(advance.ticks > 700);
	assert_int_equal(vcpu.timers.advance, advance.ticks);
	vcpu.wait.advance = NULL;
	vcpu.timers.advance = 0;
	vcpu.wait.until = now - 700;
	vcpu.wait.learner = &advance;
	advance_wait(&vcpu);
	assert_int_equal(vcpu.timers.advance, 0);
	/* Nothing to learn from. */
	advance.ticks = 500;
	wait_until(now - 700, NULL);
	assert_int_equal(advance.ticks, 500);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_option),
		TEST(a_steady_way_is_learnt_by_one_time),
		TEST(it_shrinks),
		TEST(slower_ones_stay_covered),
		TEST(it_is_bounded),
		TEST(what_takes_too_long_is_not_learnt),
		TEST(the_wait_ends_at_the_deadline),
		TEST(nothing_is_left_to_be_done),
		TEST(the_next_timer_is_waited_for_as_learnt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
