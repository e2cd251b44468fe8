/* SPDX-License-Identifier: MIT */
/*
 * virtio-net on the fake transport: two or three VMs on a switch, whose drivers are the test. Values are those of VIRTIO 1.2, "Network
 * Device".
 */
/* link: dev/virtio/net.c dev/virtio/net_control.c dev/virtio/net_receive.c dev/virtio/virtqueue.c */
/* link: dev/net/switch.c dev/net/ring.c dev/net/offload.c lib/string.c tests/unit/fake_virtio.c */
/* link: tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_virtio.h"

#include <stdio.h>
#include <string.h>

#include "core/vm_devices.h"
#include "dev/net/switch.h"
#include "dev/virtio/net.h"
#include "net_info.h"

#define VMS 3
#define HDR 12u		/* struct virtio_net_hdr with num_buffers */

#define RX 0u
#define TX 1u
#define CONTROL 2u

#define BASIC (VIRTIO_F_VERSION_1 | BIT_ULL(5) | BIT_ULL(16))			/* MAC, STATUS */
#define OFFLOADS (BIT_ULL(0) | BIT_ULL(1) | BIT_ULL(7) | BIT_ULL(8) | BIT_ULL(11) | BIT_ULL(12))
#define MERGEABLE BIT_ULL(15)
#define CTRL (BIT_ULL(17) | BIT_ULL(18) | BIT_ULL(19) | BIT_ULL(20))

/* Where what lies in each VM's RAM. */
#define RAM	    MIB(2)
#define QUEUES	    0x10000u
#define QUEUE_BYTES 0x4000u
#define TX_BUFFER   0xc0000u
#define CONTROL_BUFFER 0xd8000u
#define RX_BUFFERS  0x100000u

static struct machine {
	struct vm *vm;
	struct vm_net_config config;
	struct virtio_net *net;
	struct virtio_device *device;
	struct fake_queue queues[VIRTIO_QUEUES];
	u32 next_buffer;	/* address of the next receive buffer */
} machines[VMS];
static u32 vcpus = 1;

u32 vm_net_count(const struct vm *vm)
{
	return 1;
}

const struct vm_net_config *vm_net(const struct vm *vm, u32 i)
{
	for (u32 n = 0; n < VMS; n++)
		if (machines[n].vm == vm)
			return &machines[n].config;
	fail();
	return NULL;
}

static void create(u32 i, const char *network, bool trunk)
{
	struct machine *m = &machines[i];

	*m = (struct machine) { .vm = fake_create(RAM), .next_buffer = RX_BUFFERS };
	m->vm->vcpu_count = vcpus;
	m->config = (struct vm_net_config) { .mac = { 0x52, 0x54, 0, 0, 0, (u8)i }, .trunk = trunk };
	snprintf(m->config.name, sizeof(m->config.name), "%s", network);
	assert_int_equal(virtio_net_create(m->vm, 0), 0);
	/* The device's state is the first block that virtio_net_create() takes. */
	m->net = fake_of(m->vm)->allocs[0];
	m->device = &m->net->device;
}

static void start(u32 i, u64 features)
{
	struct machine *m = &machines[i];

	fake_virtio_accept(m->device, features);
	for (u32 n = 0; n < m->device->queue_count; n++)
		fake_queue_create(&m->queues[n], m->vm, &m->device->queues[n], QUEUES + n * QUEUE_BYTES,
				  m->device->queues[n].max);
	fake_virtio_start(m->device);
}

static void destroy(u32 i)
{
	if (machines[i].vm)
		fake_destroy(machines[i].vm);
	machines[i].vm = NULL;
}

static int set_up(void **state)
{
	vcpus = 1;
	create(0, "lan", false);
	create(1, "lan", false);
	return 0;
}

static int tear_down(void **state)
{
	for (u32 i = 0; i < VMS; i++)
		destroy(i);
	return 0;
}

/* --- a driver --- */

struct header {
	u8 flags, gso_type;
	u16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct header) == HDR, "Device Operation");

static u8 frame[NET_FRAME_MOST + 100];

static void fill_frame(u8 to, u8 from, u32 length)
{
	for (u32 i = 0; i < length; i++)
		frame[i] = (u8)(i * 17 + i / 251);
	memcpy(frame, "\x52\x54\0\0\0", 5);
	frame[5] = to;
	memcpy(frame + 6, "\x52\x54\0\0\0", 5);
	frame[11] = from;
}

/* Send what is in frame[] by the transmit queue of a pair. */
static void send_by(u32 i, u32 pair, const struct header *header, u32 length)
{
	struct machine *m = &machines[i];
	struct fake_buffer buffers[2] = { { TX_BUFFER, HDR, false }, { TX_BUFFER + HDR, length, false } };
	u32 queue = 2 * pair + TX;
	u32 written;
	u16 head, used;

	fake_ram_write(m->vm, TX_BUFFER, header, HDR);
	fake_ram_write(m->vm, TX_BUFFER + HDR, frame, length);
	head = fake_queue_add(&m->queues[queue], buffers, length ? 2 : 1);
	fake_virtio_kick(m->device, queue);
	assert_true(fake_queue_used(&m->queues[queue], &used, &written));
	assert_int_equal(used, head);
	assert_int_equal(written, 0);
}

static void transmit(u32 i, const struct header *header, u32 length)
{
	send_by(i, 0, header, length);
}

static const struct header plain;

/* Post a receive buffer of so many bytes. Returns its address. */
static u32 post_to(u32 i, u32 pair, u32 size)
{
	struct machine *m = &machines[i];
	struct fake_buffer buffer = { m->next_buffer, size, true };

	assert_true(m->next_buffer + size <= RAM);
	memset((u8 *)guest_ptr(m->vm, m->next_buffer, size), 0xee, size);
	fake_queue_add(&m->queues[2 * pair], &buffer, 1);
	m->next_buffer += size;
	return (u32)buffer.gpa;
}

static u32 post(u32 i, u32 size)
{
	return post_to(i, 0, size);
}

/* The next used receive buffer, of which the header is copied. Returns the number of bytes with it; 0: there is none. */
static u32 receive(u32 i, u32 pair, u32 gpa, struct header *header)
{
	struct machine *m = &machines[i];
	u32 written;
	u16 head;

	fake_virtio_run(m->device);
	if (!fake_queue_used(&m->queues[2 * pair], &head, &written))
		return 0;
	fake_ram_read(m->vm, gpa, header, HDR);
	return written;
}

static u64 drops(u32 i, enum net_drop reason)
{
	return info_of(i).drops[reason];
}

static void expect_frame(u32 i, u32 gpa, u32 length)
{
	assert_memory_equal(guest_ptr(machines[i].vm, gpa, length), frame, length);
}

/* --- set-up --- */

static void features_and_configuration(void **state)
{
	struct virtio_device *device = machines[1].device;
	u64 offered = device->offered;

	/* "Feature bits": CSUM, GUEST_CSUM, GUEST_OFFLOADS, MTU, MAC. */
	assert_int_equal(offered & 0x3f, 0x2f);
	/* GUEST_TSO4, TSO6, ECN and not UFO; HOST_TSO4, TSO6, ECN and not UFO; MRG_RXBUF. */
	assert_int_equal(offered & 0xff80, 0xbb80);
	/* STATUS, CTRL_VQ, CTRL_RX, CTRL_VLAN, CTRL_RX_EXTRA; with one vCPU no MQ, and without trunk no CTRL_MAC_ADDR. */
	assert_int_equal(offered & 0xff0000, 0x1f0000);
	/* "Feature bit requirements": GUEST_TSO needs GUEST_CSUM and so on: all that are offered have what they need. */
	assert_int_equal(device->queue_count, 3);
	for (u32 i = 0; i < 6; i++)
		assert_int_equal(fake_virtio_config(device, i, 1), machines[1].config.mac[i]);
	assert_int_equal(fake_virtio_config(device, 6, 2), 1);	/* VIRTIO_NET_S_LINK_UP */
	assert_int_equal(fake_virtio_config(device, 8, 2), 1);	/* max_virtqueue_pairs */
	assert_int_equal(fake_virtio_config(device, 10, 2), 1500);
	assert_int_equal(device->config_size, 12);
}

static void pairs_of_queues_by_vcpus(void **state)
{
	static const u32 counts[][2] = { { 1, 1 }, { 2, 2 }, { 7, 7 }, { 8, 8 }, { 9, 8 }, { 64, 8 } };

	for (u32 i = 0; i < ARRAY_SIZE(counts); i++) {
		vcpus = counts[i][0];
		create(2, "pairs", true);
		assert_int_equal(fake_virtio_config(machines[2].device, 8, 2), counts[i][1]);
		assert_int_equal(machines[2].device->queue_count, 2 * counts[i][1] + 1);
		assert_int_equal(!!(machines[2].device->offered & BIT_ULL(22)), vcpus > 1);
		assert_true(machines[2].device->offered & BIT_ULL(23));
		destroy(2);
	}
}

static void failures_of_creation(void **state)
{
	struct machine *m = &machines[2];

	for (u32 limit = 0; limit < 2; limit++) {
		*m = (struct machine) { .vm = fake_create(0), .config = { .name = "lan", .mac = { 2 } } };
		fake_of(m->vm)->alloc_limit = limit;
		assert_true(virtio_net_create(m->vm, 0) < 0);
		destroy(2);
	}
	*m = (struct machine) { .vm = fake_create(0), .config = machines[0].config };	/* the same address */
	assert_true(virtio_net_create(m->vm, 0) < 0);
	destroy(2);
}

/* --- frames --- */

static void a_frame_arrives(void **state)
{
	struct header header;
	u32 gpa;

	start(0, BASIC);
	start(1, BASIC);
	gpa = post(1, 1526);
	post(1, 1526);
	fill_frame(1, 0, 60);
	transmit(0, &plain, 60);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 60);
	/* "num_buffers ... set to 1" without VIRTIO_NET_F_MRG_RXBUF. */
	assert_int_equal(header.num_buffers, 1);
	assert_int_equal(header.flags, 0);
	assert_int_equal(header.gso_type, 0);
	expect_frame(1, gpa + HDR, 60);
	/* Nothing behind the frame was touched. */
	assert_int_equal(*(u8 *)guest_ptr(machines[1].vm, gpa + HDR + 60, 1), 0xee);
	assert_int_equal(fake_transport_of(machines[1].device)->notified[RX], 1);
	assert_int_equal(fake_transport_of(machines[0].device)->notified[TX], 1);
	assert_int_equal(info_of(0).sent_frames, 1);
	assert_int_equal(info_of(0).sent_bytes, 60);
	assert_int_equal(info_of(1).received_frames, 1);
	assert_int_equal(info_of(1).received_bytes, 60);
}

static void nothing_arrives_before_the_driver_is_ready(void **state)
{
	struct header header;
	u32 gpa;

	start(0, BASIC);
	fill_frame(1, 0, 60);
	transmit(0, &plain, 60);
	assert_int_equal(drops(0, NET_DROP_DOWN), 1);
	start(1, BASIC);
	gpa = post(1, 1526);
	assert_int_equal(receive(1, 0, gpa, &header), 0);
	transmit(0, &plain, 60);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 60);
}

/* Each of the buffer's bytes counts, with the header's 12. */
static void a_buffer_that_is_just_large_enough(void **state)
{
	struct header header;
	u32 gpa;

	start(0, BASIC);
	start(1, BASIC);
	gpa = post(1, HDR + 100);
	fill_frame(1, 0, 101);
	transmit(0, &plain, 101);
	assert_int_equal(receive(1, 0, gpa, &header), 0);
	assert_int_equal(drops(1, NET_DROP_SHORT), 1);
	fill_frame(1, 0, 100);
	transmit(0, &plain, 100);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 100);
	expect_frame(1, gpa + HDR, 100);
}

static void frames_wait_for_buffers(void **state)
{
	struct header header;
	u32 gpa;

	start(0, BASIC);
	start(1, BASIC);
	fill_frame(1, 0, 200);
	for (u32 i = 0; i < 3; i++)
		transmit(0, &plain, 200);
	fake_virtio_run(machines[1].device);
	assert_int_equal(fake_queue_flags(&machines[1].queues[RX]), 0);		/* it wants to know */
	for (u32 i = 0; i < 3; i++) {
		gpa = post(1, 1526);
		fake_virtio_kick(machines[1].device, RX);
		assert_int_equal(receive(1, 0, gpa, &header), HDR + 200);
		expect_frame(1, gpa + HDR, 200);
	}
	assert_int_equal(info_of(1).received_frames, 3);
	assert_int_equal(fake_queue_flags(&machines[1].queues[RX]), 1);		/* VIRTQ_USED_F_NO_NOTIFY */
}

static void mergeable_buffers(void **state)
{
	struct header header;
	u32 gpa[5], used;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC | OFFLOADS | MERGEABLE);
	/* 12 + 1000 bytes are 512 + 500. */
	gpa[0] = post(1, 512);
	gpa[1] = post(1, 512);
	fill_frame(1, 0, 1000);
	transmit(0, &plain, 1000);
	assert_int_equal(receive(1, 0, gpa[0], &header), 512);
	assert_int_equal(header.num_buffers, 2);
	expect_frame(1, gpa[0] + HDR, 500);
	assert_int_equal(receive(1, 0, gpa[0], &header), 500);
	assert_memory_equal(guest_ptr(machines[1].vm, gpa[1], 500), frame + 500, 500);
	/* Too few: none is used up. */
	gpa[0] = post(1, 512);
	transmit(0, &plain, 1000);
	assert_int_equal(receive(1, 0, gpa[0], &header), 0);
	gpa[1] = post(1, 487);
	fake_virtio_kick(machines[1].device, RX);
	assert_int_equal(receive(1, 0, gpa[0], &header), 0);
	gpa[2] = post(1, 1);
	fake_virtio_kick(machines[1].device, RX);
	fake_virtio_kick(machines[1].device, RX);
	assert_int_equal(receive(1, 0, gpa[0], &header), 0);
	gpa[3] = post(1, 100);
	fake_virtio_kick(machines[1].device, RX);
	used = fake_queue_used_count(&machines[1].queues[RX]);
	assert_int_equal(used, 4);
	assert_int_equal(receive(1, 0, gpa[0], &header), 512);
	assert_int_equal(header.num_buffers, 4);
	assert_int_equal(receive(1, 0, gpa[0], &header), 487);
	assert_int_equal(receive(1, 0, gpa[0], &header), 1);
	assert_int_equal(receive(1, 0, gpa[0], &header), 12);
	assert_memory_equal(guest_ptr(machines[1].vm, gpa[3], 12), frame + 988, 12);
}

static void a_receive_buffer_without_room_for_the_header_breaks(void **state)
{
	struct header header;

	start(0, BASIC);
	start(1, BASIC | MERGEABLE);
	post(1, HDR - 1);
	fill_frame(1, 0, 60);
	transmit(0, &plain, 60);
	assert_int_equal(receive(1, 0, RX_BUFFERS, &header), 0);
	assert_int_equal(fake_transport_of(machines[1].device)->breaks, 1);
	assert_true(info_of(1).broken && !info_of(1).open);
	transmit(0, &plain, 60);
	assert_int_equal(drops(0, NET_DROP_DOWN), 1);
	fake_virtio_reset(machines[1].device);
	assert_false(info_of(1).broken || info_of(1).open);
}

/* The transport found out: rings that are not in RAM. */
static void a_device_that_the_transport_breaks_has_a_broken_port(void **state)
{
	start(0, BASIC);
	start(1, BASIC);
	assert_true(info_of(1).open);
	spin_lock(&machines[1].device->lock);
	virtio_device_break(machines[1].device, "a test");
	spin_unlock(&machines[1].device->lock);
	assert_true(info_of(1).broken && !info_of(1).open);
	fill_frame(1, 0, 60);
	transmit(0, &plain, 60);
	assert_int_equal(drops(0, NET_DROP_DOWN), 1);
}

static void a_receive_buffer_that_is_read_only_breaks(void **state)
{
	struct fake_buffer buffer = { RX_BUFFERS, 2000, false };

	start(0, BASIC);
	start(1, BASIC);
	fake_queue_add(&machines[1].queues[RX], &buffer, 1);
	fill_frame(1, 0, 60);
	transmit(0, &plain, 60);
	fake_virtio_run(machines[1].device);
	assert_int_equal(fake_transport_of(machines[1].device)->breaks, 1);
}

/* --- what senders do wrong --- */

static void bad_headers_are_dropped(void **state)
{
	static const struct {
		struct header header;
		u32 length;
	} bad[] = {
		{ { .flags = 1, .csum_start = 14, .csum_offset = 45 }, 60 },	/* 14 + 45 + 2 are 61 */
		{ { .flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff }, 60 },
		{ { .flags = 1, .csum_start = 0, .csum_offset = 16 }, 60 },
		{ { .gso_type = 1, .gso_size = 100, .hdr_len = 54 }, 300 },	/* no checksum */
		{ { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1 }, 300 },	/* no size */
		{ { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 100, .hdr_len = 301 }, 300 },
		{ { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 2, .gso_size = 100 }, 300 },
		{ { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 3, .gso_size = 100 }, 300 },	/* UFO */
		{ { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 0x81, .gso_size = 100 }, 300 },	/* ECN */
		{ { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 100 }, 300 },	/* no IP */
		{ { 0 }, 0 }, { { 0 }, 13 }, { { 0 }, 1523 }, { { 0 }, 65550 }, { { 0 }, 65551 },
	};
	struct header header;
	u32 gpa;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC | OFFLOADS | MERGEABLE);
	gpa = post(1, 70000);
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		fill_frame(1, 0, bad[i].length);
		transmit(0, &bad[i].header, bad[i].length);
		assert_int_equal(receive(1, 0, gpa, &header), 0);
		assert_int_equal(drops(0, NET_DROP_INVALID), i + 1);
	}
	assert_int_equal(fake_transport_of(machines[0].device)->breaks, 0);
	/* 14 + 44 + 2 are 60. */
	fill_frame(1, 0, 60);
	transmit(0, &(struct header) { .flags = 1, .csum_start = 14, .csum_offset = 44 }, 60);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 60);
}

static void a_checksum_needs_its_feature(void **state)
{
	start(0, BASIC);
	start(1, BASIC);
	fill_frame(1, 0, 60);
	transmit(0, &(struct header) { .flags = 1, .csum_start = 14, .csum_offset = 16 }, 60);
	assert_int_equal(drops(0, NET_DROP_INVALID), 1);
}

static void a_chain_shorter_than_the_header(void **state)
{
	struct fake_buffer buffer = { TX_BUFFER, HDR - 1, false };
	u32 written;
	u16 head;

	start(0, BASIC);
	fake_queue_add(&machines[0].queues[TX], &buffer, 1);
	fake_virtio_kick(machines[0].device, TX);
	assert_true(fake_queue_used(&machines[0].queues[TX], &head, &written));
	assert_int_equal(drops(0, NET_DROP_INVALID), 1);
}

/* Flags that only the device may set, and members without a meaning, do not reach the receiver. */
static void the_receivers_header_has_what_is_meant(void **state)
{
	struct header sent = { .flags = 0xfe, .hdr_len = 0x1111, .gso_size = 0x2222, .csum_start = 0x3333,
			       .csum_offset = 0x4444, .num_buffers = 0x5555 }, header;
	u32 gpa;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC | OFFLOADS | MERGEABLE);
	gpa = post(1, 2000);
	fill_frame(1, 0, 60);
	transmit(0, &sent, 60);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 60);
	assert_memory_equal(&header, &((struct header) { .num_buffers = 1 }), HDR);
}

/* They take room in the receiver's ring until it looks, which it does when it is woken. */
static void bad_frames_do_not_fill_the_ring(void **state)
{
	struct header bad = { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 100 }, header;
	u32 gpa;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC);
	gpa = post(1, 1526);
	for (u32 i = 0; i < 20; i++) {
		fill_frame(1, 0, 65550);	/* no IP */
		transmit(0, &bad, 65550);
		fake_virtio_run(machines[1].device);
		assert_int_equal(drops(0, NET_DROP_INVALID), i + 1);
	}
	fill_frame(1, 0, 60);
	transmit(0, &plain, 60);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 60);
	assert_int_equal(drops(1, NET_DROP_FULL), 0);
}

/* --- offloads --- */

/* IPv4 and TCP, without options: 54 bytes of headers. */
static struct header make_tcp(u8 to, u8 from, u32 payload, u8 gso_type)
{
	u32 sum = 0;
	u8 *ip = frame + 14, *tcp = frame + 34;

	fill_frame(to, from, 54 + payload);
	memset(frame + 12, 0, 42);
	frame[12] = 0x08;
	ip[0] = 0x45;
	ip[2] = (u8)((40 + payload) >> 8);
	ip[3] = (u8)(40 + payload);
	ip[9] = 6;
	memcpy(ip + 12, "\x0a\0\0\1\x0a\0\0\2", 8);
	memcpy(tcp, "\x12\x34\x56\x78\0\0\0\0\0\0\0\0\x50\x10", 14);
	sum = 0x0a00 + 1 + 0x0a00 + 2 + 6 + 20 + payload;
	sum = (sum & 0xffff) + (sum >> 16);
	tcp[16] = (u8)(sum >> 8);
	tcp[17] = (u8)sum;
	return (struct header) { .flags = 1, .gso_type = gso_type, .csum_start = 34, .csum_offset = 16,
				 .gso_size = gso_type ? 1460 : 0, .hdr_len = gso_type ? 54 : 0 };
}

static bool tcp_checksum_is_right(const u8 *data, u32 length)
{
	u32 sum = 0x0a00 + 1 + 0x0a00 + 2 + 6 + length - 34;

	for (u32 i = 34; i < length; i++)
		sum += i % 2 ? data[i] : (u32)data[i] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

static void an_unfinished_checksum_passes_untouched(void **state)
{
	struct header sent, header;
	u32 gpa;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC | OFFLOADS);
	gpa = post(1, 2000);
	sent = make_tcp(1, 0, 1000, 0);
	transmit(0, &sent, 1054);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 1054);
	sent.num_buffers = 1;
	assert_memory_equal(&header, &sent, HDR);
	expect_frame(1, gpa + HDR, 1054);
}

static void a_checksum_is_completed_for_others(void **state)
{
	struct header sent, header;
	u32 gpa;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC);
	gpa = post(1, 2000);
	sent = make_tcp(1, 0, 1000, 0);
	transmit(0, &sent, 1054);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 1054);
	assert_memory_equal(&header, &((struct header) { .num_buffers = 1 }), HDR);
	assert_true(tcp_checksum_is_right(guest_ptr(machines[1].vm, gpa + HDR, 1054), 1054));
}

static void a_frame_of_64_kib_passes_untouched(void **state)
{
	struct header sent, header;
	u32 gpa;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC | OFFLOADS);
	gpa = post(1, 65562);	/* "Setting Up Receive Buffers" */
	sent = make_tcp(1, 0, 65550 - 54, 1);
	transmit(0, &sent, 65550);
	assert_int_equal(receive(1, 0, gpa, &header), 65562);
	sent.num_buffers = 1;
	assert_memory_equal(&header, &sent, HDR);
	expect_frame(1, gpa + HDR, 65550);
}

/* "The device SHOULD set hdr_len to a value not less than the length of the headers", whatever the sender says. */
static void the_receivers_header_has_the_headers_length(void **state)
{
	static const u16 lengths[] = { 0, 53, 54, 55, 1054 };
	struct header sent, header;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC | OFFLOADS);
	for (u32 i = 0; i < ARRAY_SIZE(lengths); i++) {
		u32 gpa = post(1, 65562);

		sent = make_tcp(1, 0, 3000, 1);
		sent.hdr_len = lengths[i];
		transmit(0, &sent, 3054);
		assert_int_equal(receive(1, 0, gpa, &header), HDR + 3054);
		assert_int_equal(header.hdr_len, 54);
	}
}

static void segments_for_others(void **state)
{
	u32 gpa[8], total = 0;
	struct header sent, header;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC | BIT_ULL(0) | BIT_ULL(1));	/* checksums, and no TSO */
	gpa[0] = post(1, 1526);
	gpa[1] = post(1, 1526);
	sent = make_tcp(1, 0, 5 * 1460 + 7, 1);
	transmit(0, &sent, 54 + 5 * 1460 + 7);
	/* Buffers come while it is being segmented. */
	for (u32 i = 0; i < 6; i++) {
		u32 part = i < 5 ? 1460 : 7;
		const u8 *data;

		if (i >= 2) {
			gpa[i] = post(1, 1526);
			fake_virtio_kick(machines[1].device, RX);
		}
		assert_int_equal(receive(1, 0, gpa[i], &header), HDR + 54 + part);
		assert_memory_equal(&header, &((struct header) { .num_buffers = 1 }), HDR);
		data = guest_ptr(machines[1].vm, gpa[i] + HDR, 54 + part);
		assert_true(tcp_checksum_is_right(data, 54 + part));
		assert_memory_equal(data + 54, frame + 54 + total, part);
		assert_int_equal(data[34 + 6] << 8 | data[34 + 7], total);
		total += part;
	}
	assert_int_equal(info_of(1).received_frames, 1);
	post(1, 1526);
	fake_virtio_kick(machines[1].device, RX);
	assert_int_equal(receive(1, 0, gpa[0], &header), 0);
}

/* Segments that do not fit either are dropped, with the rest of their frame. */
static void segments_too_long_for_the_buffers(void **state)
{
	struct header sent, header;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC);
	post(1, 1000);
	sent = make_tcp(1, 0, 3000, 1);
	transmit(0, &sent, 3054);
	assert_int_equal(receive(1, 0, RX_BUFFERS, &header), 0);
	assert_int_equal(drops(1, NET_DROP_SHORT), 1);
	fill_frame(1, 0, 60);
	transmit(0, &plain, 60);
	assert_int_equal(receive(1, 0, RX_BUFFERS, &header), HDR + 60);
}

/* All buffers that the queue has room for are too few: the frame does not hold up those behind it. */
static void a_frame_that_never_fits_is_dropped(void **state)
{
	struct header sent, header;
	u32 gpa;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC | OFFLOADS | MERGEABLE);
	sent = make_tcp(1, 0, 65550 - 54, 1);
	transmit(0, &sent, 65550);
	gpa = post(1, 200);
	for (u32 i = 1; i < 255; i++)
		post(1, 200);
	fake_virtio_kick(machines[1].device, RX);
	assert_int_equal(drops(1, NET_DROP_SHORT), 0);
	post(1, 200);
	fake_virtio_kick(machines[1].device, RX);
	assert_int_equal(drops(1, NET_DROP_SHORT), 1);
	fill_frame(1, 0, 60);
	transmit(0, &plain, 60);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 60);
}

/* --- the control queue --- */

static int command(u32 i, u32 queue, u8 class, u8 number, const void *data, u32 size)
{
	struct machine *m = &machines[i];
	struct fake_buffer buffers[2] = { { CONTROL_BUFFER, 2 + size, false }, { CONTROL_BUFFER + 0x2000, 1, true } };
	u8 ack = 0xee;
	u32 written;
	u16 head;

	fake_ram_write(m->vm, CONTROL_BUFFER, (u8[]) { class, number }, 2);
	fake_ram_write(m->vm, CONTROL_BUFFER + 2, data, size);
	fake_ram_write(m->vm, CONTROL_BUFFER + 0x2000, &ack, 1);
	fake_queue_add(&m->queues[queue], buffers, 2);
	fake_virtio_kick(m->device, queue);
	assert_true(fake_queue_used(&m->queues[queue], &head, &written));
	assert_int_equal(written, 1);
	fake_ram_read(m->vm, CONTROL_BUFFER + 0x2000, &ack, 1);
	return ack;
}

static int rx_mode(u32 i, u8 mode, u8 on)
{
	return command(i, CONTROL, 0, mode, &on, 1);
}

/* Does a frame with this destination arrive? The first six bytes. */
static bool arrives(const void *to, u32 vlan)
{
	struct header header;
	u32 gpa = post(1, 100), got;

	fill_frame(1, 0, 64);
	memcpy(frame, to, 6);
	frame[12] = vlan ? 0x81 : 0x08;
	frame[13] = 0;
	frame[14] = (u8)(vlan >> 8);
	frame[15] = (u8)vlan;
	transmit(0, &plain, 64);
	got = receive(1, 0, gpa, &header);
	if (!got) {	/* use the buffer up */
		assert_int_equal(rx_mode(1, 0, 1), 0);
		fill_frame(1, 0, 64);
		transmit(0, &plain, 64);
		assert_int_equal(receive(1, 0, gpa, &header), HDR + 64);
		assert_int_equal(rx_mode(1, 0, 0), 0);
	}
	return got != 0;
}

#define OWN	  "\x52\x54\0\0\0\1"
#define STRANGER  "\x52\x54\0\0\0\x77"
#define GROUP	  "\x01\x00\x5e\0\0\x01"
#define BROADCAST "\xff\xff\xff\xff\xff\xff"

static int set_up_filters(void **state)
{
	vcpus = 1;
	create(0, "lan", false);
	create(1, "lan", true);		/* so that it gets other addresses, too */
	start(0, BASIC);
	start(1, BASIC | CTRL | BIT_ULL(23));
	return 0;
}

static void receive_modes(void **state)
{
	assert_true(arrives(STRANGER, 0));	/* promiscuous, until the driver says otherwise */
	assert_int_equal(rx_mode(1, 0, 0), 0);
	assert_true(arrives(OWN, 0));
	assert_true(arrives(BROADCAST, 0));
	assert_false(arrives(STRANGER, 0));
	assert_false(arrives(GROUP, 0));
	assert_int_equal(drops(1, NET_DROP_FILTERED), 2);
	assert_int_equal(rx_mode(1, 1, 1), 0);	/* ALLMULTI */
	assert_true(arrives(GROUP, 0));
	assert_int_equal(rx_mode(1, 3, 1), 0);	/* NOMULTI */
	assert_false(arrives(GROUP, 0));
	assert_int_equal(rx_mode(1, 2, 1), 0);	/* ALLUNI */
	assert_true(arrives(STRANGER, 0));
	assert_int_equal(rx_mode(1, 5, 1), 0);	/* NOBCAST */
	assert_false(arrives(BROADCAST, 0));
	assert_int_equal(rx_mode(1, 4, 1), 0);	/* NOUNI */
	assert_false(arrives(OWN, 0));
}

static void the_mac_tables(void **state)
{
	u8 table[4 + 6 + 4 + 6] = { 1 };

	rx_mode(1, 0, 0);
	memcpy(table + 4, STRANGER, 6);
	table[10] = 1;
	memcpy(table + 14, GROUP, 6);
	assert_int_equal(command(1, CONTROL, 1, 0, table, sizeof(table)), 0);
	assert_true(arrives(STRANGER, 0));
	assert_true(arrives(GROUP, 0));
	assert_false(arrives("\x01\x00\x5e\0\0\x02", 0));
	/* Each wrong length, and numbers of entries that do not fit. */
	for (u32 size = 0; size < sizeof(table); size++)
		assert_int_equal(command(1, CONTROL, 1, 0, table, size), size == 0 ? 1 : 1);
	table[0] = 2;
	assert_int_equal(command(1, CONTROL, 1, 0, table, sizeof(table)), 1);
	memset(table, 0xff, 4);
	assert_int_equal(command(1, CONTROL, 1, 0, table, sizeof(table)), 1);
	assert_true(arrives(STRANGER, 0));	/* unchanged */
	/* Empty tables. */
	memset(table, 0, 8);
	assert_int_equal(command(1, CONTROL, 1, 0, table, 8), 0);
	assert_false(arrives(STRANGER, 0));
	assert_false(arrives(GROUP, 0));
}

/* A table with more entries than there is room for lets all pass. */
static void long_mac_tables(void **state)
{
	static u8 table[8 + 65 * 6];

	rx_mode(1, 0, 0);
	memset(table, 0, sizeof(table));
	table[0] = 64;
	assert_int_equal(command(1, CONTROL, 1, 0, table, 8 + 64 * 6), 0);
	assert_false(arrives(STRANGER, 0));
	table[0] = 65;
	assert_int_equal(command(1, CONTROL, 1, 0, table, 8 + 65 * 6), 0);
	assert_true(arrives(STRANGER, 0));
	assert_false(arrives(GROUP, 0));
	table[0] = 0;
	table[4] = 65;
	assert_int_equal(command(1, CONTROL, 1, 0, table, 8 + 65 * 6), 0);
	assert_false(arrives(STRANGER, 0));
	assert_true(arrives(GROUP, 0));
}

static void vlan_filters(void **state)
{
	u16 vlan = 4095;

	rx_mode(1, 0, 0);
	assert_true(arrives(OWN, 0));
	assert_false(arrives(OWN, 4095));
	assert_int_equal(command(1, CONTROL, 2, 0, &vlan, 2), 0);
	assert_true(arrives(OWN, 4095));
	assert_true(arrives(OWN, 0xf000 | 4095));	/* priority and DEI are not part of the number */
	assert_false(arrives(OWN, 4094));
	assert_int_equal(command(1, CONTROL, 2, 1, &vlan, 2), 0);
	assert_false(arrives(OWN, 4095));
	vlan = 4096;
	assert_int_equal(command(1, CONTROL, 2, 0, &vlan, 2), 1);
	assert_int_equal(command(1, CONTROL, 2, 0, &vlan, 1), 1);
}

static void a_trunk_may_change_its_address(void **state)
{
	assert_int_equal(command(1, CONTROL, 1, 1, GROUP, 6), 1);
	assert_int_equal(command(1, CONTROL, 1, 1, STRANGER, 5), 1);
	assert_int_equal(command(1, CONTROL, 1, 1, STRANGER, 6), 0);
	assert_int_equal(fake_virtio_config(machines[1].device, 5, 1), 0x77);
	rx_mode(1, 0, 0);
	assert_true(arrives(STRANGER, 0));
	fake_virtio_reset(machines[1].device);
	assert_int_equal(fake_virtio_config(machines[1].device, 5, 1), 1);
}

static void unknown_commands_are_refused(void **state)
{
	u8 data[8] = { 1 };

	for (u32 class = 0; class < 256; class++) {
		for (u32 number = 0; number < 256; number++) {
			bool known = (class == 0 && number < 6);	/* with one byte of data */

			assert_int_equal(command(1, CONTROL, (u8)class, (u8)number, data, 1), !known);
		}
	}
	for (u32 size = 0; size < 8; size++)
		assert_int_equal(command(1, CONTROL, 0, 0, data, size), size != 1);
	assert_int_equal(fake_transport_of(machines[1].device)->breaks, 0);
}

static void a_command_without_room_for_the_result_breaks(void **state)
{
	struct fake_buffer buffer = { CONTROL_BUFFER, 3, false };

	fake_queue_add(&machines[1].queues[CONTROL], &buffer, 1);
	fake_virtio_kick(machines[1].device, CONTROL);
	assert_int_equal(fake_transport_of(machines[1].device)->breaks, 1);
}

/* Without VIRTIO_NET_F_CTRL_RX and the others. */
static void commands_need_their_features(void **state)
{
	u64 offloads = 0;
	u16 number = 1;
	u8 table[8] = { 0 };

	fake_virtio_reset(machines[1].device);
	start(1, BASIC | BIT_ULL(17));
	for (u8 mode = 0; mode < 6; mode++)
		assert_int_equal(rx_mode(1, mode, 0), 1);
	assert_int_equal(command(1, CONTROL, 1, 0, table, 8), 1);
	assert_int_equal(command(1, CONTROL, 1, 1, OWN, 6), 1);
	assert_int_equal(command(1, CONTROL, 2, 0, &number, 2), 1);
	assert_int_equal(command(1, CONTROL, 4, 0, &number, 2), 1);
	assert_int_equal(command(1, CONTROL, 5, 0, &offloads, 8), 1);
}

static void offloads_can_be_turned_off(void **state)
{
	u64 none = 0, tso6 = BIT_ULL(8), both = BIT_ULL(1) | BIT_ULL(7);
	struct header sent, header;
	u32 gpa;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC | BIT_ULL(17) | BIT_ULL(2) | both);
	assert_int_equal(command(1, CONTROL, 5, 0, &tso6, 8), 1);	/* not negotiated */
	assert_int_equal(command(1, CONTROL, 5, 0, &none, 8), 0);
	gpa = post(1, 2000);
	sent = make_tcp(1, 0, 1000, 0);
	transmit(0, &sent, 1054);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 1054);
	assert_int_equal(header.flags, 0);
	assert_int_equal(command(1, CONTROL, 5, 0, &both, 8), 0);
	gpa = post(1, 2000);
	transmit(0, &sent, 1054);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 1054);
	assert_int_equal(header.flags, 1);
}

/* --- several queues --- */

static void set_up_pairs(u32 count)
{
	vcpus = 4;
	create(1, "lan", false);
	start(0, BASIC | OFFLOADS);
	start(1, BASIC | OFFLOADS | BIT_ULL(17) | BIT_ULL(22));
	for (u16 pairs = 0; pairs < 300; pairs++) {
		if (pairs < 1 || pairs > 4)
			assert_int_equal(command(1, 8, 4, 0, &pairs, 2), 1);
	}
	assert_int_equal(command(1, 8, 4, 0, &(u16) { (u16)count }, 2), 0);
	assert_int_equal(info_of(1).queues, count);
}

static void steer(u32 pair)
{
	struct header sent, header;
	u32 gpa;

	/* The receiver sends by that pair; what comes back goes there. */
	sent = make_tcp(0, 1, 100, 0);
	send_by(1, pair, &sent, 154);
	sent = make_tcp(1, 0, 100, 0);
	for (u32 i = 0; i < 4; i++) {
		gpa = post_to(1, i, 1526);
		if (i == pair) {
			transmit(0, &sent, 154);
			assert_int_equal(receive(1, i, gpa, &header), HDR + 154);
		}
	}
}

static void flows_come_back_by_their_queue(void **state)
{
	destroy(1);
	set_up_pairs(4);
	for (u32 pair = 0; pair < 4; pair++)
		steer(pair);
}

static void disabled_queues_get_nothing(void **state)
{
	struct header sent, header;
	u32 gpa;

	destroy(1);
	set_up_pairs(4);
	steer(3);
	assert_int_equal(command(1, 8, 4, 0, &(u16) { 1 }, 2), 0);
	gpa = post_to(1, 0, 1526);
	post_to(1, 3, 1526);
	/* One buffer of the first queue is left over from the loop before. */
	sent = make_tcp(1, 0, 100, 0);
	transmit(0, &sent, 154);
	transmit(0, &sent, 154);
	assert_int_not_equal(receive(1, 0, gpa, &header), 0);
	assert_int_not_equal(receive(1, 0, gpa, &header), 0);
	assert_int_equal(receive(1, 3, gpa, &header), 0);
}

/* A frame waits for buffers of a queue that is disabled then: it goes to another one that has some. */
static void fewer_pairs_while_a_frame_waits(void **state)
{
	struct header sent, header;
	u32 gpa;

	destroy(1);
	set_up_pairs(4);
	sent = make_tcp(0, 1, 100, 0);
	send_by(1, 3, &sent, 154);
	gpa = post_to(1, 0, 1526);
	sent = make_tcp(1, 0, 100, 0);
	transmit(0, &sent, 154);
	assert_int_equal(receive(1, 0, gpa, &header), 0);
	assert_int_equal(command(1, 8, 4, 0, &(u16) { 1 }, 2), 0);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 154);
}

/* Each has more than fits into a portion, 128 KiB of 1514 + 1024 bytes each; no doorbell comes again. */
static void all_transmit_queues_are_served(void **state)
{
	struct machine *m = &machines[0];
	struct fake_buffer buffers[2] = { { TX_BUFFER, HDR, false }, { TX_BUFFER + HDR, 1514, false } };

	destroy(0);
	vcpus = 4;
	create(0, "lan", false);
	start(0, BASIC | BIT_ULL(17) | BIT_ULL(22));
	fill_frame(1, 0, 1514);
	fake_ram_write(m->vm, TX_BUFFER, &plain, HDR);
	fake_ram_write(m->vm, TX_BUFFER + HDR, frame, 1514);
	for (u32 i = 0; i < 4 * 100; i++)
		fake_queue_add(&m->queues[2 * (i % 4) + TX], buffers, 2);
	/* In turn: after four portions each has had one. */
	virtio_device_post(m->device, 0xaa);
	for (u32 i = 0; i < 4; i++) {
		u32 queues = __atomic_exchange_n(&m->device->doorbells, 0, __ATOMIC_SEQ_CST);

		assert_int_equal(queues, 0xaa);
		virtio_device_post(m->device, m->device->ops->serve(m->device, queues));
		assert_int_equal(fake_queue_used_count(&m->queues[2 * i + TX]), 52);
	}
	fake_virtio_run(m->device);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(fake_queue_used_count(&m->queues[2 * i + TX]), 100);
}

/* Without VIRTIO_NET_F_MQ the control queue is number 2. */
static void without_mq_the_control_queue_is_the_third(void **state)
{
	destroy(1);
	vcpus = 4;
	create(1, "lan", false);
	start(1, BASIC | BIT_ULL(17) | BIT_ULL(18));
	assert_int_equal(rx_mode(1, 0, 0), 0);
}

/* --- portions, resets, ends --- */

static void work_is_done_in_portions(void **state)
{
	struct machine *m = &machines[0];
	struct fake_buffer buffers[2] = { { TX_BUFFER, HDR, false }, { TX_BUFFER + HDR, 1514, false } };

	start(0, BASIC);
	start(1, BASIC);
	fill_frame(1, 0, 1514);
	fake_ram_write(m->vm, TX_BUFFER, &plain, HDR);
	fake_ram_write(m->vm, TX_BUFFER + HDR, frame, 1514);
	for (u32 i = 0; i < 120; i++)
		fake_queue_add(&m->queues[TX], buffers, 2);
	virtio_device_post(m->device, BIT(TX));
	/* Each costs 1514 + 1024: 52 in 128 KiB. */
	assert_int_equal(fake_virtio_run(m->device), 3);
	assert_int_equal(fake_queue_used_count(&m->queues[TX]), 120);
	assert_int_equal(fake_transport_of(m->device)->notified[TX], 3);
	for (u32 i = 0; i < 120; i++)
		post(1, 1526);
	assert_int_equal(fake_virtio_run(machines[1].device), 3);
	assert_int_equal(fake_queue_used_count(&machines[1].queues[RX]), 120);
	assert_int_equal(fake_transport_of(machines[1].device)->notified[RX], 3);
}

static void a_reset_forgets(void **state)
{
	struct header header;
	u32 gpa;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC);
	fill_frame(1, 0, 60);
	for (u32 i = 0; i < 1000; i++) {
		transmit(0, &plain, 60);
		fake_virtio_reset(machines[1].device);
		assert_false(info_of(1).open);
		transmit(0, &plain, 60);
		start(1, BASIC);
		machines[1].next_buffer = RX_BUFFERS;
		gpa = post(1, 1526);
		assert_int_equal(receive(1, 0, gpa, &header), 0);
		transmit(0, &plain, 60);
		assert_int_equal(receive(1, 0, gpa, &header), HDR + 60);
	}
	assert_int_equal(drops(0, NET_DROP_DOWN), 1000);
}

/* Also in the middle of a frame that is being segmented. */
static void a_reset_within_a_frame(void **state)
{
	struct header sent, header;
	u32 gpa;

	start(0, BASIC | OFFLOADS);
	start(1, BASIC);
	gpa = post(1, 1526);
	sent = make_tcp(1, 0, 5000, 1);
	transmit(0, &sent, 5054);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 1514);
	fake_virtio_reset(machines[1].device);
	start(1, BASIC | OFFLOADS | MERGEABLE);
	gpa = post(1, 10000);
	transmit(0, &sent, 5054);
	assert_int_equal(receive(1, 0, gpa, &header), HDR + 5054);
	assert_int_equal(header.gso_type, 1);
}

static void a_vm_that_ends_while_others_send(void **state)
{
	start(0, BASIC);
	fill_frame(1, 0, 60);
	for (u32 i = 0; i < 20; i++) {
		start(1, BASIC);
		transmit(0, &plain, 60);
		destroy(1);
		transmit(0, &plain, 60);
		create(1, "lan", false);
	}
	assert_int_equal(drops(0, NET_DROP_UNKNOWN), 20);
}

/* A switch of another name. */
static void another_switch_sees_nothing(void **state)
{
	struct header header;
	u32 gpa;

	create(2, "other", true);
	start(0, BASIC);
	start(1, BASIC);
	start(2, BASIC);
	gpa = post(2, 1526);
	fill_frame(1, 0, 60);
	transmit(0, &plain, 60);
	memcpy(frame, BROADCAST, 6);
	transmit(0, &plain, 60);
	fill_frame(2, 0, 60);
	transmit(0, &plain, 60);
	assert_int_equal(receive(2, 0, gpa, &header), 0);
	assert_int_equal(info_of(2).received_frames, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(features_and_configuration, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pairs_of_queues_by_vcpus, set_up, tear_down),
		cmocka_unit_test_setup_teardown(failures_of_creation, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_frame_arrives, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_arrives_before_the_driver_is_ready, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_buffer_that_is_just_large_enough, set_up, tear_down),
		cmocka_unit_test_setup_teardown(frames_wait_for_buffers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mergeable_buffers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_receive_buffer_without_room_for_the_header_breaks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_receive_buffer_that_is_read_only_breaks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_device_that_the_transport_breaks_has_a_broken_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_headers_are_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_frames_do_not_fill_the_ring, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_checksum_needs_its_feature, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_chain_shorter_than_the_header, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_receivers_header_has_what_is_meant, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unfinished_checksum_passes_untouched, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_checksum_is_completed_for_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_frame_of_64_kib_passes_untouched, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_receivers_header_has_the_headers_length, set_up, tear_down),
		cmocka_unit_test_setup_teardown(segments_for_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(segments_too_long_for_the_buffers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_frame_that_never_fits_is_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(receive_modes, set_up_filters, tear_down),
		cmocka_unit_test_setup_teardown(the_mac_tables, set_up_filters, tear_down),
		cmocka_unit_test_setup_teardown(long_mac_tables, set_up_filters, tear_down),
		cmocka_unit_test_setup_teardown(vlan_filters, set_up_filters, tear_down),
		cmocka_unit_test_setup_teardown(a_trunk_may_change_its_address, set_up_filters, tear_down),
		cmocka_unit_test_setup_teardown(unknown_commands_are_refused, set_up_filters, tear_down),
		cmocka_unit_test_setup_teardown(a_command_without_room_for_the_result_breaks, set_up_filters, tear_down),
		cmocka_unit_test_setup_teardown(commands_need_their_features, set_up_filters, tear_down),
		cmocka_unit_test_setup_teardown(offloads_can_be_turned_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(flows_come_back_by_their_queue, set_up, tear_down),
		cmocka_unit_test_setup_teardown(disabled_queues_get_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fewer_pairs_while_a_frame_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_transmit_queues_are_served, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_mq_the_control_queue_is_the_third, set_up, tear_down),
		cmocka_unit_test_setup_teardown(work_is_done_in_portions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reset_forgets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reset_within_a_frame, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_vm_that_ends_while_others_send, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_switch_sees_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
