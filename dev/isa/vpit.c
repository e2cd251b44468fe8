/* SPDX-License-Identifier: MIT */
/*
 * The 8254 of a PC: channel 0 drives IRQ 0, channel 1 the memory refresh that port 0x61 shows,
 * channel 2 the speaker, with its gate and output on port 0x61.
 *
 * A tick is not lost when the host is late or the guest has not taken the one before: the ticks
 * owed follow MIN_INTERVAL_NS apart, each when its predecessor is taken. More than MAX_OWED are
 * forgotten. The same interval bounds the load of a guest that programs an absurd frequency.
 */
#include "dev/isa/vpit.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "dev/isa/byte_ports.h"
#include "dev/isa/counter.h"
#include "dev/isa/vpit_channel.h"

#define MIN_INTERVAL_NS	100000
#define MAX_OWED	64

#define PIT_PORT	0x40	/* three channels, then the control word */
#define PIT_CONTROL	3
#define CHANNELS	3

#define READ_BACK	3	/* in place of a channel */
#define READ_BACK_COUNT	 BIT(5)	/* active low, both */
#define READ_BACK_STATUS BIT(4)

#define SYSTEM_PORT	0x61
#define SYSTEM_GATE2	BIT(0)
#define SYSTEM_WRITABLE	0x0f	/* gate, speaker, and the enables of two NMIs that nothing raises */
#define SYSTEM_REFRESH	BIT(4)	/* toggles with each refresh */
#define SYSTEM_OUT2	BIT(5)
#define REFRESH_CLOCKS	18

struct pit {
	struct vm *vm;
	struct counter clock;
	struct pit_channel channels[CHANNELS];
	u8 system;		/* what was written to port 0x61 */

	struct vtimer timer;	/* channel 0's next rising edge */
	bool line;		/* of IRQ 0 */
	u64 delivered;		/* edges of channel 0 raised, or forgotten */
	u64 last_edge;		/* TSC */
};

static void arm(struct pit *pit, u64 now)
{
	struct pit_channel *channel = &pit->channels[0];
	u64 half_period = vtimer_scale(channel->period, vtimer_hz(), 2 * PIT_HZ);
	u64 interval = vtimer_from_ns(MIN_INTERVAL_NS), deadline, edge;

	if (pit->delivered < pit_channel_edges(channel, now)) {
		/* Not taken yet: look again, but not too often. */
		if (irq_line_waiting(pit->vm, PIT_IRQ))
			interval = MAX(interval, half_period);
		vtimer_arm(&pit->timer, vtimer_now() + interval);
		return;
	}
	edge = pit_channel_edge_time(channel, pit->delivered + 1, now);
	if (edge == PIT_NEVER) {
		vtimer_cancel(&pit->timer);
		return;
	}
	deadline = counter_deadline(&pit->clock, edge);
	vtimer_arm(&pit->timer, MAX(deadline, pit->last_edge + interval));
}

static void set_line(struct pit *pit, bool level)
{
	if (level == pit->line)
		return;
	pit->line = level;
	irq_line_set(pit->vm, PIT_IRQ, level);
}

static void edge_due(struct vtimer *timer)
{
	struct pit *pit = container_of(timer, struct pit, timer);
	u64 now = counter_now(&pit->clock);
	u64 due = pit_channel_edges(&pit->channels[0], now);

	if (due > pit->delivered + MAX_OWED)
		pit->delivered = due - MAX_OWED;
	/* Edges go on for a guest that takes none for long: then it loses ticks as on any PC. */
	if (pit->delivered + MAX_OWED == due ||
	    (pit->delivered < due && !irq_line_waiting(pit->vm, PIT_IRQ))) {
		pit->delivered++;
		pit->last_edge = vtimer_now();
		set_line(pit, false);
		set_line(pit, true);
	}
	arm(pit, now);
}

/* Channel 0 was written: its output may have changed at once, and its next edge has. */
static void channel0_changed(struct pit *pit, u64 now)
{
	if (pit->delivered == pit_channel_edges(&pit->channels[0], now))
		set_line(pit, pit_channel_output(&pit->channels[0], now));
	arm(pit, now);
}

static void read_back(struct pit *pit, u8 value, u64 now)
{
	for (unsigned i = 0; i < CHANNELS; i++) {
		if (!(value & BIT(i + 1)))
			continue;
		if (!(value & READ_BACK_COUNT))
			pit_channel_latch_count(&pit->channels[i], now);
		if (!(value & READ_BACK_STATUS))
			pit_channel_latch_status(&pit->channels[i], now);
	}
}

static void control_word(struct pit *pit, u8 value, u64 now)
{
	unsigned index = value >> 6;

	if (index == READ_BACK) {
		read_back(pit, value, now);
	} else if (!(value & 0x30)) {
		pit_channel_latch_count(&pit->channels[index], now);
	} else {
		pit_channel_control(&pit->channels[index], value);
		if (index == 0) {
			pit->delivered = 0;
			channel0_changed(pit, now);
		}
	}
}

/* --- ports --- */

static u8 pit_read(void *device, u16 port)
{
	struct pit *pit = device;

	if (port == PIT_PORT + PIT_CONTROL)
		return 0xff;	/* write-only */
	return pit_channel_read(&pit->channels[port - PIT_PORT], counter_now(&pit->clock));
}

static void pit_write(void *device, u16 port, u8 value)
{
	struct pit *pit = device;
	u64 now = counter_now(&pit->clock);
	unsigned index = port - PIT_PORT;

	if (index == PIT_CONTROL) {
		control_word(pit, value, now);
		return;
	}
	pit_channel_write(&pit->channels[index], value, now);
	if (index == 0)
		channel0_changed(pit, now);
}

static u8 system_read(void *device, u16 port)
{
	struct pit *pit = device;
	u64 now = counter_now(&pit->clock);
	u8 value = pit->system;

	if (now / REFRESH_CLOCKS & 1)
		value |= SYSTEM_REFRESH;
	if (pit_channel_output(&pit->channels[2], now))
		value |= SYSTEM_OUT2;
	return value;
}

static void system_write(void *device, u16 port, u8 value)
{
	struct pit *pit = device;

	pit->system = value & SYSTEM_WRITABLE;
	pit_channel_set_gate(&pit->channels[2], value & SYSTEM_GATE2, counter_now(&pit->clock));
}

struct pit *pit_create(struct vm *vm)
{
	struct pit *pit = vm_alloc(vm, sizeof(*pit));
	struct byte_ports ports[] = {
		{ "8254", PIT_PORT, CHANNELS + 1, pit_read, pit_write, pit },
		{ "port 0x61", SYSTEM_PORT, 1, system_read, system_write, pit },
	};

	if (!pit)
		return NULL;
	pit->vm = vm;
	pit->clock = (struct counter){ .origin = vtimer_now(), .hz = PIT_HZ };
	vtimer_init(&pit->timer, vm_bsp(vm), edge_due);
	/* As firmware leaves them, but idle: square waves whose count is not written yet. */
	for (unsigned i = 0; i < CHANNELS; i++)
		pit_channel_init(&pit->channels[i], 0x36, i != 2);
	pit->line = true;
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		if (byte_ports_register(vm, &ports[i]))
			return NULL;
	return pit;
}
