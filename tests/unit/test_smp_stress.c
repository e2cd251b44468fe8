/* SPDX-License-Identifier: MIT */
/*
 * Real threads as CPUs, under ThreadSanitizer: the ticket lock, the posted interrupts, and requests with
 * their notification. A home CPU here is a thread that runs a "guest" until its pending IPI says otherwise, and
 * sleeps without a time limit: what is lost shows as a test that does not end.
 */
/* cflags: -fno-sanitize=address -fno-sanitize=undefined -fsanitize=thread -pthread */

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/spinlock.h"
#include "lib/types.h"
/* ThreadSanitizer takes a volatile access for one that is not atomic. */
#undef READ_ONCE
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#include "core/vcpu.h"
#if __has_include("core/posted.h")
#include "core/posted.h"
#define HAS_POSTED 1
#endif
#include "core/vcpu_kick.c"

#define SENDERS 3
#define ROUNDS	5000
/* Few: with more threads than processors each change of the owner waits for the host's scheduler. */
#define LOCK_ROUNDS 300
#define VECTORS 64	/* for each sender; none is used twice before it was served */

/* --- the ticket lock --- */

/* Its tickets, of 16 bits, wrap round during the test. */
static struct spinlock lock = { (u16)-LOCK_ROUNDS, (u16)-LOCK_ROUNDS };
static u64 counter;		/* plain: ThreadSanitizer sees an access without the lock */

static void *count_under_lock(void *unused)
{
	for (int i = 0; i < LOCK_ROUNDS; i++) {
		spin_lock(&lock);
		counter++;
		spin_unlock(&lock);
	}
	return NULL;
}

static void test_ticket_lock(void **state)
{
	pthread_t threads[SENDERS];

	counter = 0;
	for (int i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_under_lock, NULL), 0);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter, (u64)SENDERS * LOCK_ROUNDS);
	assert_int_equal(lock.next, (SENDERS - 1) * LOCK_ROUNDS);
	assert_int_equal(lock.served, lock.next);
}

#ifdef HAS_POSTED

/* --- requests, IPIs and posted interrupts --- */

static struct vcpu vcpu;
static struct posted_interrupts posted;
static u32 woken;		/* atomic: what sched_notify() leaves for the home CPU */
static bool ipi;		/* atomic: pending in the home CPU's local APIC */
static u64 payload[SENDERS];	/* plain: written before a post, read after it was taken */
static u32 taken_count[SENDERS];	/* atomic: what the home CPU has seen */
static u32 finished;		/* atomic */
static u64 served, nmis, idles, merged;

void sched_notify(struct vcpu *target)
{
	assert_ptr_equal(target, &vcpu);
	__atomic_fetch_or(&woken, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&ipi, true, __ATOMIC_SEQ_CST);
}

static void post(u8 vector)
{
	if (posted_add(&posted, vector))
		vcpu_kick(&vcpu, REQ_EVENT);
}

static void *send(void *argument)
{
	unsigned me = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; i < ROUNDS; i++) {
		payload[me] = i + 1;
		post((u8)(me * VECTORS + i % VECTORS));
		if (i % 5 == me)
			vcpu_kick(&vcpu, REQ_NMI);
		/* The next one only after this one: a lost wake-up stops here. */
		while (__atomic_load_n(&taken_count[me], __ATOMIC_ACQUIRE) != i + 1)
			sched_yield();
	}
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
	vcpu_kick(&vcpu, REQ_STOP);
	return NULL;
}

static u32 take(u32 mask)
{
	return __atomic_fetch_and(&vcpu.requests, ~mask, __ATOMIC_SEQ_CST) & mask;
}

/* Deliver what was posted: each sender has at most one vector outstanding, and it is the right one. */
static void merge(void)
{
	u64 words[POSTED_WORDS];

	posted_begin_taking(&posted);
	for (unsigned i = 0; i < POSTED_WORDS; i++)
		words[i] = posted_take_word(&posted, i);
	for (unsigned sender = 0; sender < SENDERS; sender++) {
		u32 count = taken_count[sender];	/* only this thread writes it */

		if (!words[sender])
			continue;
		assert_int_equal(words[sender], BIT_ULL(count % VECTORS));
		assert_int_equal(payload[sender], count + 1);
		merged++;
		__atomic_store_n(&taken_count[sender], count + 1, __ATOMIC_RELEASE);
	}
}

/* irq_window(): the kick's handler has nothing to do but to have `woken` looked at. */
static void serve_ipi(void)
{
	if (__atomic_exchange_n(&ipi, false, __ATOMIC_SEQ_CST))
		served++;
}

static bool parked_can_run(void)
{
	take(REQ_EVENT);
	return posted_outstanding(&posted) || __atomic_load_n(&vcpu.requests, __ATOMIC_SEQ_CST);
}

/* The loop of the home CPU; it alternates between a guest that spins and one that halts. */
static void run_home(void)
{
	for (u64 turn = 0; __atomic_load_n(&finished, __ATOMIC_SEQ_CST) < SENDERS; turn++) {
		u32 requests = take(REQ_EVENT | REQ_NMI | REQ_STOP);

		nmis += !!(requests & REQ_NMI);
		if (requests & REQ_EVENT)
			merge();
		if (__atomic_load_n(&vcpu.requests, __ATOMIC_SEQ_CST))
			continue;
		if (turn & 1) {		/* in the guest, until an interrupt */
			while (!__atomic_load_n(&ipi, __ATOMIC_SEQ_CST))
				sched_yield();
			serve_ipi();
			continue;
		}
		/* HLT: parked until it was woken and can run. */
		while (!parked_can_run()) {
			while (!__atomic_exchange_n(&woken, 0, __ATOMIC_SEQ_CST)) {
				idles++;
				while (!__atomic_load_n(&ipi, __ATOMIC_SEQ_CST))
					sched_yield();
				serve_ipi();
			}
		}
		__atomic_fetch_or(&vcpu.requests, REQ_EVENT, __ATOMIC_SEQ_CST);
	}
	take(REQ_STOP);
}

static void test_no_wakeup_is_lost(void **state)
{
	pthread_t threads[SENDERS];

	for (uintptr_t i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send, (void *)i), 0);
	run_home();
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(merged, (u64)SENDERS * ROUNDS);
	assert_true(served && nmis && idles);
	assert_false(posted_outstanding(&posted));
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ticket_lock),
#ifdef HAS_POSTED
		cmocka_unit_test(test_no_wakeup_is_lost),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
