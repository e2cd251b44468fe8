/* SPDX-License-Identifier: MIT */
/*
 * A split virtqueue, the device's side. VIRTIO 1.2, "Split Virtqueues".
 *
 * A pointer into guest memory comes from guest_ptr() immediately before it is used, because a page may be found damaged
 * at any time. What is read there goes into a variable, by READ_ONCE(), and only the variable is checked and used.
 */
#include "dev/virtio/virtqueue.h"

#include "core/mem/guest_mem.h"
#include "lib/errno.h"
#include "lib/string.h"

/* "The Virtqueue Descriptor Table". */
struct ring_descriptor {
	u64 address;
	u32 length;
	u16 flags;
	u16 next;
};

#define DESCRIPTOR_NEXT	    BIT(0)
#define DESCRIPTOR_WRITE    BIT(1)
#define DESCRIPTOR_INDIRECT BIT(2)

_Static_assert(sizeof(struct ring_descriptor) == 16, "The Virtqueue Descriptor Table");

/* It is read as two words. An indirect table need not be aligned. */
typedef u64 table_word __aligned(1);

/* "The Virtqueue Available Ring". Behind the entries is used_event. */
struct available_ring {
	u16 flags;
	u16 index;
	u16 entries[];
};

#define AVAILABLE_NO_INTERRUPT BIT(0)

/* Bits 31:0: head of the chain; 63:32: bytes written. */
typedef u64 used_entry __aligned(4);

/* "The Virtqueue Used Ring". Behind the entries is avail_event. */
struct used_ring {
	u16 flags;
	u16 index;
	used_entry entries[];
};

#define USED_NO_NOTIFY BIT(0)

/* "Split Virtqueues": the table of their sizes and alignments. */
#define DESCRIPTOR_ALIGN 16u
#define AVAILABLE_ALIGN	 2u
#define USED_ALIGN	 4u

static u64 available_size(const struct virtqueue *queue)
{
	return 6 + 2 * (u64)queue->size;
}

static u64 used_size(const struct virtqueue *queue)
{
	return 6 + 8 * (u64)queue->size;
}

static const struct available_ring *available_ring(const struct virtqueue *queue)
{
	return guest_ptr(queue->vm, queue->driver, available_size(queue));
}

static struct used_ring *used_ring(const struct virtqueue *queue)
{
	return guest_ptr(queue->vm, queue->device, used_size(queue));
}

/* Order a store before later loads, which the processor would otherwise let overtake it. */
static inline void store_load_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void virtqueue_init(struct virtqueue *queue, struct vm *vm, u16 max)
{
	queue->vm = vm;
	queue->max = max;
	virtqueue_reset(queue);
}

void virtqueue_reset(struct virtqueue *queue)
{
	*queue = (struct virtqueue){
		.vm = queue->vm,
		.max = queue->max,
		.size = queue->max,
		.msix_vector = VIRTIO_NO_VECTOR,
	};
}

int virtqueue_enable(struct virtqueue *queue)
{
	if (!queue->size || queue->size > queue->max || queue->size & (queue->size - 1u))
		return -EINVAL;
	if (!IS_ALIGNED(queue->descriptors, DESCRIPTOR_ALIGN) || !IS_ALIGNED(queue->driver, AVAILABLE_ALIGN) ||
	    !IS_ALIGNED(queue->device, USED_ALIGN))
		return -EINVAL;
	if (!guest_is_ram(queue->vm, queue->descriptors, sizeof(struct ring_descriptor) * (u64)queue->size) ||
	    !guest_is_ram(queue->vm, queue->driver, available_size(queue)) ||
	    !guest_is_ram(queue->vm, queue->device, used_size(queue)))
		return -EINVAL;
	queue->enabled = true;
	return 0;
}

/* --- requests --- */

static int broken(struct virtqueue *queue, const char **why, const char *words)
{
	queue->broken = true;
	*why = words;
	return -EINVAL;
}

static const char *const gone = "a part of the rings is not in RAM";

/*
 * Add a segment. NULL, or what is wrong with it. A descriptor of length 0 is skipped: the specification does not forbid
 * it, no byte of it is accessed, and so its address does not matter.
 */
static const char *add_segment(const struct virtqueue *queue, struct virtqueue_chain *chain,
			       const struct ring_descriptor *descriptor)
{
	bool writable = descriptor->flags & DESCRIPTOR_WRITE;
	u32 count = chain->readable + chain->writable;
	u32 *sum = writable ? &chain->writable_bytes : &chain->readable_bytes;

	if (!writable && chain->writable)
		return "a descriptor for the device to read comes after one to write";
	if (!descriptor->length)
		return NULL;
	if (count == VIRTQUEUE_SEGMENTS)
		return "a request has too many segments";
	if (!guest_is_ram(queue->vm, descriptor->address, descriptor->length))
		return "a descriptor's memory is not RAM";
	/* "Driver Requirements: The Virtqueue Descriptor Table": at most 4 GiB together. */
	if (descriptor->length > ~0u - chain->readable_bytes - chain->writable_bytes)
		return "a request's length exceeds 4 GiB";
	*sum += descriptor->length;
	chain->segments[count] = (struct virtqueue_segment){ descriptor->address, descriptor->length };
	if (writable)
		chain->writable++;
	else
		chain->readable++;
	return NULL;
}

/* A table of descriptors: the queue's own, or an indirect one. */
struct table {
	const table_word *at;	/* two for each descriptor */
	u32 count;
};

static struct ring_descriptor read_descriptor(const struct table *table, u32 i)
{
	u64 address = READ_ONCE(table->at[2 * i]), rest = READ_ONCE(table->at[2 * i + 1]);

	return (struct ring_descriptor){ address, (u32)rest, (u16)(rest >> 32), (u16)(rest >> 48) };
}

/* The descriptor refers to a table, in whose entry 0 the chain goes on. "Indirect Descriptors". */
static const char *enter_indirect(const struct virtqueue *queue, const struct ring_descriptor *descriptor, bool nested,
				  struct table *table)
{
	if (!queue->indirect)
		return "an indirect descriptor, which was not negotiated";
	if (nested)
		return "an indirect descriptor within an indirect table";
	if (descriptor->flags & DESCRIPTOR_NEXT)
		return "an indirect descriptor with a next one";
	if (!descriptor->length || descriptor->length % sizeof(struct ring_descriptor))
		return "an indirect table's length is 0 or no multiple of 16";
	table->at = guest_ptr(queue->vm, descriptor->address, descriptor->length);
	table->count = descriptor->length / sizeof(struct ring_descriptor);
	return table->at ? NULL : "an indirect table is not in RAM";
}

/* Follow the chain: as many steps as the queue has entries, at most. NULL, or what is wrong. */
static const char *read_chain(const struct virtqueue *queue, struct virtqueue_chain *chain)
{
	struct table table = {
		guest_ptr(queue->vm, queue->descriptors, sizeof(struct ring_descriptor) * (u64)queue->size), queue->size
	};
	bool nested = false;
	u32 i = chain->head, count = 0;

	if (!table.at)
		return gone;
	for (;;) {
		struct ring_descriptor descriptor;
		const char *wrong;

		if (i >= table.count)
			return "a descriptor's number is beyond the table";
		descriptor = read_descriptor(&table, i);
		if (descriptor.flags & DESCRIPTOR_INDIRECT) {
			wrong = enter_indirect(queue, &descriptor, nested, &table);
			nested = true;
			i = 0;
			if (wrong)
				return wrong;
			continue;
		}
		if (count++ == queue->size)
			return "a request has more descriptors than the queue";
		wrong = add_segment(queue, chain, &descriptor);
		if (wrong || !(descriptor.flags & DESCRIPTOR_NEXT))
			return wrong;
		i = descriptor.next;
	}
}

int virtqueue_peek(struct virtqueue *queue, struct virtqueue_chain *chain, const char **why)
{
	const struct available_ring *ring;
	const char *wrong;
	u16 index, taken = queue->next_available - queue->next_used;

	if (queue->broken)
		return broken(queue, why, "the queue is broken");
	if (!queue->enabled)
		return -ENOENT;
	ring = available_ring(queue);
	if (!ring)
		return broken(queue, why, gone);
	index = READ_ONCE(ring->index);
	if (index == queue->next_available)
		return -ENOENT;
	/*
	 * Requests that were taken and not yet returned count, too. An index that goes back is far ahead, and found here: the
	 * device would otherwise take requests for ever.
	 */
	if ((u16)(index - queue->next_available) > queue->size - taken)
		return broken(queue, why, "the available index is ahead by more than the queue has entries");
	__atomic_thread_fence(__ATOMIC_ACQUIRE);	/* the index before the entry */

	chain->head = READ_ONCE(ring->entries[queue->next_available & (queue->size - 1)]);
	chain->readable = chain->writable = 0;
	chain->readable_bytes = chain->writable_bytes = 0;
	wrong = read_chain(queue, chain);
	return wrong ? broken(queue, why, wrong) : 0;
}

void virtqueue_take(struct virtqueue *queue)
{
	queue->next_available++;
}

void virtqueue_fill(struct virtqueue *queue, unsigned i, u16 head, u32 written)
{
	struct used_ring *ring = used_ring(queue);

	if (ring)
		WRITE_ONCE(ring->entries[(queue->next_used + i) & (queue->size - 1u)], (u64)written << 32 | head);
	else
		queue->broken = true;
}

void virtqueue_flush(struct virtqueue *queue, unsigned count)
{
	struct used_ring *ring = used_ring(queue);

	queue->next_used = (u16)(queue->next_used + count);
	/* So many since the last look at used_event that the indexes can no longer be compared. */
	if ((u16)(queue->next_used - queue->signalled_used) < count)
		queue->signalled_valid = false;
	if (!ring) {
		queue->broken = true;
		return;
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);	/* the entries before the index */
	WRITE_ONCE(ring->index, queue->next_used);
}

void virtqueue_done(struct virtqueue *queue, u16 head, u32 written)
{
	virtqueue_fill(queue, 0, head, written);
	virtqueue_flush(queue, 1);
}

/* --- notifications --- */

bool virtqueue_wants_interrupt(struct virtqueue *queue)
{
	const struct available_ring *ring;
	u16 new = queue->next_used, old = queue->signalled_used, event;
	bool comparable = queue->signalled_valid;

	if (!queue->enabled || new == old)
		return false;
	ring = available_ring(queue);
	if (!ring) {
		queue->broken = true;
		return false;
	}
	store_load_fence();	/* the used index before the driver's wish */
	queue->signalled_used = new;
	queue->signalled_valid = true;
	if (!queue->event_index)
		return !(READ_ONCE(ring->flags) & AVAILABLE_NO_INTERRUPT);
	event = READ_ONCE(ring->entries[queue->size]);
	/* "Used Buffer Notification Suppression": was the entry with this index among them? */
	return !comparable || (u16)(new - event - 1) < (u16)(new - old);
}

bool virtqueue_want_doorbell(struct virtqueue *queue)
{
	const struct available_ring *available;
	struct used_ring *used;

	if (!queue->enabled || queue->broken)
		return false;
	available = available_ring(queue);
	used = used_ring(queue);
	if (!available || !used) {
		queue->broken = true;
		return false;
	}
	if (queue->event_index)
		WRITE_ONCE(*(u16 *)&used->entries[queue->size], queue->next_available);
	else
		WRITE_ONCE(used->flags, 0);
	store_load_fence();	/* the wish before the available index */
	return READ_ONCE(available->index) != queue->next_available;
}

void virtqueue_refuse_doorbell(struct virtqueue *queue)
{
	struct used_ring *used;

	/*
	 * With the event index, avail_event is behind the available index, so that the driver does not reach it; the
	 * flags stay 0: "Device Requirements: Available Buffer Notification Suppression".
	 */
	if (queue->event_index || !queue->enabled || queue->broken)
		return;
	used = used_ring(queue);
	if (used)
		WRITE_ONCE(used->flags, USED_NO_NOTIFY);
	else
		queue->broken = true;
}

/* --- the requests' memory --- */

/* The piece at that offset of these segments. NULL: behind the end. */
static void *piece_at(const struct virtqueue *queue, const struct virtqueue_segment *segments, u32 count, u32 offset,
		      u32 *size)
{
	for (u32 i = 0; i < count; i++) {
		if (offset < segments[i].size) {
			*size = segments[i].size - offset;
			return guest_ptr(queue->vm, segments[i].gpa + offset, *size);
		}
		offset -= segments[i].size;
	}
	return NULL;
}

void *virtqueue_readable_at(const struct virtqueue *queue, const struct virtqueue_chain *chain, u32 offset, u32 *size)
{
	return piece_at(queue, chain->segments, chain->readable, offset, size);
}

void *virtqueue_writable_at(const struct virtqueue *queue, const struct virtqueue_chain *chain, u32 offset, u32 *size)
{
	return piece_at(queue, chain->segments + chain->readable, chain->writable, offset, size);
}

u32 virtqueue_read(const struct virtqueue *queue, const struct virtqueue_chain *chain, u32 offset, void *to, u32 size)
{
	u32 done = 0;

	while (done < size) {
		u32 piece;
		const void *from = virtqueue_readable_at(queue, chain, offset + done, &piece);

		if (!from)
			break;
		piece = MIN(piece, size - done);
		copy_large((u8 *)to + done, from, piece);
		done += piece;
	}
	return done;
}

u32 virtqueue_write(const struct virtqueue *queue, const struct virtqueue_chain *chain, u32 offset, const void *from,
		    u32 size)
{
	u32 done = 0;

	while (done < size) {
		u32 piece;
		void *to = virtqueue_writable_at(queue, chain, offset + done, &piece);

		if (!to)
			break;
		piece = MIN(piece, size - done);
		copy_large(to, (const u8 *)from + done, piece);
		done += piece;
	}
	return done;
}
