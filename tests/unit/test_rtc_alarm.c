/* SPDX-License-Identifier: MIT */
/* The host's real-time clock in each of its four formats: the alarm time, written and read. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/clock.h"
#include "arch/cpu.h"

static u8 cmos[128];
static u8 selected;

static void fake_outb(u16 port, u8 value)
{
	assert_in_range(port, 0x70, 0x71);
	if (port == 0x70)
		selected = value;
	else
		cmos[selected] = value;
}

static u8 fake_inb(u16 port)
{
	assert_int_equal(port, 0x71);
	return cmos[selected];
}

u64 clock_deadline_us(u64 us)
{
	return us;
}

bool clock_expired(u64 deadline)
{
	return true;
}

#define outb fake_outb
#define inb  fake_inb
#include "arch/rtc.c"

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
		cmocka_unit_test(test_no_time),
		cmocka_unit_test(test_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
