/* SPDX-License-Identifier: MIT */
/*
 * One channel of the 8254, clock by clock, against the data sheet's "Mode Definitions"; and that its
 * answers do not depend on when it was asked before.
 */
/* link: dev/isa/vpit_channel.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "dev/isa/vpit_channel.h"

#define START	    1000	/* clock at which the tests begin */
#define BCD	    0x01
#define MODE(n)	    ((n) << 1)
#define STATUS_OUT  0x80
#define STATUS_NULL 0x40

static struct vpit_channel channel;
static u64 now;

static void write_count(u16 count)
{
	vpit_channel_write(&channel, count & 0xff, now);
	vpit_channel_write(&channel, count >> 8, now);
}

/* A control word for both bytes of the count, and the count. */
static void program(u8 control, u16 count, bool gate)
{
	now = START;
	memset(&channel, 0, sizeof(channel));
	vpit_channel_init(&channel, 0x30 | control, gate);
	write_count(count);
}

static u16 count_of(struct vpit_channel *asked)
{
	u16 low;

	vpit_channel_latch_count(asked, now);
	low = vpit_channel_read(asked, now);
	return low | vpit_channel_read(asked, now) << 8;
}

/* Without an effect on the channel. */
static u16 count(void)
{
	struct vpit_channel copy = channel;

	return count_of(&copy);
}

static u8 status(void)
{
	struct vpit_channel copy = channel;

	vpit_channel_latch_status(&copy, now);
	return vpit_channel_read(&copy, now);
}

static bool output(void)
{
	struct vpit_channel copy = channel;

	return vpit_channel_output(&copy, now);
}

static void gate(bool level)
{
	vpit_channel_set_gate(&channel, level, now);
}

/* --- loading --- */

static void no_count_yet(void **state)
{
	for (unsigned mode = 0; mode < 6; mode++) {
		memset(&channel, 0, sizeof(channel));
		vpit_channel_init(&channel, 0x30 | MODE(mode), true);
		now = START;
		/* The chip's count is undefined then; 0 here. */
		assert_int_equal(count(), 0);
		assert_int_equal(status(), (mode ? STATUS_OUT : 0) | STATUS_NULL | 0x30 | MODE(mode));
	}
}

/* The clock after the write loads the count; it is the first one to be counted after that. */
static void the_next_clock_loads_the_count(void **state)
{
	static const u8 modes[] = { 0, 2, 4 };

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		program(MODE(modes[i]), 100, true);
		assert_int_equal(status() & STATUS_NULL, STATUS_NULL);
		assert_int_equal(count(), 100);
		now++;
		assert_int_equal(status() & STATUS_NULL, 0);
		assert_int_equal(count(), 100);
		now++;
		assert_int_equal(count(), 99);
	}
}

/* Modes 1 and 5 count upon a trigger, though the gate is high. */
static void a_triggered_mode_waits_for_the_rise(void **state)
{
	static const u8 modes[] = { 1, 5 };

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		program(MODE(modes[i]), 10, true);
		for (; now < START + 50; now++) {
			assert_true(output());
			assert_int_equal(status() & STATUS_NULL, STATUS_NULL);
		}
		gate(false);
		gate(true);
		now++;
		assert_int_equal(status() & STATUS_NULL, 0);
		assert_int_equal(count(), 10);
		now += 10;
		assert_int_equal(output(), modes[i] == 1);
		now++;
		assert_true(output());
	}
}

/* Mode 1: a new count is loaded by the next trigger, and is not waiting any more then. */
static void a_trigger_loads_the_new_count(void **state)
{
	program(MODE(1), 10, false);
	gate(true);
	now += 5;
	write_count(20);
	assert_int_equal(status() & STATUS_NULL, STATUS_NULL);
	now += 100;
	assert_int_equal(status() & STATUS_NULL, STATUS_NULL);
	gate(false);
	gate(true);
	now++;
	assert_int_equal(status() & STATUS_NULL, 0);
	assert_int_equal(count(), 20);
}

/* Mode 2: each new count waits for the end of the period that it was written in. */
static void counts_one_after_the_other(void **state)
{
	static const u16 counts[] = { 20, 7, 31, 2, 5 };

	program(MODE(2), 10, true);
	now++;
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		now += 1;		/* in the first clock of a period */
		write_count(counts[i]);
		while (count() != 1)
			now++;
		assert_int_equal(status() & STATUS_NULL, STATUS_NULL);
		now++;
		assert_int_equal(count(), counts[i]);
		assert_int_equal(status() & STATUS_NULL, 0);
	}
}

/* Written twice, much later, without a look at it in between. */
static void a_count_replaces_one_that_was_loaded_meanwhile(void **state)
{
	program(MODE(2), 10, true);
	now += 1 + 5;
	write_count(20);		/* loaded 5 clocks later */
	now += 5 + 20 + 3;		/* in the second period of 20 */
	write_count(30);
	now += 16;
	assert_int_equal(count(), 1);
	now++;
	assert_int_equal(count(), 30);
}

/* Mode 3: written with the first clock of the low half, which is finished first. */
static void a_count_waits_for_the_low_half(void **state)
{
	program(MODE(3), 8, true);
	now += 1 + 4;
	assert_false(output());
	write_count(40);
	for (unsigned i = 0; i < 4; i++, now++)
		assert_false(output());
	for (unsigned i = 0; i < 80; i++, now++)
		assert_int_equal(output(), i % 40 < 20);
}

/* --- gate --- */

/* Only its changes matter. */
static void a_gate_that_stays_changes_nothing(void **state)
{
	static const u8 modes[] = { 0, 1, 2, 3, 4, 5 };

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		u16 before;

		program(MODE(modes[i]), 100, false);
		gate(true);
		now += 1 + 30;
		before = count();
		gate(true);
		assert_int_equal(count(), before);
		now += 10;
		assert_int_equal(count(), before - (modes[i] == 3 ? 20 : 10));
	}
}

static void a_gate_that_stays_low_stops_it(void **state)
{
	static const u8 modes[] = { 0, 2, 4 };

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		program(MODE(modes[i]), 100, true);
		now += 1 + 30;
		gate(false);
		now += 10;
		gate(false);
		now += 10;
		assert_int_equal(count(), 70);
	}
}

/* Modes 2 and 3: the rise of the gate loads what waits, and nothing else does. */
static void a_count_waits_while_the_gate_is_low(void **state)
{
	static const bool before[] = { true, false };	/* is the count written before the gate falls? */

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(before); i++) {
		program(MODE(2 + i % 2), 100, true);
		now += 1 + 30;
		if (before[i / 2])
			write_count(20);
		gate(false);
		if (!before[i / 2])
			write_count(20);
		now += 1000;
		assert_int_equal(status() & (STATUS_NULL | STATUS_OUT), STATUS_NULL | STATUS_OUT);
		gate(true);
		now++;
		assert_int_equal(status() & STATUS_NULL, 0);
		assert_int_equal(count(), 20);
	}
}

/* --- counting --- */

/* "Odd counts": loaded minus one, and counted in twos; the high half is the longer one. */
static void mode_3_counts_in_twos(void **state)
{
	static const u8 periods[] = { 2, 3, 4, 5, 6, 7, 8, 15, 100, 101 };

	for (unsigned i = 0; i < ARRAY_SIZE(periods); i++) {
		u8 period = periods[i], high = (period + 1) / 2;

		program(MODE(3), period, true);
		now++;
		for (unsigned clock = 0; clock < 3u * period; clock++, now++) {
			unsigned part = clock % period;

			assert_int_equal(output(), part < high);
			assert_int_equal(count(), period / 2 * 2 - 2 * (part < high ? part : part - high));
		}
	}
}

/* "X11" and "X10": bit 2 of modes 2 and 3 does not matter. */
static void modes_6_and_7_are_2_and_3(void **state)
{
	for (unsigned mode = 2; mode < 4; mode++) {
		program(MODE(mode + 4), 10, true);
		assert_int_equal(status() & 0x3f, 0x30 | MODE(mode + 4));
		now++;
		for (unsigned clock = 0; clock < 30; clock++, now++)
			assert_int_equal(output(), clock % 10 < (mode == 2 ? 9 : 5));
		gate(false);
		assert_true(output());
	}
}

static u16 bcd(unsigned value)
{
	return value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
}

/* Four decades, which wrap around from 0 to 9999. */
static void mode_0_counts_in_decimal(void **state)
{
	static const u16 counts[] = { 1, 10, 1234, 9999, 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		program(MODE(0) | BCD, bcd(counts[i]), true);
		now++;
		for (unsigned clock = 0; clock < 31000; clock++, now++)
			assert_int_equal(count(), bcd((counts[i] + 40000 - clock) % 10000));
	}
}

static void modes_2_and_3_count_in_decimal(void **state)
{
	program(MODE(2) | BCD, 0, true);	/* 10000 */
	now++;
	for (unsigned clock = 0; clock < 20000; clock++, now++)
		assert_int_equal(count(), bcd((10000 - clock % 10000) % 10000));
	program(MODE(3) | BCD, 0x1000, true);
	now++;
	for (unsigned clock = 0; clock < 2000; clock++, now++)
		assert_int_equal(count(), bcd(1000 - 2 * (clock % 500)));
}

/* "All but the first are ignored", until it is read. */
static void a_latched_status_stays(void **state)
{
	program(MODE(2), 10, true);
	vpit_channel_latch_status(&channel, now);
	now += 5;
	vpit_channel_latch_status(&channel, now);
	assert_int_equal(vpit_channel_read(&channel, now), STATUS_OUT | STATUS_NULL | 0x34);
	vpit_channel_latch_status(&channel, now);
	assert_int_equal(vpit_channel_read(&channel, now), STATUS_OUT | 0x34);
}

/* --- answers at any time --- */

static u64 random_state;

static u64 random_below(u64 n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * 0x2545f4914f6cdd1dull >> 32) % n;
}

/* The same channel twice: one that is asked with each clock, one that sees only what the guest writes. */
static struct {
	struct vpit_channel asked, unasked;
	u64 edges, predicted;
} pair;

static void predict_edge(void)
{
	struct vpit_channel copy = pair.unasked;

	pair.edges = vpit_channel_edges(&pair.asked, now);
	pair.predicted = vpit_channel_edge_time(&copy, pair.edges + 1, now);
	assert_true(pair.predicted > now);
}

static void assert_same_answers(void)
{
	struct vpit_channel copy = pair.unasked;

	assert_int_equal(vpit_channel_output(&pair.asked, now), vpit_channel_output(&copy, now));
	copy = pair.unasked;
	assert_int_equal(vpit_channel_edges(&pair.asked, now), vpit_channel_edges(&copy, now));
	copy = pair.unasked;
	assert_int_equal(count_of(&pair.asked), count_of(&copy));
}

static void assert_edge_as_predicted(void)
{
	u64 edges = vpit_channel_edges(&pair.asked, now);

	assert_int_equal(edges, pair.edges + (now == pair.predicted));
	if (edges != pair.edges)
		predict_edge();
}

static void write_both(u8 low_byte)
{
	vpit_channel_write(&pair.asked, low_byte, now);
	vpit_channel_write(&pair.unasked, low_byte, now);
}

static void gate_of_both(bool level)
{
	vpit_channel_set_gate(&pair.asked, level, now);
	vpit_channel_set_gate(&pair.unasked, level, now);
}

static void run_pair(unsigned mode, bool with_gate)
{
	now = START + random_below(100);
	memset(&pair, 0, sizeof(pair));
	vpit_channel_init(&pair.asked, 0x10 | MODE(mode), true);	/* low byte only */
	vpit_channel_init(&pair.unasked, 0x10 | MODE(mode), true);
	write_both(2 + random_below(30));
	predict_edge();
	for (unsigned clock = 0; clock < 500; clock++) {
		now++;
		assert_same_answers();
		assert_edge_as_predicted();
		if (random_below(25))
			continue;
		if (with_gate && random_below(2))
			gate_of_both(random_below(2));
		else
			write_both(2 + random_below(30));
		predict_edge();
	}
}

static void answers_do_not_depend_on_earlier_ones(void **state)
{
	random_state = 0x8254;
	for (unsigned i = 0; i < 200; i++)
		for (unsigned mode = 0; mode < 6; mode++)
			run_pair(mode, i & 1);
}

/* Modes 2 and 3 with the gate high: the edges are those of the output. */
static void edges_are_rises_of_the_output(void **state)
{
	random_state = 0x8253;
	for (unsigned mode = 2; mode < 4; mode++) {
		bool last = true;
		u64 rises = 0;

		program(MODE(mode), 5, true);
		for (unsigned clock = 0; clock < 20000; clock++) {
			now++;
			rises += output() && !last;
			last = output();
			assert_int_equal(vpit_channel_edges(&channel, now), rises);
			if (!random_below(20))
				write_count(2 + random_below(30));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_count_yet),
		cmocka_unit_test(the_next_clock_loads_the_count),
		cmocka_unit_test(a_triggered_mode_waits_for_the_rise),
		cmocka_unit_test(a_trigger_loads_the_new_count),
		cmocka_unit_test(counts_one_after_the_other),
		cmocka_unit_test(a_count_replaces_one_that_was_loaded_meanwhile),
		cmocka_unit_test(a_count_waits_for_the_low_half),
		cmocka_unit_test(a_gate_that_stays_changes_nothing),
		cmocka_unit_test(a_gate_that_stays_low_stops_it),
		cmocka_unit_test(a_count_waits_while_the_gate_is_low),
		cmocka_unit_test(mode_3_counts_in_twos),
		cmocka_unit_test(modes_6_and_7_are_2_and_3),
		cmocka_unit_test(mode_0_counts_in_decimal),
		cmocka_unit_test(modes_2_and_3_count_in_decimal),
		cmocka_unit_test(a_latched_status_stays),
		cmocka_unit_test(answers_do_not_depend_on_earlier_ones),
		cmocka_unit_test(edges_are_rises_of_the_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
