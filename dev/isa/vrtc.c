/* SPDX-License-Identifier: MIT */
/*
 * The real-time clock, from Motorola's "MC146818 Real-Time Clock plus RAM" data sheet. Time and
 * flags are brought up to date whenever somebody looks; a timer runs only while an enabled
 * interrupt is awaited, and not while one is waiting to be taken. So periods that end before the
 * guest has read register C count once, as in the chip, and no rate can flood the guest.
 */
#include "dev/isa/vrtc.h"

#include "core/device.h"
#include "core/mem/guest_mem.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "dev/isa/byte_ports.h"
#include "dev/isa/calendar.h"
#include "dev/isa/counter.h"

#define RTC_PORT 0x70		/* index, data */

enum rtc_register {
	RTC_SECOND, RTC_SECOND_ALARM, RTC_MINUTE, RTC_MINUTE_ALARM, RTC_HOUR, RTC_HOUR_ALARM,
	RTC_WEEKDAY, RTC_DAY, RTC_MONTH, RTC_YEAR, RTC_A, RTC_B, RTC_C, RTC_D,
	RTC_SIZE = 128,
};

#define A_UPDATING	BIT(7)
#define A_DIVIDER(a)	((a) >> 4 & 7)
#define A_RATE(a)	((a) & 15)
#define B_SET		BIT(7)		/* the guest sets the time: no updates */
#define B_BINARY	BIT(2)
#define B_24_HOURS	BIT(1)
#define C_REQUEST	BIT(7)
#define C_PERIODIC	BIT(6)		/* the enables have the same places in B */
#define C_ALARM		BIT(5)
#define C_UPDATED	BIT(4)
#define C_FLAGS		(C_PERIODIC | C_ALARM | C_UPDATED)
#define D_VALID		BIT(7)		/* the battery is good */
#define HOUR_PM		BIT(7)
#define ALARM_ANY	0xc0

#define CRYSTAL_HZ	32768
#define SECOND_SHIFT	15
#define UPDATING_TICKS	8		/* UIP rises 244 us before the update */
#define RELEASED_TICK	(CRYSTAL_HZ / 2) /* the first update comes half a second after the reset */

struct rtc {
	struct vm *vm;
	struct vtimer timer;
	struct counter crystal;
	u64 phase;		/* crystal's count at which the divider chain was at 0 */
	u64 tick;		/* divider's count up to which all below is up to date */
	u64 seconds;		/* the time: dev/isa/calendar.h */
	u8 weekday_shift;	/* days by which the guest's weekday is off the calendar's */
	u8 index;
	u8 ram[RTC_SIZE];	/* with the registers, as the guest sees them */
};

static bool held(const struct rtc *rtc)
{
	return A_DIVIDER(rtc->ram[RTC_A]) > 2;	/* reset or test; the others name the crystal */
}

static bool updates(const struct rtc *rtc)
{
	return !held(rtc) && !(rtc->ram[RTC_B] & B_SET);
}

/* --- the registers' formats --- */

static u8 encode(const struct rtc *rtc, unsigned value)
{
	if (rtc->ram[RTC_B] & B_BINARY)
		return (u8)value;
	return (u8)(value / 10 << 4 | value % 10);
}

static unsigned decode(const struct rtc *rtc, u8 value)
{
	if (rtc->ram[RTC_B] & B_BINARY)
		return value;
	return (value >> 4) * 10 + (value & 15);
}

static u8 encode_hour(const struct rtc *rtc, unsigned hour)
{
	if (rtc->ram[RTC_B] & B_24_HOURS)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const struct rtc *rtc, u8 value)
{
	if (rtc->ram[RTC_B] & B_24_HOURS)
		return decode(rtc, value);
	return decode(rtc, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

static void time_to_registers(struct rtc *rtc)
{
	struct calendar time;

	calendar_from_seconds(rtc->seconds, &time);
	rtc->ram[RTC_SECOND] = encode(rtc, time.second);
	rtc->ram[RTC_MINUTE] = encode(rtc, time.minute);
	rtc->ram[RTC_HOUR] = encode_hour(rtc, time.hour);
	rtc->ram[RTC_WEEKDAY] = (time.weekday + rtc->weekday_shift) % 7 + 1;
	rtc->ram[RTC_DAY] = encode(rtc, time.day);
	rtc->ram[RTC_MONTH] = encode(rtc, time.month);
	rtc->ram[RTC_YEAR] = encode(rtc, time.year % 100);
	rtc->ram[RTC_CENTURY] = encode(rtc, time.year / 100 % 100);
}

static void time_from_registers(struct rtc *rtc)
{
	struct calendar time = {
		.year = decode(rtc, rtc->ram[RTC_CENTURY]) * 100 + decode(rtc, rtc->ram[RTC_YEAR]),
		.month = decode(rtc, rtc->ram[RTC_MONTH]),
		.day = decode(rtc, rtc->ram[RTC_DAY]),
		.hour = decode_hour(rtc, rtc->ram[RTC_HOUR]),
		.minute = decode(rtc, rtc->ram[RTC_MINUTE]),
		.second = decode(rtc, rtc->ram[RTC_SECOND]),
	};

	rtc->seconds = calendar_to_seconds(&time);
	calendar_from_seconds(rtc->seconds, &time);
	rtc->weekday_shift = (rtc->ram[RTC_WEEKDAY] % 7 + 7 + 6 - time.weekday) % 7;
}

/* --- alarm --- */

static bool alarm_any(u8 raw)
{
	return (raw & ALARM_ANY) == ALARM_ANY;
}

/* Does an alarm register, decoded, ask for this value? */
static bool alarm_matches(u8 raw, unsigned decoded, unsigned value)
{
	return alarm_any(raw) || decoded == value;
}

/* The first alarm after the present time, or VTIMER_NEVER. */
static u64 next_alarm(const struct rtc *rtc)
{
	const u8 *ram = rtc->ram;
	unsigned hour = decode_hour(rtc, ram[RTC_HOUR_ALARM]);
	unsigned minute = decode(rtc, ram[RTC_MINUTE_ALARM]);
	unsigned second = decode(rtc, ram[RTC_SECOND_ALARM]);
	u64 time = rtc->seconds + 1, end = time + SECONDS_PER_DAY;

	if ((!alarm_any(ram[RTC_MINUTE_ALARM]) && minute > 59) ||
	    (!alarm_any(ram[RTC_SECOND_ALARM]) && second > 59))
		return VTIMER_NEVER;
	/* One step per hour, minute and second that does not match: at most 24 + 60 + 60. */
	while (time < end) {
		if (!alarm_matches(ram[RTC_HOUR_ALARM], hour, time / 3600 % 24))
			time += 3600 - time % 3600;
		else if (!alarm_matches(ram[RTC_MINUTE_ALARM], minute, time / 60 % 60))
			time += 60 - time % 60;
		else if (!alarm_matches(ram[RTC_SECOND_ALARM], second, time % 60))
			time++;
		else
			return time;
	}
	return VTIMER_NEVER;
}

/* --- time and flags --- */

/* Ticks between periodic interrupts; 0: none. Data sheet, "Periodic Interrupt Rate". */
static u64 periodic_ticks(const struct rtc *rtc)
{
	unsigned rate = A_RATE(rtc->ram[RTC_A]);

	if (rate == 0)
		return 0;
	return rate <= 2 ? 128ull << (rate - 1) : 1ull << (rate - 1);
}

/* Bring the time and the flags up to date. */
static void catch_up(struct rtc *rtc)
{
	u64 tick = counter_now(&rtc->crystal) - rtc->phase, period = periodic_ticks(rtc);
	u64 seconds = (tick >> SECOND_SHIFT) - (rtc->tick >> SECOND_SHIFT);

	if (held(rtc))
		return;
	if (period && tick / period != rtc->tick / period)
		rtc->ram[RTC_C] |= C_PERIODIC;
	rtc->tick = tick;
	if (!seconds || !updates(rtc))
		return;
	rtc->ram[RTC_C] |= C_UPDATED;
	if (next_alarm(rtc) <= rtc->seconds + seconds)
		rtc->ram[RTC_C] |= C_ALARM;
	rtc->seconds += seconds;
	time_to_registers(rtc);
}

/* The divider's count at which the next enabled interrupt comes. */
static u64 next_interrupt(const struct rtc *rtc)
{
	u64 next = VTIMER_NEVER, period = periodic_ticks(rtc), second = rtc->tick >> SECOND_SHIFT;
	u8 enabled = rtc->ram[RTC_B];

	if ((enabled & C_PERIODIC) && period)
		next = (rtc->tick / period + 1) * period;
	if ((enabled & C_UPDATED) && updates(rtc))
		next = MIN(next, (second + 1) << SECOND_SHIFT);
	if ((enabled & C_ALARM) && updates(rtc)) {
		u64 alarm = next_alarm(rtc);

		if (alarm != VTIMER_NEVER)
			next = MIN(next, (second + alarm - rtc->seconds) << SECOND_SHIFT);
	}
	return next;
}

/* Drive the line, and see to it that the next enabled interrupt is noticed in time. */
static void update_interrupt(struct rtc *rtc)
{
	bool request = rtc->ram[RTC_C] & rtc->ram[RTC_B] & C_FLAGS;
	u64 next = VTIMER_NEVER;

	rtc->ram[RTC_C] = (rtc->ram[RTC_C] & C_FLAGS) | (request ? C_REQUEST : 0);
	irq_line_set(rtc->vm, RTC_IRQ, request);
	if (!request && !held(rtc))
		next = next_interrupt(rtc);
	if (next == VTIMER_NEVER)
		vtimer_cancel(&rtc->timer);
	else
		vtimer_arm(&rtc->timer, counter_deadline(&rtc->crystal, rtc->phase + next));
}

static void timer_fire(struct vtimer *timer)
{
	struct rtc *rtc = container_of(timer, struct rtc, timer);

	catch_up(rtc);
	update_interrupt(rtc);
}

/* --- ports --- */

static void write_a(struct rtc *rtc, u8 value)
{
	bool was_held = held(rtc);

	rtc->ram[RTC_A] = value & ~A_UPDATING;
	if (!was_held || held(rtc))
		return;
	rtc->tick = RELEASED_TICK;
	rtc->phase = counter_now(&rtc->crystal) - RELEASED_TICK;
	time_from_registers(rtc);
}

static void write_b(struct rtc *rtc, u8 value)
{
	if (value & B_SET)
		value &= ~C_UPDATED;
	rtc->ram[RTC_B] = value;
	/* The registers hold now what the guest set, or what is there is read in another format. */
	if (!(value & B_SET))
		time_from_registers(rtc);
}

static void write_register(struct rtc *rtc, u8 index, u8 value)
{
	switch (index) {
	case RTC_A:
		write_a(rtc, value);
		break;
	case RTC_B:
		write_b(rtc, value);
		break;
	case RTC_C:
	case RTC_D:
		break;		/* read-only */
	case RTC_SECOND:
	case RTC_MINUTE:
	case RTC_HOUR:
	case RTC_WEEKDAY ... RTC_YEAR:
	case RTC_CENTURY:
		rtc->ram[index] = value;
		if (updates(rtc))
			time_from_registers(rtc);
		break;
	default:
		rtc->ram[index] = value;
		break;
	}
}

static u8 read_register(struct rtc *rtc, u8 index)
{
	u8 value = rtc->ram[index];

	if (index == RTC_A && updates(rtc) && (rtc->tick + UPDATING_TICKS) >> SECOND_SHIFT !=
	    rtc->tick >> SECOND_SHIFT)
		value |= A_UPDATING;
	if (index == RTC_C)
		rtc->ram[RTC_C] = 0;
	return value;
}

static u8 rtc_read(void *device, u16 port)
{
	struct rtc *rtc = device;
	u8 value;

	if (port == RTC_PORT)
		return 0xff;	/* write-only */
	catch_up(rtc);
	/* C_REQUEST is right at any time but for what happened since the last look. */
	update_interrupt(rtc);
	value = read_register(rtc, rtc->index);
	if (rtc->index == RTC_C)
		update_interrupt(rtc);
	return value;
}

static void rtc_write(void *device, u16 port, u8 value)
{
	struct rtc *rtc = device;

	if (port == RTC_PORT) {
		/* Bit 7 masks the chipset's NMIs, of which this machine has none. */
		rtc->index = value % RTC_SIZE;
		return;
	}
	catch_up(rtc);
	write_register(rtc, rtc->index, value);
	update_interrupt(rtc);
}

/* --- what firmware leaves in CMOS --- */

#define CMOS_EQUIPMENT	    0x14
#define CMOS_BASE_KIB	    0x15
#define CMOS_ABOVE_1M_KIB   0x17
#define CMOS_CHECKSUM	    0x2e	/* of 0x10 to 0x2d, high byte first */
#define CMOS_ABOVE_1M_KIB_2 0x30
#define CMOS_ABOVE_16M	    0x34	/* in 64 KiB */
#define CMOS_ABOVE_4G	    0x5b	/* three bytes, in 64 KiB */

static void put_le(struct rtc *rtc, unsigned index, u64 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		rtc->ram[index + i] = (u8)(value >> (8 * i));
}

static u64 above(u64 size, u64 limit)
{
	return size > limit ? size - limit : 0;
}

static void fill_cmos(struct rtc *rtc, u64 low, u64 high)
{
	u64 above_1m = MIN(above(low, MIB(1)) / KIB(1), KIB(63));
	unsigned sum = 0;

	rtc->ram[CMOS_EQUIPMENT] = BIT(1);	/* a coprocessor, no diskette drive */
	put_le(rtc, CMOS_BASE_KIB, MIN(low / KIB(1), 640ull), 2);
	put_le(rtc, CMOS_ABOVE_1M_KIB, above_1m, 2);
	put_le(rtc, CMOS_ABOVE_1M_KIB_2, above_1m, 2);
	put_le(rtc, CMOS_ABOVE_16M, MIN(above(low, MIB(16)) / KIB(64), 0xffffull), 2);
	put_le(rtc, CMOS_ABOVE_4G, MIN(high / KIB(64), 0xffffffull), 3);
	for (unsigned i = 0x10; i < CMOS_CHECKSUM; i++)
		sum += rtc->ram[i];
	rtc->ram[CMOS_CHECKSUM] = (u8)(sum >> 8);
	rtc->ram[CMOS_CHECKSUM + 1] = (u8)sum;
}

struct rtc *rtc_create(struct vm *vm, u64 now)
{
	struct rtc *rtc = vm_alloc(vm, sizeof(*rtc));

	if (!rtc)
		return NULL;
	rtc->vm = vm;
	vtimer_init(&rtc->timer, vm_bsp(vm), timer_fire);
	rtc->crystal = (struct counter){ .origin = vtimer_now(), .hz = CRYSTAL_HZ };
	rtc->ram[RTC_A] = 0x26;			/* 32768 Hz crystal, 1024 Hz periodic */
	rtc->ram[RTC_B] = B_24_HOURS;
	rtc->ram[RTC_D] = D_VALID;
	rtc->seconds = CALENDAR_UNIX_EPOCH + now;
	time_to_registers(rtc);
	fill_cmos(rtc, guest_low_ram(vm), guest_high_ram(vm));
	if (byte_ports_register(vm, &(struct byte_ports){
		.name = "MC146818", .base = RTC_PORT, .count = 2,
		.read = rtc_read, .write = rtc_write, .device = rtc }))
		return NULL;
	return rtc;
}
