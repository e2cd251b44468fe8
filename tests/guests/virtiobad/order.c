/* SPDX-License-Identifier: MIT */
/* The right things at the wrong time: "Device Initialization" in another order, resets in the middle of a request. */
#include "bad.h"

static void out_of_order(const struct target *target)
{
	struct device *device = target->device;
	u32 id, written;

	device_reset(device);
	set_common(device, DEVICE_STATUS, DRIVER_OK);
	for (u16 i = 0; i <= target->number; i++)
		queue_init(device, &queue, i, 0, &rings[i]);
	describe(0, (ulong)memory, 8, D_WRITE, 0);
	offer(0);
	check(!queue_wait(&queue, &id, &written, 20), "DRIVER_OK without FEATURES_OK: nothing is served");

	device_reset(device);
	device_negotiate(device, F_VERSION_1);
	for (u16 i = 0; i <= target->number; i++)
		queue_init(device, &queue, i, 0, &rings[i]);
	describe(0, (ulong)memory, 8, D_WRITE, 0);
	offer(0);
	check(!queue_wait(&queue, &id, &written, 20), "before DRIVER_OK nothing is served");
	check(works(target, "wrong order"), "after the wrong order the device works");
}

/* Features are fixed with FEATURES_OK, and a queue's addresses when it is enabled. */
static void while_running(const struct target *target)
{
	struct device *device = target->device;
	u32 id, written, address;

	restart(target, 0);
	set_common(device, DRIVER_FEATURE_SELECT, 0);
	set_common(device, DRIVER_FEATURE, F_INDIRECT | F_EVENT_IDX);
	set_common(device, DRIVER_FEATURE_SELECT, 1);
	set_common(device, DRIVER_FEATURE, 0);
	set_common(device, DEVICE_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	rings[7].desc[0] = (struct descriptor){ (ulong)memory, 8, D_WRITE, 0 };
	describe(0, (ulong)rings[7].desc, 16, D_INDIRECT, 0);
	offer(0);
	check(broken(target), "features written while running: what was not negotiated stays so");
	check(!queue_used(&queue, &id, &written), "features written while running: nothing is returned");

	restart(target, 0);
	set_common(device, QUEUE_SELECT, target->number);
	address = common(device, QUEUE_DESC);
	set_common64(device, QUEUE_DESC, 0xd0000000);
	set_common64(device, QUEUE_DRIVER, 0xd0000000);
	set_common64(device, QUEUE_DEVICE, 0xd0000000);
	set_common(device, QUEUE_SIZE, 1);
	set_common(device, QUEUE_ENABLE, 0);
	set_common(device, QUEUE_ENABLE, 1);
	check_eq(common(device, QUEUE_DESC), address, "an enabled queue keeps its addresses");
	set_common(device, DEVICE_STATUS, FEATURES_OK);
	set_common(device, DEVICE_STATUS, ACKNOWLEDGE | FAILED);
	check(works(target, "changes while running"), "after changes while running the device works");
}

static void resets(const struct target *target)
{
	u32 well = 0;

	for (u32 i = 0; i < 200; i++) {
		restart(target, F_INDIRECT | F_EVENT_IDX);
		for (u32 n = 0; n < queue.size; n++) {
			describe(n, (ulong)memory, 1 + n, D_WRITE, 0);
			queue_offer(&queue, n);
		}
		queue_kick(&queue);
		delay_us(random32() % 64);
		well += device_reset(target->device);
	}
	check_eq(well, 200, "resets in the middle of requests");
	check(works(target, "resets"), "after resets in the middle the device works");
}

void bad_order(const struct target *target)
{
	out_of_order(target);
	while_running(target);
	resets(target);
}
