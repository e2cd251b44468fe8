/* SPDX-License-Identifier: MIT */
/*
 * Doorbells of virtio devices, with requests and without: Lamina does the work before the guest goes on, so all of it
 * is within the figure. Long mode only. The driver is that of the tests, tests/guests/lib/virtio.
 */
#include "bench.h"

#ifdef __x86_64__
#include "virtio.h"

OPERATION(doorbell, "", "mov %%esi, %%edx", "out %%ax, %%dx", "")
OPERATION(doorbell_memory, "", "", "movw $0, (%%rsi)", "")

#define COPY_SIZE 131072u
u8 copy_target[COPY_SIZE] __attribute__((aligned(4096)));

/* The limit: what 128 KiB cost that only are copied. */
OPERATION(copy_128k, "", "",
	  "mov %%rdi, %%rbx; mov $copy_target, %%edi; mov $131072 / 8, %%ecx; rep movsq; mov %%rbx, %%rdi", "")

static volatile struct ring random_ring, disk_ring;
static struct queue random_queue, disk_queue;
static struct device *random_device, *disk_device;
static u8 data[131072] __attribute__((aligned(4096)));
static u32 lost;	/* requests that were not done when the guest went on */

static bool start(struct device *device, struct queue *queue, volatile struct ring *ring)
{
	if (!device)
		return false;
	pci_put(device->bdf, PCI_COMMAND, 2, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER);
	place_update(device);
	if (!device_reset(device) || !device_negotiate(device, F_VERSION_1 | F_EVENT_IDX | F_INDIRECT))
		return false;
	queue_init(device, queue, 0, 0, ring);
	device_ok(device);
	*used_event(queue) = 0x8000;	/* no interrupts */
	return true;
}

static bool has_random(void)
{
	random_device = find_device(VIRTIO_RNG, 0);
	return start(random_device, &random_queue, &random_ring);
}

static bool has_disk(void)
{
	disk_device = find_device(VIRTIO_BLOCK, 0);
	return start(disk_device, &disk_queue, &disk_ring);
}

static ulong doorbell_of(const struct queue *queue, u32 which)
{
	const struct device *device = queue->device;

	return device->notify[which].at + queue->notify_off * device->notify_multiplier[which];
}

static void collect(struct queue *queue)
{
	u32 id, written;

	while (queue->seen != queue->made) {
		if (!queue_used(queue, &id, &written)) {
			lost++;
			return;
		}
	}
}

static ulong no_request(u32 i)
{
	return doorbell_of(&random_queue, 0);
}

static ulong no_request_memory(u32 i)
{
	return doorbell_of(&random_queue, 1);
}

static ulong random_16(u32 i)
{
	const struct buffer buffer = { data, 16, true };

	collect(&random_queue);
	queue_add(&random_queue, &buffer, 1);
	return doorbell_of(&random_queue, 0);
}

/* VIRTIO 1.2, "Block Device", "Device Operation". In segments of at most so many bytes. */
static ulong disk_request_in(u32 segment, u32 type, u32 sector, u32 size)
{
	static struct {
		u32 type, reserved;
		u64 sector;
	} header;
	static u8 status;
	struct buffer buffers[sizeof(data) / 4096 + 2] = { { &header, 16, false } };
	u32 count = 1;

	collect(&disk_queue);
	header.type = type;
	header.sector = sector;
	for (u32 at = 0; at < size; at += segment)
		buffers[count++] = (struct buffer){ data + at, segment < size - at ? segment : size - at, type == 0 };
	buffers[count++] = (struct buffer){ &status, 1, true };
	queue_add(&disk_queue, buffers, count);
	return doorbell_of(&disk_queue, 0);
}

static ulong disk_request(u32 type, u32 sector, u32 size)
{
	return disk_request_in(sizeof(data), type, sector, size);
}

static ulong read_4k(u32 i) { return disk_request(0, 8 * (i * 37 % 128), 4096); }
static ulong write_4k(u32 i) { return disk_request(1, 8 * (i * 37 % 128), 4096); }
static ulong read_32k(u32 i) { return disk_request(0, 64 * (i % 16), 32768); }
static ulong read_128k(u32 i) { return disk_request(0, 256 * (i % 8), sizeof(data)); }
static ulong read_128k_pages(u32 i) { return disk_request_in(4096, 0, 256 * (i % 8), sizeof(data)); }
static ulong copied(u32 i) { return (ulong)data; }

void bench_virtio(void)
{
	static const struct bench list[] = {
		{ .name = "doorbell-idle", .op = doorbell, .empty = doorbell_empty, .present = has_random,
		  .arg = no_request },
		{ .name = "doorbell-idle-memory", .op = doorbell_memory, .empty = doorbell_memory_empty,
		  .present = has_random, .arg = no_request_memory },
		{ .name = "random-16", .op = doorbell, .empty = doorbell_empty, .present = has_random,
		  .arg = random_16 },
		{ .name = "disk-read-4k", .op = doorbell, .empty = doorbell_empty, .present = has_disk,
		  .arg = read_4k },
		{ .name = "disk-write-4k", .op = doorbell, .empty = doorbell_empty, .present = has_disk,
		  .arg = write_4k },
		{ .name = "disk-read-32k", .op = doorbell, .empty = doorbell_empty, .present = has_disk,
		  .arg = read_32k },
		{ .name = "disk-read-128k", .op = doorbell, .empty = doorbell_empty, .present = has_disk,
		  .arg = read_128k },
		{ .name = "disk-read-128k-pages", .op = doorbell, .empty = doorbell_empty, .present = has_disk,
		  .arg = read_128k_pages },
		{ .name = "copy-128k", .op = copy_128k, .empty = copy_128k_empty, .arg = copied },
	};

	find_devices();
	RUN(list);
	say("bench: requests that were late: ");
	say_dec(lost);
	say("\n");
}
#endif
