/* SPDX-License-Identifier: MIT */
/*
 * One channel of an 8254, from Intel's "8254 Programmable Interval Timer" data sheet, "Mode
 * Definitions". A count is loaded by the clock after the write.
 */
#include "dev/isa/vpit_channel.h"

#define CONTROL_BCD	BIT(0)
#define CONTROL_MODE(c)	((c) >> 1 & 7)
#define CONTROL_BYTES(c) ((c) >> 4 & 3)	/* 1: low, 2: high, 3: low then high */
#define BYTES_LOW	1
#define BYTES_HIGH	2
#define STATUS_OUTPUT	BIT(7)
#define STATUS_NULL	BIT(6)		/* the count that was written is not loaded yet */

/* --- counting --- */

static bool periodic(const struct vpit_channel *channel)
{
	return channel->mode == 2 || channel->mode == 3;
}

static bool triggered(const struct vpit_channel *channel)
{
	return channel->mode == 1 || channel->mode == 5;
}

/* Mode 3: clocks of the high half, with an odd count one more than of the low half. */
static u32 high_half(u32 period)
{
	return (period + 1) / 2;
}

/* Is the clock that loads the count still to come? Signed, because `start` may be before clock 0. */
static bool loading(const struct vpit_channel *channel, u64 now)
{
	return !channel->paused && (s64)(now - channel->start) < 0;
}

static u64 elapsed(const struct vpit_channel *channel, u64 now)
{
	if (channel->paused)
		return channel->start;
	return loading(channel, now) ? 0 : now - channel->start;
}

static void set_paused(struct vpit_channel *channel, bool paused, u64 now)
{
	if (paused == channel->paused)
		return;
	if (paused)
		channel->start = elapsed(channel, now);
	else
		channel->start = now - channel->start;
	channel->paused = paused;
}

/* Clocks until the output rises: terminal count; the strobe of modes 4 and 5 is one clock long. */
static u32 clocks_to_edge(const struct vpit_channel *channel)
{
	return channel->period + (channel->mode >= 4 ? 1 : 0);
}

static u64 edges_at(const struct vpit_channel *channel, u64 clocks)
{
	if (periodic(channel))
		return channel->edges_before + clocks / channel->period;
	return channel->edges_before + (clocks >= clocks_to_edge(channel));
}

/*
 * Clock at which the next count's period starts, in a periodic mode. Mode 3 may load the count in
 * mid-period, and then continues with the low half.
 */
static u64 next_origin(const struct vpit_channel *channel)
{
	bool middle = (channel->next_start - channel->start) % channel->period;

	return middle ? channel->next_start - high_half(channel->next_period) : channel->next_start;
}

/* Load a waiting count if its time has come. */
static void advance(struct vpit_channel *channel, u64 now)
{
	u64 origin;

	if (!channel->next_valid || now < channel->next_start)
		return;
	origin = next_origin(channel);
	channel->edges_before = edges_at(channel, channel->next_start - channel->start);
	channel->period = channel->next_period;
	channel->start = origin;
	channel->next_valid = false;
}

/* Load a count with the next clock, and start over. */
static void load(struct vpit_channel *channel, u32 period, u64 now)
{
	if (channel->counting)
		channel->edges_before = edges_at(channel, elapsed(channel, now));
	channel->period = period;
	channel->counting = true;
	channel->next_valid = false;
	channel->paused = !channel->gate && !triggered(channel);
	channel->start = channel->paused ? 0 : now + 1;
}

static void count_written(struct vpit_channel *channel, u32 period, u64 now)
{
	u64 clocks;
	u32 part;

	advance(channel, now);
	if (triggered(channel)) {
		channel->next_start = PIT_NEVER;
	} else if (!periodic(channel) || !channel->counting) {
		load(channel, period, now);
		return;
	} else if (channel->paused) {
		channel->next_start = PIT_NEVER;
	} else {
		/* The current period, in mode 3 the current half of it, is finished first. */
		clocks = elapsed(channel, now);
		part = clocks % channel->period;
		channel->next_start = channel->start + clocks - part;
		if (channel->mode == 3 && part < high_half(channel->period))
			channel->next_start += high_half(channel->period);
		else
			channel->next_start += channel->period;
	}
	channel->next_period = period;
	channel->next_valid = true;
}

static u16 to_bcd(u32 value)
{
	return (u16)(value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
		     value % 10);
}

static u32 from_bcd(u16 value)
{
	return (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 +
	       (value & 15);
}

/* The value of the counting element. */
static u16 count(struct vpit_channel *channel, u64 now)
{
	u64 clocks, value;
	u32 part, half;

	advance(channel, now);
	if (!channel->counting)
		return 0;
	clocks = elapsed(channel, now);
	if (channel->mode == 2) {
		value = channel->period - clocks % channel->period;
	} else if (channel->mode == 3) {
		/* Each half counts down in twos, from the count without its lowest bit. */
		half = high_half(channel->period);
		part = clocks % channel->period;
		value = (channel->period & ~1u) - 2 * (part < half ? part : part - half);
	} else if (channel->control & CONTROL_BCD) {
		value = channel->period % 10000 + 10000 - clocks % 10000;
	} else {
		value = channel->period - clocks;	/* wraps around and goes on */
	}
	return channel->control & CONTROL_BCD ? to_bcd(value % 10000) : (u16)value;
}

/* --- output --- */

bool vpit_channel_output(struct vpit_channel *channel, u64 now)
{
	u64 clocks;

	advance(channel, now);
	clocks = elapsed(channel, now);
	if (!channel->counting)
		return channel->mode != 0;
	switch (channel->mode) {
	case 0:
		return clocks >= channel->period && !channel->write_high;
	case 1:
		return loading(channel, now) || clocks >= channel->period;
	case 2:
		return channel->paused || clocks % channel->period != channel->period - 1;
	case 3:
		return channel->paused || clocks % channel->period < high_half(channel->period);
	default:
		return clocks != channel->period;
	}
}

u64 vpit_channel_edges(struct vpit_channel *channel, u64 now)
{
	advance(channel, now);
	if (!channel->counting)
		return 0;
	return edges_at(channel, elapsed(channel, now));
}

u64 vpit_channel_edge_time(struct vpit_channel *channel, u64 edges, u64 now)
{
	u64 ahead, time;

	advance(channel, now);
	ahead = edges - channel->edges_before;
	if (!channel->counting || channel->paused)
		return PIT_NEVER;
	if (!periodic(channel))
		return ahead == 1 ? channel->start + clocks_to_edge(channel) : PIT_NEVER;
	time = channel->start + ahead * channel->period;
	if (channel->next_valid && time > channel->next_start) {
		ahead = edges - edges_at(channel, channel->next_start - channel->start);
		time = next_origin(channel) + ahead * channel->next_period;
	}
	return time;
}

void vpit_channel_set_gate(struct vpit_channel *channel, bool gate, u64 now)
{
	bool rises = gate && !channel->gate;
	bool half_written = channel->mode == 0 && channel->write_high;

	advance(channel, now);
	channel->gate = gate;
	if (channel->mode == 0 || channel->mode == 4) {
		if (channel->counting)
			set_paused(channel, !gate || half_written, now);
	} else if (rises && channel->next_valid) {
		load(channel, channel->next_period, now);
	} else if (rises && channel->counting) {
		load(channel, channel->period, now);
	} else if (!gate && channel->counting && periodic(channel)) {
		if (channel->next_valid)
			channel->next_start = PIT_NEVER;
		set_paused(channel, true, now);
	}
}

/* --- the registers --- */

void vpit_channel_control(struct vpit_channel *channel, u8 control)
{
	bool gate = channel->gate;

	*channel = (struct vpit_channel){ .control = control & 0x3f, .gate = gate };
	channel->mode = CONTROL_MODE(control);
	if (channel->mode >= 6)		/* 6 and 7 are modes 2 and 3 */
		channel->mode -= 4;
}

void vpit_channel_init(struct vpit_channel *channel, u8 control, bool gate)
{
	channel->gate = gate;
	vpit_channel_control(channel, control);
}

void vpit_channel_write(struct vpit_channel *channel, u8 value, u64 now)
{
	u16 number = value;
	u32 period;

	switch (CONTROL_BYTES(channel->control)) {
	case BYTES_LOW:
		break;
	case BYTES_HIGH:
		number = (u16)(value << 8);
		break;
	default:
		channel->write_high = !channel->write_high;
		if (channel->write_high) {
			channel->write_low = value;
			/* In mode 0 the first byte stops counting, with the output low. */
			if (channel->mode == 0 && channel->counting)
				set_paused(channel, true, now);
			return;
		}
		number = (u16)(value << 8) | channel->write_low;
		break;
	}
	if (channel->control & CONTROL_BCD)
		period = number ? from_bcd(number) : 10000;
	else
		period = number ? number : 0x10000;
	count_written(channel, period, now);
}

void vpit_channel_latch_count(struct vpit_channel *channel, u64 now)
{
	if (channel->latched)
		return;
	channel->latch = count(channel, now);
	channel->latched = true;
}

void vpit_channel_latch_status(struct vpit_channel *channel, u64 now)
{
	bool null;

	if (channel->status_latched)
		return;
	channel->status = channel->control;
	if (vpit_channel_output(channel, now))
		channel->status |= STATUS_OUTPUT;
	null = channel->next_valid || !channel->counting || loading(channel, now);
	channel->status |= null ? STATUS_NULL : 0;
	channel->status_latched = true;
}

u8 vpit_channel_read(struct vpit_channel *channel, u64 now)
{
	u8 bytes = CONTROL_BYTES(channel->control);
	bool high = bytes == BYTES_HIGH;
	u16 value;

	if (channel->status_latched) {
		channel->status_latched = false;
		return channel->status;
	}
	value = channel->latched ? channel->latch : count(channel, now);
	if (bytes != BYTES_LOW && bytes != BYTES_HIGH) {
		high = channel->read_high;
		channel->read_high = !high;
	}
	/* Of two bytes, the second one releases the latch. */
	if (!channel->read_high)
		channel->latched = false;
	return high ? value >> 8 : value & 0xff;
}
