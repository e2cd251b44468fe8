/* SPDX-License-Identifier: MIT */
/*
 * A port's ring with real threads as CPUs, under ThreadSanitizer: several senders, one receiver, and an owner that
 * closes the ring, frees what its senders may use, and opens it again.
 */
/* link: dev/net/ring.c */
/* cflags: -fno-sanitize=address -fno-sanitize=undefined -fsanitize=thread -pthread */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dev/net/ring.h"

#define SIZE	4096u
#define SENDERS 3
#define ROUNDS	4000u
#define LIVES	300u

static struct net_ring ring;
static u8 *data;

static int set_up(void **state)
{
	memset(&ring, 0, sizeof(ring));
	data = aligned_alloc(NET_RECORD_ALIGN, SIZE);
	net_ring_init(&ring, data, SIZE);
	return 0;
}

static int tear_down(void **state)
{
	free(data);
	return 0;
}

static enum net_ring_result put(u32 length, u8 byte)
{
	struct net_record *record;
	enum net_ring_result result = net_ring_reserve(&ring, length, &record);

	if (result == NET_RING_OK) {
		memset(record->frame, byte, length);
		net_ring_commit(record, true);
		net_ring_leave(&ring);
	}
	return result;
}

static void expect(u32 length, u8 byte)
{
	struct net_record *record = net_ring_first(&ring);

	assert_non_null(record);
	assert_int_equal(record->length, length);
	for (u32 i = 0; i < length; i++)
		assert_int_equal(record->frame[i], byte);
	net_ring_release(&ring, record);
}

static void a_closed_one_takes_nothing(void **state)
{
	assert_int_equal(put(60, 1), NET_RING_CLOSED);
	net_ring_open(&ring);
	assert_null(net_ring_first(&ring));
	assert_int_equal(put(60, 1), NET_RING_OK);
	net_ring_close(&ring);
	assert_int_equal(put(60, 1), NET_RING_CLOSED);
	/* What was in it is gone. */
	net_ring_open(&ring);
	assert_null(net_ring_first(&ring));
}

static void the_order_is_that_of_the_reservations(void **state)
{
	struct net_record *first, *second;

	net_ring_open(&ring);
	assert_int_equal(net_ring_reserve(&ring, 10, &first), NET_RING_OK);
	assert_int_equal(net_ring_reserve(&ring, 20, &second), NET_RING_OK);
	memset(second->frame, 2, 20);
	net_ring_commit(second, true);
	net_ring_leave(&ring);
	assert_null(net_ring_first(&ring));
	memset(first->frame, 1, 10);
	net_ring_commit(first, true);
	net_ring_leave(&ring);
	expect(10, 1);
	expect(20, 2);
	assert_null(net_ring_first(&ring));
}

static void one_that_failed_is_skipped(void **state)
{
	struct net_record *record;

	net_ring_open(&ring);
	assert_int_equal(net_ring_reserve(&ring, 100, &record), NET_RING_OK);
	net_ring_commit(record, false);
	net_ring_leave(&ring);
	assert_int_equal(put(30, 3), NET_RING_OK);
	expect(30, 3);
	assert_null(net_ring_first(&ring));
}

/* To the last byte: 4096 are 32 records of 128. */
static void it_can_be_filled(void **state)
{
	net_ring_open(&ring);
	for (u32 round = 0; round < 3; round++) {
		for (u32 i = 0; i < 32; i++)
			assert_int_equal(put(128 - NET_RECORD_ALIGN, (u8)i), NET_RING_OK);
		assert_int_equal(put(0, 0), NET_RING_FULL);
		for (u32 i = 0; i < 32; i++)
			expect(128 - NET_RECORD_ALIGN, (u8)i);
		assert_null(net_ring_first(&ring));
	}
}

/* What does not fit before the end of the memory begins at its start, in one piece. */
static void a_record_is_never_split(void **state)
{
	net_ring_open(&ring);
	for (u32 i = 0; i < 1000; i++) {
		u32 length = (i * 37) % 1400;

		assert_int_equal(put(length, (u8)i), NET_RING_OK);
		assert_true(net_ring_first(&ring)->frame + length <= data + SIZE);
		expect(length, (u8)i);
	}
	/* 96 bytes are left before the end. A record of 2048 takes them, too: then 2048 - 32 - 96 of 4096 are free. */
	net_ring_close(&ring);
	net_ring_open(&ring);
	assert_int_equal(put(3968, 1), NET_RING_OK);
	expect(3968, 1);
	assert_int_equal(put(2016, 2), NET_RING_OK);
	assert_int_equal(put(1953, 3), NET_RING_FULL);
	assert_int_equal(put(1920, 3), NET_RING_OK);
	expect(2016, 2);
	expect(1920, 3);
}

/* --- several senders --- */

struct message {
	u32 sender, number;
};

static bool received_all;

static void *send(void *argument)
{
	u32 sender = (u32)(uintptr_t)argument;

	for (u32 i = 0; i < ROUNDS; ) {
		u32 length = sizeof(struct message) + (i * 7 + sender * 11) % 500;
		struct net_record *record;

		if (net_ring_reserve(&ring, length, &record) != NET_RING_OK) {
			sched_yield();
			continue;
		}
		memset(record->frame, (int)i, length);
		memcpy(record->frame, &(struct message) { sender, i }, sizeof(struct message));
		net_ring_commit(record, true);
		net_ring_leave(&ring);
		i++;
	}
	return NULL;
}

static void each_frame_arrives_whole_and_in_its_senders_order(void **state)
{
	pthread_t threads[SENDERS];
	u32 next[SENDERS] = { 0 };

	net_ring_open(&ring);
	for (uintptr_t i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send, (void *)i), 0);
	for (u32 count = 0; count < SENDERS * ROUNDS; ) {
		struct net_record *record = net_ring_first(&ring);
		struct message message;

		if (!record) {
			sched_yield();
			continue;
		}
		memcpy(&message, record->frame, sizeof(message));
		assert_in_range(message.sender, 0, SENDERS - 1);
		assert_int_equal(message.number, next[message.sender]);
		next[message.sender]++;
		for (u32 i = sizeof(message); i < record->length; i++)
			assert_int_equal(record->frame[i], (u8)message.number);
		net_ring_release(&ring, record);
		count++;
	}
	for (u32 i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_null(net_ring_first(&ring));
	assert_int_equal(ring.senders, 0);
}

/* --- the owner's end --- */

/* What the port points to: plain, so that ThreadSanitizer sees a use after the ring was closed. */
static u64 *owned;

static void *send_to_many_lives(void *unused)
{
	while (!__atomic_load_n(&received_all, __ATOMIC_ACQUIRE)) {
		struct net_record *record;

		if (net_ring_reserve(&ring, 40, &record) != NET_RING_OK) {
			sched_yield();
			continue;
		}
		memset(record->frame, 0x55, 40);
		net_ring_commit(record, true);
		/* wake() */
		spin_lock(&ring.lock);
		(*owned)++;
		spin_unlock(&ring.lock);
		net_ring_leave(&ring);
	}
	return NULL;
}

static void nobody_uses_what_was_freed(void **state)
{
	pthread_t threads[SENDERS];
	u64 frames = 0;

	received_all = false;
	for (uintptr_t i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_to_many_lives, NULL), 0);
	for (u32 life = 0; life < LIVES; life++) {
		u8 *memory = aligned_alloc(NET_RECORD_ALIGN, SIZE);
		struct net_record *record;

		owned = calloc(1, sizeof(*owned));
		net_ring_init(&ring, memory, SIZE);
		net_ring_open(&ring);
		for (u32 i = 0; i < 20; i++) {
			record = net_ring_first(&ring);
			if (record) {
				assert_int_equal(record->frame[39], 0x55);
				net_ring_release(&ring, record);
				frames++;
			} else {
				sched_yield();
			}
		}
		net_ring_close(&ring);
		memset(memory, 0, SIZE);
		free(memory);
		*owned = 0;
		free(owned);
		owned = NULL;
	}
	__atomic_store_n(&received_all, true, __ATOMIC_RELEASE);
	for (u32 i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(frames > LIVES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_closed_one_takes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_order_is_that_of_the_reservations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_failed_is_skipped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_can_be_filled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_record_is_never_split, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_frame_arrives_whole_and_in_its_senders_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_uses_what_was_freed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
