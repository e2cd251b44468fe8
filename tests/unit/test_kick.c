/* SPDX-License-Identifier: MIT */
/* Requests of other CPUs: the first one makes the home CPU look, and none is lost between several senders. */
/* link: core/vcpu_kick.c */
/* libs: -lpthread */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/vcpu.h"

#define SENDERS 4
#define ROUNDS	20000u

static struct vcpu vcpu;
static u32 notified;		/* atomic */
static u32 requests_seen;	/* in the first notification: set before it is sent */

void sched_notify(struct vcpu *v)
{
	assert_ptr_equal(v, &vcpu);
	requests_seen = v->requests;
	__atomic_add_fetch(&notified, 1, __ATOMIC_SEQ_CST);
}

static int set_up(void **state)
{
	memset(&vcpu, 0, sizeof(vcpu));
	notified = requests_seen = 0;
	return 0;
}

static void the_first_request_notifies(void **state)
{
	static const u32 requests[] = {
		REQ_EVENT, REQ_TIMER, REQ_STOP, REQ_STATE, REQ_RESCHED, REQ_NMI, REQ_NMI_AGAIN, REQ_STARTUP, REQ_FLUSH_TLB,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		vcpu.requests = 0;
		vcpu_kick(&vcpu, requests[i]);
		assert_int_equal(vcpu.requests, requests[i]);
		assert_int_equal(notified, i + 1);
		assert_int_equal(requests_seen, requests[i]);
	}
}

/* The home CPU has not looked yet. */
static void further_ones_do_not(void **state)
{
	vcpu_kick(&vcpu, REQ_EVENT);
	vcpu_kick(&vcpu, REQ_EVENT);
	vcpu_kick(&vcpu, REQ_NMI);
	assert_int_equal(vcpu.requests, REQ_EVENT | REQ_NMI);
	assert_int_equal(notified, 1);
	vcpu.requests &= ~REQ_EVENT;	/* it has begun to */
	vcpu_kick(&vcpu, REQ_EVENT);
	assert_int_equal(notified, 1);
	vcpu.requests = 0;
	vcpu_kick(&vcpu, REQ_EVENT);
	assert_int_equal(notified, 2);
}

static u32 sent[SENDERS], taken[SENDERS], done;

static void *send(void *number)
{
	u32 n = (u32)(uintptr_t)number;

	for (u32 i = 0; i < ROUNDS; i++) {
		__atomic_add_fetch(&sent[n], 1, __ATOMIC_RELEASE);
		vcpu_kick(&vcpu, BIT(n));
	}
	__atomic_add_fetch(&done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* The home CPU sleeps until it is notified, clears a request, and then looks at what the sender has left. */
static void none_is_lost_between_several_senders(void **state)
{
	pthread_t threads[SENDERS];
	u32 seen = 0;

	for (u32 n = 0; n < SENDERS; n++)
		assert_int_equal(pthread_create(&threads[n], NULL, send, (void *)(uintptr_t)n), 0);
	for (;;) {
		bool last = __atomic_load_n(&done, __ATOMIC_ACQUIRE) == SENDERS;
		u32 now = __atomic_load_n(&notified, __ATOMIC_ACQUIRE);

		if (now != seen) {
			seen = now;
			while (vcpu_requested(&vcpu)) {
				u32 requests = __atomic_fetch_and(&vcpu.requests, 0, __ATOMIC_SEQ_CST);

				for (u32 n = 0; n < SENDERS; n++)
					if (requests & BIT(n))
						taken[n] = __atomic_load_n(&sent[n], __ATOMIC_ACQUIRE);
			}
		} else if (last) {
			break;
		}
	}
	for (u32 n = 0; n < SENDERS; n++) {
		pthread_join(threads[n], NULL);
		assert_int_equal(taken[n], ROUNDS);
	}
	assert_int_equal(vcpu.requests, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_request_notifies, set_up),
		cmocka_unit_test_setup(further_ones_do_not, set_up),
		cmocka_unit_test_setup(none_is_lost_between_several_senders, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
