/* SPDX-License-Identifier: MIT */
/* The host's real-time clock. */
#include "arch/time/rtc.h"

#include "arch/cpu/cpu.h"
#include "arch/time/clock.h"
#include "lib/errno.h"
#include "lib/string.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71

#define STATUS_A_UPDATING BIT(7)
#define STATUS_B_24_HOURS BIT(1)
#define STATUS_B_BINARY	  BIT(2)
#define HOURS_PM	  BIT(7)

struct reading {
	u8 second, minute, hour, day, month, year;
};

static u8 cmos_read(u8 index)
{
	outb(CMOS_INDEX, index);
	return inb(CMOS_DATA);
}

/* An update takes up to 2 ms, during which the registers are undefined, those of the alarm too. */
static void wait_for_update(void)
{
	u64 deadline = clock_deadline_us(5000);

	while ((cmos_read(0xa) & STATUS_A_UPDATING) && !clock_expired(deadline))
		cpu_relax();
}

static struct reading read_registers(void)
{
	wait_for_update();
	return (struct reading){
		.second = cmos_read(0), .minute = cmos_read(2), .hour = cmos_read(4),
		.day = cmos_read(7), .month = cmos_read(8), .year = cmos_read(9),
	};
}

static void cmos_write(u8 index, u8 value)
{
	outb(CMOS_INDEX, index);
	outb(CMOS_DATA, value);
}

static u8 from_bcd(u8 value)
{
	return (u8)((value >> 4) * 10 + (value & 15));
}

static void to_binary(struct reading *r, u8 status_b)
{
	bool pm = r->hour & HOURS_PM;

	r->hour &= (u8)~HOURS_PM;
	if (!(status_b & STATUS_B_BINARY)) {
		*r = (struct reading){
			from_bcd(r->second), from_bcd(r->minute), from_bcd(r->hour),
			from_bcd(r->day), from_bcd(r->month), from_bcd(r->year),
		};
	}
	if (!(status_b & STATUS_B_24_HOURS))
		r->hour = (u8)(r->hour % 12 + (pm ? 12 : 0));
}

/* Days from 1970-01-01 to a date of 2000 to 2099, where every fourth year is a leap year. */
static u64 days_since_1970(const struct reading *r)
{
	static const u16 before_month[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	u64 days = 10957 + r->year * 365ull + (r->year + 3) / 4;

	days += before_month[r->month - 1] + r->day - 1ull;
	return days + (r->month > 2 && r->year % 4 == 0);
}

u64 rtc_now(void)
{
	struct reading first = read_registers(), r = read_registers();

	/* Two equal readings are free of an update. If they differ, the clock has just ticked: read it again. */
	if (memcmp(&first, &r, sizeof(r)))
		r = read_registers();
	to_binary(&r, cmos_read(0xb));
	if (r.second > 59 || r.minute > 59 || r.hour > 23 || !r.day || r.day > 31 || !r.month || r.month > 12 ||
	    r.year > 99)
		return 0;
	return days_since_1970(&r) * 86400 + r.hour * 3600u + r.minute * 60u + r.second;
}

int rtc_alarm_read(u32 *second)
{
	struct reading r;

	wait_for_update();
	r = (struct reading){ .second = cmos_read(1), .minute = cmos_read(3), .hour = cmos_read(5) };
	to_binary(&r, cmos_read(0xb));
	if (r.second > 59 || r.minute > 59 || r.hour > 23)
		return -EINVAL;
	*second = r.hour * 3600u + r.minute * 60u + r.second;
	return 0;
}

static u8 to_register(u32 value, u8 status_b)
{
	return (u8)(status_b & STATUS_B_BINARY ? value : value / 10 << 4 | value % 10);
}

void rtc_alarm_write(u32 second)
{
	u8 status_b = cmos_read(0xb);
	u32 hour = second / 3600;
	bool pm = !(status_b & STATUS_B_24_HOURS) && hour >= 12;

	if (!(status_b & STATUS_B_24_HOURS))
		hour = (hour + 11) % 12 + 1;
	wait_for_update();
	cmos_write(1, to_register(second % 60, status_b));
	cmos_write(3, to_register(second / 60 % 60, status_b));
	cmos_write(5, (u8)(to_register(hour, status_b) | (pm ? HOURS_PM : 0)));
}
