/* SPDX-License-Identifier: MIT */
/* The entropy device: VIRTIO 1.2, "Entropy Device". */
/* link: dev/virtio/rng.c dev/virtio/virtqueue.c tests/unit/fake_virtio.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_virtio.h"

#include <string.h>

#include "core/random.h"
#include "dev/virtio/rng.h"
#include "lib/errno.h"

#define RAM   MIB(1)
#define RINGS 0x1000
#define DATA  0x10000

static struct vm *vm;
static struct virtio_device *device;
static struct fake_queue queue;
static unsigned started, filled, largest;

void random_start(void)
{
	started++;
}

void random_fill(void *to, u32 size)
{
	assert_true(started);
	memset(to, 0x5a, size);
	filled += size;
	largest = MAX(largest, size);
}

static int set_up(void **state)
{
	vm = fake_create(RAM);
	started = filled = largest = 0;
	assert_int_equal(virtio_rng_create(vm), 0);
	device = fake_of(vm)->allocs[0];
	fake_virtio_accept(device, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
	fake_queue_create(&queue, vm, &device->queues[0], RINGS, 8);
	fake_virtio_start(device);
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(vm);
	return 0;
}

static void is_filled(u64 gpa, u32 size)
{
	const u8 *bytes = guest_ptr(vm, gpa, size + 1);

	for (u32 i = 0; i < size; i++)
		assert_int_equal(bytes[i], 0x5a);
	assert_int_equal(bytes[size], 0);
}

static void is_the_entropy_device(void **state)
{
	assert_int_equal(device->queue_count, 1);
	assert_int_equal(device->config_size, 0);
	assert_int_equal(started, 1);
	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	assert_int_equal(virtio_rng_create(vm), -ENOMEM);
	fake_of(vm)->alloc_limit++;
	fake_virtio_failure = -ENOSPC;
	assert_int_equal(virtio_rng_create(vm), -ENOSPC);
}

static void buffers_are_filled(void **state)
{
	const struct fake_buffer one[] = { { DATA, 100, true } };
	const struct fake_buffer two[] = { { DATA + 0x1000, 7, true }, { DATA + 0x2000, 300, true } };
	u16 first = fake_queue_add(&queue, one, 1), second = fake_queue_add(&queue, two, 2), head;
	u32 written;

	fake_virtio_kick(device, 0);
	assert_true(fake_queue_used(&queue, &head, &written));
	assert_int_equal(head, first);
	assert_int_equal(written, 100);
	assert_true(fake_queue_used(&queue, &head, &written));
	assert_int_equal(head, second);
	assert_int_equal(written, 307);
	assert_false(fake_queue_used(&queue, &head, &written));
	is_filled(DATA, 100);
	is_filled(DATA + 0x1000, 7);
	is_filled(DATA + 0x2000, 300);
	assert_int_equal(filled, 407);
	assert_int_equal(fake_transport_of(device)->notified[0], 1);
	/* It waits for the next doorbell. */
	assert_int_equal(fake_queue_available_event(&queue), 2);
}

/* However much the driver asks for, it gets 64 KiB, and a little in each portion. */
static void requests_are_bounded(void **state)
{
	struct fake_buffer overlapping[8];
	u32 written, before;

	for (unsigned i = 0; i < 8; i++)
		overlapping[i] = (struct fake_buffer){ DATA, 0x80000, true };
	fake_queue_add(&queue, overlapping, 8);
	virtio_device_post(device, 1);
	for (before = 0; !fake_queue_used(&queue, NULL, &written); before = filled) {
		u32 more;

		spin_lock(&device->lock);
		more = device->ops->serve(device, 1);
		spin_unlock(&device->lock);
		assert_in_range(filled - before, 1, 4096);
		assert_int_equal(more, filled < 65536);
		assert_in_range(filled, 1, 65536);
	}
	assert_int_equal(written, 65536);
	assert_int_equal(filled, 65536);
	is_filled(DATA, 65536);
	assert_in_range(largest, 1, 4096);
}

static void many_small_requests_are_portions(void **state)
{
	const struct fake_buffer one[] = { { DATA, 1, true } };

	for (unsigned i = 0; i < 8; i++)
		fake_queue_add(&queue, one, 1);
	fake_virtio_kick(device, 0);
	assert_int_equal(fake_queue_used_count(&queue), 8);
	assert_int_equal(filled, 8);
}

static void bad_requests_break_it(void **state)
{
	static const struct {
		struct fake_buffer buffer;
		const char *why;
	} cases[] = {
		{ { DATA, 16, false }, "a request for random bytes has something to read, or no room for them" },
		{ { DATA, 0, true }, "a request for random bytes has something to read, or no room for them" },
		{ { RAM, 16, true }, "a descriptor's memory is not RAM" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_queue_add(&queue, &cases[i].buffer, 1);
		fake_virtio_kick(device, 0);
		assert_int_equal(fake_transport_of(device)->breaks, i + 1);
		assert_string_equal(fake_transport_of(device)->why, cases[i].why);
		assert_int_equal(fake_queue_used_count(&queue), 0);
		assert_int_equal(filled, 0);
		fake_virtio_reset(device);
		fake_virtio_accept(device, VIRTIO_F_VERSION_1);
		fake_queue_create(&queue, vm, &device->queues[0], RINGS, 8);
		fake_virtio_start(device);
	}
}

/* A reset in the middle of a request: the next one is filled from its beginning. */
static void reset_forgets_a_request(void **state)
{
	const struct fake_buffer large[] = { { DATA, 20000, true } };
	const struct fake_buffer small[] = { { DATA + 0x8000, 5000, true } };
	u32 written;

	fake_queue_add(&queue, large, 1);
	spin_lock(&device->lock);
	assert_int_equal(device->ops->serve(device, 1), 1);
	spin_unlock(&device->lock);
	fake_virtio_reset(device);
	fake_virtio_accept(device, VIRTIO_F_VERSION_1);
	fake_queue_create(&queue, vm, &device->queues[0], RINGS, 8);
	fake_virtio_start(device);
	fake_queue_add(&queue, small, 1);
	fake_virtio_kick(device, 0);
	assert_true(fake_queue_used(&queue, NULL, &written));
	assert_int_equal(written, 5000);
	is_filled(DATA + 0x8000, 5000);
}

/* The driver makes the request smaller while it is filled. */
static void requests_that_shrink(void **state)
{
	const struct fake_buffer large[] = { { DATA, 20000, true } };
	u16 head = fake_queue_add(&queue, large, 1);
	u32 written;

	spin_lock(&device->lock);
	assert_int_equal(device->ops->serve(device, 1), 1);
	spin_unlock(&device->lock);
	fake_queue_set(&queue, head, DATA, 10, FAKE_WRITE, 0);
	fake_virtio_kick(device, 0);
	assert_true(fake_queue_used(&queue, NULL, &written));
	assert_int_equal(written, 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(is_the_entropy_device),
		TEST(buffers_are_filled),
		TEST(requests_are_bounded),
		TEST(many_small_requests_are_portions),
		TEST(bad_requests_break_it),
		TEST(reset_forgets_a_request),
		TEST(requests_that_shrink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
