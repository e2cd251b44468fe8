/* SPDX-License-Identifier: MIT */
/* The virtio devices of a VM. */
#include "dev/virtio/devices.h"

#include "core/disk.h"
#include "core/vm_devices.h"
#include "core/vm_log.h"
#include "dev/virtio/block.h"
#include "dev/virtio/console.h"
#include "dev/virtio/net.h"
#include "dev/virtio/rng.h"
#include "lib/printf.h"

/* A list for the log, which takes lines of about this length. */
struct device_list {
	char text[480];
	size_t length;
};

static void add_text(struct device_list *list, const char *format, ...) __printf(2, 3);
static void add_text(struct device_list *list, const char *format, ...)
{
	size_t room = sizeof(list->text) - list->length;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(list->text + list->length, room, format, args);
	va_end(args);
	list->length += MIN((size_t)n, room - 1);
}

static void add_disk(struct device_list *list, const struct disk *disk, u32 i)
{
	u64 kib = disk_sectors(disk) * DISK_SECTOR >> 10;
	bool small = kib < 10240;

	add_text(list, ", disk %u (%s, %llu %s%s)", i, disk_name(disk), (ull)(small ? kib : kib >> 10),
		 small ? "KiB" : "MiB", disk_is_read_only(disk) ? ", read-only" : "");
}

static void add_net(struct device_list *list, const struct vm_net_config *net, u32 i)
{
	add_text(list, ", net %u (%s, %02x:%02x:%02x:%02x:%02x:%02x%s)", i, net->name, net->mac[0], net->mac[1],
		 net->mac[2], net->mac[3], net->mac[4], net->mac[5], net->trunk ? ", trunk" : "");
}

static void log_devices(struct vm *vm)
{
	struct device_list list = { .length = 0 };

	add_text(&list, "virtio devices: random numbers, console");
	for (u32 i = 0; i < vm_disk_count(vm); i++)
		add_disk(&list, vm_disk(vm, i), i);
	for (u32 i = 0; i < vm_net_count(vm); i++)
		add_net(&list, vm_net(vm, i), i);
	vm_info(vm, "%s%s", list.text, list.length + 1 == sizeof(list.text) ? " ..." : "");
}

int virtio_devices_create(struct vm *vm)
{
	int error = virtio_rng_create(vm);

	if (!error)
		error = virtio_console_create(vm);
	for (u32 i = 0; !error && i < vm_disk_count(vm); i++)
		error = virtio_block_create(vm, i);
	for (u32 i = 0; !error && i < vm_net_count(vm); i++)
		error = virtio_net_create(vm, i);
	if (!error)
		log_devices(vm);
	return error;
}
