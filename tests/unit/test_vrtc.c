/* SPDX-License-Identifier: MIT */
/* The clock against Motorola's MC146818 data sheet, and the calendar against the C library's. */
/* link: dev/isa/vrtc.c dev/isa/calendar.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
#include "fake_vm.h"

#include <time.h>

#include "dev/isa/calendar.h"
#include "dev/isa/vrtc.h"

#define SECOND	1000000000ull
#define MS	1000000ull
#define NOW	1700000000		/* Tuesday, 14 November 2023, 22:13:20 UTC */

enum { SEC, SEC_ALARM, MIN_, MIN_ALARM, HOUR, HOUR_ALARM, WEEKDAY, DAY, MONTH, YEAR, A, B, C, D };

static u8 get(struct vm *vm, u8 index)
{
	out8(vm, 0x70, index);
	return in8(vm, 0x71);
}

static void set(struct vm *vm, u8 index, u8 value)
{
	out8(vm, 0x70, index);
	out8(vm, 0x71, value);
}

static int setup(void **state)
{
	struct vm *vm = fake_create(MIB(64));

	assert_non_null(vrtc_create(vm, NOW));
	*state = vm;
	return 0;
}

static int teardown(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void assert_time(struct vm *vm, u8 hour, u8 minute, u8 second)
{
	assert_int_equal(get(vm, HOUR), hour);
	assert_int_equal(get(vm, MIN_), minute);
	assert_int_equal(get(vm, SEC), second);
}

static void assert_date(struct vm *vm, u8 century, u8 year, u8 month, u8 day, u8 weekday)
{
	assert_int_equal(get(vm, RTC_CENTURY), century);
	assert_int_equal(get(vm, YEAR), year);
	assert_int_equal(get(vm, MONTH), month);
	assert_int_equal(get(vm, DAY), day);
	assert_int_equal(get(vm, WEEKDAY), weekday);
}

/* --- calendar --- */

static void test_calendar(void **state)
{
	u64 seed = 0x146818;

	for (unsigned i = 0; i < 200000; i++) {
		/* Years 0 to about 9999, around 1970. */
		s64 since_1970 = (s64)(fake_random(&seed) % 315569520000ull) - 62167219200ll;
		time_t t = since_1970;
		struct calendar calendar;
		struct tm tm;

		gmtime_r(&t, &tm);
		calendar_from_seconds(since_1970 + CALENDAR_UNIX_EPOCH, &calendar);
		assert_int_equal(calendar.year, tm.tm_year + 1900);
		assert_int_equal(calendar.month, tm.tm_mon + 1);
		assert_int_equal(calendar.day, tm.tm_mday);
		assert_int_equal(calendar.weekday, tm.tm_wday);
		assert_int_equal(calendar.hour, tm.tm_hour);
		assert_int_equal(calendar.minute, tm.tm_min);
		assert_int_equal(calendar.second, tm.tm_sec);
		assert_int_equal(calendar_to_seconds(&calendar),
				 since_1970 + CALENDAR_UNIX_EPOCH);
	}
}

static void test_calendar_carries_on(void **state)
{
	const struct calendar odd = {
		.year = 2023, .month = 2, .day = 31, .hour = 25, .second = 61,
	};
	struct calendar even;

	calendar_from_seconds(calendar_to_seconds(&odd), &even);
	assert_int_equal(even.month, 3);
	assert_int_equal(even.day, 4);
	assert_int_equal(even.hour, 1);
	assert_int_equal(even.minute, 1);
	assert_int_equal(even.second, 1);
}

/* A month out of its range is the nearest one; a day 0 is day 1. */
static void test_calendar_out_of_range(void **state)
{
	static const struct {
		struct calendar odd;
		u8 month, day;
	} rows[] = {
		{ { .year = 2023, .month = 0, .day = 5 }, 1, 5 },
		{ { .year = 2023, .month = 1, .day = 5 }, 1, 5 },
		{ { .year = 2023, .month = 12, .day = 5 }, 12, 5 },
		{ { .year = 2023, .month = 13, .day = 5 }, 12, 5 },
		{ { .year = 2023, .month = 255, .day = 5 }, 12, 5 },
		{ { .year = 2023, .month = 7, .day = 0 }, 7, 1 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct calendar even;

		calendar_from_seconds(calendar_to_seconds(&rows[i].odd), &even);
		assert_int_equal(even.year, 2023);
		assert_int_equal(even.month, rows[i].month);
		assert_int_equal(even.day, rows[i].day);
	}
}

/* --- clock --- */

static void test_no_memory(void **state)
{
	struct vm *vm = fake_create(0);

	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	assert_null(vrtc_create(vm, 0));
	fake_destroy(vm);
}

static void test_starts_with_the_hosts_time(void **state)
{
	struct vm *vm = *state;

	assert_time(vm, 0x22, 0x13, 0x20);
	assert_date(vm, 0x20, 0x23, 0x11, 0x14, 3);
	assert_int_equal(get(vm, A), 0x26);
	assert_int_equal(get(vm, B), 0x02);
	assert_int_equal(get(vm, C), 0);
	assert_int_equal(get(vm, D), 0x80);
	assert_int_equal(in8(vm, 0x70), 0xff);
}

static void test_runs(void **state)
{
	struct vm *vm = *state;

	fake_advance_ns(vm, 39 * SECOND + 999 * MS);
	assert_time(vm, 0x22, 0x13, 0x59);
	fake_advance_ns(vm, 2 * MS);
	assert_time(vm, 0x22, 0x14, 0x00);
	fake_advance_ns(vm, 365ull * 86400 * SECOND);
	assert_time(vm, 0x22, 0x14, 0x00);
	assert_date(vm, 0x20, 0x24, 0x11, 0x13, 4);
}

static void test_formats(void **state)
{
	struct vm *vm = *state;

	set(vm, B, 0x82);
	set(vm, B, 0x84);		/* binary, 12 hours */
	set(vm, SEC, 59);
	set(vm, MIN_, 59);
	set(vm, HOUR, 0x80 | 11);	/* 11 pm */
	set(vm, DAY, 31);
	set(vm, MONTH, 12);
	set(vm, YEAR, 99);
	set(vm, RTC_CENTURY, 19);
	set(vm, WEEKDAY, 6);
	set(vm, B, 0x04);
	fake_advance_ns(vm, SECOND);
	assert_time(vm, 12, 0, 0);	/* 12 am */
	assert_date(vm, 20, 0, 1, 1, 7);
	fake_advance_ns(vm, 12 * 3600 * SECOND);
	assert_time(vm, 0x80 | 12, 0, 0);
	for (unsigned hour = 1; hour < 12; hour++) {
		fake_advance_ns(vm, 3600 * SECOND);
		assert_time(vm, 0x80 | hour, 0, 0);
	}
	fake_advance_ns(vm, 3600 * SECOND);
	assert_time(vm, 12, 0, 0);
	/* BCD, 12 hours. */
	set(vm, B, 0x80);
	set(vm, HOUR, 0x92);		/* 12 pm */
	set(vm, MIN_, 0x59);
	set(vm, SEC, 0x58);
	set(vm, B, 0x00);
	fake_advance_ns(vm, 2 * SECOND);
	assert_time(vm, 0x81, 0x00, 0x00);
}

static void test_each_hour_of_12(void **state)
{
	struct vm *vm = *state;

	set(vm, B, 0x80);		/* BCD, 12 hours */
	set(vm, HOUR, 0x12);		/* 12 am */
	set(vm, B, 0x00);
	for (unsigned hour = 0; hour < 24; hour++) {
		unsigned shown = hour % 12 ? hour % 12 : 12;

		assert_int_equal(get(vm, HOUR), (shown / 10 << 4 | shown % 10) | (hour >= 12 ? 0x80 : 0));
		fake_advance_ns(vm, 3600 * SECOND);
	}
}

/* The second before the new year in each of some centuries. */
static void test_century(void **state)
{
	static const struct {
		u8 century, year, next_century, next_year;
	} rows[] = {
		{ 0x19, 0x99, 0x20, 0x00 },
		{ 0x20, 0x98, 0x20, 0x99 },
		{ 0x98, 0x99, 0x99, 0x00 },
		{ 0x99, 0x00, 0x99, 0x01 },
		{ 0x99, 0x99, 0x00, 0x00 },
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set(vm, B, 0x82);
		set(vm, RTC_CENTURY, rows[i].century);
		set(vm, YEAR, rows[i].year);
		set(vm, MONTH, 0x12);
		set(vm, DAY, 0x31);
		set(vm, HOUR, 0x23);
		set(vm, MIN_, 0x59);
		set(vm, SEC, 0x59);
		set(vm, B, 0x02);
		fake_advance_ns(vm, SECOND);
		assert_int_equal(get(vm, RTC_CENTURY), rows[i].next_century);
		assert_int_equal(get(vm, YEAR), rows[i].next_year);
		assert_int_equal(get(vm, DAY), 0x01);
	}
}

/* The seven days go round, also from a number that is none of them. */
static void test_weekday_goes_round(void **state)
{
	struct vm *vm = *state;

	set(vm, WEEKDAY, 7);
	fake_advance_ns(vm, 86400 * SECOND);
	assert_int_equal(get(vm, WEEKDAY), 1);
	set(vm, WEEKDAY, 8);
	fake_advance_ns(vm, 86400 * SECOND);
	assert_int_equal(get(vm, WEEKDAY), 2);
}

static void test_set_holds_the_time(void **state)
{
	struct vm *vm = *state;

	set(vm, B, 0x92);
	assert_int_equal(get(vm, B), 0x82);	/* SET clears UIE */
	set(vm, SEC, 0x05);
	fake_advance_ns(vm, 10 * SECOND);
	assert_int_equal(get(vm, SEC), 0x05);
	assert_int_equal(get(vm, C) & 0x30, 0);	/* no update, no alarm */
	assert_int_equal(get(vm, A) & 0x80, 0);
	set(vm, B, 0x02);
	assert_int_equal(get(vm, SEC), 0x05);
	fake_advance_ns(vm, SECOND);
	assert_int_equal(get(vm, SEC), 0x06);
}

/* The time may be set while it runs too. The weekday is whatever the guest says. */
/* What passed until then counts, though nobody looked. */
static void test_set_holds_the_present_time(void **state)
{
	struct vm *vm = *state;

	fake_advance_ns(vm, 10 * SECOND);
	set(vm, B, 0x82);
	assert_int_equal(get(vm, SEC), 0x30);
}

static void test_single_register_written(void **state)
{
	struct vm *vm = *state;

	set(vm, HOUR, 0x23);
	set(vm, WEEKDAY, 1);
	assert_time(vm, 0x23, 0x13, 0x20);
	fake_advance_ns(vm, 3600 * SECOND);
	assert_time(vm, 0x00, 0x13, 0x20);
	assert_date(vm, 0x20, 0x23, 0x11, 0x15, 2);
}

/* A divider reset stops the clock; 500 ms after its release comes the first update. */
static void test_divider_reset(void **state)
{
	struct vm *vm = *state;

	set(vm, A, 0x76);
	fake_advance_ns(vm, 10 * SECOND);
	assert_int_equal(get(vm, SEC), 0x20);
	fake_advance_ns(vm, 123 * MS);
	set(vm, SEC, 0x30);
	set(vm, A, 0x26);
	fake_advance_ns(vm, 499 * MS);
	assert_int_equal(get(vm, SEC), 0x30);
	fake_advance_ns(vm, 2 * MS);
	assert_int_equal(get(vm, SEC), 0x31);
	fake_advance_ns(vm, 998 * MS);
	assert_int_equal(get(vm, SEC), 0x31);
	fake_advance_ns(vm, 2 * MS);
	assert_int_equal(get(vm, SEC), 0x32);
}

/* "Divider Control": a time base for each of three crystals; all else resets or tests the divider. */
static void test_divider_settings(void **state)
{
	for (u8 divider = 0; divider < 8; divider++) {
		struct vm *vm = fake_create(0);

		assert_non_null(vrtc_create(vm, NOW));
		set(vm, A, divider << 4 | 6);
		assert_int_equal(get(vm, A), divider << 4 | 6);
		assert_int_equal(get(vm, B), 0x02);
		fake_advance_ns(vm, 10 * SECOND);
		assert_int_equal(get(vm, SEC), divider < 3 ? 0x30 : 0x20);
		assert_int_equal(get(vm, C), divider < 3 ? 0x50 : 0);
		fake_destroy(vm);
	}
}

static void test_divider_reset_after_a_while(void **state)
{
	struct vm *vm = *state;

	fake_advance_ns(vm, 100 * SECOND);
	assert_time(vm, 0x22, 0x15, 0x00);
	set(vm, A, 0x76);
	set(vm, A, 0x26);
	fake_advance_ns(vm, 499 * MS);
	assert_time(vm, 0x22, 0x15, 0x00);
	fake_advance_ns(vm, 2 * MS);
	assert_time(vm, 0x22, 0x15, 0x01);
}

/* UIP is high for 244 us before each update. */
static void test_update_in_progress(void **state)
{
	struct vm *vm = *state;

	fake_advance_ns(vm, SECOND - 250000);
	assert_int_equal(get(vm, A), 0x26);
	fake_advance_ns(vm, 10000);
	assert_int_equal(get(vm, A), 0xa6);
	fake_advance_ns(vm, 230000);
	assert_int_equal(get(vm, A), 0xa6);
	fake_advance_ns(vm, 20000);
	assert_int_equal(get(vm, A), 0x26);
	set(vm, A, 0xa6);		/* read-only */
	assert_int_equal(get(vm, A), 0x26);
}

static void test_nmi_bit_is_not_part_of_the_index(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(get(vm, 0x80 | D), 0x80);
}

/* --- interrupts --- */

static void test_update_interrupt(void **state)
{
	struct vm *vm = *state;

	set(vm, B, 0x12);
	fake_advance_ns(vm, SECOND - 1 * MS);
	assert_int_equal(fake_of(vm)->lines[RTC_IRQ].rises, 0);
	fake_advance_ns(vm, 2 * MS);
	assert_true(fake_of(vm)->lines[RTC_IRQ].level);
	assert_int_equal(get(vm, SEC), 0x21);
	fake_advance_ns(vm, 5 * SECOND);	/* not taken: no more of them, and no timer */
	assert_int_equal(fake_of(vm)->lines[RTC_IRQ].rises, 1);
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
	assert_int_equal(get(vm, C) & 0xf0, 0xd0);	/* with PF, though not enabled */
	assert_false(fake_of(vm)->lines[RTC_IRQ].level);
	assert_int_equal(get(vm, C), 0);
	fake_advance_ns(vm, SECOND);
	assert_int_equal(fake_of(vm)->lines[RTC_IRQ].rises, 2);
}

static unsigned count_periodic(struct vm *vm, u64 ns)
{
	u64 end = vtimer_now() + vtimer_from_ns(ns);
	unsigned count = 0;

	while (fake_deadline(vm) <= end) {
		fake_advance(vm, fake_deadline(vm) - vtimer_now());
		assert_int_equal(get(vm, C) & 0xc0, 0xc0);
		count++;
	}
	fake_advance(vm, end - vtimer_now());
	return count;
}

/* On a host on which the exits of a tick take 400 us, the guest runs between two of them all the same. */
static void test_periodic_rate_on_a_slow_host(void **state)
{
	struct vm *vm = *state;
	struct exit_statistics exits = { 0 };
	u64 before;

	vm_bsp(vm)->statistics.by_kind[7] = &exits;
	set(vm, A, 0x23);
	get(vm, C);
	set(vm, B, 0x42);
	for (unsigned i = 0; i < 10; i++) {
		fake_advance(vm, fake_deadline(vm) - vtimer_now());
		before = vtimer_now();
		exits.ticks += vtimer_from_ns(400000);
		get(vm, C);
	}
	assert_in_range(fake_deadline(vm) - before, vtimer_from_ns(449000), vtimer_from_ns(451000));
	vm_bsp(vm)->statistics.by_kind[7] = NULL;
}

static void test_periodic_rates(void **state)
{
	static const unsigned hz[16] = { 0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32,
					 16, 8, 4, 2 };
	struct vm *vm = *state;

	for (unsigned rate = 0; rate < 16; rate++) {
		set(vm, A, 0x20 | rate);
		get(vm, C);
		set(vm, B, 0x42);
		if (hz[rate])
			assert_in_range(count_periodic(vm, 10 * SECOND), hz[rate] * 10 - 1,
					hz[rate] * 10 + 1);
		else
			assert_int_equal(count_periodic(vm, 10 * SECOND), 0);
		set(vm, B, 0x02);
	}
}

static void test_flags_without_enables(void **state)
{
	struct vm *vm = *state;

	set(vm, A, 0x2f);		/* 2 Hz */
	get(vm, C);
	fake_advance_ns(vm, 501 * MS);
	assert_int_equal(get(vm, C), 0x40);
	assert_int_equal(fake_of(vm)->lines[RTC_IRQ].rises, 0);
	fake_advance_ns(vm, 500 * MS);
	assert_int_equal(fake_of(vm)->lines[RTC_IRQ].rises, 0);
	set(vm, B, 0x42);		/* a flag that is up interrupts when it is enabled */
	assert_true(fake_of(vm)->lines[RTC_IRQ].level);
	assert_int_equal(get(vm, C), 0xd0);
}

static void set_alarm(struct vm *vm, u8 hour, u8 minute, u8 second)
{
	set(vm, HOUR_ALARM, hour);
	set(vm, MIN_ALARM, minute);
	set(vm, SEC_ALARM, second);
	get(vm, C);
}

static void test_alarm(void **state)
{
	struct vm *vm = *state;

	set_alarm(vm, 0x23, 0x00, 0x05);
	set(vm, B, 0x22);
	fake_advance_ns(vm, (46 * 60 + 44) * SECOND);
	assert_false(fake_of(vm)->lines[RTC_IRQ].level);
	fake_advance_ns(vm, SECOND);
	assert_true(fake_of(vm)->lines[RTC_IRQ].level);
	assert_time(vm, 0x23, 0x00, 0x05);
	assert_int_equal(get(vm, C) & 0xa0, 0xa0);
	fake_advance_ns(vm, 86399 * SECOND);
	assert_false(fake_of(vm)->lines[RTC_IRQ].level);
	fake_advance_ns(vm, SECOND);
	assert_true(fake_of(vm)->lines[RTC_IRQ].level);
}

/* At a full minute, from within an earlier one. */
static void test_alarm_at_second_0(void **state)
{
	struct vm *vm = *state;

	set_alarm(vm, 0x22, 0x15, 0x00);
	set(vm, B, 0x22);
	fake_advance_ns(vm, 100 * SECOND - MS);
	assert_false(fake_of(vm)->lines[RTC_IRQ].level);
	fake_advance_ns(vm, 2 * MS);
	assert_true(fake_of(vm)->lines[RTC_IRQ].level);
	assert_time(vm, 0x22, 0x15, 0x00);
}

static void test_alarm_without_its_enable(void **state)
{
	struct vm *vm = *state;

	set_alarm(vm, 0x22, 0x15, 0x00);
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
	set(vm, B, 0x42);		/* the periodic interrupt alone: 1024 Hz */
	assert_in_range(fake_deadline(vm) - vtimer_now(), 0, vtimer_from_ns(MS));
	set(vm, B, 0x02);
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
}

/* The interrupt is due, and the host has not come to it: register C shows it all the same. */
static void test_register_c_before_the_interrupt(void **state)
{
	struct vm *vm = *state;
	u64 deadline;

	set(vm, B, 0x12);
	deadline = fake_deadline(vm);
	vm->timers.deadline = VTIMER_NEVER - 1;	/* hide it from the fake's clock */
	fake_advance(vm, deadline - vtimer_now());
	vm->timers.deadline = deadline;
	assert_int_equal(get(vm, C), 0xd0);
}

static void test_alarm_wildcards(void **state)
{
	struct vm *vm = *state;

	set_alarm(vm, 0xff, 0xc0, 0x07);	/* second 7 of every minute */
	set(vm, B, 0x22);
	for (unsigned i = 0; i < 3; i++) {
		fake_advance_ns(vm, 60 * SECOND);
		assert_int_equal(get(vm, C) & 0x20, 0x20);
		assert_int_equal(fake_of(vm)->lines[RTC_IRQ].rises, i + 1);
	}
	set_alarm(vm, 0xff, 0x59, 0x59);	/* the last second of every hour */
	fake_advance_ns(vm, 43 * 60 * SECOND);
	assert_int_equal(get(vm, C) & 0x20, 0);
	fake_advance_ns(vm, 3600 * SECOND);
	assert_int_equal(get(vm, C) & 0x20, 0x20);
	assert_int_equal(fake_of(vm)->lines[RTC_IRQ].rises, 4);
	set_alarm(vm, 0xff, 0xff, 0xff);	/* every second */
	for (unsigned i = 0; i < 3; i++) {
		fake_advance_ns(vm, SECOND);
		assert_int_equal(get(vm, C) & 0x20, 0x20);
	}
	set_alarm(vm, 0x11, 0xff, 0x75);	/* never */
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
	fake_advance_ns(vm, 100000 * SECOND);
	assert_int_equal(get(vm, C) & 0x20, 0);
	set_alarm(vm, 0x24, 0xff, 0xff);
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
}

static void test_alarm_flag_is_found_later(void **state)
{
	struct vm *vm = *state;

	set_alarm(vm, 0x22, 0x15, 0x00);
	fake_advance_ns(vm, 99 * SECOND);
	assert_int_equal(get(vm, C) & 0x20, 0);
	fake_advance_ns(vm, 3600 * SECOND);
	assert_int_equal(get(vm, C) & 0x20, 0x20);
}

static void test_alarm_in_12_hours(void **state)
{
	struct vm *vm = *state;

	set(vm, B, 0x80);
	set(vm, HOUR, 0x91);			/* 11 pm */
	set(vm, B, 0x20);
	set_alarm(vm, 0x12, 0x00, 0x00);	/* 12 am */
	fake_advance_ns(vm, (46 * 60 + 39) * SECOND);
	assert_false(fake_of(vm)->lines[RTC_IRQ].level);
	fake_advance_ns(vm, SECOND);
	assert_true(fake_of(vm)->lines[RTC_IRQ].level);
	assert_time(vm, 0x12, 0x00, 0x00);
}

/* --- CMOS memory --- */

static void test_memory_size(void **state)
{
	struct vm *vm = *state;
	unsigned sum = 0;

	assert_int_equal(get(vm, 0x14), 0x02);	/* a coprocessor, no diskette drive */
	assert_int_equal(get(vm, 0x15) | get(vm, 0x16) << 8, 640);
	assert_int_equal(get(vm, 0x17) | get(vm, 0x18) << 8, 63 * 1024);
	assert_int_equal(get(vm, 0x30) | get(vm, 0x31) << 8, 63 * 1024);
	assert_int_equal(get(vm, 0x34) | get(vm, 0x35) << 8, 48 * 16);
	assert_int_equal(get(vm, 0x5b) | get(vm, 0x5c) << 8 | get(vm, 0x5d) << 16, 0);
	for (u8 i = 0x10; i <= 0x2d; i++)
		sum += get(vm, i);
	assert_int_equal(get(vm, 0x2e) << 8 | get(vm, 0x2f), sum);
}

static u32 cmos(struct vm *vm, u8 index, unsigned bytes)
{
	u32 value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (u32)get(vm, index + i) << (8 * i);
	return value;
}

/* In KiB up to 640 and from 1 MiB to 64, in 64 KiB from 16 MiB and from 4 GiB on. */
static void test_memory_sizes(void **state)
{
	static const struct {
		u64 low, high;
		u32 base_kib, above_1m_kib, above_16m, above_4g;
	} rows[] = {
		{ KIB(512), 0, 512, 0, 0, 0 },
		{ KIB(640), 0, 640, 0, 0, 0 },
		{ MIB(1), 0, 640, 0, 0, 0 },
		{ MIB(1) + KIB(64), 0, 640, 64, 0, 0 },
		{ MIB(8), 0, 640, 7 * 1024, 0, 0 },
		{ MIB(16), 0, 640, 15 * 1024, 0, 0 },
		{ MIB(17), MIB(1), 640, 16 * 1024, 16, 16 },
		{ MIB(64), 0, 640, 63 * 1024, 48 * 16, 0 },
		{ GIB(3), GIB(64), 640, 63 * 1024, 0xbf00, 0x100000 },
		/* As much as the bytes can tell. */
		{ GIB(8), GIB(1024) - KIB(64), 640, 63 * 1024, 0xffff, 0xffffff },
		{ GIB(8), GIB(1024), 640, 63 * 1024, 0xffff, 0xffffff },
		{ GIB(8), GIB(2048), 640, 63 * 1024, 0xffff, 0xffffff },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vm *vm = fake_create(0);

		fake_of(vm)->ram_size = rows[i].low;
		fake_of(vm)->high_ram = rows[i].high;
		assert_non_null(vrtc_create(vm, 0));
		assert_int_equal(cmos(vm, 0x15, 2), rows[i].base_kib);
		assert_int_equal(cmos(vm, 0x17, 2), rows[i].above_1m_kib);
		assert_int_equal(cmos(vm, 0x30, 2), rows[i].above_1m_kib);
		assert_int_equal(cmos(vm, 0x34, 2), rows[i].above_16m);
		assert_int_equal(cmos(vm, 0x5b, 3), rows[i].above_4g);
		fake_of(vm)->ram_size = 0;
		fake_destroy(vm);
	}
}

static void test_much_memory(void **state)
{
	struct vm *vm = fake_create(0);

	fake_of(vm)->ram_size = GIB(3);
	fake_of(vm)->high_ram = GIB(5);
	assert_non_null(vrtc_create(vm, 0));
	assert_int_equal(get(vm, 0x30) | get(vm, 0x31) << 8, 0xfc00);
	assert_int_equal(get(vm, 0x34) | get(vm, 0x35) << 8, 0xbf00);
	assert_int_equal(get(vm, 0x5b) | get(vm, 0x5c) << 8 | get(vm, 0x5d) << 16, 0x14000);
	assert_date(vm, 0x19, 0x70, 0x01, 0x01, 5);
	fake_destroy(vm);
}

static void test_ports_beside_it_are_free(void **state)
{
	assert_int_equal(in8(*state, 0x6f), 0xff);
	assert_int_equal(in8(*state, 0x72), 0xff);
}

static void test_cmos_keeps_what_is_written(void **state)
{
	struct vm *vm = *state;

	for (u8 i = D + 1; i < 0x80; i++)
		if (i != RTC_CENTURY)
			set(vm, i, i ^ 0x5a);
	for (u8 i = D + 1; i < 0x80; i++)
		if (i != RTC_CENTURY)
			assert_int_equal(get(vm, i), i ^ 0x5a);
	set(vm, C, 0xff);
	set(vm, D, 0);
	assert_int_equal(get(vm, C), 0);
	assert_int_equal(get(vm, D), 0x80);
}

static void test_hostile(void **state)
{
	struct vm *vm = *state;
	u64 seed = 0x146818;

	for (unsigned i = 0; i < 1200000; i++) {
		u64 random = fake_random(&seed);

		switch (random & 7) {
		case 0 ... 1:
			set(vm, random >> 8 & 15, random >> 32);
			break;
		case 2:
			set(vm, random >> 8, random >> 32);
			break;
		case 3 ... 4:
			get(vm, random >> 8 & 15);
			break;
		case 5:
			out16(vm, 0x70, random >> 32);
			in16(vm, 0x70);
			break;
		case 6:
			fake_stall(vm, random >> (24 + (random >> 8 & 31)));
			break;
		default:
			fake_advance(vm, random >> 36);
			break;
		}
	}
	set(vm, A, 0x26);
	set(vm, B, 0x82);
	set(vm, HOUR, 0x08);
	set(vm, MIN_, 0x15);
	set(vm, SEC, 0x59);
	set(vm, B, 0x02);
	fake_advance_ns(vm, SECOND);
	assert_time(vm, 0x08, 0x16, 0x00);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_calendar_carries_on),
		cmocka_unit_test(test_calendar_out_of_range),
		cmocka_unit_test(test_no_memory),
		TEST(test_starts_with_the_hosts_time),
		TEST(test_runs),
		TEST(test_formats),
		TEST(test_each_hour_of_12),
		TEST(test_century),
		TEST(test_weekday_goes_round),
		TEST(test_set_holds_the_time),
		TEST(test_set_holds_the_present_time),
		TEST(test_single_register_written),
		TEST(test_divider_reset),
		cmocka_unit_test(test_divider_settings),
		TEST(test_divider_reset_after_a_while),
		TEST(test_update_in_progress),
		TEST(test_nmi_bit_is_not_part_of_the_index),
		TEST(test_update_interrupt),
		TEST(test_periodic_rates),
		TEST(test_periodic_rate_on_a_slow_host),
		TEST(test_flags_without_enables),
		TEST(test_alarm),
		TEST(test_alarm_at_second_0),
		TEST(test_alarm_without_its_enable),
		TEST(test_register_c_before_the_interrupt),
		TEST(test_alarm_wildcards),
		TEST(test_alarm_flag_is_found_later),
		TEST(test_alarm_in_12_hours),
		TEST(test_memory_size),
		cmocka_unit_test(test_memory_sizes),
		cmocka_unit_test(test_much_memory),
		TEST(test_cmos_keeps_what_is_written),
		TEST(test_ports_beside_it_are_free),
		TEST(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
