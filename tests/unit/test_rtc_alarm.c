/* SPDX-License-Identifier: MIT */
/* The host's real-time clock in each of its four formats: the alarm time, written and read. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/time/clock.h"
#include "arch/cpu/cpu.h"

static u8 cmos[128];
static u8 selected;
static unsigned updating;	/* looks at status A until the update is over */

static void fake_outb(u16 port, u8 value)
{
	assert_in_range(port, 0x70, 0x71);
	if (port == 0x70)
		selected = value;
	else if (selected > 9 || !updating)
		cmos[selected] = value;
}

static u8 fake_inb(u16 port)
{
	assert_int_equal(port, 0x71);
	if (selected == 0xa && updating)
		return --updating ? 0xa6 : 0x26;
	return selected <= 9 && updating ? 0x11 : cmos[selected];
}

static u64 now;

u64 clock_deadline_us(u64 us)
{
	return now + us;
}

bool clock_expired(u64 deadline)
{
	return ++now >= deadline;
}

#define outb fake_outb
#define inb  fake_inb
#include "arch/time/rtc.c"

enum { BCD_12 = 0, BCD_24 = 2, BINARY_12 = 4, BINARY_24 = 6 };

/* Data sheet, "Time, Calendar and Alarm Data Modes": 21:05:59 in each. */
static void test_formats(void **state)
{
	static const struct {
		u8 format, hour, minute, second;
	} formats[] = {
		{ BCD_12, 0x89, 0x05, 0x59 }, { BCD_24, 0x21, 0x05, 0x59 },
		{ BINARY_12, 0x89, 5, 59 }, { BINARY_24, 21, 5, 59 },
	};
	u32 time;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		cmos[0xb] = formats[i].format;
		rtc_alarm_write(21 * 3600 + 5 * 60 + 59);
		assert_int_equal(cmos[5], formats[i].hour);
		assert_int_equal(cmos[3], formats[i].minute);
		assert_int_equal(cmos[1], formats[i].second);
		for (u32 wanted = 0; wanted < 86400; wanted++) {
			rtc_alarm_write(wanted);
			assert_int_equal(rtc_alarm_read(&time), 0);
			assert_int_equal(time, wanted);
		}
	}
}

/*
 * Data sheet, "Update Cycle": during one, the ten bytes of time, calendar and alarm are undefined. The wait
 * for its end is bounded.
 */
static void test_during_an_update(void **state)
{
	u32 time;

	cmos[0xb] = BCD_24;
	updating = 3;
	rtc_alarm_write(12345);
	updating = 3;
	assert_int_equal(rtc_alarm_read(&time), 0);
	assert_int_equal(time, 12345);
	updating = 1000000;
	rtc_alarm_read(&time);
	assert_in_range(updating, 900000, 999999);
	updating = 0;
}

static void test_no_time(void **state)
{
	u32 time;

	cmos[0xb] = BCD_24;
	rtc_alarm_write(0);
	cmos[5] = 0x24;
	assert_int_equal(rtc_alarm_read(&time), -EINVAL);
	for (unsigned i = 1; i <= 5; i += 2) { /* "don't care" codes */
		rtc_alarm_write(0);
		cmos[i] = 0xff;
		assert_int_equal(rtc_alarm_read(&time), -EINVAL);
	}
}

/* Only the alarm's registers are written: no other byte of CMOS, which firmwares sum up, changes. */
static void test_nothing_else(void **state)
{
	memset(cmos, 0x5a, sizeof(cmos));
	cmos[0xb] = BCD_24;
	rtc_alarm_write(12345);
	for (unsigned i = 0; i < sizeof(cmos); i++)
		if (i != 1 && i != 3 && i != 5 && i != 0xb)
			assert_int_equal(cmos[i], 0x5a);
	assert_int_equal(cmos[0xb], BCD_24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_during_an_update),
		cmocka_unit_test(test_no_time),
		cmocka_unit_test(test_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
