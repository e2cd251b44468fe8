/* SPDX-License-Identifier: MIT */
/*
 * Checksums and segments that a sender left to the device. Checksums are verified as a receiver does it, byte by byte: RFC 1071;
 * fields by RFC 791, 793, 768, 8200, and VIRTIO 1.2, "Network Device".
 */
/* link: dev/net/offload.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "dev/net/offload.h"

#define MSS 1000u
#define TCP_OPTIONS 12u
#define PAYLOAD	3500u

static u8 frame[NET_FRAME_MOST], segment[NET_PLAIN_MOST];

/* --- a receiver --- */

/* The sum over big-endian words, with a zero byte behind an odd end. */
static u32 add(u32 sum, const u8 *data, u32 size)
{
	for (u32 i = 0; i < size; i++)
		sum += i % 2 ? data[i] : (u32)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static u16 get16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static void put16(u8 *p, u32 value)
{
	p[0] = (u8)(value >> 8);
	p[1] = (u8)value;
}

static u32 get32(const u8 *p)
{
	return (u32)get16(p) << 16 | get16(p + 2);
}

/* The sum over the pseudo header and the transport's bytes; FFFFh where the checksum is right. */
static u32 transport_sum(const u8 *ip, u32 at, u32 size, u8 protocol)
{
	u8 rest[4] = { 0, protocol, (u8)(size >> 8), (u8)size };
	u32 sum = ip[0] >> 4 == 4 ? add(0, ip + 12, 8) : add(0, ip + 8, 32);

	return add(add(sum, rest, 4), ip + at, size);
}

/* --- a sender --- */

struct made {
	u32 ip, transport, payload, length;
	struct net_offload offload;
};

/* As Linux makes them: the checksum field has the sum of the pseudo header, not complemented. */
static struct made make(unsigned version, u8 protocol, u32 tags, u32 size, u8 gso_type)
{
	bool tcp = protocol == NET_IPPROTO_TCP;
	struct made made = { .ip = 14 + 4 * tags };
	u32 header = tcp ? 20 + TCP_OPTIONS : 8, checksum = tcp ? 16 : 6, sum;
	u8 *ip, *transport;

	memset(frame, 0, sizeof(frame));
	memcpy(frame, "\x52\x54\x00\x00\x00\x02\x52\x54\x00\x00\x00\x01", 12);
	for (u32 i = 0; i < tags; i++)
		put16(frame + 12 + 4 * i, i + 1 < tags ? 0x88a8 : 0x8100);
	put16(frame + made.ip - 2, version == 4 ? 0x0800 : 0x86dd);
	ip = frame + made.ip;
	made.transport = made.ip + (version == 4 ? 20 : 40);
	made.payload = made.transport + header;
	made.length = made.payload + size;
	transport = frame + made.transport;
	if (version == 4) {
		ip[0] = 0x45;
		put16(ip + 2, (u16)(made.length - made.ip));
		put16(ip + 4, 0xfffe);		/* identification: it wraps within the frame */
		put16(ip + 6, 0x4000);
		ip[8] = 64;
		ip[9] = protocol;
		memcpy(ip + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
		put16(ip + 10, (u16)~add(0, ip, 20));
	} else {
		ip[0] = 0x60;
		put16(ip + 4, (u16)(made.length - made.transport));
		ip[6] = protocol;
		ip[7] = 64;
		for (u32 i = 8; i < 40; i++)
			ip[i] = (u8)(i * 7);
	}
	put16(transport, 40000);
	put16(transport + 2, 5001);
	if (tcp) {
		put16(transport + 4, 0xffff);
		put16(transport + 6, 0xff00);	/* the sequence number wraps within the frame */
		transport[12] = (u8)(header / 4 << 4);
		transport[13] = 0x80 | 0x10 | 0x08 | 0x01;	/* CWR, ACK, PSH, FIN */
	} else {
		put16(transport + 4, (u16)(header + size));
	}
	for (u32 i = 0; i < size; i++)
		transport[header + i] = (u8)(i * 31 + i / 256);
	sum = transport_sum(ip, made.transport - made.ip, 0, protocol);
	sum = add(sum, (u8[]) { 0, 0, (u8)((header + size) >> 8), (u8)(header + size) }, 4);
	put16(transport + checksum, sum);
	made.offload = (struct net_offload) {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = gso_type, .gso_size = MSS, .hdr_len = (u16)made.payload,
		.csum_start = (u16)made.transport, .csum_offset = (u16)checksum,
	};
	if (gso_type == VIRTIO_NET_HDR_GSO_NONE)
		made.offload.gso_size = made.offload.hdr_len = 0;
	return made;
}

/* --- checksums --- */

static void a_checksum_is_completed(void **state)
{
	static const u32 sizes[] = { 0, 1, 2, 3, 4, 5, 63, 64, 1447, 1448 };

	for (unsigned version = 4; version <= 6; version += 2) {
		for (u8 protocol = 6; protocol <= 17; protocol += 11) {
			for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
				struct made made = make(version, protocol, 0, sizes[i], VIRTIO_NET_HDR_GSO_NONE);

				if (made.length > NET_PLAIN_MOST)
					continue;
				assert_null(net_offload_check(&made.offload, made.length));
				net_checksum_complete(&made.offload, frame, made.length);
				assert_int_equal(transport_sum(frame + made.ip, made.transport - made.ip,
							       made.length - made.transport, protocol), 0xffff);
			}
		}
	}
}

/* The example of RFC 1071, "Numerical Examples": the sum of 0001 f203 f4f5 f6f7 is ddf2. */
static void the_sum_is_that_of_the_rfc(void **state)
{
	u8 data[14 + 10] = { 0 };
	struct net_offload offload = { .flags = 1, .csum_start = 14, .csum_offset = 8 };

	memcpy(data + 14, "\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8);
	net_checksum_complete(&offload, data, sizeof(data));
	assert_int_equal(get16(data + 22), (u16)~0xddf2);
}

/* RFC 768: "If the computed checksum is zero, it is transmitted as all ones". */
static void a_udp_checksum_is_never_zero(void **state)
{
	u8 data[14 + 4] = { 0 };
	struct net_offload offload = { .flags = 1, .csum_start = 14, .csum_offset = 2 };

	put16(data + 14, 0xffff);
	net_checksum_complete(&offload, data, sizeof(data));
	assert_int_equal(get16(data + 16), 0xffff);
}

/* --- what is accepted --- */

static void the_checksum_lies_within_the_frame(void **state)
{
	struct net_offload offload = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16 };

	assert_null(net_offload_check(&offload, 52));
	assert_non_null(net_offload_check(&offload, 51));
	offload.csum_start = 13;
	assert_non_null(net_offload_check(&offload, 52));
	offload.csum_start = 14;
	assert_null(net_offload_check(&offload, 52));
	offload.csum_start = offload.csum_offset = 0xffff;
	assert_non_null(net_offload_check(&offload, 52));
	assert_non_null(net_offload_check(&offload, NET_FRAME_MOST));
	offload.flags = 0;
	assert_null(net_offload_check(&offload, 52));
}

static void a_plain_frame_has_at_most_the_mtu(void **state)
{
	struct net_offload offload = { 0 };

	assert_null(net_offload_check(&offload, 1514 + 8));
	assert_non_null(net_offload_check(&offload, 1514 + 9));
}

static void segments_need_a_size_and_a_checksum(void **state)
{
	struct made made = make(4, NET_IPPROTO_TCP, 0, PAYLOAD, VIRTIO_NET_HDR_GSO_TCPV4);
	struct net_offload offload = made.offload;

	assert_null(net_offload_check(&offload, made.length));
	offload.gso_size = 0;
	assert_non_null(net_offload_check(&offload, made.length));
	offload = made.offload;
	offload.flags = 0;
	assert_non_null(net_offload_check(&offload, made.length));
	offload = made.offload;
	offload.hdr_len = (u16)(made.length + 1);
	assert_non_null(net_offload_check(&offload, made.length));
	offload = made.offload;
	for (u32 type = 1; type < 256; type++) {
		bool known = type == 1 || type == 4 || type == 5 || type == 0x81 || type == 0x84;

		offload.gso_type = (u8)type;
		assert_int_equal(net_offload_check(&offload, made.length) == NULL, known);
	}
}

static void a_gso_frame_is_what_its_type_says(void **state)
{
	struct made made = make(4, NET_IPPROTO_TCP, 0, PAYLOAD, VIRTIO_NET_HDR_GSO_TCPV4);
	struct net_offload offload = made.offload;

	assert_int_equal(net_segment_check(&offload, frame, made.length), made.payload);
	offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN;
	assert_int_equal(net_segment_check(&offload, frame, made.length), made.payload);
	offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	assert_int_equal(net_segment_check(&offload, frame, made.length), 0);
	offload.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	assert_int_equal(net_segment_check(&offload, frame, made.length), 0);
	offload = made.offload;
	offload.csum_start++;
	assert_int_equal(net_segment_check(&offload, frame, made.length), 0);
	offload = made.offload;
	offload.csum_offset++;
	assert_int_equal(net_segment_check(&offload, frame, made.length), 0);
	/* The headers alone, and each length below. */
	for (u32 length = 0; length <= made.payload; length++)
		assert_int_equal(net_segment_check(&made.offload, frame, length), 0);
	assert_int_equal(net_segment_check(&made.offload, frame, made.payload + 1), made.payload);
	/* A segment that would exceed the MTU: 20 + 32 + 1448 are 1500. */
	offload.csum_offset--;
	offload.gso_size = 1448;
	assert_int_equal(net_segment_check(&offload, frame, made.length), made.payload);
	offload.gso_size = 1449;
	assert_int_equal(net_segment_check(&offload, frame, made.length), 0);
	/* A TCP header of 16 bytes; a fragment; IPv4 with a header of 16 bytes. */
	frame[made.transport + 12] = 4 << 4;
	assert_int_equal(net_segment_check(&made.offload, frame, made.length), 0);
	frame[made.transport + 12] = 8 << 4;
	frame[made.ip + 6] = 0x20;
	assert_int_equal(net_segment_check(&made.offload, frame, made.length), 0);
	frame[made.ip + 6] = 0;
	frame[made.ip + 7] = 1;
	assert_int_equal(net_segment_check(&made.offload, frame, made.length), 0);
	frame[made.ip + 7] = 0;
	assert_int_equal(net_segment_check(&made.offload, frame, made.length), made.payload);
	frame[made.ip] = 0x44;
	assert_int_equal(net_segment_check(&made.offload, frame, made.length), 0);
}

/* RFC 791: packets of 68 bytes pass everywhere, 28 of them behind 20 of IP and 20 of TCP: 65550 - 54 bytes in 2340 segments. */
static void a_frame_has_at_most_so_many_segments(void **state)
{
	static u8 long_frame[NET_FRAME_MOST];
	struct made made = make(4, NET_IPPROTO_TCP, 0, PAYLOAD, VIRTIO_NET_HDR_GSO_TCPV4);
	struct net_offload offload = made.offload;

	memcpy(long_frame, frame, made.payload);
	offload.gso_size = 28;
	assert_int_equal(net_segment_check(&offload, long_frame, NET_FRAME_MOST), made.payload);
	offload.gso_size = 27;
	assert_int_equal(net_segment_check(&offload, long_frame, NET_FRAME_MOST), 0);
	/* Short ones may have any size. */
	offload.gso_size = 1;
	assert_int_equal(net_segment_check(&offload, long_frame, made.payload + 2340), made.payload);
	assert_int_equal(net_segment_check(&offload, long_frame, made.payload + 2341), 0);
}

/* --- segments --- */

static void check_segments(unsigned version, u8 protocol, u32 tags, u8 gso_type)
{
	struct made made = make(version, protocol, tags, PAYLOAD, gso_type);
	u32 payload = net_segment_check(&made.offload, frame, made.length), position = payload, number = 0;
	bool tcp = protocol == NET_IPPROTO_TCP;

	assert_null(net_offload_check(&made.offload, made.length));
	assert_int_equal(payload, made.payload);
	while (position < made.length) {
		u32 length = net_segment(&made.offload, frame, made.length, payload, position, segment);
		u32 part = number < 3 ? MSS : PAYLOAD - 3 * MSS;
		const u8 *ip = segment + made.ip, *transport = segment + made.transport;

		assert_int_equal(length, payload + part);
		assert_memory_equal(segment, frame, made.ip);
		assert_memory_equal(segment + payload, frame + position, part);
		if (version == 4) {
			assert_int_equal(get16(ip + 2), length - made.ip);
			assert_int_equal(get16(ip + 4), (u16)(0xfffe + number));
			assert_int_equal(get16(ip + 6), 0x4000);
			assert_int_equal(add(0, ip, 20), 0xffff);
		} else {
			assert_int_equal(get16(ip + 4), length - made.transport);
		}
		if (tcp) {
			assert_int_equal(get32(transport + 4), 0xffffff00u + number * MSS);
			assert_int_equal(transport[13], 0x10 | (number == 0 ? 0x80 : 0) | (number == 3 ? 0x09 : 0));
		} else {
			assert_int_equal(get16(transport + 4), 8 + part);
		}
		assert_int_equal(transport_sum(ip, made.transport - made.ip, length - made.transport, protocol), 0xffff);
		position += part;
		number++;
	}
	assert_int_equal(position, made.length);
	assert_int_equal(number, 4);
}

static void segments_of_each_kind(void **state)
{
	for (u32 tags = 0; tags <= 2; tags++) {
		check_segments(4, NET_IPPROTO_TCP, tags, VIRTIO_NET_HDR_GSO_TCPV4);
		check_segments(4, NET_IPPROTO_TCP, tags, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
		check_segments(6, NET_IPPROTO_TCP, tags, VIRTIO_NET_HDR_GSO_TCPV6);
		check_segments(4, NET_IPPROTO_UDP, tags, VIRTIO_NET_HDR_GSO_UDP_L4);
		check_segments(6, NET_IPPROTO_UDP, tags, VIRTIO_NET_HDR_GSO_UDP_L4);
	}
}

/* --- headers --- */

static void headers_behind_ipv6_extensions(void **state)
{
	struct net_headers headers;
	u8 *ip = frame + 14;

	make(6, NET_IPPROTO_TCP, 0, 100, VIRTIO_NET_HDR_GSO_NONE);
	ip[6] = 0;		/* hop-by-hop options, 8 bytes */
	ip[40] = 60;		/* then destination options, 16 bytes */
	ip[41] = 0;
	ip[48] = 6;
	ip[49] = 1;
	assert_true(net_find_headers(frame, 200, &headers));
	assert_int_equal(headers.transport, 14 + 40 + 8 + 16);
	assert_int_equal(headers.protocol, 6);
	for (u32 length = 0; length < 14 + 40 + 8 + 16; length++)
		assert_false(net_find_headers(frame, length, &headers));
	/* No end: each header names another one of the same kind. */
	memset(ip + 40, 0, 1000);
	assert_false(net_find_headers(frame, NET_FRAME_MOST, &headers));
	/* A fragment header is none of those that are skipped: its payload has no ports. */
	ip[6] = 44;
	assert_true(net_find_headers(frame, 200, &headers));
	assert_int_equal(headers.protocol, 44);
}

static void other_protocols_have_no_headers(void **state)
{
	struct net_headers headers;

	make(4, NET_IPPROTO_TCP, 0, 100, VIRTIO_NET_HDR_GSO_NONE);
	put16(frame + 12, 0x0806);
	assert_false(net_find_headers(frame, 200, &headers));
	make(4, NET_IPPROTO_TCP, 2, 100, VIRTIO_NET_HDR_GSO_NONE);
	assert_true(net_find_headers(frame, 200, &headers));
	make(4, NET_IPPROTO_TCP, 3, 100, VIRTIO_NET_HDR_GSO_NONE);
	assert_false(net_find_headers(frame, 200, &headers));
}

static void both_directions_are_one_flow(void **state)
{
	struct made made = make(4, NET_IPPROTO_TCP, 0, 100, VIRTIO_NET_HDR_GSO_NONE);
	u32 there = net_flow(frame, made.length), back, other;
	u8 *ip = frame + made.ip, *transport = frame + made.transport;

	memcpy(ip + 12, "\x0a\x00\x00\x02\x0a\x00\x00\x01", 8);
	put16(transport, 5001);
	put16(transport + 2, 40000);
	back = net_flow(frame, made.length);
	put16(transport + 2, 40001);
	other = net_flow(frame, made.length);
	assert_int_not_equal(there, 0);
	assert_int_equal(there, back);
	assert_int_not_equal(there, other);
	put16(frame + 12, 0x0806);
	assert_int_equal(net_flow(frame, made.length), 0);
}

/* Whatever bytes and lengths come, nothing outside of the frame is read: the sanitizers watch. */
static void random_frames(void **state)
{
	u64 random = 88172645463325252ull;
	struct net_headers headers;

	for (u32 round = 0; round < 200000; round++) {
		u8 small[160];
		u32 length = (u32)(random >> 40) % (sizeof(small) + 1);
		u8 *exact = small + sizeof(small) - length;
		struct net_offload offload;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		make(random & 1 ? 4 : 6, random & 2 ? 6 : 17, (random >> 2) % 3, 100, VIRTIO_NET_HDR_GSO_NONE);
		memcpy(exact, frame, length);
		for (u32 i = 0; length && i < 3; i++)
			exact[(random >> (8 * i)) % length] = (u8)(random >> (20 + 7 * i));
		offload = (struct net_offload) {
			.flags = 1, .gso_type = (u8[]) { 1, 4, 5, 0x81 }[random >> 30 & 3], .gso_size = (u16)(random >> 44),
			.csum_start = (u16)(14 + (random >> 33) % 80), .csum_offset = random >> 36 & 1 ? 16 : 6,
		};
		net_find_headers(exact, length, &headers);
		net_flow(exact, length);
		if (!net_offload_check(&offload, length)) {
			u32 payload = net_segment_check(&offload, exact, length);

			for (u32 at = payload; payload && at < length; at += offload.gso_size)
				assert_in_range(net_segment(&offload, exact, length, payload, at, segment), payload + 1,
						NET_PLAIN_MOST);
			net_checksum_complete(&offload, exact, length);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_checksum_is_completed),
		cmocka_unit_test(the_sum_is_that_of_the_rfc),
		cmocka_unit_test(a_udp_checksum_is_never_zero),
		cmocka_unit_test(the_checksum_lies_within_the_frame),
		cmocka_unit_test(a_plain_frame_has_at_most_the_mtu),
		cmocka_unit_test(segments_need_a_size_and_a_checksum),
		cmocka_unit_test(a_gso_frame_is_what_its_type_says),
		cmocka_unit_test(a_frame_has_at_most_so_many_segments),
		cmocka_unit_test(segments_of_each_kind),
		cmocka_unit_test(headers_behind_ipv6_extensions),
		cmocka_unit_test(other_protocols_have_no_headers),
		cmocka_unit_test(both_directions_are_one_flow),
		cmocka_unit_test(random_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
