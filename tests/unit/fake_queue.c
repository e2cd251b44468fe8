/* SPDX-License-Identifier: MIT */
/* A driver's side of a virtqueue: see fake_virtio.h. */
#include "fake_virtio.h"

#include <string.h>

#define DESCRIPTOR_SIZE 16
#define RING_HEADER	4	/* flags and index */
#define USED_SIZE	8	/* an element of the used ring */

void fake_ram_write(struct vm *vm, u64 gpa, const void *from, size_t size)
{
	assert_int_equal(guest_write(vm, gpa, from, size), 0);
}

void fake_ram_read(const struct vm *vm, u64 gpa, void *to, size_t size)
{
	assert_int_equal(guest_read(vm, gpa, to, size), 0);
}

/* The index of a ring is what the other side waits for: written last, and read first. */
static void put16(struct vm *vm, u64 gpa, u16 value)
{
	u16 *at = guest_ptr(vm, gpa, 2);

	assert_non_null(at);
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static u16 get16(const struct vm *vm, u64 gpa)
{
	u16 *at = guest_ptr(vm, gpa, 2);

	assert_non_null(at);
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static u64 driver_area(u64 gpa, u16 size)
{
	return gpa + (u64)size * DESCRIPTOR_SIZE;
}

/* Behind the ring comes used_event; the used ring is aligned to 4. */
static u64 device_area(u64 gpa, u16 size)
{
	return ALIGN_UP(driver_area(gpa, size) + RING_HEADER + 2ull * size + 2, 4);
}

u64 fake_queue_end(u64 gpa, u16 size)
{
	return device_area(gpa, size) + RING_HEADER + (u64)USED_SIZE * size + 2;
}

void fake_queue_create(struct fake_queue *q, struct vm *vm, struct virtqueue *queue, u64 gpa, u16 size)
{
	u64 end = fake_queue_end(gpa, size);

	*q = (struct fake_queue){ .vm = vm, .queue = queue, .size = size };
	q->descriptors = gpa;
	q->driver = driver_area(gpa, size);
	q->device = device_area(gpa, size);
	assert_non_null(guest_ptr(vm, gpa, end - gpa));
	memset(guest_ptr(vm, gpa, end - gpa), 0, end - gpa);
	if (!queue)
		return;
	queue->size = size;
	queue->descriptors = q->descriptors;
	queue->driver = q->driver;
	queue->device = q->device;
	assert_int_equal(virtqueue_enable(queue), 0);
}

void fake_queue_set_at(struct fake_queue *q, u64 table, u16 index, u64 gpa, u32 size, u16 flags, u16 next)
{
	struct { u64 gpa; u32 size; u16 flags, next; } descriptor = { gpa, size, flags, next };

	_Static_assert(sizeof(descriptor) == DESCRIPTOR_SIZE, "struct virtq_desc");
	fake_ram_write(q->vm, table + (u64)index * DESCRIPTOR_SIZE, &descriptor, sizeof(descriptor));
}

void fake_queue_set(struct fake_queue *q, u16 index, u64 gpa, u32 size, u16 flags, u16 next)
{
	fake_queue_set_at(q, q->descriptors, index, gpa, size, flags, next);
}

void fake_queue_set_available(struct fake_queue *q, u16 index)
{
	q->available = index;
	put16(q->vm, q->driver + 2, index);
}

void fake_queue_offer(struct fake_queue *q, u16 head)
{
	put16(q->vm, q->driver + RING_HEADER + 2ull * (q->available % q->size), head);
	fake_queue_set_available(q, q->available + 1);
}

static u16 take_free(struct fake_queue *q)
{
	u16 index = q->next_free;

	q->next_free = (index + 1) % q->size;
	return index;
}

static u16 flags_of(const struct fake_buffer *buffer, bool last)
{
	return (buffer->writable ? FAKE_WRITE : 0) | (last ? 0 : FAKE_NEXT);
}

u16 fake_queue_add(struct fake_queue *q, const struct fake_buffer *buffers, unsigned count)
{
	u16 head = q->next_free;

	assert_in_range(count, 1, q->size);
	for (unsigned i = 0; i < count; i++) {
		u16 index = take_free(q);
		bool last = i + 1 == count;

		fake_queue_set(q, index, buffers[i].gpa, buffers[i].size, flags_of(&buffers[i], last),
			       last ? 0 : q->next_free);
	}
	fake_queue_offer(q, head);
	return head;
}

u16 fake_queue_add_indirect(struct fake_queue *q, u64 table, const struct fake_buffer *buffers, unsigned count)
{
	u16 head = take_free(q);

	for (unsigned i = 0; i < count; i++)
		fake_queue_set_at(q, table, i, buffers[i].gpa, buffers[i].size, flags_of(&buffers[i], i + 1 == count),
				  i + 1 == count ? 0 : i + 1);
	fake_queue_set(q, head, table, count * DESCRIPTOR_SIZE, FAKE_INDIRECT, 0);
	fake_queue_offer(q, head);
	return head;
}

u16 fake_queue_used_count(const struct fake_queue *q)
{
	return get16(q->vm, q->device + 2) - q->seen;
}

bool fake_queue_used(struct fake_queue *q, u16 *head, u32 *written)
{
	struct { u32 head, written; } used;

	if (!fake_queue_used_count(q))
		return false;
	assert_in_range(fake_queue_used_count(q), 1, q->size);
	fake_ram_read(q->vm, q->device + RING_HEADER + (u64)USED_SIZE * (q->seen++ % q->size), &used, sizeof(used));
	assert_in_range(used.head, 0, q->size - 1);
	if (head)
		*head = (u16)used.head;
	if (written)
		*written = used.written;
	return true;
}

void fake_queue_set_flags(struct fake_queue *q, u16 flags)
{
	put16(q->vm, q->driver, flags);
}

void fake_queue_set_used_event(struct fake_queue *q, u16 index)
{
	put16(q->vm, q->driver + RING_HEADER + 2ull * q->size, index);
}

u16 fake_queue_flags(const struct fake_queue *q)
{
	return get16(q->vm, q->device);
}

u16 fake_queue_available_event(const struct fake_queue *q)
{
	return get16(q->vm, q->device + RING_HEADER + (u64)USED_SIZE * q->size);
}
