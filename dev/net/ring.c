/* SPDX-License-Identifier: MIT */
/* Frames on their way into a port. */
#include "dev/net/ring.h"

/* States of a record. A skipped one has no frame: the copy failed, or the record fills the end of the ring. */
enum { RECORD_RESERVED, RECORD_COMMITTED, RECORD_SKIPPED };

_Static_assert(sizeof(struct net_record) <= NET_RECORD_ALIGN,
	       "a record without a frame fits into the least that can be left at the end of the ring");

void net_ring_init(struct net_ring *ring, void *data, u32 size)
{
	/* Before anybody else knows of the ring; after that it does not change. */
	if (ring->lock.rank != LOCK_NET_PORT)
		ring->lock.rank = LOCK_NET_PORT;
	spin_lock(&ring->lock);
	ring->data = data;
	ring->size = ALIGN_DOWN(size, NET_RECORD_ALIGN);
	spin_unlock(&ring->lock);
}

void net_ring_open(struct net_ring *ring)
{
	spin_lock(&ring->lock);
	ring->reserve_offset = ring->release_offset = 0;
	__atomic_store_n(&ring->reserved, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ring->released, 0, __ATOMIC_RELAXED);
	ring->open = true;
	spin_unlock(&ring->lock);
}

void net_ring_close(struct net_ring *ring)
{
	spin_lock(&ring->lock);
	ring->open = false;
	spin_unlock(&ring->lock);
	while (__atomic_load_n(&ring->senders, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static struct net_record *begin(struct net_ring *ring, u32 size, u32 state)
{
	struct net_record *record = (struct net_record *)(ring->data + ring->reserve_offset);

	record->size = size;
	__atomic_store_n(&record->state, state, __ATOMIC_RELAXED);
	ring->reserve_offset = ring->reserve_offset + size == ring->size ? 0 : ring->reserve_offset + size;
	return record;
}

/* With the lock. */
static enum net_ring_result reserve(struct net_ring *ring, u32 size, struct net_record **record)
{
	u32 used = ring->reserved - __atomic_load_n(&ring->released, __ATOMIC_ACQUIRE);
	u32 to_end = ring->size - ring->reserve_offset;
	u32 skip = size > to_end ? to_end : 0;

	if (!ring->open)
		return NET_RING_CLOSED;
	if (ring->size - used < size + skip)
		return NET_RING_FULL;
	if (skip)
		begin(ring, skip, RECORD_SKIPPED);
	*record = begin(ring, size, RECORD_RESERVED);
	/* The receiver sees the record's state before it sees that there is one. */
	__atomic_store_n(&ring->reserved, ring->reserved + size + skip, __ATOMIC_RELEASE);
	__atomic_add_fetch(&ring->senders, 1, __ATOMIC_RELAXED);
	return NET_RING_OK;
}

enum net_ring_result net_ring_reserve(struct net_ring *ring, u32 length, struct net_record **record)
{
	enum net_ring_result result;

	spin_lock(&ring->lock);
	result = reserve(ring, ALIGN_UP((u32)sizeof(**record) + length, NET_RECORD_ALIGN), record);
	spin_unlock(&ring->lock);
	if (result == NET_RING_OK)
		(*record)->length = length;
	return result;
}

void net_ring_commit(struct net_record *record, bool good)
{
	__atomic_store_n(&record->state, good ? RECORD_COMMITTED : RECORD_SKIPPED, __ATOMIC_RELEASE);
}

void net_ring_leave(struct net_ring *ring)
{
	__atomic_sub_fetch(&ring->senders, 1, __ATOMIC_RELEASE);
}

struct net_record *net_ring_first(struct net_ring *ring)
{
	while (ring->released != __atomic_load_n(&ring->reserved, __ATOMIC_ACQUIRE)) {
		struct net_record *record = (struct net_record *)(ring->data + ring->release_offset);

		switch (__atomic_load_n(&record->state, __ATOMIC_ACQUIRE)) {
		case RECORD_RESERVED:
			return NULL;
		case RECORD_COMMITTED:
			return record;
		default:
			net_ring_release(ring, record);
		}
	}
	return NULL;
}

void net_ring_release(struct net_ring *ring, const struct net_record *record)
{
	u32 size = record->size;

	ring->release_offset = ring->release_offset + size == ring->size ? 0 : ring->release_offset + size;
	/* Senders use the memory again after this. */
	__atomic_store_n(&ring->released, ring->released + size, __ATOMIC_RELEASE);
}
