/* SPDX-License-Identifier: MIT */
/*
 * The 8254 of a PC: channel 0 drives IRQ 0, channel 1 the memory refresh that port 0x61 shows,
 * channel 2 the speaker, with its gate and output on port 0x61.
 *
 * A tick is not lost when the host is late or the guest has not taken the one before: ticks that are
 * owed are delivered later, at least MIN_INTERVAL_NS apart, each after the one before is taken. Of more
 * than MAX_OWED the oldest are dropped. The same interval limits the load of a guest that programs a
 * very high frequency, and core/pace.h that of a host on which each tick takes long.
 */
#include "dev/isa/vpit.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/pace.h"
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
#define READ_BACK_COUNT	 BIT(5)	/* both are active low */
#define READ_BACK_STATUS BIT(4)

#define SYSTEM_PORT	0x61
#define SYSTEM_GATE2	BIT(0)
#define SYSTEM_WRITABLE	0x0f	/* gate, speaker, and the enables of two NMIs that nothing raises */
#define SYSTEM_REFRESH	BIT(4)	/* toggles with each refresh */
#define SYSTEM_OUT2	BIT(5)
#define REFRESH_CLOCKS	18

struct vpit {
	struct vm *vm;
	struct counter clock;
	struct vpit_channel channels[CHANNELS];
	u8 system;		/* what was written to port 0x61 */

	struct vtimer timer;	/* channel 0's next rising edge */
	struct pace pace;
	u64 interval;		/* TSC ticks from one tick of channel 0 to the next, at least */
	bool line;		/* of IRQ 0 */
	u64 delivered;		/* edges of channel 0 that were raised or dropped */
	u64 last_edge;		/* TSC */
};

static void arm(struct vpit *vpit, u64 now)
{
	struct vpit_channel *channel = &vpit->channels[0];
	u64 half_period = vtimer_scale(channel->period, vtimer_hz(), 2 * PIT_HZ);
	u64 interval = MAX(vtimer_from_ns(MIN_INTERVAL_NS), vpit->interval), deadline, edge;

	if (vpit->delivered < vpit_channel_edges(channel, now)) {
		/* Ticks are owed. If the last one is not taken yet, check again after half a period. */
		if (irq_line_waiting(vpit->vm, PIT_IRQ))
			interval = MAX(interval, half_period);
		vtimer_arm(&vpit->timer, vtimer_now() + interval);
		return;
	}
	edge = vpit_channel_edge_time(channel, vpit->delivered + 1, now);
	if (edge == PIT_NEVER) {
		vtimer_cancel(&vpit->timer);
		return;
	}
	deadline = counter_deadline(&vpit->clock, edge);
	vtimer_arm(&vpit->timer, MAX(deadline, vpit->last_edge + interval));
}

static void set_line(struct vpit *vpit, bool level)
{
	if (level == vpit->line)
		return;
	vpit->line = level;
	irq_line_set(vpit->vm, PIT_IRQ, level);
}

static void raise(struct vpit *vpit)
{
	set_line(vpit, false);
	set_line(vpit, true);
}

/* Channel 0 is about to be set anew: the last edge of its old count has come, even if the interval holds it back. */
static void raise_owed(struct vpit *vpit, u64 now)
{
	if (vpit->delivered < vpit_channel_edges(&vpit->channels[0], now) && !irq_line_waiting(vpit->vm, PIT_IRQ))
		raise(vpit);
}

static void edge_due(struct vtimer *timer)
{
	struct vpit *vpit = container_of(timer, struct vpit, timer);
	u64 now = counter_now(&vpit->clock);
	u64 due = vpit_channel_edges(&vpit->channels[0], now);

	if (due > vpit->delivered + MAX_OWED)
		vpit->delivered = due - MAX_OWED;
	/* MAX_OWED ticks owed: do not wait until the last one is taken. The guest loses ticks, as on a real PC. */
	if (vpit->delivered + MAX_OWED == due ||
	    (vpit->delivered < due && !irq_line_waiting(vpit->vm, PIT_IRQ))) {
		vpit->delivered++;
		vpit->last_edge = vtimer_now();
		vpit->interval = pace_next(&vpit->pace, vm_bsp(vpit->vm), "the 8254's channel 0",
					   vtimer_scale(vpit->channels[0].period, vtimer_hz(), PIT_HZ), vpit->last_edge);
		raise(vpit);
	}
	arm(vpit, now);
}

/* Channel 0 was written: its output may have changed, and the time of its next edge has. */
static void channel0_changed(struct vpit *vpit, u64 now)
{
	/* An edge that nobody has taken yet would go with the line. */
	if (vpit->delivered == vpit_channel_edges(&vpit->channels[0], now) &&
	    !(vpit->line && irq_line_waiting(vpit->vm, PIT_IRQ)))
		set_line(vpit, vpit_channel_output(&vpit->channels[0], now));
	arm(vpit, now);
}

static void read_back(struct vpit *vpit, u8 value, u64 now)
{
	for (unsigned i = 0; i < CHANNELS; i++) {
		if (!(value & BIT(i + 1)))
			continue;
		if (!(value & READ_BACK_COUNT))
			vpit_channel_latch_count(&vpit->channels[i], now);
		if (!(value & READ_BACK_STATUS))
			vpit_channel_latch_status(&vpit->channels[i], now);
	}
}

static void control_word(struct vpit *vpit, u8 value, u64 now)
{
	unsigned index = value >> 6;

	if (index == READ_BACK) {
		read_back(vpit, value, now);
	} else if (!(value & 0x30)) {
		vpit_channel_latch_count(&vpit->channels[index], now);
	} else {
		if (index == 0)
			raise_owed(vpit, now);
		vpit_channel_control(&vpit->channels[index], value);
		if (index == 0) {
			vpit->pace.tick = vpit->interval = 0;
			vpit->delivered = 0;
			channel0_changed(vpit, now);
		}
	}
}

/* --- ports --- */

static u8 vpit_read(void *device, u16 port)
{
	struct vpit *vpit = device;

	if (port == PIT_PORT + PIT_CONTROL)
		return 0xff;	/* write-only */
	return vpit_channel_read(&vpit->channels[port - PIT_PORT], counter_now(&vpit->clock));
}

static void vpit_write(void *device, u16 port, u8 value)
{
	struct vpit *vpit = device;
	u64 now = counter_now(&vpit->clock);
	unsigned index = port - PIT_PORT;

	if (index == PIT_CONTROL) {
		control_word(vpit, value, now);
		return;
	}
	vpit_channel_write(&vpit->channels[index], value, now);
	if (index == 0)
		channel0_changed(vpit, now);
}

static u8 system_read(void *device, u16 port)
{
	struct vpit *vpit = device;
	u64 now = counter_now(&vpit->clock);
	u8 value = vpit->system;

	if (now / REFRESH_CLOCKS & 1)
		value |= SYSTEM_REFRESH;
	if (vpit_channel_output(&vpit->channels[2], now))
		value |= SYSTEM_OUT2;
	return value;
}

static void system_write(void *device, u16 port, u8 value)
{
	struct vpit *vpit = device;

	vpit->system = value & SYSTEM_WRITABLE;
	vpit_channel_set_gate(&vpit->channels[2], value & SYSTEM_GATE2, counter_now(&vpit->clock));
}

struct vpit *vpit_create(struct vm *vm)
{
	struct vpit *vpit = vm_alloc(vm, sizeof(*vpit));
	struct byte_ports ports[] = {
		{ "8254", PIT_PORT, CHANNELS + 1, vpit_read, vpit_write, vpit },
		{ "port 0x61", SYSTEM_PORT, 1, system_read, system_write, vpit },
	};

	if (!vpit)
		return NULL;
	vpit->vm = vm;
	vpit->clock = (struct counter){ .origin = vtimer_now(), .hz = PIT_HZ };
	vtimer_init_shared(&vpit->timer, vm, edge_due);
	/* As firmware leaves them, in mode 3, but idle: no count is written yet. */
	for (unsigned i = 0; i < CHANNELS; i++)
		vpit_channel_init(&vpit->channels[i], 0x36, i != 2);
	vpit->line = true;
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		if (byte_ports_register(vm, &ports[i]))
			return NULL;
	return vpit;
}
