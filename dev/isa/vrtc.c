/* SPDX-License-Identifier: MIT */
/*
 * The real-time clock, from Motorola's "MC146818 Real-Time Clock plus RAM" data sheet. Time and
 * flags are updated on each access; a timer runs only while an interrupt is enabled and none is
 * pending. So all periods that end before the guest reads register C make one interrupt, as in the
 * chip, and no rate can flood the guest. On a host on which each tick takes long the rate is bounded, too: core/pace.h.
 */
#include "dev/isa/vrtc.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/mem/guest_mem.h"
#include "core/pace.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "dev/isa/byte_ports.h"
#include "dev/isa/calendar.h"
#include "dev/isa/counter.h"

#define RTC_PORT 0x70		/* index, data */

enum vrtc_register {
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
#define C_PERIODIC	BIT(6)		/* the enables are the same bits of B */
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

struct vrtc {
	struct vm *vm;
	struct vtimer timer;
	struct pace pace;
	u64 earliest;		/* host TSC before which the timer does not fire again */
	struct counter crystal;
	u64 phase;		/* value of `crystal` at which the divider chain was 0 */
	u64 tick;		/* divider's count when the fields below were last updated */
	u64 seconds;		/* the time: dev/isa/calendar.h */
	u8 weekday_shift;	/* days from the calendar's weekday to the guest's */
	u8 index;
	u8 ram[RTC_SIZE];	/* registers and CMOS memory, as the guest reads them */
};

static bool held(const struct vrtc *vrtc)
{
	return A_DIVIDER(vrtc->ram[RTC_A]) > 2;	/* reset or test; 0 to 2 select the crystal */
}

static bool updates(const struct vrtc *vrtc)
{
	return !held(vrtc) && !(vrtc->ram[RTC_B] & B_SET);
}

/* --- the registers' formats --- */

static u8 encode(const struct vrtc *vrtc, unsigned value)
{
	if (vrtc->ram[RTC_B] & B_BINARY)
		return (u8)value;
	return (u8)(value / 10 << 4 | value % 10);
}

static unsigned decode(const struct vrtc *vrtc, u8 value)
{
	if (vrtc->ram[RTC_B] & B_BINARY)
		return value;
	return (value >> 4) * 10 + (value & 15);
}

static u8 encode_hour(const struct vrtc *vrtc, unsigned hour)
{
	if (vrtc->ram[RTC_B] & B_24_HOURS)
		return encode(vrtc, hour);
	return encode(vrtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const struct vrtc *vrtc, u8 value)
{
	if (vrtc->ram[RTC_B] & B_24_HOURS)
		return decode(vrtc, value);
	return decode(vrtc, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

static void time_to_registers(struct vrtc *vrtc)
{
	struct calendar time;

	calendar_from_seconds(vrtc->seconds, &time);
	vrtc->ram[RTC_SECOND] = encode(vrtc, time.second);
	vrtc->ram[RTC_MINUTE] = encode(vrtc, time.minute);
	vrtc->ram[RTC_HOUR] = encode_hour(vrtc, time.hour);
	vrtc->ram[RTC_WEEKDAY] = (time.weekday + vrtc->weekday_shift) % 7 + 1;
	vrtc->ram[RTC_DAY] = encode(vrtc, time.day);
	vrtc->ram[RTC_MONTH] = encode(vrtc, time.month);
	vrtc->ram[RTC_YEAR] = encode(vrtc, time.year % 100);
	vrtc->ram[RTC_CENTURY] = encode(vrtc, time.year / 100 % 100);
}

static void time_from_registers(struct vrtc *vrtc)
{
	struct calendar time = {
		.year = decode(vrtc, vrtc->ram[RTC_CENTURY]) * 100 + decode(vrtc, vrtc->ram[RTC_YEAR]),
		.month = decode(vrtc, vrtc->ram[RTC_MONTH]),
		.day = decode(vrtc, vrtc->ram[RTC_DAY]),
		.hour = decode_hour(vrtc, vrtc->ram[RTC_HOUR]),
		.minute = decode(vrtc, vrtc->ram[RTC_MINUTE]),
		.second = decode(vrtc, vrtc->ram[RTC_SECOND]),
	};

	vrtc->seconds = calendar_to_seconds(&time);
	calendar_from_seconds(vrtc->seconds, &time);
	vrtc->weekday_shift = (vrtc->ram[RTC_WEEKDAY] % 7 + 7 + 6 - time.weekday) % 7;
}

/* --- alarm --- */

static bool alarm_any(u8 raw)
{
	return (raw & ALARM_ANY) == ALARM_ANY;
}

/* Does an alarm register, as written and decoded, match this value? */
static bool alarm_matches(u8 raw, unsigned decoded, unsigned value)
{
	return alarm_any(raw) || decoded == value;
}

/* The time, as in `seconds`, of the first alarm after the present time, or VTIMER_NEVER. */
static u64 next_alarm(const struct vrtc *vrtc)
{
	const u8 *ram = vrtc->ram;
	unsigned hour = decode_hour(vrtc, ram[RTC_HOUR_ALARM]);
	unsigned minute = decode(vrtc, ram[RTC_MINUTE_ALARM]);
	unsigned second = decode(vrtc, ram[RTC_SECOND_ALARM]);
	u64 time = vrtc->seconds + 1, end = time + SECONDS_PER_DAY;

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
static u64 periodic_ticks(const struct vrtc *vrtc)
{
	unsigned rate = A_RATE(vrtc->ram[RTC_A]);

	if (rate == 0)
		return 0;
	return rate <= 2 ? 128ull << (rate - 1) : 1ull << (rate - 1);
}

/* Bring the time and the flags up to date. */
static void catch_up(struct vrtc *vrtc)
{
	u64 tick = counter_now(&vrtc->crystal) - vrtc->phase, period = periodic_ticks(vrtc);
	u64 seconds = (tick >> SECOND_SHIFT) - (vrtc->tick >> SECOND_SHIFT);

	if (held(vrtc))
		return;
	if (period && tick / period != vrtc->tick / period)
		vrtc->ram[RTC_C] |= C_PERIODIC;
	vrtc->tick = tick;
	if (!seconds || !updates(vrtc))
		return;
	vrtc->ram[RTC_C] |= C_UPDATED;
	if (next_alarm(vrtc) <= vrtc->seconds + seconds)
		vrtc->ram[RTC_C] |= C_ALARM;
	vrtc->seconds += seconds;
	time_to_registers(vrtc);
}

/* The divider's count at which the next enabled interrupt comes. */
static u64 next_interrupt(const struct vrtc *vrtc)
{
	u64 next = VTIMER_NEVER, period = periodic_ticks(vrtc), second = vrtc->tick >> SECOND_SHIFT;
	u8 enabled = vrtc->ram[RTC_B];

	if ((enabled & C_PERIODIC) && period)
		next = (vrtc->tick / period + 1) * period;
	if ((enabled & C_UPDATED) && updates(vrtc))
		next = MIN(next, (second + 1) << SECOND_SHIFT);
	if ((enabled & C_ALARM) && updates(vrtc)) {
		u64 alarm = next_alarm(vrtc);

		if (alarm != VTIMER_NEVER)
			next = MIN(next, (second + alarm - vrtc->seconds) << SECOND_SHIFT);
	}
	return next;
}

/* Set the line, and arm the timer for the next enabled interrupt. */
static void update_interrupt(struct vrtc *vrtc)
{
	bool request = vrtc->ram[RTC_C] & vrtc->ram[RTC_B] & C_FLAGS;
	u64 next = VTIMER_NEVER;

	vrtc->ram[RTC_C] = (vrtc->ram[RTC_C] & C_FLAGS) | (request ? C_REQUEST : 0);
	irq_line_set(vrtc->vm, RTC_IRQ, request);
	if (!request && !held(vrtc))
		next = next_interrupt(vrtc);
	if (next == VTIMER_NEVER)
		vtimer_cancel(&vrtc->timer);
	else
		vtimer_arm(&vrtc->timer, MAX(counter_deadline(&vrtc->crystal, vrtc->phase + next), vrtc->earliest));
}

static void timer_fire(struct vtimer *timer)
{
	struct vrtc *vrtc = container_of(timer, struct vrtc, timer);
	u64 now = vtimer_now();

	catch_up(vrtc);
	if (vrtc->ram[RTC_C] & vrtc->ram[RTC_B] & C_PERIODIC)
		vrtc->earliest = now + pace_next(&vrtc->pace, vm_bsp(vrtc->vm), "the real-time clock",
						 vtimer_scale(periodic_ticks(vrtc), vtimer_hz(), CRYSTAL_HZ), now);
	update_interrupt(vrtc);
}

/* --- ports --- */

static void write_a(struct vrtc *vrtc, u8 value)
{
	bool was_held = held(vrtc);

	vrtc->ram[RTC_A] = value & ~A_UPDATING;
	if (!was_held || held(vrtc))
		return;
	vrtc->tick = RELEASED_TICK;
	vrtc->phase = counter_now(&vrtc->crystal) - RELEASED_TICK;
	time_from_registers(vrtc);
}

static void write_b(struct vrtc *vrtc, u8 value)
{
	if (value & B_SET)
		value &= ~C_UPDATED;
	vrtc->ram[RTC_B] = value;
	/* The guest has set the time, or changed the format in which the registers are read. */
	if (!(value & B_SET))
		time_from_registers(vrtc);
}

static void write_register(struct vrtc *vrtc, u8 index, u8 value)
{
	switch (index) {
	case RTC_A:
		write_a(vrtc, value);
		break;
	case RTC_B:
		write_b(vrtc, value);
		break;
	case RTC_C:
	case RTC_D:
		break;		/* read-only */
	case RTC_SECOND:
	case RTC_MINUTE:
	case RTC_HOUR:
	case RTC_WEEKDAY ... RTC_YEAR:
	case RTC_CENTURY:
		vrtc->ram[index] = value;
		if (updates(vrtc))
			time_from_registers(vrtc);
		break;
	default:
		vrtc->ram[index] = value;
		break;
	}
}

static u8 read_register(struct vrtc *vrtc, u8 index)
{
	u8 value = vrtc->ram[index];

	if (index == RTC_A && updates(vrtc) && (vrtc->tick + UPDATING_TICKS) >> SECOND_SHIFT !=
	    vrtc->tick >> SECOND_SHIFT)
		value |= A_UPDATING;
	if (index == RTC_C)
		vrtc->ram[RTC_C] = 0;
	return value;
}

static u8 vrtc_read(void *device, u16 port)
{
	struct vrtc *vrtc = device;
	u8 value;

	if (port == RTC_PORT)
		return 0xff;	/* write-only */
	catch_up(vrtc);
	/* catch_up() may have set flags: update C_REQUEST with them. */
	update_interrupt(vrtc);
	value = read_register(vrtc, vrtc->index);
	if (vrtc->index == RTC_C)
		update_interrupt(vrtc);
	return value;
}

static void vrtc_write(void *device, u16 port, u8 value)
{
	struct vrtc *vrtc = device;

	if (port == RTC_PORT) {
		/* Bit 7 masks the chipset's NMIs, which the VM does not have. */
		vrtc->index = value % RTC_SIZE;
		return;
	}
	catch_up(vrtc);
	vrtc->pace.tick = vrtc->earliest = 0;
	write_register(vrtc, vrtc->index, value);
	update_interrupt(vrtc);
}

/* --- what firmware leaves in CMOS --- */

#define CMOS_EQUIPMENT	    0x14
#define CMOS_BASE_KIB	    0x15
#define CMOS_ABOVE_1M_KIB   0x17
#define CMOS_CHECKSUM	    0x2e	/* of 0x10 to 0x2d, high byte first */
#define CMOS_ABOVE_1M_KIB_2 0x30
#define CMOS_ABOVE_16M	    0x34	/* in 64 KiB */
#define CMOS_ABOVE_4G	    0x5b	/* three bytes, in 64 KiB */

static void put_le(struct vrtc *vrtc, unsigned index, u64 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		vrtc->ram[index + i] = (u8)(value >> (8 * i));
}

static u64 above(u64 size, u64 limit)
{
	return size > limit ? size - limit : 0;
}

static void fill_cmos(struct vrtc *vrtc, u64 low, u64 high)
{
	u64 above_1m = MIN(above(low, MIB(1)) / KIB(1), KIB(63));
	unsigned sum = 0;

	vrtc->ram[CMOS_EQUIPMENT] = BIT(1);	/* a coprocessor, no diskette drive */
	put_le(vrtc, CMOS_BASE_KIB, MIN(low / KIB(1), 640ull), 2);
	put_le(vrtc, CMOS_ABOVE_1M_KIB, above_1m, 2);
	put_le(vrtc, CMOS_ABOVE_1M_KIB_2, above_1m, 2);
	put_le(vrtc, CMOS_ABOVE_16M, MIN(above(low, MIB(16)) / KIB(64), 0xffffull), 2);
	put_le(vrtc, CMOS_ABOVE_4G, MIN(high / KIB(64), 0xffffffull), 3);
	for (unsigned i = 0x10; i < CMOS_CHECKSUM; i++)
		sum += vrtc->ram[i];
	vrtc->ram[CMOS_CHECKSUM] = (u8)(sum >> 8);
	vrtc->ram[CMOS_CHECKSUM + 1] = (u8)sum;
}

struct vrtc *vrtc_create(struct vm *vm, u64 now)
{
	struct vrtc *vrtc = vm_alloc(vm, sizeof(*vrtc));

	if (!vrtc)
		return NULL;
	vrtc->vm = vm;
	vtimer_init_shared(&vrtc->timer, vm, timer_fire);
	vrtc->crystal = (struct counter){ .origin = vtimer_now(), .hz = CRYSTAL_HZ };
	vrtc->ram[RTC_A] = 0x26;			/* 32768 Hz crystal, 1024 Hz periodic */
	vrtc->ram[RTC_B] = B_24_HOURS;
	vrtc->ram[RTC_D] = D_VALID;
	vrtc->seconds = CALENDAR_UNIX_EPOCH + now;
	time_to_registers(vrtc);
	fill_cmos(vrtc, guest_low_ram(vm), guest_high_ram(vm));
	if (byte_ports_register(vm, &(struct byte_ports){
		.name = "MC146818", .base = RTC_PORT, .count = 2,
		.read = vrtc_read, .write = vrtc_write, .device = vrtc }))
		return NULL;
	return vrtc;
}
