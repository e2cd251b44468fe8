/* SPDX-License-Identifier: MIT */
/*
 * Two VMs on one switch: a round trip of 64 bytes, and a stream of frames as long as TCP's segments before their
 * segmentation, of which a window is under way and every few are acknowledged. Long mode only.
 *
 *	echo=1	sends, measures, and ends both
 *	echo=2	answers, until it is told to end
 *
 * An answer holds the ticks inside the answering guest, and those of its EOIs, as of now.
 */
#include "bench.h"

#ifdef __x86_64__
#include "requests.h"

#define F_CSUM	     BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_GUEST_TSO4 BIT(7)
#define F_HOST_TSO4  BIT(11)
#define HEADER	     12
#define SMALL	     64u
#define LARGE	     65226u	/* 45 segments of 1448 bytes and their headers, as Linux makes them */
#define BUFFERS	     16u
#define WINDOW	     8u		/* frames that are not acknowledged */
#define PER_ACK	     4u
#define PER_SAMPLE   32u	/* frames */

/* Behind a frame's headers: what the answering guest does with it; and in its answer a struct ticks. */
enum { PAYLOAD = HEADER + 54, ANSWER = 1, COUNT, END };
struct ticks {
	u32 inside, eoi;
} __attribute__((packed));

static struct device *port;
static struct queue receive, transmit;
static volatile struct ring rings[2];
static u8 buffers[BUFFERS][HEADER + LARGE + 2], frame[HEADER + LARGE];
static u32 buffer_of[RING_MAX];
static struct ticks answered;	/* as of the last answer */
static struct ticks others;	/* since begin() */

static void offer(u32 i)
{
	struct buffer buffer = { buffers[i], HEADER + LARGE, true };

	buffer_of[queue_add(&receive, &buffer, 1)] = i;
}

static bool start(void)
{
	port = find_device(VIRTIO_NET, 0);
	if (!port || !device_reset(port) ||
	    !device_negotiate(port, F_VERSION_1 | F_EVENT_IDX | F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_HOST_TSO4))
		return false;
	interrupt_of(port, 0);
	queue_init(port, &receive, 0, 0, &rings[0]);
	queue_init(port, &transmit, 1, 0, &rings[1]);
	device_ok(port);
	for (u32 i = 0; i < BUFFERS; i++)
		offer(i);
	doorbell_if_wanted(&receive, 0);
	return true;
}

/* A frame of TCP over IPv4, that is to be segmented where it is long. The addresses' last bytes differ. */
static void make(u8 to, u8 own, u8 kind, u32 size)
{
	static const u8 headers[] = { 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2 };
	bool large = size > 1514;

	for (u32 i = 0; i < sizeof(frame); i++)
		frame[i] = 0;
	frame[0] = large;		/* flags: NEEDS_CSUM */
	frame[1] = large;		/* gso_type: TCPV4 */
	frame[2] = large ? 54 : 0;	/* header length */
	frame[4] = large ? 1448 & 255 : 0;
	frame[5] = large ? 1448 >> 8 : 0;
	frame[6] = large ? 34 : 0;	/* the checksum begins at, and is put at */
	frame[8] = large ? 16 : 0;
	frame[HEADER] = frame[HEADER + 6] = 2;
	frame[HEADER + 5] = to;
	frame[HEADER + 11] = own;
	for (u32 i = 0; i < sizeof(headers); i++)
		frame[HEADER + 12 + i] = headers[i];
	frame[HEADER + 46] = 0x50;	/* TCP's header has 20 bytes */
	frame[PAYLOAD] = kind;
}

static void send(u32 size)
{
	struct buffer buffer = { frame, HEADER + size, false };
	u32 id, written;

	while (queue_used(&transmit, &id, &written))
		;
	*used_event(&transmit) = transmit.seen - 1;	/* no interrupts */
	queue_add(&transmit, &buffer, 1);
	doorbell_if_wanted(&transmit, transmit.made - 1);
}

/* Give a received frame's buffer back. Returns the buffer, which stays as it is until the next frames come. */
static const u8 *received(u32 id)
{
	u16 old = receive.made;
	u32 i = buffer_of[id];

	*used_event(&receive) = receive.seen;	/* visible with the fence in offer() */
	offer(i);
	doorbell_if_wanted(&receive, old);
	return buffers[i];
}

static const u8 *wait(void)
{
	u32 size;

	return received(sleep_until_used(&receive, &size));
}

static bool heard_within(u32 ms)
{
	u32 id, size;

	if (!queue_wait(&receive, &id, &size, ms))
		return false;
	received(id);
	return true;
}

static void wait_for_answer(void)
{
	const struct ticks *now = (const struct ticks *)(wait() + PAYLOAD);

	others.inside += now->inside - answered.inside;
	others.eoi += now->eoi - answered.eoi;
	answered = *now;
}

static void begin(void)
{
	others = (struct ticks){ 0, 0 };
	requests_begin();
}

/* The ticks outside of both guests. */
static u32 round_trip(ulong arg)
{
	begin();
	send(SMALL);
	wait_for_answer();
	return requests_end() - others.inside;
}

static u32 round_trip_eoi(ulong arg)
{
	round_trip(arg);
	return eoi_ticks + others.eoi;
}

/* The same for one frame of a stream. */
static u32 stream(ulong arg)
{
	u32 sent = 0, acknowledged = 0;

	begin();
	while (acknowledged < PER_SAMPLE) {
		if (sent < PER_SAMPLE && sent - acknowledged < WINDOW) {
			send(LARGE);
			sent++;
			continue;
		}
		wait_for_answer();
		acknowledged += PER_ACK;
	}
	return (requests_end() - others.inside) / PER_SAMPLE;
}

static u32 stream_eoi(ulong arg)
{
	stream(arg);
	return (eoi_ticks + others.eoi) / PER_SAMPLE;
}

static void answer(void)
{
	u32 count = 0;
	u8 kind;

	make(1, 2, 0, SMALL);
	requests_begin();
	do {
		kind = wait()[PAYLOAD];
		if (kind == COUNT && ++count % PER_ACK)
			continue;
		*(struct ticks *)(frame + PAYLOAD) = (struct ticks){ inside_ticks, eoi_ticks };
		send(SMALL);
	} while (kind != END);
}

/* Frames are lost until the other guest is there. Then its ticks are known after a round trip. */
static bool small_frames(void)
{
	make(2, 1, ANSWER, SMALL);
	do
		send(SMALL);
	while (!heard_within(50));
	while (heard_within(50))
		;
	round_trip(0);
	return true;
}

static bool large_frames(void)
{
	make(2, 1, COUNT, LARGE);
	stream(0);
	return true;
}

void bench_echo(void)
{
	static const struct bench list[] = {
		{ .name = "wait-round-trip-64", .present = small_frames, .op = round_trip },
		{ .name = "wait-round-trip-64-eoi", .op = round_trip_eoi },
		{ .name = "wait-stream-64k", .present = large_frames, .op = stream, .count = 16 },
		{ .name = "wait-stream-64k-eoi", .op = stream_eoi, .count = 16 },
	};
	u32 part = 0;

	cmdline_number("echo", &part);
	if (!part || !start())
		return;
	if (part == 2) {
		say("bench: answering\n");
		answer();
		delay_us(100000);	/* the last answer arrives */
		return;
	}
	RUN(list);
	make(2, 1, END, SMALL);
	send(SMALL);
	wait();
}
#endif
