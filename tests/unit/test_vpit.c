/* SPDX-License-Identifier: MIT */
/* The interval timer against Intel's 8254 data sheet, and its ticks against the clock. */
/* link: dev/isa/vpit.c dev/isa/vpit_channel.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
#include "fake_vm.h"

#include "dev/isa/vpit.h"

#define CH0	0x40
#define CH2	0x42
#define CONTROL 0x43
#define SYSTEM	0x61
#define GATE2	0x01
#define OUT2	0x20

static int setup(void **state)
{
	struct vm *vm = fake_create(0);

	fake_hz = 100 * PIT_HZ;		/* a clock of the PIT is 100 ticks of the TSC */
	assert_non_null(vpit_create(vm));
	fake_advance(vm, 50);		/* and the tests look in the middle of one */
	*state = vm;
	return 0;
}

static int teardown(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void clocks(struct vm *vm, u64 n)
{
	fake_advance(vm, n * 100);
}

static void program(struct vm *vm, unsigned channel, u8 control, u16 count)
{
	out8(vm, CONTROL, channel << 6 | 0x30 | control);
	out8(vm, CH0 + channel, count & 0xff);
	out8(vm, CH0 + channel, count >> 8);
}

static u16 latched(struct vm *vm, unsigned channel)
{
	u16 low;

	out8(vm, CONTROL, channel << 6);
	low = in8(vm, CH0 + channel);
	return low | in8(vm, CH0 + channel) << 8;
}

static u8 status(struct vm *vm, unsigned channel)
{
	out8(vm, CONTROL, 0xe0 | 2 << channel);
	return in8(vm, CH0 + channel);
}

static bool output2(struct vm *vm)
{
	return in8(vm, SYSTEM) & OUT2;
}

static void test_no_memory(void **state)
{
	struct vm *vm = fake_create(0);

	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	vm->ports.count = 0;
	assert_null(vpit_create(vm));
	fake_destroy(vm);
}

/* As firmware leaves them: square waves, both bytes, binary; no count is loaded. */
static void test_initial_state(void **state)
{
	struct vm *vm = *state;

	for (unsigned channel = 0; channel < 3; channel++)
		assert_int_equal(status(vm, channel), 0xf6);
	assert_int_equal(in8(vm, SYSTEM) & 0xcf, 0);
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
}

/* The gates of channels 0 and 1 are always high; channel 2's is low until port 0x61 raises it. */
static void test_initial_gates(void **state)
{
	struct vm *vm = *state;

	for (unsigned channel = 0; channel < 3; channel++)
		program(vm, channel, 0x04, 1000);
	clocks(vm, 1 + 100);
	assert_int_equal(latched(vm, 0), 900);
	assert_int_equal(latched(vm, 1), 900);
	assert_int_equal(latched(vm, 2), 1000);
	out8(vm, SYSTEM, GATE2);
	clocks(vm, 1 + 100);
	assert_int_equal(latched(vm, 2), 900);
}

static void test_ports_beside_it_are_free(void **state)
{
	static const u16 ports[] = { CH0 - 1, CONTROL + 1, SYSTEM - 1, SYSTEM + 1 };

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		assert_int_equal(in8(*state, ports[i]), 0xff);
}

/* Interrupt on terminal count: the output rises N + 1 clocks after the count is written. */
static void test_mode0(void **state)
{
	struct vm *vm = *state;

	program(vm, 0, 0x00, 100);
	assert_false(fake_of(vm)->lines[0].level);
	assert_int_equal(status(vm, 0), 0x70);	/* not loaded yet */
	clocks(vm, 1);
	assert_int_equal(latched(vm, 0), 100);
	assert_int_equal(status(vm, 0), 0x30);
	clocks(vm, 99);
	assert_int_equal(latched(vm, 0), 1);
	assert_int_equal(fake_of(vm)->lines[0].rises, 0);
	clocks(vm, 1);
	assert_int_equal(fake_of(vm)->lines[0].rises, 1);
	assert_true(fake_of(vm)->lines[0].level);
	assert_int_equal(latched(vm, 0), 0);
	assert_int_equal(status(vm, 0), 0xb0);
	clocks(vm, 3);
	assert_int_equal(latched(vm, 0), 0xfffd);	/* counts on */
	clocks(vm, 200000);
	assert_int_equal(fake_of(vm)->lines[0].rises, 1);	/* but once only */
}

static void test_mode0_rewritten(void **state)
{
	struct vm *vm = *state;

	program(vm, 0, 0x00, 1000);
	clocks(vm, 501);
	out8(vm, CH0, 200);		/* the first byte stops it, with the output low */
	clocks(vm, 5000);
	assert_int_equal(latched(vm, 0), 500);
	assert_int_equal(fake_of(vm)->lines[0].rises, 0);
	out8(vm, CH0, 0);
	clocks(vm, 200);
	assert_int_equal(fake_of(vm)->lines[0].rises, 0);
	clocks(vm, 1);
	assert_int_equal(fake_of(vm)->lines[0].rises, 1);
	out8(vm, CH0, 10);
	assert_false(fake_of(vm)->lines[0].level);
	out8(vm, CH0, 0);
	clocks(vm, 2000);		/* beyond the least interval */
	assert_int_equal(fake_of(vm)->lines[0].rises, 2);
}

static void test_mode0_gate(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, 0);
	program(vm, 2, 0x00, 100);
	clocks(vm, 500);
	assert_int_equal(latched(vm, 2), 100);
	assert_false(output2(vm));
	out8(vm, SYSTEM, GATE2);
	clocks(vm, 40);
	out8(vm, SYSTEM, 0);
	clocks(vm, 40);
	assert_int_equal(latched(vm, 2), 60);
	out8(vm, SYSTEM, GATE2);
	clocks(vm, 59);
	assert_false(output2(vm));
	clocks(vm, 1);
	assert_true(output2(vm));
}

static void test_mode0_half_written_stays_stopped(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	program(vm, 2, 0x00, 1000);
	clocks(vm, 1 + 100);
	out8(vm, CH2, 50);
	out8(vm, SYSTEM, 0);
	out8(vm, SYSTEM, GATE2);
	clocks(vm, 100);
	assert_int_equal(latched(vm, 2), 900);
	/* Mode 4 goes on. */
	program(vm, 2, 0x08, 1000);
	clocks(vm, 1 + 100);
	out8(vm, CH2, 50);
	out8(vm, SYSTEM, 0);
	out8(vm, SYSTEM, GATE2);
	clocks(vm, 100);
	assert_int_equal(latched(vm, 2), 800);
}

/* Hardware retriggerable one-shot. */
static void test_mode1(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, 0);
	program(vm, 2, 0x02, 100);
	clocks(vm, 500);
	assert_true(output2(vm));
	assert_int_equal(status(vm, 2) & 0x40, 0x40);	/* waits for a trigger */
	out8(vm, SYSTEM, GATE2);
	clocks(vm, 1);
	assert_false(output2(vm));
	clocks(vm, 60);
	out8(vm, SYSTEM, 0);		/* the gate's level does not matter, its edge does */
	clocks(vm, 20);
	assert_false(output2(vm));
	out8(vm, SYSTEM, GATE2);
	clocks(vm, 1 + 99);
	assert_false(output2(vm));
	clocks(vm, 1);
	assert_true(output2(vm));
	out8(vm, SYSTEM, 0);
	out8(vm, SYSTEM, GATE2);
	out8(vm, SYSTEM, 0);
	clocks(vm, 1 + 99);
	assert_false(output2(vm));
	clocks(vm, 1);
	assert_true(output2(vm));
	/* A new count waits for the next trigger. */
	out8(vm, CH2, 5);
	out8(vm, CH2, 0);
	clocks(vm, 50);
	assert_true(output2(vm));
	out8(vm, SYSTEM, 0);
	out8(vm, SYSTEM, GATE2);
	clocks(vm, 5);
	assert_false(output2(vm));
	clocks(vm, 1);
	assert_true(output2(vm));
}

/* Rate generator: low for the last clock of each period. */
static void test_mode2(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	program(vm, 2, 0x04, 10);
	clocks(vm, 1);
	for (unsigned i = 0; i < 35; i++) {
		assert_int_equal(latched(vm, 2), 10 - i % 10);
		assert_int_equal(output2(vm), i % 10 != 9);
		clocks(vm, 1);
	}
	/* Only an edge of the gate triggers. */
	out8(vm, SYSTEM, GATE2 | 0x02);
	/* Gate low: output high immediately. Its rise restarts the count. */
	clocks(vm, 4);			/* 39 */
	assert_false(output2(vm));
	out8(vm, SYSTEM, 0);
	assert_true(output2(vm));
	clocks(vm, 7);
	out8(vm, SYSTEM, GATE2);
	clocks(vm, 1);
	assert_int_equal(latched(vm, 2), 10);
}

static void test_mode2_new_count_waits(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	program(vm, 2, 0x04, 10);
	clocks(vm, 1 + 4);
	out8(vm, CH2, 20);
	out8(vm, CH2, 0);
	assert_int_equal(status(vm, 2) & 0x40, 0x40);
	clocks(vm, 5);
	assert_int_equal(latched(vm, 2), 1);
	clocks(vm, 1);
	assert_int_equal(latched(vm, 2), 20);
	assert_int_equal(status(vm, 2) & 0x40, 0);
}

/* Square wave, counting in twos. Even and odd counts. */
static void test_mode3(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	program(vm, 2, 0x06, 8);
	clocks(vm, 1);
	for (unsigned i = 0; i < 24; i++) {
		assert_int_equal(output2(vm), i % 8 < 4);
		assert_int_equal(latched(vm, 2), 8 - 2 * (i % 4));
		clocks(vm, 1);
	}
	program(vm, 2, 0x06, 5);
	clocks(vm, 1);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(output2(vm), i % 5 < 3);
		clocks(vm, 1);
	}
}

static void test_mode3_new_count_waits_for_the_half(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	program(vm, 2, 0x06, 8);
	clocks(vm, 1 + 1);
	out8(vm, CH2, 40);		/* written in the high half */
	out8(vm, CH2, 0);
	clocks(vm, 2);
	assert_true(output2(vm));
	clocks(vm, 1);
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(output2(vm), i % 40 >= 20);
		clocks(vm, 1);
	}
}

/* Software triggered strobe: low for one clock when the count is over. */
static void test_mode4(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	program(vm, 2, 0x08, 10);
	clocks(vm, 1 + 9);
	assert_true(output2(vm));
	clocks(vm, 1);
	assert_false(output2(vm));
	clocks(vm, 1);
	assert_true(output2(vm));
	program(vm, 0, 0x08, 5000);
	clocks(vm, 5001);
	assert_int_equal(fake_of(vm)->lines[0].rises, 0);
	clocks(vm, 1);
	assert_int_equal(fake_of(vm)->lines[0].rises, 1);
	clocks(vm, 100000);
	assert_int_equal(fake_of(vm)->lines[0].rises, 1);
	out8(vm, CH0, 0xff);		/* a new count is a new trigger */
	out8(vm, CH0, 0x00);
	clocks(vm, 300);
	assert_int_equal(fake_of(vm)->lines[0].rises, 2);
}

static void test_mode5(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, 0);
	program(vm, 2, 0x0a, 10);
	clocks(vm, 100);
	assert_true(output2(vm));
	out8(vm, SYSTEM, GATE2);
	clocks(vm, 1 + 9);
	assert_true(output2(vm));
	clocks(vm, 1);
	assert_false(output2(vm));
	clocks(vm, 1);
	assert_true(output2(vm));
}

static void test_bcd(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	program(vm, 2, 0x01, 0x1234);	/* mode 0, BCD: 1234 */
	clocks(vm, 1 + 35);
	assert_int_equal(latched(vm, 2), 0x1199);
	clocks(vm, 1199);
	assert_true(output2(vm));
	clocks(vm, 1);
	assert_int_equal(latched(vm, 2), 0x9999);
	program(vm, 2, 0x01, 0x9876);
	clocks(vm, 1);
	assert_int_equal(latched(vm, 2), 0x9876);
	program(vm, 2, 0x01, 0);	/* 10000 */
	clocks(vm, 10000);
	assert_false(output2(vm));
	clocks(vm, 1);
	assert_true(output2(vm));
}

static void test_zero_is_65536(void **state)
{
	struct vm *vm = *state;

	program(vm, 0, 0x04, 0);
	clocks(vm, 65536);
	assert_int_equal(fake_of(vm)->lines[0].rises, 0);
	clocks(vm, 1);
	assert_int_equal(fake_of(vm)->lines[0].rises, 1);
}

static void test_single_bytes(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	out8(vm, CONTROL, 0x90);	/* low byte only, mode 0 */
	out8(vm, CH2, 0x34);
	clocks(vm, 1 + 4);
	assert_int_equal(in8(vm, CH2), 0x30);
	assert_int_equal(in8(vm, CH2), 0x30);
	out8(vm, CONTROL, 0xa0);	/* high byte only */
	out8(vm, CH2, 0x34);
	clocks(vm, 1 + 0x100);
	assert_int_equal(in8(vm, CH2), 0x33);
	assert_int_equal(in8(vm, CH2), 0x33);
}

static void test_latches(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	program(vm, 2, 0x00, 0x5000);
	clocks(vm, 1);
	out8(vm, CONTROL, 0x80);
	clocks(vm, 0x234);
	out8(vm, CONTROL, 0x80);		/* ignored until the first is read */
	assert_int_equal(in8(vm, CH2), 0x00);
	clocks(vm, 0x1000);
	assert_int_equal(in8(vm, CH2), 0x50);
	assert_int_equal(in8(vm, CH2), 0xcc);	/* 0x5000 - 0x1234 = 0x3dcc, live */
	assert_int_equal(in8(vm, CH2), 0x3d);
	/* Read-back: status first, then the count, whatever order they came in. */
	out8(vm, CONTROL, 0xc8);		/* both of channel 2 */
	assert_int_equal(in8(vm, CH2), 0x30);
	assert_int_equal(in8(vm, CH2), 0xcc);
	assert_int_equal(in8(vm, CH2), 0x3d);
	assert_int_equal(in8(vm, CONTROL), 0xff);
}

/* "Read-Back Command": the count of each channel that it selects, and of no other. */
static void test_read_back_of_some_channels(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	for (unsigned selected = 0; selected < 8; selected++) {
		for (unsigned channel = 0; channel < 3; channel++)
			program(vm, channel, 0x04, 0x0200);
		clocks(vm, 1);
		out8(vm, CONTROL, 0xd0 | selected << 1);	/* counts, not statuses */
		clocks(vm, 0x20);
		for (unsigned channel = 0; channel < 3; channel++) {
			bool is_latched = selected & BIT(channel);

			assert_int_equal(in8(vm, CH0 + channel), is_latched ? 0x00 : 0xe0);
			assert_int_equal(in8(vm, CH0 + channel), is_latched ? 0x02 : 0x01);
		}
	}
}

/* "Counter Latch Command": the low four bits are "don't care". */
static void test_latch_command_with_any_low_bits(void **state)
{
	struct vm *vm = *state;

	out8(vm, SYSTEM, GATE2);
	program(vm, 2, 0x04, 1000);
	for (u8 low = 0; low < 16; low++) {
		clocks(vm, 1);
		out8(vm, CONTROL, 0x80 | low);
		assert_int_equal(status(vm, 2) & 0x3f, 0x34);
		assert_int_equal(in8(vm, CH2), (1000 - low) & 0xff);
		assert_int_equal(in8(vm, CH2), (1000 - low) >> 8);
	}
}

static void test_status_of_mode_aliases(void **state)
{
	struct vm *vm = *state;

	program(vm, 2, 0x0c, 10);	/* mode 6 is mode 2, and reads as it was written */
	assert_int_equal(status(vm, 2) & 0x3f, 0x3c);
}

static void test_port_61(void **state)
{
	struct vm *vm = *state;
	unsigned toggles = 0;
	u8 last;

	out8(vm, SYSTEM, 0xff);
	assert_int_equal(in8(vm, SYSTEM) & 0xcf, 0x0f);
	last = in8(vm, SYSTEM) & 0x10;
	for (unsigned i = 0; i < 1800; i++) {
		clocks(vm, 1);
		toggles += (in8(vm, SYSTEM) & 0x10) != last;
		last = in8(vm, SYSTEM) & 0x10;
	}
	assert_int_equal(toggles, 100);
}

/* A TSC of an odd frequency: after 1000 s the ticks are right to the clock. */
static void test_no_drift(void **state)
{
	struct vm *vm = fake_create(0);
	u64 start, ticks;

	fake_hz = 2893202771;
	assert_non_null(vpit_create(vm));
	start = vtimer_now();
	program(vm, 0, 0x04, 11932);		/* 100 Hz: 99.998 */
	fake_advance(vm, 1000 * fake_hz);
	ticks = (u64)1000 * PIT_HZ / 11932;
	assert_in_range(fake_of(vm)->lines[0].rises, ticks - 1, ticks);
	/* The next edge is where it must be: k periods and the loading clock after the start. */
	ticks = fake_of(vm)->lines[0].rises + 1;
	fake_advance(vm, start + (u64)((unsigned __int128)(ticks * 11932) * fake_hz / PIT_HZ) -
		     vtimer_now());
	assert_int_equal(fake_of(vm)->lines[0].rises, ticks - 1);
	fake_advance(vm, fake_hz / PIT_HZ + 2);
	assert_int_equal(fake_of(vm)->lines[0].rises, ticks);
	fake_destroy(vm);
}

/* Late ticks are made up for, one by one with time between them; too many are forgotten. */
static void test_late_ticks(void **state)
{
	struct vm *vm = *state;
	unsigned rises;

	program(vm, 0, 0x04, 1193);		/* about 1 ms */
	clocks(vm, 10 * 1193 + 100);
	assert_int_equal(fake_of(vm)->lines[0].rises, 10);
	fake_stall(vm, 5 * 119300);
	assert_int_equal(fake_of(vm)->lines[0].rises, 11);	/* no burst: 100 us apart */
	clocks(vm, 100);
	assert_int_equal(fake_of(vm)->lines[0].rises, 11);
	clocks(vm, 20);
	assert_int_equal(fake_of(vm)->lines[0].rises, 12);
	clocks(vm, 20 * 1193 - 120);
	assert_int_equal(fake_of(vm)->lines[0].rises, 35);	/* none is missing */
	fake_stall(vm, 1000 * 119300);
	rises = fake_of(vm)->lines[0].rises;
	clocks(vm, 200 * 1193);
	assert_int_equal(fake_of(vm)->lines[0].rises, rises + 200 + 63);
}

/* Where the exits of a tick take 400 us, the guest runs between two of them all the same. */
static void test_short_period_on_a_slow_host(void **state)
{
	struct vm *vm = *state;
	struct exit_statistics exits = { 0 };
	u64 before = 0;

	vm_bsp(vm)->statistics.by_kind[7] = &exits;
	program(vm, 0, 0x04, 2);
	for (unsigned i = 0; i < 10; i++) {
		fake_advance(vm, fake_deadline(vm) - vtimer_now());
		before = vtimer_now();
		exits.ticks += vtimer_from_ns(400000);
	}
	assert_in_range(fake_deadline(vm) - before, vtimer_from_ns(449000), vtimer_from_ns(451000));
	vm_bsp(vm)->statistics.by_kind[7] = NULL;
}

/*
 * "Mode Definitions", mode 0: OUT rises at the terminal count. That edge is not lost with a control word that follows, also
 * where it comes so soon after the one before that it is held back.
 */
static void test_an_edge_that_is_held_back_is_not_lost(void **state)
{
	struct vm *vm = *state;

	program(vm, 0, 0x00, 1193);
	clocks(vm, 1200);
	assert_int_equal(fake_of(vm)->lines[0].rises, 1);
	program(vm, 0, 0x00, 30);		/* 25 us */
	clocks(vm, 60);
	program(vm, 0, 0x00, 1193);
	assert_int_equal(fake_of(vm)->lines[0].rises, 2);
	clocks(vm, 1000);
	assert_int_equal(fake_of(vm)->lines[0].rises, 2);
	clocks(vm, 200);
	assert_int_equal(fake_of(vm)->lines[0].rises, 3);
	/* The 8259 forgets an edge whose line falls before it is taken. */
	fake_of(vm)->lines[0].waiting = true;
	program(vm, 0, 0x00, 1193);
	assert_true(fake_of(vm)->lines[0].level);
	fake_of(vm)->lines[0].waiting = false;
	program(vm, 0, 0x00, 1193);
	assert_false(fake_of(vm)->lines[0].level);
	program(vm, 0, 0x00, 1193);		/* before it has counted: no edge */
	program(vm, 0, 0x00, 1193);
	assert_int_equal(fake_of(vm)->lines[0].rises, 3);
}

/* Ticks wait for a guest that has not taken the one before, as with interrupts off. */
static void test_untaken_ticks(void **state)
{
	struct vm *vm = *state;

	program(vm, 0, 0x04, 1193);
	clocks(vm, 3 * 1193 + 100);
	fake_of(vm)->lines[0].waiting = true;
	clocks(vm, 20 * 1193);
	assert_int_equal(fake_of(vm)->lines[0].rises, 3);
	fake_of(vm)->lines[0].waiting = false;
	clocks(vm, 10 * 1193);
	assert_int_equal(fake_of(vm)->lines[0].rises, 33);
	/* One that takes none for long loses them. */
	fake_of(vm)->lines[0].waiting = true;
	clocks(vm, 200 * 1193);
	assert_in_range(fake_of(vm)->lines[0].rises, 33 + 130, 33 + 140);
	fake_of(vm)->lines[0].waiting = false;
	clocks(vm, 100 * 1193);
	assert_in_range(fake_of(vm)->lines[0].rises, 33 + 300 - 1, 33 + 300);
}

/* A guest that has not taken a tick is looked at again after half a period, but not within 100 us. */
static void test_how_often_an_untaken_tick_is_tried(void **state)
{
	static const struct {
		u16 count;
		u64 ticks;
	} rows[] = {
		{ 0, 32768 * 100 }, { 10000, 5000 * 100 }, { 1000, 500 * 100 }, { 100, 11931 },
	};
	struct vm *vm = *state;

	fake_of(vm)->lines[0].waiting = true;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		program(vm, 0, 0x04, rows[i].count);
		fake_advance(vm, fake_deadline(vm) - vtimer_now());
		assert_int_equal(fake_deadline(vm) - vtimer_now(), rows[i].ticks);
	}
	assert_int_equal(fake_of(vm)->lines[0].rises, 0);
}

/* A control word stops the channel, and with it the timer of its next tick. */
static void test_control_word_cancels_the_tick(void **state)
{
	struct vm *vm = *state;

	program(vm, 0, 0x04, 1193);
	assert_int_not_equal(fake_deadline(vm), VTIMER_NEVER);
	out8(vm, CONTROL, 0x34);
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
}

/* An absurd frequency costs at most 10000 ticks a second. */
static void test_no_storm(void **state)
{
	struct vm *vm = *state;

	program(vm, 0, 0x04, 1);
	clocks(vm, PIT_HZ);
	assert_in_range(fake_of(vm)->lines[0].rises, 9000, 10001);
	out8(vm, CONTROL, 0x30);		/* stopped: no tick is owed from before */
	assert_false(fake_of(vm)->lines[0].level);
	fake_of(vm)->lines[0].rises = 0;
	clocks(vm, PIT_HZ);
	assert_int_equal(fake_of(vm)->lines[0].rises, 0);
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
}

static void test_period_change_keeps_the_phase(void **state)
{
	struct vm *vm = *state;

	program(vm, 0, 0x04, 1000);
	clocks(vm, 1 + 2500);
	assert_int_equal(fake_of(vm)->lines[0].rises, 2);
	out8(vm, CH0, 2000 & 0xff);
	out8(vm, CH0, 2000 >> 8);
	clocks(vm, 499);
	assert_int_equal(fake_of(vm)->lines[0].rises, 2);
	clocks(vm, 1);
	assert_int_equal(fake_of(vm)->lines[0].rises, 3);	/* the old period is finished */
	clocks(vm, 1999);
	assert_int_equal(fake_of(vm)->lines[0].rises, 3);
	clocks(vm, 1);
	assert_int_equal(fake_of(vm)->lines[0].rises, 4);
}

static void test_hostile(void **state)
{
	struct vm *vm = *state;
	u64 seed = 0x8254;

	for (unsigned i = 0; i < 1500000; i++) {
		u64 random = fake_random(&seed);
		u16 port = random & 0x100 ? SYSTEM : CH0 + (random >> 9) % 4;

		switch (random & 7) {
		case 0 ... 2:
			out8(vm, port, random >> 32);
			break;
		case 3 ... 4:
			in8(vm, port);
			break;
		case 5:
			out16(vm, CH0 + (random >> 9) % 3, random >> 32);
			break;
		case 6:
			fake_stall(vm, random >> 44);
			break;
		default:
			fake_advance(vm, random >> 44);
			break;
		}
	}
	program(vm, 0, 0x04, 1193);
	clocks(vm, 20000);
	fake_of(vm)->lines[0].rises = 0;
	clocks(vm, 100 * 1193);
	assert_int_equal(fake_of(vm)->lines[0].rises, 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory),
		TEST(test_initial_state),
		TEST(test_initial_gates),
		TEST(test_ports_beside_it_are_free),
		TEST(test_mode0),
		TEST(test_mode0_rewritten),
		TEST(test_mode0_gate),
		TEST(test_mode0_half_written_stays_stopped),
		TEST(test_mode1),
		TEST(test_mode2),
		TEST(test_mode2_new_count_waits),
		TEST(test_mode3),
		TEST(test_mode3_new_count_waits_for_the_half),
		TEST(test_mode4),
		TEST(test_mode5),
		TEST(test_bcd),
		TEST(test_zero_is_65536),
		TEST(test_single_bytes),
		TEST(test_latches),
		TEST(test_read_back_of_some_channels),
		TEST(test_latch_command_with_any_low_bits),
		TEST(test_status_of_mode_aliases),
		TEST(test_port_61),
		cmocka_unit_test(test_no_drift),
		TEST(test_late_ticks),
		TEST(test_an_edge_that_is_held_back_is_not_lost),
		TEST(test_short_period_on_a_slow_host),
		TEST(test_untaken_ticks),
		TEST(test_how_often_an_untaken_tick_is_tried),
		TEST(test_control_word_cancels_the_tick),
		TEST(test_no_storm),
		TEST(test_period_change_keeps_the_phase),
		TEST(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
