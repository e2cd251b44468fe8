/* SPDX-License-Identifier: MIT */
/*
 * Checksums and segmentation that a sender leaves to the device. VIRTIO 1.2, "Network Device": "Device Operation",
 * "Packet Transmission", "Processing of Incoming Packets". Frames that the receiving driver takes as they are
 * pass untouched; for others the device does what was left to it. All in Lamina's own memory.
 */
#pragma once

#include "lib/types.h"

#define NET_HEADER	 14u	/* Ethernet: two addresses and the type */
#define NET_VLAN_TAG	 4u	/* IEEE 802.1Q */
#define NET_MTU		 1500u
/* A frame that is not segmented, with two VLAN tags; and one that is: "Setting Up Receive Buffers" has 65550. */
#define NET_PLAIN_MOST	 (NET_HEADER + 2 * NET_VLAN_TAG + NET_MTU)
#define NET_FRAME_MOST	 65550u

/* The first ten bytes of struct virtio_net_hdr, with its names; little-endian. */
struct net_offload {
	u8 flags;
	u8 gso_type;
	u16 hdr_len, gso_size;
	u16 csum_start, csum_offset;
};

#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1u

#define VIRTIO_NET_HDR_GSO_NONE	  0u
#define VIRTIO_NET_HDR_GSO_TCPV4  1u
#define VIRTIO_NET_HDR_GSO_UDP	  3u
#define VIRTIO_NET_HDR_GSO_TCPV6  4u
#define VIRTIO_NET_HDR_GSO_UDP_L4 5u
#define VIRTIO_NET_HDR_GSO_ECN	  0x80u	/* with one of the two TCPs */

/* Where the headers of an IP packet in a frame begin. */
struct net_headers {
	u16 ip, transport;	/* offsets in the frame */
	u8 version;		/* 4 or 6 */
	u8 protocol;		/* IPPROTO */
};

#define NET_IPPROTO_TCP 6u
#define NET_IPPROTO_UDP 17u

/* Find them in the first `length` bytes. False: it is no IP packet, a fragment, or its headers are not in there whole. */
bool net_find_headers(const u8 *frame, u32 length, struct net_headers *headers);

/*
 * Is what the sender says about a frame of that length consistent in itself? The driver's features are the caller's
 * concern. NULL, or what is wrong, in words.
 */
const char *net_offload_check(const struct net_offload *offload, u32 length);

/*
 * Does a frame that is to be segmented have the headers that its GSO type names, and becomes a bearable number of segments?
 * Returns where its payload begins; 0: it does not.
 */
u32 net_segment_check(const struct net_offload *offload, const u8 *frame, u32 length);

/* Complete the checksum that the sender left; after net_offload_check(). */
void net_checksum_complete(const struct net_offload *offload, u8 *frame, u32 length);

/*
 * The segment of a frame whose payload begins at `payload`, by net_segment_check(), that has the bytes from `position` on:
 * `payload` at first. With all its checksums; `to` has room for NET_PLAIN_MOST bytes. Returns the segment's length.
 */
u32 net_segment(const struct net_offload *offload, const u8 *frame, u32 length, u32 payload, u32 position, u8 *to);

/* A number that is the same for both directions of a connection. 0: no IP packet. */
u32 net_flow(const u8 *frame, u32 length);
