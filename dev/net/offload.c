/* SPDX-License-Identifier: MIT */
/* Checksums and segmentation. RFC 791, 793, 768, 1071, 3168, 8200; Linux' software segmentation does the same. */
#include "dev/net/offload.h"

#include "lib/string.h"

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_VLAN 0x8100u
#define ETHERTYPE_QINQ 0x88a8u
#define ETHERTYPE_IPV6 0x86ddu

#define IPV4_HEADER 20u
#define IPV6_HEADER 40u
#define TCP_HEADER  20u
#define UDP_HEADER  8u

#define TCP_CHECKSUM 16u	/* offsets in the header */
#define TCP_FLAGS    13u
#define UDP_CHECKSUM 6u

#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u

/*
 * A network forwards packets of 68 bytes whole, RFC 791, "Fragmentation", of which 28 are behind headers without options. The
 * longest frame in such segments: what one sender may have another VM do for one frame.
 */
#define SEGMENTS_MOST 2340u

#define MOST_EXTENSIONS 8u	/* headers between IPv6 and the transport */

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

static void put32(u8 *p, u32 value)
{
	put16(p, value >> 16);
	put16(p + 2, value);
}

/* --- the headers --- */

static bool find_ipv4(const u8 *frame, u32 length, u32 ip, struct net_headers *headers)
{
	u32 size;

	if (length < ip + IPV4_HEADER)
		return false;
	size = (frame[ip] & 0xfu) * 4;
	if (frame[ip] >> 4 != 4 || size < IPV4_HEADER || length < ip + size)
		return false;
	if (get16(frame + ip + 6) & 0x3fffu)	/* more fragments, or not the first one */
		return false;
	*headers = (struct net_headers) { (u16)ip, (u16)(ip + size), 4, frame[ip + 9] };
	return true;
}

/* Hop-by-hop options, routing, destination options: RFC 8200, "IPv6 Extension Headers". */
static bool is_extension(u8 next)
{
	return next == 0 || next == 43 || next == 60;
}

static bool find_ipv6(const u8 *frame, u32 length, u32 ip, struct net_headers *headers)
{
	u32 at = ip + IPV6_HEADER;
	u8 next;

	if (length < at || frame[ip] >> 4 != 6)
		return false;
	next = frame[ip + 6];
	for (u32 i = 0; is_extension(next); i++) {
		if (i == MOST_EXTENSIONS || length < at + 8)
			return false;
		next = frame[at];
		at += 8 + 8u * frame[at + 1];
	}
	if (length < at)
		return false;
	*headers = (struct net_headers) { (u16)ip, (u16)at, 6, next };
	return true;
}

bool net_find_headers(const u8 *frame, u32 length, struct net_headers *headers)
{
	u32 at = NET_HEADER - 2, tags = 0;

	while (length >= at + 2) {
		switch (get16(frame + at)) {
		case ETHERTYPE_IPV4:
			return find_ipv4(frame, length, at + 2, headers);
		case ETHERTYPE_IPV6:
			return find_ipv6(frame, length, at + 2, headers);
		case ETHERTYPE_VLAN:
		case ETHERTYPE_QINQ:
			if (tags++ == 2)
				return false;
			at += NET_VLAN_TAG;
			break;
		default:
			return false;
		}
	}
	return false;
}

/* --- what the sender says --- */

static bool is_tcp(u8 gso_type)
{
	gso_type &= (u8)~VIRTIO_NET_HDR_GSO_ECN;
	return gso_type == VIRTIO_NET_HDR_GSO_TCPV4 || gso_type == VIRTIO_NET_HDR_GSO_TCPV6;
}

const char *net_offload_check(const struct net_offload *offload, u32 length)
{
	bool checksum = offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	if (checksum && (offload->csum_start < NET_HEADER ||
			 (u32)offload->csum_start + offload->csum_offset + 2 > length))
		return "the checksum lies outside of the frame";
	if (offload->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return length > NET_PLAIN_MOST ? "the frame is too long" : NULL;
	if (!is_tcp(offload->gso_type) && offload->gso_type != VIRTIO_NET_HDR_GSO_UDP_L4)
		return "the GSO type is unknown";
	if (!checksum)
		return "segments without a checksum";
	if (!offload->gso_size)
		return "segments without a size";
	if (offload->hdr_len > length)
		return "the headers are longer than the frame";
	return NULL;
}

u32 net_segment_check(const struct net_offload *offload, const u8 *frame, u32 length)
{
	u8 type = offload->gso_type & (u8)~VIRTIO_NET_HDR_GSO_ECN;
	bool udp = type == VIRTIO_NET_HDR_GSO_UDP_L4;
	struct net_headers headers;
	u32 payload;

	if (!net_find_headers(frame, length, &headers) ||
	    headers.protocol != (udp ? NET_IPPROTO_UDP : NET_IPPROTO_TCP) ||
	    (type == VIRTIO_NET_HDR_GSO_TCPV4 && headers.version != 4) ||
	    (type == VIRTIO_NET_HDR_GSO_TCPV6 && headers.version != 6) ||
	    offload->csum_start != headers.transport || offload->csum_offset != (udp ? UDP_CHECKSUM : TCP_CHECKSUM))
		return 0;
	payload = headers.transport + UDP_HEADER;
	if (!udp) {
		if (length < headers.transport + TCP_HEADER || frame[headers.transport + 12] >> 4 < 5)
			return 0;
		payload = headers.transport + (frame[headers.transport + 12] >> 4) * 4u;
	}
	/* Each segment has something in it, and is a frame that every port takes. */
	if (payload >= length || headers.ip + NET_MTU < payload + offload->gso_size ||
	    length - payload > SEGMENTS_MOST * offload->gso_size)
		return 0;
	return payload;
}

/* --- checksums --- */

/* The sum of big-endian words; an odd byte at the end is the high half of one. RFC 1071. */
static u64 sum(const u8 *data, u32 size, u64 sum)
{
	u64 words = 0;
	u32 word;
	u16 half;

	/* The sum does not depend on the order of the bytes, but for its own. */
	for (; size >= 4; size -= 4, data += 4) {
		memcpy(&word, data, 4);
		words += word;
	}
	if (size >= 2) {
		memcpy(&half, data, 2);
		words += half;
		data += 2;
		size -= 2;
	}
	if (size)
		words += *data;
	while (words >> 16)
		words = (words & 0xffff) + (words >> 16);
	return sum + (u16)(words << 8 | words >> 8);
}

static u16 fold(u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

/* A UDP checksum of 0 says that there is none; FFFFh is the same number in ones' complement. */
static void put_checksum(u8 *p, u64 sum)
{
	put16(p, fold(sum) ?: 0xffff);
}

void net_checksum_complete(const struct net_offload *offload, u8 *frame, u32 length)
{
	/* The sender has put the sum of the pseudo header there, which so becomes part of the sum. */
	put_checksum(frame + offload->csum_start + offload->csum_offset,
		     sum(frame + offload->csum_start, length - offload->csum_start, 0));
}

/* RFC 793, "Checksum"; RFC 8200, "Upper-Layer Checksums". */
static u64 pseudo_header(const u8 *frame, const struct net_headers *headers, u32 size)
{
	const u8 *ip = frame + headers->ip;

	return (headers->version == 4 ? sum(ip + 12, 8, 0) : sum(ip + 8, 32, 0)) + headers->protocol +
	       (size >> 16) + (size & 0xffff);
}

/* --- segments --- */

static void write_ip(u8 *frame, const struct net_headers *headers, u32 length, u32 number)
{
	u8 *ip = frame + headers->ip;

	if (headers->version == 6) {
		put16(ip + 4, length - headers->ip - IPV6_HEADER);
		return;
	}
	put16(ip + 2, length - headers->ip);
	put16(ip + 4, get16(ip + 4) + number);
	put16(ip + 10, 0);
	put16(ip + 10, fold(sum(ip, headers->transport - headers->ip, 0)));
}

u32 net_segment(const struct net_offload *offload, const u8 *frame, u32 length, u32 payload, u32 position, u8 *to)
{
	u32 part = MIN((u32)offload->gso_size, length - position), size = payload + part, transport_size;
	bool first = position == payload, last = position + part == length;
	struct net_headers headers;
	u8 *transport;

	memcpy(to, frame, payload);
	copy_large(to + payload, frame + position, part);
	net_find_headers(to, size, &headers);
	transport = to + headers.transport;
	transport_size = size - headers.transport;
	write_ip(to, &headers, size, (position - payload) / offload->gso_size);
	if (headers.protocol == NET_IPPROTO_TCP) {
		put32(transport + 4, get32(transport + 4) + (position - payload));
		transport[TCP_FLAGS] &= (u8)~((first ? 0 : TCP_CWR) | (last ? 0 : TCP_FIN | TCP_PSH));
	} else {
		put16(transport + 4, transport_size);
	}
	put16(transport + offload->csum_offset, 0);
	put_checksum(transport + offload->csum_offset,
		     pseudo_header(to, &headers, transport_size) + sum(transport, transport_size, 0));
	return size;
}

/* --- flows --- */

u32 net_flow(const u8 *frame, u32 length)
{
	struct net_headers headers;
	u32 flow;

	if (!net_find_headers(frame, length, &headers))
		return 0;
	flow = headers.protocol;
	if (headers.version == 4) {
		flow += get32(frame + headers.ip + 12) + get32(frame + headers.ip + 16);
	} else {
		for (u32 i = 8; i < IPV6_HEADER; i += 4)
			flow += get32(frame + headers.ip + i);
	}
	if ((headers.protocol == NET_IPPROTO_TCP || headers.protocol == NET_IPPROTO_UDP) &&
	    length >= headers.transport + 4u)
		flow += (u32)(get16(frame + headers.transport) + get16(frame + headers.transport + 2)) * 0x10001u;
	/* Fibonacci hashing: the high bits depend on all of them. */
	flow *= 0x9e3779b1u;
	return flow ? flow : 1;
}
