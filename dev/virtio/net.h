/* SPDX-License-Identifier: MIT */
/*
 * virtio-net: a port of a switch. VIRTIO 1.2, "Network Device". This file has what its parts share: net.c sends, net_receive.c
 * receives, net_control.c does what the driver asks for in the control queue.
 */
#pragma once

#include "dev/net/switch.h"
#include "dev/virtio/virtio.h"
#include "lib/types.h"

#define VIRTIO_NET_PAIRS 8u	/* of queues, at most: VIRTIO_QUEUES has room for them and the control queue */

/* "Feature bits". Those for UDP segmentation came with version 1.3. */
#define VIRTIO_NET_F_CSUM		 BIT_ULL(0)
#define VIRTIO_NET_F_GUEST_CSUM		 BIT_ULL(1)
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS BIT_ULL(2)
#define VIRTIO_NET_F_MTU		 BIT_ULL(3)
#define VIRTIO_NET_F_MAC		 BIT_ULL(5)
#define VIRTIO_NET_F_GUEST_TSO4		 BIT_ULL(7)
#define VIRTIO_NET_F_GUEST_TSO6		 BIT_ULL(8)
#define VIRTIO_NET_F_GUEST_ECN		 BIT_ULL(9)
#define VIRTIO_NET_F_HOST_TSO4		 BIT_ULL(11)
#define VIRTIO_NET_F_HOST_TSO6		 BIT_ULL(12)
#define VIRTIO_NET_F_HOST_ECN		 BIT_ULL(13)
#define VIRTIO_NET_F_MRG_RXBUF		 BIT_ULL(15)
#define VIRTIO_NET_F_STATUS		 BIT_ULL(16)
#define VIRTIO_NET_F_CTRL_VQ		 BIT_ULL(17)
#define VIRTIO_NET_F_CTRL_RX		 BIT_ULL(18)
#define VIRTIO_NET_F_CTRL_VLAN		 BIT_ULL(19)
#define VIRTIO_NET_F_CTRL_RX_EXTRA	 BIT_ULL(20)
#define VIRTIO_NET_F_MQ			 BIT_ULL(22)
#define VIRTIO_NET_F_CTRL_MAC_ADDR	 BIT_ULL(23)
#define VIRTIO_NET_F_GUEST_USO4		 BIT_ULL(54)
#define VIRTIO_NET_F_GUEST_USO6		 BIT_ULL(55)
#define VIRTIO_NET_F_HOST_USO		 BIT_ULL(56)

/* What a driver may turn on and off later, if it has accepted it: "Offloads State Configuration". */
#define VIRTIO_NET_GUEST_OFFLOADS								\
	(VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 |		\
	 VIRTIO_NET_F_GUEST_ECN | VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6)

#define VIRTIO_NET_MACS	 64u	/* of both filter tables together */
#define VIRTIO_NET_VLANS 4096u
#define VIRTIO_NET_FLOWS 256u
#define VIRTIO_NET_NO_PAIR 0xffu

/* Which frames the driver wants: "Packet Receive Filtering", "Setting MAC Address Filtering", "VLAN Filtering". */
struct virtio_net_filter {
	bool promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast;
	bool unicast_overflow, multicast_overflow;	/* the table was too long: all pass */
	u8 unicasts, multicasts;	/* entries: first these, then those */
	u8 macs[VIRTIO_NET_MACS][6];
	bool by_vlan;			/* VIRTIO_NET_F_CTRL_VLAN */
	u32 vlans[VIRTIO_NET_VLANS / 32];
};

struct virtio_net {
	struct virtio_device device;	/* must be first */
	/* Constant. */
	struct net_port *port;
	u32 most_pairs;
	/* The device's lock. */
	bool stopped;		/* until the reset */
	u8 mac[6];		/* a trunk's driver may set it */
	u32 pairs;		/* that the driver has enabled */
	u64 offloads;		/* VIRTIO_NET_GUEST_OFFLOADS that are on */
	struct virtio_net_filter filter;
	u32 position;		/* of the port's first frame, if it is being segmented: where the next segment begins. Else 0 */
	u32 doorbells_wanted;	/* bit: the receive queue was out of buffers */
	bool buffers_came;	/* while the driver was asked for its doorbell */
	u32 next_sender;	/* the pair whose transmit queue is served first */
	u8 flows[VIRTIO_NET_FLOWS];	/* the pair that a flow was last sent by */
	/* Scratch. */
	struct virtqueue *sending;
	struct virtqueue_chain first, chain;
	u8 segment[NET_PLAIN_MOST];
};

/* The VM's port `i`, by its configuration. 0, or an error that was logged. */
int virtio_net_create(struct vm *vm, u32 i);

/*
 * How much is done in one portion, in bytes of each direction; a frame costs NET_FRAME_COST more than it has. Some 20 microseconds where 64 KiB are copied
 * in 8.
 */
#define NET_PORTION    (128u * 1024)
#define NET_FRAME_COST 1024u
