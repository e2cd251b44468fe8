/* SPDX-License-Identifier: MIT */
/* The Gregorian calendar: see calendar.h. */
#include "dev/isa/calendar.h"

#define DAYS_PER_400_YEARS 146097
#define SATURDAY	   6	/* 1 January of the year 0 */

static const u16 days_before_month[] = {
	0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365
};

static bool is_leap(u32 year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static u64 days_before_year(u32 year)
{
	return year * 365ull + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
}

/* month: 0..12 */
static unsigned days_before(u32 year, unsigned month)
{
	return days_before_month[month] + (month >= 2 && is_leap(year));
}

void calendar_from_seconds(u64 seconds, struct calendar *calendar)
{
	u64 days = seconds / SECONDS_PER_DAY;
	u32 rest = seconds % SECONDS_PER_DAY;
	u32 year = days * 400 / DAYS_PER_400_YEARS;
	unsigned month = 0;

	/* By the average length of a year: off by less than one. */
	if (days_before_year(year + 1) <= days)
		year++;
	else if (days_before_year(year) > days)
		year--;
	calendar->weekday = (days + SATURDAY) % 7;
	days -= days_before_year(year);
	while (days_before(year, month + 1) <= days)
		month++;
	calendar->year = year;
	calendar->month = month + 1;
	calendar->day = days - days_before(year, month) + 1;
	calendar->hour = rest / 3600;
	calendar->minute = rest / 60 % 60;
	calendar->second = rest % 60;
}

u64 calendar_to_seconds(const struct calendar *calendar)
{
	unsigned month = calendar->month ? MIN(calendar->month, 12) - 1 : 0;
	unsigned day = calendar->day ? calendar->day - 1 : 0;
	u64 days = days_before_year(calendar->year) + days_before(calendar->year, month) + day;

	return days * SECONDS_PER_DAY + calendar->hour * 3600 + calendar->minute * 60 +
	       calendar->second;
}
