/* SPDX-License-Identifier: MIT */
/*
 * A split virtqueue, the device's side. Virtual I/O Device (VIRTIO) Version 1.2, "Split Virtqueues".
 *
 * The guest may change its memory at any time: every index, address, length and flag is read once, checked, and only
 * then used. Whatever is wrong breaks the queue: the caller then asks the driver for a reset of the device.
 * A queue belongs to whoever holds its device's lock.
 */
#pragma once

#include "lib/types.h"

struct vm;

#define VIRTIO_NO_VECTOR   0xffffu
#define VIRTQUEUE_MOST	   256u	/* entries of a queue at most; a power of two */
#define VIRTQUEUE_SEGMENTS 64u	/* of a chain that are taken at most, of both directions together */

struct virtqueue {
	/* Constant. */
	struct vm *vm;
	u16 max;		/* largest size that the driver may choose */
	/* Set by the driver before it enables the queue. */
	u16 size;
	u16 msix_vector;	/* VIRTIO_NO_VECTOR: none */
	u64 descriptors, driver, device;	/* guest-physical: descriptor table, available ring, used ring */
	bool enabled;
	/* Negotiated features. */
	bool event_index, indirect;
	/* State. */
	bool broken;
	u16 next_available;	/* index of the next entry of the available ring */
	u16 next_used;
	u16 signalled_used;	/* next_used when virtqueue_wants_interrupt() last looked at the driver's wish */
	bool signalled_valid;
};

struct virtqueue_segment {
	u64 gpa;
	u32 size;	/* bytes, not 0; the whole segment is RAM */
};

/* A request: first what the device reads, then what it writes. */
struct virtqueue_chain {
	u16 head;
	u16 readable, writable;			/* segments of each kind, in this order */
	u32 readable_bytes, writable_bytes;	/* their sums */
	struct virtqueue_segment segments[VIRTQUEUE_SEGMENTS];
};

void virtqueue_init(struct virtqueue *queue, struct vm *vm, u16 max);
/* Back to the state after init. */
void virtqueue_reset(struct virtqueue *queue);
/* The driver enables it. -EINVAL: the rings are not aligned, or not in RAM; the queue stays disabled. */
int virtqueue_enable(struct virtqueue *queue);

/*
 * The next request. 0; -ENOENT: there is none, or the queue is not enabled; -EINVAL: the queue is broken, and `*why`
 * says why, in words for the log. It is not taken before virtqueue_done(), or virtqueue_take().
 */
int virtqueue_peek(struct virtqueue *queue, struct virtqueue_chain *chain, const char **why);
/* Take what virtqueue_peek() returned; to be done later, in any order. */
void virtqueue_take(struct virtqueue *queue);
/* Return a request that was taken, with the number of bytes that were written into it. */
void virtqueue_done(struct virtqueue *queue, u16 head, u32 written);
/* Several used entries become visible together: virtqueue_fill() each, i from 0, then virtqueue_flush(). */
void virtqueue_fill(struct virtqueue *queue, unsigned i, u16 head, u32 written);
void virtqueue_flush(struct virtqueue *queue, unsigned count);

/* Does the driver want to be notified of what was returned since the last call? Has the fence. */
bool virtqueue_wants_interrupt(struct virtqueue *queue);
/*
 * Ask the driver for doorbells, or for none. After asking for them look once more, because the driver may have added a
 * request before it saw this: true if there is one. Has the fence.
 */
bool virtqueue_want_doorbell(struct virtqueue *queue);
void virtqueue_refuse_doorbell(struct virtqueue *queue);

/*
 * Copy from what the device reads, or to what it writes, from byte `offset` on. Returns the bytes that were copied:
 * fewer than `size` only at the end.
 */
u32 virtqueue_read(const struct virtqueue *queue, const struct virtqueue_chain *chain, u32 offset, void *to, u32 size);
u32 virtqueue_write(const struct virtqueue *queue, const struct virtqueue_chain *chain, u32 offset, const void *from,
		    u32 size);
/* The contiguous piece of guest memory at that offset, and its size: to be used once. NULL: behind the end. */
void *virtqueue_readable_at(const struct virtqueue *queue, const struct virtqueue_chain *chain, u32 offset, u32 *size);
void *virtqueue_writable_at(const struct virtqueue *queue, const struct virtqueue_chain *chain, u32 offset, u32 *size);
