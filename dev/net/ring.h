/* SPDX-License-Identifier: MIT */
/*
 * Frames on their way into a port: a ring of records in Lamina's own memory, which any number of CPUs fill at the same
 * time and one empties.
 *
 * A sender reserves a record under the lock, which is held for some instructions only; it copies without the lock,
 * and then commits. The receiver takes the records in the order in which they were reserved, and stops at one that is not
 * committed yet. Between reserve and commit a CPU serves no interrupt and waits for nothing, so the end
 * of the ring's use, net_ring_close(), waits for one copy of a frame at most, for each CPU.
 * tests/models/netport.pml is the protocol.
 */
#pragma once

#include "dev/net/offload.h"
#include "lib/spinlock.h"
#include "lib/types.h"

#define NET_RECORD_ALIGN 32u

/* A frame with what its sender said about it. In one piece. */
struct net_record {
	/* Constant once it is reserved. */
	u32 size;			/* bytes, with this header: a multiple of NET_RECORD_ALIGN */
	/* Atomic. */
	u32 state;
	/* The sender until it commits, then the receiver. */
	u32 length;			/* bytes of the frame */
	u16 payload;			/* of a frame that is to be segmented: where its headers end */
	struct net_offload offload;
	u8 frame[];
};

struct net_ring {
	/* Constant while it is open. */
	u8 *data;
	u32 size;		/* bytes, a multiple of NET_RECORD_ALIGN */
	/* Senders; taken last. */
	struct spinlock lock;
	/* Lock. */
	bool open;
	u32 reserve_offset;	/* where the next record begins */
	/* Lock to write, the receiver reads. Counts bytes and wraps. */
	u32 reserved;
	/* Atomic: senders between reserve and commit. */
	u32 senders;
	/* The receiver writes, senders read. Counts bytes and wraps. */
	u32 released;
	/* The receiver. */
	u32 release_offset;
};

/*
 * Give it memory; it is closed. Late senders to the one that had the ring before may be about to take the lock, which
 * therefore stays as it is: all zeroes at the very first.
 */
void net_ring_init(struct net_ring *ring, void *data, u32 size);
/* Whoever owns the receiving device: empty it, and let senders in; it must be closed. */
void net_ring_open(struct net_ring *ring);
/*
 * No sender has it once this returns, and none gets in. Waits for those that are copying. Not while the caller
 * has reserved a record itself.
 */
void net_ring_close(struct net_ring *ring);

enum net_ring_result { NET_RING_OK, NET_RING_CLOSED, NET_RING_FULL };

/*
 * Any CPU: room for a frame of `length` bytes, at most NET_FRAME_MOST. With NET_RING_OK the ring, and what its owner keeps alive
 * until it closes the ring, stays until net_ring_leave().
 */
enum net_ring_result net_ring_reserve(struct net_ring *ring, u32 length, struct net_record **record);
/* Hand the record to the receiver, or with `good` false have it skipped. */
void net_ring_commit(struct net_record *record, bool good);
void net_ring_leave(struct net_ring *ring);

/* The receiver: the first record, NULL: there is none. It stays the first until it is released. */
struct net_record *net_ring_first(struct net_ring *ring);
void net_ring_release(struct net_ring *ring, const struct net_record *record);
