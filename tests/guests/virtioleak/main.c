/* SPDX-License-Identifier: MIT */
/*
 * Looks for other VMs' data, and for its own of before a restart: in RAM, on an empty disk, on an image's overlay, and
 * behind the ends of received frames. Then it fills all of these with a mark of its own, for the others to find, and resets
 * itself. Command line: id=, 1 to 9; rounds=, how often it starts; least=, how many frames it waits for, where real time
 * passes. The count is on its first disk, which survives a restart as other disks do. Run several at the same time, with
 * disk=ram disk=IMAGE,cow= net= in this order.
 */
#include "virtio.h"

enum { T_IN = 0, T_OUT = 1 };
#define CHUNK	   16384u
#define RAM_END	   (16ul << 20)		/* mem=16M */
#define COUNT_SECTOR 0
#define BUFFERS	   64
#define BUFFER_SIZE 2048
#define HEADER	   12
#define FRAME	   61u

static struct queue disks[2], receive, transmit;
static u64 capacity[2];
static volatile struct ring rings[4];
static volatile struct { u32 type, reserved; u64 sector; } header;
static volatile u8 status;
static volatile u64 data[CHUNK / 8];
static volatile u8 buffers[BUFFERS][BUFFER_SIZE], frame[256];
static u32 id;

/* The upper half; computed, so that no instruction or constant here contains it. */
static u32 mark_high(void)
{
	u32 x = 0x52a3c11f;

	asm("" : "+r"(x));
	return ~x;
}

static u64 mark(u32 place)
{
	return (u64)mark_high() << 32 | id << 24 | place;
}

static bool is_mark(u64 value)
{
	return value >> 32 == mark_high();
}

static bool is_foreign(u64 value)
{
	return is_mark(value) && (value >> 24 & 0xff) != id;
}

static bool transfer(u32 disk, u32 type, u64 sector, u32 size)
{
	struct buffer request[] = { { &header, 16, false }, { data, size, type == T_IN }, { &status, 1, true } };
	u32 head, written;

	header.type = type;
	header.sector = sector;
	status = 0xff;
	queue_add(&disks[disk], request, 3);
	queue_kick(&disks[disk]);
	return queue_wait(&disks[disk], &head, &written, EVENT_MS) && status == 0;
}

static void disk_start(u32 n)
{
	struct device *device = find_device(VIRTIO_BLOCK, n);

	if (!check(device, "there is the disk"))
		verdict();
	device_reset(device);
	check(device_negotiate(device, F_VERSION_1), "its features are accepted");
	capacity[n] = place_read(&device->cfg[CFG_DEVICE], 0, 4);
	queue_init(device, &disks[n], 0, 0, &rings[n]);
	device_ok(device);
}

/* From a page behind this image on; the boot loader's structures are below 1 MiB. */
static ulong free_memory(void)
{
	extern u8 stack_top[];

	return ((ulong)stack_top + 0x10000) & ~0xffful;
}

static void look_at_memory(void)
{
	u32 marks = 0;

	for (ulong at = free_memory(); at < RAM_END; at += 8)
		marks += is_mark(*(volatile u64 *)at);
	for (ulong at = 0x1000; at < 0x9f000; at += 8)
		marks += is_mark(*(volatile u64 *)at);
	check_eq(marks, 0, "no mark is in fresh memory");
}

static void look_at_disk(u32 n, u32 round)
{
	u32 foreign = 0, own = 0, failed = 0;

	for (u64 sector = 0; sector + CHUNK / 512 <= capacity[n]; sector += CHUNK / 512) {
		failed += !transfer(n, T_IN, sector, CHUNK);
		for (u32 i = 0; i < CHUNK / 8; i++) {
			foreign += is_foreign(data[i]);
			own += is_mark(data[i]) && !is_foreign(data[i]);
		}
	}
	check_eq(failed, 0, "the disk can be read");
	check_eq(foreign, 0, "no other's mark is on the disk");
	if (round)
		check(own, "its own marks are");
	else
		check_eq(own, 0, "nor is one of its own at the first start");
}

/* One sector of each page, so that what is beside it comes from the image, or is zero. */
static void mark_disk(u32 n)
{
	u32 failed = 0;

	for (u64 sector = 8; sector + 8 <= capacity[n] && sector < 4096; sector += 8) {
		for (u32 i = 0; i < 64; i++)
			data[i] = mark(sector + i);
		failed += !transfer(n, T_OUT, sector + sector / 8 % 8, 512);
	}
	check_eq(failed, 0, "the disk can be written");
}

static void post_buffer(u32 i)
{
	struct buffer buffer = { buffers[i], BUFFER_SIZE, true };

	for (u32 b = 0; b < BUFFER_SIZE; b++)
		buffers[i][b] = 0xee;
	queue_add(&receive, &buffer, 1);
}

static void network_start(void)
{
	struct device *device = find_device(VIRTIO_NET, 0);

	if (!check(device, "there is the network port"))
		verdict();
	device_reset(device);
	check(device_negotiate(device, F_VERSION_1), "its features are accepted");
	queue_init(device, &receive, 0, BUFFERS, &rings[2]);
	queue_init(device, &transmit, 1, 0, &rings[3]);
	for (u32 i = 0; i < BUFFERS && i < receive.size; i++)
		post_buffer(i);
	device_ok(device);
	queue_kick(&receive);
	for (u32 i = 0; i < 6; i++) {
		frame[HEADER + i] = 0xff;
		frame[HEADER + 6 + i] = place_read(&device->cfg[CFG_DEVICE], i, 1);
	}
	frame[HEADER + 12] = 0x88;
	frame[HEADER + 13] = 0xb5;
	/* The frame's end, and what is behind it, is full of marks. */
	for (u32 i = HEADER + 14; i < sizeof(frame); i++)
		frame[i] = mark_high() >> 8 * (i % 4);
}

/*
 * Broadcast frames for half a second, the first time until `least` have arrived, unless no other VM comes here; of what
 * arrives, everything behind the end must be as it was.
 */
static void network(u32 round, u32 least)
{
	struct buffer send[] = { { frame, HEADER, false }, { frame + HEADER, FRAME, false } };
	u64 end = rdtsc() + tsc_per_ms() * 500, last = end + tsc_per_ms() * EVENT_MS;
	u32 head, written, behind = 0, frames = 0, odd = 0;

	while (rdtsc() < end || (!round && frames < least && rdtsc() < last)) {
		queue_add(&transmit, send, 2);
		queue_kick(&transmit);
		queue_wait(&transmit, &head, &written, 100);
		while (queue_used(&receive, &head, &written)) {
			volatile u8 *at = buffers[head % BUFFERS];

			frames++;
			odd += written != HEADER + FRAME;
			for (u32 i = written; i < BUFFER_SIZE; i++)
				behind += at[i] != 0xee;
			post_buffer(head % BUFFERS);
		}
		queue_kick(&receive);
	}
	print_dec(frames);
	print(" frames\n");
	check_eq(odd, 0, "frames have their senders' length");
	check_eq(behind, 0, "nothing is written behind a frame");
}

static void mark_memory(void)
{
	for (ulong at = free_memory(); at < RAM_END; at += 8)
		*(volatile u64 *)at = mark(at & 0xffffff);
}

int main(void)
{
	u32 rounds = 3, least = 0, round;

	if (!hypervisor_present()) {
		skip("all", "a bare machine has no other VMs");
		check(true, "nothing was done");
		return 0;
	}
	id = 1;
	cmdline_number("id", &id);
	cmdline_number("rounds", &rounds);
	cmdline_number("least", &least);
	interrupts_init();
	find_devices();
	look_at_memory();
	disk_start(0);
	disk_start(1);
	check(transfer(0, T_IN, COUNT_SECTOR, 512), "read the count");
	round = data[0];
	print("round ");
	print_dec(round);
	print("\n");
	look_at_disk(0, round);
	look_at_disk(1, round);
	network_start();
	network(round, least);
	mark_disk(0);
	mark_disk(1);
	mark_memory();
	for (u32 i = 0; i < 64; i++)
		data[i] = 0;
	data[0] = round + 1;
	check(transfer(0, T_OUT, COUNT_SECTOR, 512), "write the count");
	if (round + 1 < rounds && !failures()) {
		outb(0xcf9, 2);
		outb(0xcf9, 6);
		for (;;)
			pause();
	}
	return 0;
}
