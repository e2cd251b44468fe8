/* SPDX-License-Identifier: MIT */
/* Two network ports of one switch: what one sends the other receives. VIRTIO 1.2, "Network Device". */
#include "tests.h"

#define F_MAC	     BIT(5)
#define F_MRG_RXBUF  BIT(15)
#define F_STATUS     BIT(16)
#define HEADER	     12
#define BUFFERS	     16
#define BUFFER_SIZE  2048

struct port {
	struct device *device;
	struct queue receive, transmit;
	volatile struct ring rings[2];
	volatile u8 buffers[BUFFERS][BUFFER_SIZE];
	u8 mac[6];
};

static struct port ports[2];
static volatile u8 frame[HEADER + 9000];

/* size: of the buffers, BUFFER_SIZE at most */
static void start(struct port *port, struct device *device, u64 features, u32 size)
{
	port->device = device;
	device_reset(device);
	features &= device_features(device);
	check(device_negotiate(device, features), "the port's features are accepted");
	for (u32 i = 0; i < 6; i++)
		port->mac[i] = place_read(&device->cfg[CFG_DEVICE], i, 1);
	queue_init(device, &port->receive, 0, 0, &port->rings[0]);
	queue_init(device, &port->transmit, 1, 0, &port->rings[1]);
	device_ok(device);
	for (u32 i = 0; i < BUFFERS; i++) {
		struct buffer buffer = { port->buffers[i], size, true };

		for (u32 b = 0; b < BUFFER_SIZE; b++)
			port->buffers[i][b] = 0xee;
		queue_add(&port->receive, &buffer, 1);
	}
	queue_kick(&port->receive);
}

/* A frame of `size` bytes, without its header. Returns whether it was taken. */
static bool send(struct port *from, const u8 *to, const u8 *source, u32 size)
{
	struct buffer buffers[] = { { frame, HEADER, false }, { frame + HEADER, size, false } };
	u32 id, written;

	for (u32 i = 0; i < HEADER + size; i++)
		frame[i] = i < HEADER ? 0 : i * 7 + size;
	for (u32 i = 0; i < 6; i++) {
		frame[HEADER + i] = to[i];
		frame[HEADER + 6 + i] = source[i];
	}
	frame[HEADER + 12] = 0x88;	/* "local experimental ethertype 1" of IEEE 802 */
	frame[HEADER + 13] = 0xb5;
	queue_add(&from->transmit, buffers, 2);
	queue_kick(&from->transmit);
	return queue_wait(&from->transmit, &id, &written, LIMIT_MS);
}

/* The frame in one buffer: its id, or ~0. */
static u32 receive(struct port *port, u32 *size, u32 ms)
{
	u32 id = ~0u;

	*size = 0;
	return queue_wait(&port->receive, &id, size, ms) ? id : ~0u;
}

static u32 differences(const volatile u8 *got, u32 from, u32 size)
{
	u32 n = 0;

	for (u32 i = 0; i < size; i++)
		n += got[i] != frame[HEADER + from + i];
	return n;
}

static u32 changed(const volatile u8 *at, u32 from, u32 to)
{
	u32 n = 0;

	while (from < to)
		n += at[from++] != 0xee;
	return n;
}

static void frames(struct port *from, struct port *to)
{
	static const u32 sizes[] = { 60, 61, 128, 590, 1500, 1514 };
	static const u8 all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	u32 id, size, wrong = 0, header = 0, behind = 0;

	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		check(send(from, to->mac, from->mac, sizes[i]), "a frame is sent");
		id = receive(to, &size, LIMIT_MS);
		if (!check(id < BUFFERS, "it arrives"))
			return;
		check_eq(size, HEADER + sizes[i], "with its size");
		wrong += differences(to->buffers[id] + HEADER, 0, sizes[i]);
		header += to->buffers[id][0] | to->buffers[id][1] | (to->buffers[id][10] ^ 1) | to->buffers[id][11];
		behind += changed(to->buffers[id], size, BUFFER_SIZE);
	}
	check_eq(wrong, 0, "the frames arrive unchanged");
	if (qemu_tcg())
		skip("the frames' headers", "QEMU writes the number of buffers only where they can be merged");
	else
		check_eq(header, 0, "their headers ask for nothing, and name one buffer");
	check_eq(behind, 0, "nothing is written behind a frame");

	send(from, all, from->mac, 64);
	check(receive(to, &size, LIMIT_MS) < BUFFERS, "a broadcast arrives");
	check_eq(receive(from, &size, 20), ~0u, "but not at its sender");
}

/* Only where the switch knows its ports' addresses: a hub passes everything on. */
static void addresses(struct port *from, struct port *to)
{
	static const u8 nobody[6] = { 0x52, 0x54, 0, 0xab, 0xcd, 0xef };
	u32 size;

	send(from, nobody, from->mac, 64);
	check_eq(receive(to, &size, 50), ~0u, "a frame to nobody is not delivered");
	send(from, to->mac, nobody, 64);
	check_eq(receive(to, &size, 50), ~0u, "a frame with another's source address is not delivered");
	send(from, to->mac, from->mac, 64);
	check(receive(to, &size, LIMIT_MS) < BUFFERS, "a good frame afterwards");
}

/* "Processing of Incoming Packets": a frame in several buffers. */
static void merging(struct device *a, struct device *b)
{
	u32 id, size, got = 0, count = 0, wrong = 0, expected;

	start(&ports[0], a, F_VERSION_1 | F_MAC | F_MRG_RXBUF, BUFFER_SIZE);
	start(&ports[1], b, F_VERSION_1 | F_MAC | F_MRG_RXBUF, 512);
	check(send(&ports[0], ports[1].mac, ports[0].mac, 1514), "a frame that needs several buffers");
	id = receive(&ports[1], &size, LIMIT_MS);
	if (!check(id < BUFFERS, "its first buffer arrives"))
		return;
	expected = ports[1].buffers[id][10] | ports[1].buffers[id][11] << 8;
	wrong += differences(ports[1].buffers[id] + HEADER, 0, size - HEADER);
	got = size - HEADER;
	for (count = 1; count < expected; count++) {
		id = receive(&ports[1], &size, LIMIT_MS);
		if (id >= BUFFERS)
			break;
		wrong += differences(ports[1].buffers[id], got, size);
		got += size;
	}
	check_eq(count, 3, "it takes three buffers");
	check_eq(got, 1514, "their bytes are the frame's");
	check_eq(wrong, 0, "it is unchanged");
}

/* No buffer: frames are dropped or wait, and none comes in pieces. */
static void full(struct port *from, struct port *to)
{
	u32 sent = 0, arrived = 0, size;

	for (u32 i = 0; i < 4 * BUFFERS; i++)
		sent += send(from, to->mac, from->mac, 100);
	check_eq(sent, 4 * BUFFERS, "frames to a full port are taken");
	while (receive(to, &size, 50) < BUFFERS)
		arrived += size == HEADER + 100;
	check_eq(arrived, BUFFERS, "as many arrive as there are buffers");
}

void test_net(void)
{
	struct device *a = find_device(VIRTIO_NET, 0), *b = find_device(VIRTIO_NET, 1);

	if (!a || !b) {
		skip("network", "there are no two ports");
		return;
	}
	start(&ports[0], a, F_VERSION_1 | F_MAC | F_STATUS, BUFFER_SIZE);
	start(&ports[1], b, F_VERSION_1 | F_MAC | F_STATUS, BUFFER_SIZE);
	check(!(ports[0].mac[0] & 1) && ports[0].mac[0] & 2, "the address is a local one");
	if (ports[0].device->offered & F_STATUS)
		check(place_read(&a->cfg[CFG_DEVICE], 6, 2) & 1, "the link is up");
	frames(&ports[0], &ports[1]);
	if (qemu_tcg())
		skip("addresses", "a hub delivers to all");
	else
		addresses(&ports[0], &ports[1]);
	merging(a, b);
	start(&ports[0], a, F_VERSION_1 | F_MAC, BUFFER_SIZE);
	start(&ports[1], b, F_VERSION_1 | F_MAC, BUFFER_SIZE);
	if (qemu_tcg())
		skip("a full port", "a hub waits for its ports");
	else
		full(&ports[0], &ports[1]);
	device_reset(a);
	device_reset(b);
}
