/* SPDX-License-Identifier: MIT */
/* Split virtqueues: requests of a good driver and of bad ones, and the suppression of notifications. VIRTIO 1.2. */
/* link: dev/virtio/virtqueue.c tests/unit/fake_vm.c tests/unit/fake_queue.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_virtio.h"

#include <stdlib.h>

#include "dev/virtio/virtqueue.h"
#include "lib/errno.h"

#define RAM	0x9000
#define SIZE	8
#define RINGS	0x1000
#define DATA	0x4000

static struct vm *vm;
static struct fake_queue q;
static struct virtqueue queue;
static struct virtqueue_chain chain;
static const char *why;

static void lay(u64 gpa, u16 size)
{
	fake_queue_create(&q, vm, NULL, gpa, size);
	virtqueue_init(&queue, vm, 256);
	queue.size = size;
	queue.descriptors = q.descriptors;
	queue.driver = q.driver;
	queue.device = q.device;
	queue.indirect = true;
	assert_int_equal(virtqueue_enable(&queue), 0);
}

static int set_up(void **state)
{
	vm = fake_create(RAM);
	lay(RINGS, SIZE);
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(vm);
	return 0;
}

static int peek(void)
{
	memset(&chain, 0xa5, sizeof(chain));
	return virtqueue_peek(&queue, &chain, &why);
}

/* The next request breaks the queue, for good, and no matter what the driver does then. */
static void breaks(const char *words)
{
	assert_int_equal(peek(), -EINVAL);
	assert_string_equal(why, words);
	assert_true(queue.broken);
	assert_int_equal(peek(), -EINVAL);
	assert_false(virtqueue_want_doorbell(&queue));
	virtqueue_reset(&queue);
	assert_false(queue.broken);
}

static void a_request_is_read_and_returned(void **state)
{
	u8 bytes[64];
	u16 head;
	u32 written;

	assert_int_equal(peek(), -ENOENT);
	fake_queue_set(&q, 3, DATA, 16, FAKE_NEXT, 5);
	fake_queue_set(&q, 5, DATA + 0x100, 8, FAKE_NEXT, 0);
	fake_queue_set(&q, 0, DATA + 0x200, 32, FAKE_NEXT | FAKE_WRITE, 7);
	fake_queue_set(&q, 7, DATA + 0x300, 1, FAKE_WRITE, 0);
	fake_queue_offer(&q, 3);
	assert_int_equal(peek(), 0);
	assert_int_equal(chain.head, 3);
	assert_int_equal(chain.readable, 2);
	assert_int_equal(chain.writable, 2);
	assert_int_equal(chain.readable_bytes, 24);
	assert_int_equal(chain.writable_bytes, 33);
	assert_int_equal(chain.segments[1].gpa, DATA + 0x100);
	assert_int_equal(chain.segments[3].size, 1);
	assert_int_equal(peek(), 0);			/* not taken: the same again */
	assert_int_equal(chain.head, 3);

	for (unsigned i = 0; i < 24; i++)
		*(u8 *)guest_ptr(vm, DATA + (i < 16 ? i : 0x100 + i - 16), 1) = 0x10 + i;
	assert_int_equal(virtqueue_read(&queue, &chain, 0, bytes, 64), 24);
	for (unsigned i = 0; i < 24; i++)
		assert_int_equal(bytes[i], 0x10 + i);
	assert_int_equal(virtqueue_read(&queue, &chain, 15, bytes, 2), 2);
	assert_int_equal(bytes[0], 0x1f);
	assert_int_equal(bytes[1], 0x20);
	assert_int_equal(virtqueue_read(&queue, &chain, 24, bytes, 1), 0);
	assert_int_equal(virtqueue_read(&queue, &chain, ~0u, bytes, 1), 0);

	memset(bytes, 0x77, sizeof(bytes));
	assert_int_equal(virtqueue_write(&queue, &chain, 30, bytes, 64), 3);
	fake_ram_read(vm, DATA + 0x200 + 29, bytes, 4);
	assert_memory_equal(bytes, "\0\x77\x77\0", 4);	/* not behind the segment's end */
	fake_ram_read(vm, DATA + 0x300, bytes, 2);
	assert_memory_equal(bytes, "\x77\0", 2);

	virtqueue_take(&queue);
	assert_int_equal(peek(), -ENOENT);
	assert_int_equal(fake_queue_used_count(&q), 0);
	virtqueue_done(&queue, 3, 33);
	assert_true(fake_queue_used(&q, &head, &written));
	assert_int_equal(head, 3);
	assert_int_equal(written, 33);
	assert_false(fake_queue_used(&q, &head, &written));
}

static void pieces_end_with_their_segment(void **state)
{
	u32 size;

	fake_queue_set(&q, 0, DATA, 16, FAKE_NEXT, 1);
	fake_queue_set(&q, 1, DATA + 0x100, 8, FAKE_NEXT | FAKE_WRITE, 2);
	fake_queue_set(&q, 2, DATA + 0x200, 8, FAKE_WRITE, 0);
	fake_queue_offer(&q, 0);
	assert_int_equal(peek(), 0);
	assert_ptr_equal(virtqueue_readable_at(&queue, &chain, 4, &size), guest_ptr(vm, DATA + 4, 1));
	assert_int_equal(size, 12);
	assert_null(virtqueue_readable_at(&queue, &chain, 16, &size));
	assert_ptr_equal(virtqueue_writable_at(&queue, &chain, 8, &size), guest_ptr(vm, DATA + 0x200, 1));
	assert_int_equal(size, 8);
	assert_ptr_equal(virtqueue_writable_at(&queue, &chain, 7, &size), guest_ptr(vm, DATA + 0x107, 1));
	assert_int_equal(size, 1);
	assert_null(virtqueue_writable_at(&queue, &chain, 16, &size));
}

/* The indexes run through 65535 to 0, and each entry of the rings is used in turn. */
static void indexes_wrap(void **state)
{
	u16 head;
	u32 written;

	for (unsigned i = 0; i < 70000; i++) {
		fake_queue_set(&q, i % SIZE, DATA, 1 + i % 100, FAKE_WRITE, 0);
		fake_queue_offer(&q, i % SIZE);
		assert_int_equal(peek(), 0);
		assert_int_equal(chain.head, i % SIZE);
		virtqueue_take(&queue);
		virtqueue_done(&queue, chain.head, i);
		assert_true(fake_queue_used(&q, &head, &written));
		assert_int_equal(head, i % SIZE);
		assert_int_equal(written, i);
	}
}

/* Entries that are filled become visible together. */
static void several_are_returned_together(void **state)
{
	u16 head;
	u32 written;

	for (unsigned i = 0; i < 5; i++) {
		fake_queue_set(&q, i, DATA, 1, FAKE_WRITE, 0);
		fake_queue_offer(&q, i);
		assert_int_equal(peek(), 0);
		virtqueue_take(&queue);
	}
	for (unsigned i = 0; i < 5; i++)
		virtqueue_fill(&queue, i, 4 - i, 10 + i);
	assert_int_equal(fake_queue_used_count(&q), 0);
	virtqueue_flush(&queue, 5);
	assert_int_equal(fake_queue_used_count(&q), 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(fake_queue_used(&q, &head, &written));
		assert_int_equal(head, 4 - i);
		assert_int_equal(written, 10 + i);
	}
}

static void rings_are_checked(void **state)
{
	static const struct {
		u16 size;
		u64 desc, avail, used;
		int result;
	} cases[] = {
		{ 8, 0x1000, 0x2000, 0x3000, 0 },
		{ 0, 0x1000, 0x2000, 0x3000, -EINVAL },
		{ 3, 0x1000, 0x2000, 0x3000, -EINVAL },
		{ 12, 0x1000, 0x2000, 0x3000, -EINVAL },
		{ 256, 0x1000, 0x2000, 0x3000, 0 },
		{ 512, 0x1000, 0x2000, 0x3000, -EINVAL },
		{ 0x8000, 0x1000, 0x2000, 0x3000, -EINVAL },
		{ 8, 0x1008, 0x2000, 0x3000, -EINVAL },			/* "Split Virtqueues": 16, 2 and 4 */
		{ 8, 0x1000, 0x2001, 0x3000, -EINVAL },
		{ 8, 0x1000, 0x2002, 0x3000, 0 },
		{ 8, 0x1000, 0x2000, 0x3002, -EINVAL },
		{ 8, 0x1000, 0x2000, 0x3004, 0 },
		/* Up to the end of RAM exactly, and beyond it. 16 x size; 6 + 2 x size; 6 + 8 x size. */
		{ 8, RAM - 128, 0x2000, 0x3000, 0 },
		{ 8, RAM - 112, 0x2000, 0x3000, -EINVAL },
		{ 8, 0x1000, RAM - 22, 0x3000, 0 },
		{ 8, 0x1000, RAM - 20, 0x3000, -EINVAL },
		{ 8, 0x1000, 0x2000, RAM - 72, 0 },
		{ 8, 0x1000, 0x2000, RAM - 68, -EINVAL },
		{ 8, ~0xfull, 0x2000, 0x3000, -EINVAL },
		{ 8, 0x1000, ~1ull, 0x3000, -EINVAL },
		{ 8, 0x1000, 0x2000, ~3ull, -EINVAL },
		{ 8, 0xfee00000, 0x2000, 0x3000, -EINVAL },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		virtqueue_init(&queue, vm, 256);
		assert_int_equal(queue.size, 256);
		assert_int_equal(queue.msix_vector, VIRTIO_NO_VECTOR);
		queue.size = cases[i].size;
		queue.descriptors = cases[i].desc;
		queue.driver = cases[i].avail;
		queue.device = cases[i].used;
		assert_int_equal(virtqueue_enable(&queue), cases[i].result);
		assert_int_equal(queue.enabled, !cases[i].result);
	}
	virtqueue_reset(&queue);
	assert_false(queue.enabled);
	assert_int_equal(queue.max, 256);
	assert_ptr_equal(queue.vm, vm);
	assert_int_equal(peek(), -ENOENT);
}

static void reset_forgets_the_indexes(void **state)
{
	fake_queue_set(&q, 0, DATA, 1, FAKE_WRITE, 0);
	fake_queue_offer(&q, 0);
	assert_int_equal(peek(), 0);
	virtqueue_take(&queue);
	virtqueue_done(&queue, 0, 1);
	virtqueue_wants_interrupt(&queue);
	virtqueue_reset(&queue);
	lay(RINGS, SIZE);
	assert_int_equal(peek(), -ENOENT);
	fake_queue_set(&q, 0, DATA, 1, FAKE_WRITE, 0);
	fake_queue_offer(&q, 0);
	assert_int_equal(peek(), 0);
	virtqueue_take(&queue);
	virtqueue_done(&queue, 0, 1);
	assert_int_equal(fake_queue_used_count(&q), 1);
}

/* --- bad drivers --- */

static void indexes_that_jump_break_it(void **state)
{
	static const u16 jumps[] = { 9, 0x7fff, 0x8000, 0xffff };

	for (unsigned i = 0; i < ARRAY_SIZE(jumps); i++) {
		lay(RINGS, SIZE);
		fake_queue_set_available(&q, jumps[i]);
		breaks("the available index is ahead by more than the queue has entries");
	}
	/* As many as there are entries: allowed. */
	lay(RINGS, SIZE);
	fake_queue_set(&q, 0, DATA, 1, FAKE_WRITE, 0);
	fake_queue_set_available(&q, 8);
	assert_int_equal(peek(), 0);
	/* Requests that the device has still are the queue's, too. */
	virtqueue_take(&queue);
	fake_queue_set_available(&q, 9);
	breaks("the available index is ahead by more than the queue has entries");
}

/* "Driver Requirements: The Virtqueue Available Ring": never back, not even to a request that the device has. */
static void an_index_that_goes_back_breaks_it(void **state)
{
	for (u16 back = 1; back <= 5; back++) {
		lay(RINGS, SIZE);
		fake_queue_set(&q, 0, DATA, 1, FAKE_WRITE, 0);
		fake_queue_set_available(&q, SIZE);
		for (unsigned i = 0; i < 5; i++) {
			assert_int_equal(peek(), 0);
			virtqueue_take(&queue);
		}
		fake_queue_set_available(&q, 5 - back);
		breaks("the available index is ahead by more than the queue has entries");
	}
}

static void numbers_beyond_the_table_break_it(void **state)
{
	fake_queue_offer(&q, SIZE);
	breaks("a descriptor's number is beyond the table");
	lay(RINGS, SIZE);
	fake_queue_offer(&q, 0xffff);
	breaks("a descriptor's number is beyond the table");
	lay(RINGS, SIZE);
	fake_queue_set(&q, 0, DATA, 1, FAKE_NEXT, SIZE);
	fake_queue_offer(&q, 0);
	breaks("a descriptor's number is beyond the table");
}

static void loops_break_it(void **state)
{
	fake_queue_set(&q, 0, DATA, 1, FAKE_NEXT, 0);
	fake_queue_offer(&q, 0);
	breaks("a request has more descriptors than the queue");
	lay(RINGS, SIZE);
	fake_queue_set(&q, 0, DATA, 0, FAKE_NEXT, 1);	/* also where each is empty */
	fake_queue_set(&q, 1, DATA, 0, FAKE_NEXT, 0);
	fake_queue_offer(&q, 0);
	breaks("a request has more descriptors than the queue");
	/* A chain of all descriptors: allowed. */
	lay(RINGS, SIZE);
	for (unsigned i = 0; i < SIZE; i++)
		fake_queue_set(&q, i, DATA, 2, i < SIZE - 1 ? FAKE_NEXT : 0, i + 1);
	fake_queue_offer(&q, 0);
	assert_int_equal(peek(), 0);
	assert_int_equal(chain.readable, SIZE);
	assert_int_equal(chain.readable_bytes, 2 * SIZE);
}

static void the_order_of_reads_and_writes(void **state)
{
	fake_queue_set(&q, 0, DATA, 1, FAKE_NEXT | FAKE_WRITE, 1);
	fake_queue_set(&q, 1, DATA, 1, 0, 0);
	fake_queue_offer(&q, 0);
	breaks("a descriptor for the device to read comes after one to write");
}

static void memory_of_requests_is_ram(void **state)
{
	static const struct {
		u64 address;
		u32 length;
		bool good;
	} cases[] = {
		{ RAM - 1, 1, true },
		{ RAM - 1, 2, false },
		{ RAM, 1, false },
		{ 0, RAM, true },
		{ 0, RAM + 1, false },
		{ 0, ~0u, false },
		{ ~0ull, 1, false },
		{ ~0ull, 2, false },
		{ ~0ull - 0xfff, 0x2000, false },
		{ 0xfee00000, 4, false },
		{ 1ull << 63, 1, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		lay(RINGS, SIZE);
		fake_queue_set(&q, 0, cases[i].address, cases[i].length, FAKE_WRITE, 0);
		fake_queue_offer(&q, 0);
		if (!cases[i].good) {
			breaks("a descriptor's memory is not RAM");
			continue;
		}
		assert_int_equal(peek(), 0);
		assert_int_equal(chain.segments[0].gpa, cases[i].address);
		assert_int_equal(chain.writable_bytes, cases[i].length);
	}
}

static void empty_descriptors_are_skipped(void **state)
{
	fake_queue_set(&q, 0, ~0ull, 0, FAKE_NEXT, 1);
	fake_queue_set(&q, 1, DATA, 4, FAKE_NEXT, 2);
	fake_queue_set(&q, 2, 0, 0, FAKE_NEXT | FAKE_WRITE, 3);
	fake_queue_set(&q, 3, DATA, 5, FAKE_WRITE, 0);
	fake_queue_offer(&q, 0);
	assert_int_equal(peek(), 0);
	assert_int_equal(chain.readable, 1);
	assert_int_equal(chain.writable, 1);
	assert_int_equal(chain.segments[0].size, 4);
	assert_int_equal(chain.segments[1].size, 5);
	virtqueue_take(&queue);

	fake_queue_set(&q, 4, ~0ull, 0, FAKE_WRITE, 0);
	fake_queue_offer(&q, 4);
	assert_int_equal(peek(), 0);
	assert_int_equal(chain.head, 4);
	assert_int_equal(chain.readable + chain.writable, 0);
	assert_int_equal(chain.readable_bytes + chain.writable_bytes, 0);
}

/* --- indirect --- */

#define TABLE (DATA + 0x801)	/* its alignment is free */

static void indirect_tables(void **state)
{
	fake_queue_set_at(&q, TABLE, 0, DATA, 10, FAKE_NEXT, 2);
	fake_queue_set_at(&q, TABLE, 2, DATA + 0x40, 20, FAKE_WRITE, 0);
	/* "Device Requirements: Indirect Descriptors": ordinary ones may come before; WRITE has no meaning here. */
	fake_queue_set(&q, 1, DATA + 0x80, 5, FAKE_NEXT, 6);
	fake_queue_set(&q, 6, TABLE, 48, FAKE_INDIRECT | FAKE_WRITE, 0);
	fake_queue_offer(&q, 1);
	assert_int_equal(peek(), 0);
	assert_int_equal(chain.head, 1);
	assert_int_equal(chain.readable, 2);
	assert_int_equal(chain.readable_bytes, 15);
	assert_int_equal(chain.segments[1].gpa, DATA);
	assert_int_equal(chain.writable_bytes, 20);
}

static void bad_indirect_tables(void **state)
{
	static const struct {
		u64 address;
		u32 length;
		u16 flags;
		const char *why;
	} cases[] = {
		{ TABLE, 0, FAKE_INDIRECT, "an indirect table's length is 0 or no multiple of 16" },
		{ TABLE, 15, FAKE_INDIRECT, "an indirect table's length is 0 or no multiple of 16" },
		{ TABLE, 24, FAKE_INDIRECT, "an indirect table's length is 0 or no multiple of 16" },
		{ TABLE, ~0u, FAKE_INDIRECT, "an indirect table's length is 0 or no multiple of 16" },
		{ TABLE, ~0xfu, FAKE_INDIRECT, "an indirect table is not in RAM" },
		{ RAM - 15, 16, FAKE_INDIRECT, "an indirect table is not in RAM" },
		{ ~0xfull, 32, FAKE_INDIRECT, "an indirect table is not in RAM" },
		{ TABLE, 16, FAKE_INDIRECT | FAKE_NEXT, "an indirect descriptor with a next one" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		lay(RINGS, SIZE);
		fake_queue_set(&q, 0, cases[i].address, cases[i].length, cases[i].flags, 1);
		fake_queue_offer(&q, 0);
		breaks(cases[i].why);
	}
	lay(RINGS, SIZE);
	fake_queue_set(&q, 0, TABLE, 16, FAKE_INDIRECT, 0);
	fake_queue_set_at(&q, TABLE, 0, TABLE, 16, FAKE_INDIRECT, 0);
	fake_queue_offer(&q, 0);
	breaks("an indirect descriptor within an indirect table");
	/* A number beyond the indirect table, though not beyond the queue's. */
	lay(RINGS, SIZE);
	fake_queue_set(&q, 0, TABLE, 32, FAKE_INDIRECT, 0);
	fake_queue_set_at(&q, TABLE, 0, DATA, 1, FAKE_NEXT, 2);
	fake_queue_offer(&q, 0);
	breaks("a descriptor's number is beyond the table");
	/* The chain is not longer than the queue, however long the table is. */
	lay(RINGS, SIZE);
	fake_queue_set(&q, 0, TABLE, 16 * 20, FAKE_INDIRECT, 0);
	for (unsigned i = 0; i < 20; i++)
		fake_queue_set_at(&q, TABLE, i, DATA, 1, i < SIZE ? FAKE_NEXT : 0, i + 1);
	fake_queue_offer(&q, 0);
	breaks("a request has more descriptors than the queue");
	fake_queue_set_at(&q, TABLE, SIZE - 1, DATA, 1, 0, 0);
	lay(RINGS, SIZE);
	fake_queue_set(&q, 0, TABLE, 16 * 20, FAKE_INDIRECT, 0);
	fake_queue_offer(&q, 0);
	assert_int_equal(peek(), 0);
	assert_int_equal(chain.readable, SIZE);
	/* Not negotiated. */
	lay(RINGS, SIZE);
	queue.indirect = false;
	fake_queue_set(&q, 0, TABLE, 16 * 20, FAKE_INDIRECT, 0);
	fake_queue_offer(&q, 0);
	breaks("an indirect descriptor, which was not negotiated");
}

static void segments_are_limited(void **state)
{
	lay(RINGS, 256);
	for (unsigned i = 0; i < 65; i++)
		fake_queue_set(&q, i, DATA, 1, i < 63 ? FAKE_NEXT : 0, i + 1);
	fake_queue_offer(&q, 0);
	assert_int_equal(peek(), 0);
	assert_int_equal(chain.readable, 64);
	fake_queue_set(&q, 63, DATA, 1, FAKE_NEXT, 64);
	breaks("a request has too many segments");
}

/* Lengths are added up in 32 bits: "a total of 2^32 bytes" is not reached. */
static void bytes_are_limited(void **state)
{
	struct vm *large;

	fake_destroy(vm);
	large = vm = fake_create(0);
	fake_of(large)->ram = calloc(1, 0x9000);	/* of which no more than this is accessed */
	fake_of(large)->ram_size = 3ull << 30;
	lay(RINGS, SIZE);
	fake_queue_set(&q, 0, 0x100000, 0x80000000, FAKE_NEXT, 1);
	fake_queue_set(&q, 1, 0x100000, 0x7fffffff, FAKE_WRITE, 0);
	fake_queue_offer(&q, 0);
	assert_int_equal(peek(), 0);
	assert_int_equal(chain.readable_bytes, 0x80000000);
	assert_int_equal(chain.writable_bytes, 0x7fffffff);
	fake_queue_set(&q, 1, 0x100000, 0x80000000, FAKE_WRITE, 0);
	breaks("a request's length exceeds 4 GiB");
}

/* Memory that is found damaged while the queue is in use. */
static void rings_that_go_away_break_it(void **state)
{
	fake_queue_set(&q, 0, DATA, 1, FAKE_WRITE, 0);
	fake_queue_offer(&q, 0);
	assert_int_equal(peek(), 0);
	fake_of(vm)->ram_size = q.device;
	virtqueue_take(&queue);
	virtqueue_done(&queue, 0, 1);
	assert_true(queue.broken);
	breaks("the queue is broken");
	fake_of(vm)->ram_size = RAM;
	lay(RINGS, SIZE);
	fake_of(vm)->ram_size = q.driver;
	breaks("a part of the rings is not in RAM");
	fake_of(vm)->ram_size = RAM;
	lay(RINGS, SIZE);
	fake_of(vm)->ram_size = q.device;
	assert_false(virtqueue_want_doorbell(&queue));
	assert_true(queue.broken);
}

/* --- notifications --- */

static void complete(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		fake_queue_set(&q, 0, DATA, 1, FAKE_WRITE, 0);
		fake_queue_offer(&q, 0);
		assert_int_equal(peek(), 0);
		virtqueue_take(&queue);
		virtqueue_done(&queue, 0, 0);
	}
}

static void flags_suppress_notifications(void **state)
{
	assert_false(virtqueue_wants_interrupt(&queue));	/* nothing was returned */
	complete(1);
	assert_true(virtqueue_wants_interrupt(&queue));
	assert_false(virtqueue_wants_interrupt(&queue));
	fake_queue_set_flags(&q, 1);			/* VIRTQ_AVAIL_F_NO_INTERRUPT */
	complete(1);
	assert_false(virtqueue_wants_interrupt(&queue));
	fake_queue_set_flags(&q, 0);
	complete(1);
	assert_true(virtqueue_wants_interrupt(&queue));

	virtqueue_refuse_doorbell(&queue);
	assert_int_equal(fake_queue_flags(&q), 1);	/* VIRTQ_USED_F_NO_NOTIFY */
	assert_false(virtqueue_want_doorbell(&queue));
	assert_int_equal(fake_queue_flags(&q), 0);
	fake_queue_offer(&q, 0);
	assert_true(virtqueue_want_doorbell(&queue));
}

/* vring_need_event() of "Used Buffer Notification Suppression": the used index passes used_event. */
static void the_used_event(void **state)
{
	queue.event_index = true;
	fake_queue_set_flags(&q, 1);	/* the flag has no meaning then */
	fake_queue_set_used_event(&q, 5);
	complete(1);
	assert_true(virtqueue_wants_interrupt(&queue));		/* the first time nothing is known */
	complete(4);
	assert_false(virtqueue_wants_interrupt(&queue));	/* used index 5: entries 0 to 4 */
	complete(1);
	assert_true(virtqueue_wants_interrupt(&queue));		/* 6: entry 5 */
	complete(1);
	assert_false(virtqueue_wants_interrupt(&queue));
	fake_queue_set_used_event(&q, 9);
	complete(7);
	assert_true(virtqueue_wants_interrupt(&queue));		/* 14: passed it */
	fake_queue_set_used_event(&q, 14);
	complete(1);
	assert_true(virtqueue_wants_interrupt(&queue));
	fake_queue_set_used_event(&q, 14);
	complete(1);
	assert_false(virtqueue_wants_interrupt(&queue));
	/* Through 65535 to 0. */
	fake_queue_set_used_event(&q, 0xffff);
	while (queue.next_used != 0xffff) {
		complete(1);
		assert_false(virtqueue_wants_interrupt(&queue));
	}
	complete(2);
	assert_true(virtqueue_wants_interrupt(&queue));
	fake_queue_set_used_event(&q, 0);
	complete(1);
	assert_false(virtqueue_wants_interrupt(&queue));
}

/* So many are returned without a look that the old index has no meaning any more: notify. */
static void a_stale_index_notifies(void **state)
{
	queue.event_index = true;
	fake_queue_set_used_event(&q, 0x8000);
	complete(1);
	assert_true(virtqueue_wants_interrupt(&queue));
	fake_queue_set_used_event(&q, 0);
	complete(0x10000 - 2);
	assert_true(queue.signalled_valid);
	complete(3);
	assert_false(queue.signalled_valid);
	assert_true(virtqueue_wants_interrupt(&queue));
	assert_true(queue.signalled_valid);
}

static void the_available_event(void **state)
{
	queue.event_index = true;
	complete(3);
	assert_false(virtqueue_want_doorbell(&queue));
	assert_int_equal(fake_queue_available_event(&q), 3);
	assert_int_equal(fake_queue_flags(&q), 0);
	virtqueue_refuse_doorbell(&queue);
	assert_int_equal(fake_queue_flags(&q), 0);	/* "The device MUST set flags to 0" */
	fake_queue_offer(&q, 0);
	assert_true(virtqueue_want_doorbell(&queue));
	assert_int_equal(fake_queue_available_event(&q), 3);
	virtqueue_take(&queue);
	assert_false(virtqueue_want_doorbell(&queue));
	assert_int_equal(fake_queue_available_event(&q), 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_read_and_returned),
		TEST(pieces_end_with_their_segment),
		TEST(indexes_wrap),
		TEST(several_are_returned_together),
		TEST(rings_are_checked),
		TEST(reset_forgets_the_indexes),
		TEST(indexes_that_jump_break_it),
		TEST(an_index_that_goes_back_breaks_it),
		TEST(numbers_beyond_the_table_break_it),
		TEST(loops_break_it),
		TEST(the_order_of_reads_and_writes),
		TEST(memory_of_requests_is_ram),
		TEST(empty_descriptors_are_skipped),
		TEST(indirect_tables),
		TEST(bad_indirect_tables),
		TEST(segments_are_limited),
		TEST(bytes_are_limited),
		TEST(rings_that_go_away_break_it),
		TEST(flags_suppress_notifications),
		TEST(the_used_event),
		TEST(a_stale_index_notifies),
		TEST(the_available_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
