/* SPDX-License-Identifier: MIT */
/*
 * VMs on a switch that send all the time, while one of them starts again and again.
 *
 *	part=0 lives=N	sends, until it has seen N lives of part 1; then it tells both others to end, until they say
 *			that they do
 *	part=1		sends, resets its device several times, and then the machine, in the middle of it
 *	part=2		sends, until it is told to end
 *
 * Each frame's contents follow from its size, so whoever gets one sees whether it is whole.
 */
#include "virtio.h"

#define F_MAC	    BIT(5)
#define HEADER	    12
#define BUFFERS	    32
#define BUFFER_SIZE 1536
#define BATCH	    16
#define RESETS	    4	/* of the device in one life */
#define TURNS	    24	/* batches between two resets */

/* Ethernet types of IEEE 802 for experiments. */
enum { DATA_FRAME = 0xb5, HELLO, STOP, ENDED };	/* the low byte; the others have a byte of their own in DATA's place */
#define PARTS 3		/* ENDED is the first of as many: with the part that ends */
#define FAREWELLS 64	/* over some turns of the other VMs: any of them may get lost */

static struct device *device;
static struct queue receive, transmit;
static volatile struct ring rings[2];
static volatile u8 buffers[BUFFERS][BUFFER_SIZE], frames[BATCH][HEADER + 1514];
static u8 own[6], partner[6], all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static u32 sent, received, bad, lives, moved, ended, buffer_of[RING_MAX];
static bool stop;

static void offer(u32 i)
{
	struct buffer buffer = { buffers[i], BUFFER_SIZE, true };

	buffer_of[queue_add(&receive, &buffer, 1)] = i;
}

static void start(void)
{
	device_reset(device);
	check(device_negotiate(device, F_VERSION_1 | F_MAC), "the features are accepted");
	for (u32 i = 0; i < 6; i++)
		own[i] = place_read(&device->cfg[CFG_DEVICE], i, 1);
	queue_init(device, &receive, 0, 0, &rings[0]);
	queue_init(device, &transmit, 1, 0, &rings[1]);
	device_ok(device);
	for (u32 i = 0; i < BUFFERS; i++)
		offer(i);
	queue_kick(&receive);
}

static u32 make(volatile u8 *frame, const u8 *to, u8 kind, u32 size)
{
	for (u32 i = 0; i < 6; i++) {
		frame[HEADER + i] = to[i];
		frame[HEADER + 6 + i] = own[i];
	}
	frame[HEADER + 12] = 0x88;
	frame[HEADER + 13] = DATA_FRAME;
	frame[HEADER + 14] = kind;
	for (u32 i = 15; i < size; i++)
		frame[HEADER + i] = i * 7 + size;
	return size;
}

static void arrived(const volatile u8 *frame, u32 size)
{
	if (frame[12] != 0x88 || frame[13] != DATA_FRAME)
		return;
	received++;
	for (u32 i = 15; i < size; i++) {
		if (frame[i] != (u8)(i * 7 + size)) {
			bad++;
			return;
		}
	}
	if (frame[14] == STOP)
		stop = true;
	if (frame[14] >= ENDED && frame[14] < ENDED + PARTS)
		ended |= 1u << (frame[14] - ENDED);
	if (frame[14] != HELLO)
		return;
	lives++;
	for (u32 i = 0; i < 6; i++) {
		moved += lives > 1 && partner[i] != frame[6 + i];
		partner[i] = frame[6 + i];
	}
}

static void collect(void)
{
	u32 id, size, count = 0;

	while (queue_used(&receive, &id, &size)) {
		u32 i = buffer_of[id];

		if (size > BUFFER_SIZE || size < HEADER + 14)
			bad++;
		else
			arrived(&buffers[i][HEADER], size - HEADER);
		offer(i);
		count++;
	}
	if (count)
		queue_kick(&receive);
}

/* Send so many frames of this kind, of different sizes. */
static void send(const u8 *to, u8 kind, u32 count)
{
	u32 id, written;

	for (u32 i = 0; i < count; i++) {
		struct buffer buffer = { frames[i], 0, false };

		sent++;
		buffer.size = HEADER + make(frames[i], to, kind, 60 + (sent * 97) % 1450);
		queue_add(&transmit, &buffer, 1);
	}
	queue_kick(&transmit);
	for (u32 i = 0; i < count; i++) {
		while (!queue_used(&transmit, &id, &written))
			collect();
	}
	collect();
}

static void live_once(void)
{
	for (u32 resets = 0; resets < RESETS && !stop; resets++) {
		start();
		if (!resets)
			send(all, HELLO, 1);
		for (u32 i = 0; i < TURNS && !stop; i++)
			send(all, DATA_FRAME, BATCH);
	}
	if (!stop && !bad)
		outb(0xcf9, 6);		/* reset: "Reset Control Register" */
}

int main(void)
{
	u32 part = 0, wanted = 3;

	cmdline_number("part", &part);
	cmdline_number("lives", &wanted);
	find_devices();
	device = find_device(VIRTIO_NET, 0);
	if (!check(device, "there is a network port"))
		return 0;
	if (part == 1) {
		live_once();
	} else {
		start();
		while (!stop && !(part == 0 && lives >= wanted)) {
			send(all, DATA_FRAME, BATCH / 2);
			if (lives)
				send(partner, DATA_FRAME, BATCH);
		}
		/* The others may be between two lives, each of which is short: they get to know it in any part of one. */
		for (u32 i = 0; part == 0 && ended != 6 && i < EVENT_MS; i++) {
			send(all, STOP, BATCH / 4);
			delay_us(1000);
			collect();
		}
	}
	for (u32 i = 0; part && stop && i < FAREWELLS; i++) {
		send(all, ENDED + part, 1);
		delay_us(1000);
	}
	check_eq(bad, 0, "all frames are whole");
	check_eq(moved, 0, "the address stays the same");
	if (part == 0) {
		check(lives >= wanted, "the other VM has started anew, so many times");
		print("lives ");
		print_dec(lives);
		print(", sent ");
		print_dec(sent);
		print(", received ");
		print_dec(received);
		print("\n");
	}
	return 0;
}
