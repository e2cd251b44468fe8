/* SPDX-License-Identifier: MIT */
/* Available rings with impossible contents, and rings at impossible places. */
#include "bad.h"

static u32 unbroken, well;

static void judge(const struct target *target, const char *name)
{
	if (!broken(target)) {
		unbroken++;
		complain("not broken by: ", name);
	}
	well += works(target, name);
}

static void jump(const struct target *target, u16 index, const char *name)
{
	restart(target, 0);
	describe(0, (ulong)memory, 8, D_WRITE, 0);
	queue.ring->avail.index = index;
	queue_kick(&queue);
	judge(target, name);
}

static void head(const struct target *target, u16 number, const char *name)
{
	restart(target, 0);
	offer(number);
	judge(target, name);
}

/* Everything but the target's queue, which is selected, and has good addresses. */
static void prepare(const struct target *target)
{
	struct device *device = target->device;

	device_reset(device);
	device_negotiate(device, F_VERSION_1);
	for (u16 n = 0; n < target->number; n++)
		queue_init(device, &queue, n, 0, &rings[n]);
	set_common(device, QUEUE_SELECT, target->number);
	queue = (struct queue){ device, target->number, common(device, QUEUE_SIZE), common(device, QUEUE_NOTIFY_OFF),
				.ring = &rings[target->number] };
	set_common64(device, QUEUE_DESC, (ulong)queue.ring->desc);
	set_common64(device, QUEUE_DRIVER, (ulong)&queue.ring->avail);
	set_common64(device, QUEUE_DEVICE, (ulong)&queue.ring->used);
}

/* Rings where there is no RAM, not aligned, or over the end. */
static void places(const struct target *target)
{
	const u64 bad[] = {
		(ulong)memory + 1, ram_end, ram_end - 16, -4096ull, -16ull, 0xd0000000, LAPIC, IOAPIC,
		target->device->cfg[CFG_COMMON].at, BIT(32), BIT(52), BIT(63), 0xb0000,
	};
	static const u32 areas[] = { QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE };
	struct device *device = target->device;
	u32 taken = 0, tried = 0;

	well = 0;
	for (u32 area = 0; area < ARRAY_SIZE(areas); area++)
		for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
			prepare(target);
			set_common64(device, areas[area], bad[i]);
			set_common(device, QUEUE_ENABLE, 1);
			if (common(device, QUEUE_ENABLE)) {
				device_ok(device);
				describe(0, (ulong)memory, 8, D_WRITE, 0);
				offer(0);
				if (!broken(target)) {
					taken++;
					print("taken: ");
					print_hex(bad[i]);
					print("\n");
				}
			}
			tried++;
			well += works(target, "rings where there is no RAM");
		}
	check_eq(taken, 0, "rings where there is no RAM, or not aligned: refused, or the device asks for a reset");
	check_eq(well, tried, "after such rings and a reset the device works");
}

static void sizes(const struct target *target)
{
	static const u16 bad[] = { 0, 3, 7, 100, 0x8000, 0xffff };
	struct device *device = target->device;
	u32 taken = 0;

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		prepare(target);
		set_common(device, QUEUE_SIZE, bad[i]);
		taken += bad[i] && common(device, QUEUE_SIZE) == bad[i];
		set_common(device, QUEUE_ENABLE, 1);
		device_ok(device);
		queue_kick(&queue);
	}
	check_eq(taken, 0, "sizes that are no power of two, or too large, are not taken");
	check(works(target, "impossible sizes"), "after impossible sizes the device works");
}

/* All three areas at the same place: what the device reads is what it has written. It may ask for a reset. */
static void overlapping(const struct target *target)
{
	struct device *device = target->device;

	prepare(target);
	set_common64(device, QUEUE_DESC, (ulong)&rings[7]);
	set_common64(device, QUEUE_DRIVER, (ulong)&rings[7]);
	set_common64(device, QUEUE_DEVICE, (ulong)&rings[7]);
	set_common(device, QUEUE_ENABLE, 1);
	device_ok(device);
	for (u32 i = 0; i < 4096; i++)
		((volatile u8 *)&rings[7])[i] = random32();
	for (u32 i = 0; i < 100; i++) {
		rings[7].desc[0].address = random64();
		queue_kick(&queue);
	}
	delay_us(10000);
	check(works(target, "overlapping rings"), "after overlapping rings the device works");
}

void bad_rings(const struct target *target)
{
	unbroken = well = 0;
	restart(target, 0);
	jump(target, queue.size + 1, "an index that is one too far");
	jump(target, 0x8000, "an index that is far ahead");
	jump(target, 0xffff, "an index that goes back");
	head(target, queue.size, "a head behind the table");
	head(target, 0xffff, "a head far behind the table");
	check_eq(unbroken, 0, "each bad available ring: the device asks for a reset");
	check_eq(well, 5, "after each bad available ring and a reset the device works");
	places(target);
	sizes(target);
	overlapping(target);
}
