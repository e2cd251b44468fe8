/* SPDX-License-Identifier: MIT */
/*
 * Switches: ports with the same name of a switch reach each other, and no others. IEEE 802.3 frames.
 *
 * All addresses are known from the configuration, so nothing is learned and nothing is flooded: a unicast frame goes to the
 * port with its address; if none has it, to the `trunk` ports; a group address to all other ports. Nothing goes
 * back to its sender. A port may send from its own address only, unless it is a trunk. The sender's CPU copies
 * into the receiving port's ring (dev/net/ring.h), once for each receiver, and wakes it; a full port drops the frame and counts it.
 *
 * Ports are in a static table: a slot is never freed, only taken and given up, so that a CPU that sends may look
 * at any of them at any time. What a port points to belongs to its VM, and is used between net_ring_reserve() and
 * net_ring_leave() only. A port gives its slot up when its VM is destroyed.
 */
#pragma once

#include "core/vm_devices.h"
#include "dev/net/offload.h"
#include "lib/types.h"

#define NET_PORTS     256u	/* of all VMs together */
#define NET_HEAD_MOST 96u	/* of a frame, which its sender reads once, for the decisions */

/*
 * Bytes of a port's ring, from the pool: seven of the longest frames. A little less than a power of two, which
 * vm_alloc() needs.
 */
#define NET_RING_SIZE (512u * 1024 - 64)

enum net_drop {
	/* Counted at the receiving port. */
	NET_DROP_FULL,		/* its ring had no room */
	NET_DROP_SHORT,		/* the driver's buffer was too small */
	NET_DROP_FILTERED,	/* the driver does not want it: its receive filters */
	/* Counted at the sending port. */
	NET_DROP_DOWN,		/* the receiver's driver is not ready */
	NET_DROP_UNKNOWN,	/* no port has the address, and no trunk takes it */
	NET_DROP_SOURCE,	/* the sender's address is not the port's own */
	NET_DROP_INVALID,	/* too short, too long, or what its header says does not fit it */
	NET_DROPS,
};

/* Names of the reasons, a word each. */
extern const char *const net_drop_names[NET_DROPS];

struct net_port;
struct net_record;

/*
 * While the VM's devices are created: take a slot for the VM's port `index`, which is closed at first. wake(device) has the receiver look at
 * its ring; it is called on any CPU between net_port_open() and net_port_close(). NULL after an error, which was logged:
 * another port of the switch has the address, no slot is left, or no memory.
 */
struct net_port *net_port_create(struct vm *vm, u32 index, const struct vm_net_config *config,
				 void (*wake)(void *device), void *device);

/*
 * Whoever holds the device's lock: the driver is ready, with so many receive queues; or it is not any more, because it has reset
 * the device, or because the device does nothing until it does.
 */
void net_port_open(struct net_port *port);
void net_port_close(struct net_port *port);
void net_port_break(struct net_port *port);
void net_port_set_queues(struct net_port *port, u32 queues);
/* Its address, by the configuration: six bytes. */
void net_port_mac(const struct net_port *port, u8 *mac);

#define NET_PREFIX 12u		/* struct virtio_net_hdr: "Device Operation" */

struct net_frame {
	u8 prefix[NET_PREFIX];		/* the sending device's: so that one copy gets its header, too */
	u8 head[NET_HEAD_MOST];
	u32 head_length;		/* at most `length` */
	u32 length;
	struct net_offload offload;	/* net_offload_check() has seen it */
	/* Copy bytes of the frame from `offset` on. Returns how many there were. */
	u32 (*read)(void *source, u32 offset, void *to, u32 size);
	void *source;
};

/*
 * Whoever holds the sending device's lock. The frame is copied, or dropped and counted. Returns the number of receivers that
 * were tried.
 */
u32 net_port_send(struct net_port *port, const struct net_frame *frame);
/* Whoever holds the device's lock: count a frame that the sending or receiving device has dropped itself. */
void net_port_drop(struct net_port *port, enum net_drop reason);

/* Whoever holds the receiving device's lock, while the port is open: as net_ring_first(), net_ring_release(). */
struct net_record *net_port_first(struct net_port *port);
void net_port_release(struct net_port *port, const struct net_record *record);
/* A frame of so many bytes was delivered. */
void net_port_count_received(struct net_port *port, u32 length);

/* --- for reports, in the service thread --- */

struct net_port_info {
	const char *network;	/* the switch's name */
	const char *vm;
	u32 index;		/* of the VM's ports */
	u8 mac[6];
	bool trunk;
	bool open;		/* the driver is ready */
	bool broken;		/* the device does nothing until its driver resets it */
	u32 queues;		/* that receive */
	/* As the guest counts: received is what it got. Frames that are segmented count once. */
	u64 received_frames, received_bytes, sent_frames, sent_bytes;
	u64 drops[NET_DROPS];
};

/* Slot `i`, below net_port_count(). False: nobody has it. The counters go on meanwhile. */
u32 net_port_count(void);
bool net_port_describe(u32 i, struct net_port_info *info);
