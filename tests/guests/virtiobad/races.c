/* SPDX-License-Identifier: MIT */
/* Another CPU changes rings and registers while the device works. */
#include "bad.h"

static volatile bool stop;
static volatile struct ring *racing;
static struct device *raced;

static u32 next_random(u32 x)
{
	x ^= x << 13;
	x ^= x >> 17;
	return x ^ x << 5;
}

/* Everything that the device reads: index, entries, descriptors. */
static void change_memory(u32 cpu)
{
	for (u32 x = 12345 + cpu; !stop; x = next_random(x)) {
		volatile struct descriptor *descriptor = &racing->desc[x >> 8 & 0x1f];

		switch (x % 4) {
		case 0:
			racing->avail.index += x >> 8 & 3;
			break;
		case 1:
			racing->avail.ring[x >> 8 & 0xff] = x >> 16 & 0x1f;
			break;
		case 2:
			descriptor->address = x & 0x10000 ? (ulong)memory : LAPIC;
			descriptor->size = x & 0x20000 ? 8 : 0xffffffff;
			break;
		default:
			descriptor->flags = x >> 16 & 7;
			descriptor->next = x >> 20 & 0x1f;
		}
	}
}

static void ring_doorbells(u32 cpu)
{
	(void)cpu;
	while (!stop)
		for (u32 i = 0; i < raced->notifies; i++)
			for (u32 n = 0; n < 2; n++)
				place_write(&raced->notify[i], n * raced->notify_multiplier[i], 2, n);
}

static void write_status(u32 cpu)
{
	for (u32 x = 4711 + cpu; !stop; x = next_random(x)) {
		set_common(raced, DEVICE_STATUS, x % 8 ? x >> 8 & 15 : 0);
		set_common(raced, QUEUE_SELECT, x >> 16 & 1);
		set_common(raced, QUEUE_ENABLE, 1);
	}
}

static void move_bars(u32 cpu)
{
	u32 reg = PCI_BAR + 4 * raced->cfg[CFG_COMMON].bar;
	volatile u32 *bar = (volatile u32 *)(ecam + ((ulong)raced->bdf << 12) + reg);
	u32 old = *bar;

	(void)cpu;
	while (!stop) {
		*bar = 0xd0000000;
		*bar = old;
	}
}

static void race(const struct target *target, void (*other)(u32 cpu), const char *name)
{
	u32 ms = 200, id, written, turns;
	u64 end;

	cmdline_number("race", &ms);
	restart(target, F_INDIRECT);
	raced = target->device;
	racing = &rings[target->number];
	stop = false;
	smp_run(1, other);
	reset_ms = 1000;
	for (end = rdtsc() + tsc_per_ms() * ms, turns = 0; !turns || rdtsc() < end; turns++) {
		restart(target, random32());
		for (u32 n = 0; n < queue.size; n++) {
			describe(n, (ulong)memory, 8, D_WRITE, 0);
			queue_offer(&queue, n);
		}
		for (u32 n = 0; n < 50; n++) {
			queue_kick(&queue);
			queue_used(&queue, &id, &written);
		}
	}
	reset_ms = EVENT_MS;
	stop = true;
	check(smp_wait(1), "the other CPU returns");
	check(works(target, name), name);
}

void bad_races(const struct target *target)
{
	race(target, change_memory, "the rings change while the device reads them: it works after a reset");
	race(target, ring_doorbells, "doorbells from two CPUs: it works after a reset");
	race(target, write_status, "two CPUs set it up: it works after a reset");
	if (ecam)
		race(target, move_bars, "its BAR moves while it is used: it works after a reset");
}
