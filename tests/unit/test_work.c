/* SPDX-License-Identifier: MIT */
/*
 * Work of a VM's devices: who does it, how long before the guest has its turn again, and, by threads under ThreadSanitizer,
 * that no work is done by two at the same time and that none is lost.
 */
/* link: core/work.c core/vcpu_kick.c */
/* libs: -lpthread */
/* cflags: -DVM_MAX_VCPUS=4 -fno-sanitize=address,undefined -fsanitize=thread --param tsan-distinguish-volatile=1 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "core/work.h"

/* READ_ONCE() and WRITE_ONCE() are volatile: they say that a race is meant. */
#define VOLATILE(size)						\
	void __tsan_volatile_read##size(void *at);		\
	void __tsan_volatile_write##size(void *at);		\
	void __tsan_volatile_read##size(void *at) { }		\
	void __tsan_volatile_write##size(void *at) { }
VOLATILE(1) VOLATILE(2) VOLATILE(4) VOLATILE(8) VOLATILE(16)

#define US 1000ull	/* the clock has 1 GHz */
#define VCPUS 3
#define WORKS 3

static struct percpu cpus[VCPUS + 1];	/* vCPU n is at home on CPU n; the last one has none */
static __thread struct percpu *here;
static struct vcpu vcpus[VCPUS];
static struct vm vm, other_vm;
static __thread u64 now;
static __thread unsigned windows;
static unsigned notified[VCPUS];	/* atomic */

struct job {
	struct vm_work work;
	u64 takes;		/* ticks of a portion */
	unsigned portions;	/* after so many there is no more */
	unsigned done;
	struct vm_work *posts;	/* in each portion */
	void (*during)(void);
	struct vcpu *by;
};
static struct job jobs[WORKS];

struct percpu *this_cpu(void) { return here; }
void irq_window(void) { windows++; }
u64 vtimer_now(void) { return now; }
u64 vtimer_from_ns(u64 ns) { return ns; }

void vtimer_init_on(struct vtimer *timer, struct vtimer_list *list, void (*fire)(struct vtimer *timer))
{
	*timer = (struct vtimer){ .list = list, .fire = fire };
}

void vtimer_arm(struct vtimer *timer, u64 deadline)
{
	timer->armed = true;
	timer->deadline = deadline;
}

void vtimer_cancel(struct vtimer *timer) { timer->armed = false; }

void sched_notify(struct vcpu *vcpu) { __atomic_add_fetch(&notified[vcpu->id], 1, __ATOMIC_SEQ_CST); }

static bool run_job(struct vm_work *work, struct vcpu *vcpu)
{
	struct job *job = container_of(work, struct job, work);

	job->by = vcpu;
	job->done++;
	now += job->takes;
	if (job->posts)
		vm_work_post(job->posts);
	if (job->during)
		job->during();
	return job->done < job->portions;
}

static int set_up(void **state)
{
	memset(&vm, 0, sizeof(vm));
	memset(&other_vm, 0, sizeof(other_vm));
	memset(cpus, 0, sizeof(cpus));
	memset(vcpus, 0, sizeof(vcpus));
	memset(jobs, 0, sizeof(jobs));
	memset(notified, 0, sizeof(notified));
	vm.vcpu_count = VCPUS;
	for (u32 i = 0; i < VCPUS; i++) {
		vcpus[i].vm = &vm;
		vcpus[i].id = i;
		vcpus[i].cpu = &cpus[i];
		vcpus[i].activity = VCPU_HALTED;
		vcpus[i].sched.state = SCHED_PARKED;
		vm.vcpus[i] = &vcpus[i];
		work_create(&vcpus[i]);
	}
	for (u32 i = 0; i < WORKS; i++) {
		jobs[i].takes = 20 * US;
		vm_work_init(&vm, &jobs[i].work, run_job);
	}
	here = &cpus[VCPUS];
	now = 1000000;
	windows = 0;
	return 0;
}

static void runs_guest(struct vcpu *vcpu)
{
	vcpu->activity = VCPU_RUNNING;
	vcpu->sched.state = SCHED_RUNNING;
	vcpu->cpu->running = vcpu;
	vcpu->entry_tsc = now;
}

/* The exit and the entry of a guest that runs for so long. */
static void guest_ran(struct vcpu *vcpu, u64 ticks)
{
	vcpu->entry_tsc = now;
	now += ticks;
	vcpu->exit_tsc = now;
}

static bool take_request(struct vcpu *vcpu)
{
	return __atomic_fetch_and(&vcpu->requests, ~REQ_WORK, __ATOMIC_SEQ_CST) & REQ_WORK;
}

/* As core/enter.c does. False: nothing was requested. */
static bool serve(struct vcpu *vcpu)
{
	here = vcpu->cpu;
	if (!take_request(vcpu))
		return false;
	work_serve(vcpu);
	return true;
}

/* --- whom a post asks --- */

static void the_vcpu_that_this_cpu_runs(void **state)
{
	runs_guest(&vcpus[1]);
	here = &cpus[1];
	vm_work_post(&jobs[0].work);
	assert_int_equal(vcpus[0].requests | vcpus[2].requests, 0);
	assert_int_equal(vcpus[1].requests, REQ_WORK);
	assert_int_equal(notified[1], 0);	/* its loop looks at its requests before the next entry */
	assert_true(serve(&vcpus[1]));
	assert_int_equal(jobs[0].done, 1);
	assert_ptr_equal(jobs[0].by, &vcpus[1]);
	assert_int_equal(windows, 1);
	assert_false(serve(&vcpus[1]));
}

static void not_a_vcpu_of_another_vm(void **state)
{
	struct vcpu stranger = { .vm = &other_vm, .cpu = &cpus[VCPUS] };

	cpus[VCPUS].running = &stranger;
	vm_work_post(&jobs[0].work);
	assert_int_equal(stranger.requests, 0);
	assert_int_equal(vcpus[0].requests, REQ_WORK);
	assert_int_equal(notified[0], 1);
}

static void one_that_idles_on_a_cpu_that_idles(void **state)
{
	struct vcpu stranger = { .vm = &other_vm };

	runs_guest(&vcpus[0]);
	cpus[1].running = &stranger;	/* vCPU 1 is parked, but its CPU has something else to do */
	vm_work_post(&jobs[0].work);
	assert_int_equal(vcpus[2].requests, REQ_WORK);
	assert_int_equal(notified[2], 1);
	assert_int_equal(vcpus[0].requests | vcpus[1].requests, 0);
}

static void one_that_idles_before_one_that_runs(void **state)
{
	struct vcpu stranger = { .vm = &other_vm };

	runs_guest(&vcpus[0]);
	runs_guest(&vcpus[2]);
	cpus[1].running = &stranger;
	vm_work_post(&jobs[0].work);
	assert_int_equal(vcpus[1].requests, REQ_WORK);
}

static void one_that_runs_before_one_that_waits_for_its_cpu(void **state)
{
	vcpus[0].sched.state = vcpus[2].sched.state = SCHED_QUEUED;
	runs_guest(&vcpus[1]);
	vm_work_post(&jobs[0].work);
	assert_int_equal(vcpus[1].requests, REQ_WORK);
	assert_int_equal(notified[1], 1);
}

static void else_the_boot_processor(void **state)
{
	for (unsigned i = 0; i < VCPUS; i++)
		vcpus[i].sched.state = SCHED_QUEUED;
	vm_work_post(&jobs[0].work);
	assert_int_equal(vcpus[0].requests, REQ_WORK);
}

static void a_second_post_asks_nobody(void **state)
{
	vm_work_post(&jobs[0].work);
	vm_work_post(&jobs[0].work);
	assert_int_equal(notified[0] + notified[1] + notified[2], 1);
	assert_true(serve(&vcpus[0]));
	assert_int_equal(jobs[0].done, 1);
	vm_work_post(&jobs[0].work);
	assert_int_equal(notified[0] + notified[1] + notified[2], 2);
}

/* --- how much, and when --- */

static void a_halted_vcpu_goes_on_until_nothing_is_left(void **state)
{
	unsigned turns = 0;

	jobs[0].portions = 50;
	vm_work_post(&jobs[0].work);
	while (serve(&vcpus[0]))
		turns++;
	assert_int_equal(jobs[0].done, 50);
	assert_int_equal(turns, 50);	/* the scheduler looks in between */
	assert_int_equal(windows, 50);
	assert_false(vcpus[0].work.timer.armed);
	assert_int_equal(jobs[0].work.state, 0);
}

static void a_running_guest_has_as_much_time_as_the_turn_took(void **state)
{
	jobs[0].portions = 3;
	for (unsigned i = 1; i < VCPUS; i++)
		vcpus[i].sched.state = SCHED_QUEUED;
	runs_guest(&vcpus[0]);
	here = &cpus[0];
	guest_ran(&vcpus[0], 5 * US);
	vm_work_post(&jobs[0].work);
	assert_true(serve(&vcpus[0]));
	assert_int_equal(jobs[0].done, 1);
	assert_int_equal(vcpus[0].requests, 0);		/* it is entered */
	assert_true(vcpus[0].work.timer.armed);
	assert_int_equal(vcpus[0].work.timer.deadline, now + 20 * US);
	/* Too early: another CPU asks. */
	guest_ran(&vcpus[0], 19 * US);
	vcpu_request(&vcpus[0], REQ_WORK);
	assert_true(serve(&vcpus[0]));
	assert_int_equal(jobs[0].done, 1);
	assert_int_equal(vcpus[0].work.timer.deadline, now + 1 * US);
	guest_ran(&vcpus[0], 1 * US);
	vcpus[0].work.timer.armed = false;
	vcpus[0].work.timer.fire(&vcpus[0].work.timer);
	assert_true(serve(&vcpus[0]));
	assert_int_equal(jobs[0].done, 2);
}

/* Short turns, and one that takes very long. */
static void the_guests_time_has_bounds(void **state)
{
	for (unsigned i = 1; i < VCPUS; i++)
		vcpus[i].sched.state = SCHED_QUEUED;
	runs_guest(&vcpus[0]);
	here = &cpus[0];
	jobs[0].portions = 3;
	jobs[0].takes = 1;
	guest_ran(&vcpus[0], 5 * US);
	vm_work_post(&jobs[0].work);
	serve(&vcpus[0]);
	assert_int_equal(vcpus[0].work.timer.deadline, now + 10 * US);
	jobs[0].takes = 70000 * US;
	guest_ran(&vcpus[0], 10 * US);
	vcpu_request(&vcpus[0], REQ_WORK);
	serve(&vcpus[0]);
	assert_int_equal(jobs[0].done, 2);
	assert_int_equal(vcpus[0].work.timer.deadline, now + 10000 * US);
}

/* What the guest itself asks for is done at once, because it has executed an instruction for it. */
static void a_doorbell_does_not_wait(void **state)
{
	for (unsigned i = 1; i < VCPUS; i++)
		vcpus[i].sched.state = SCHED_QUEUED;
	runs_guest(&vcpus[0]);
	here = &cpus[0];
	for (unsigned i = 1; i <= 5; i++) {
		guest_ran(&vcpus[0], 1);
		vm_work_post(&jobs[0].work);
		assert_true(serve(&vcpus[0]));
		assert_int_equal(jobs[0].done, i);
	}
}

/* Two works that post each other without end do not keep the guest from running. */
static void works_that_post_each_other(void **state)
{
	for (unsigned i = 1; i < VCPUS; i++)
		vcpus[i].sched.state = SCHED_QUEUED;
	runs_guest(&vcpus[0]);
	here = &cpus[0];
	jobs[0].posts = &jobs[1].work;
	jobs[1].posts = &jobs[0].work;
	guest_ran(&vcpus[0], 5 * US);
	vm_work_post(&jobs[0].work);
	for (unsigned turns = 1; turns < 20; turns++) {
		unsigned before = jobs[0].done + jobs[1].done;
		u64 deadline;

		/* What was posted meanwhile may ask once more, but it is not served before the guest's time is over. */
		while (serve(&vcpus[0]))
			;
		assert_in_range(jobs[0].done + jobs[1].done - before, 1, 3);
		assert_true(vcpus[0].work.timer.armed);
		deadline = vcpus[0].work.timer.deadline;
		assert_true(deadline >= now + 20 * US);
		guest_ran(&vcpus[0], deadline - now);
		vcpus[0].work.timer.armed = false;
		vcpus[0].work.timer.fire(&vcpus[0].work.timer);
	}
}

/* Others have had the CPU since the last turn, and the guest was not entered in between: its time begins now. */
static void preemption_is_no_time_of_the_guest(void **state)
{
	for (unsigned i = 1; i < VCPUS; i++)
		vcpus[i].sched.state = SCHED_QUEUED;
	runs_guest(&vcpus[0]);
	here = &cpus[0];
	jobs[0].portions = 10;
	guest_ran(&vcpus[0], 5 * US);
	vcpu_request(&vcpus[0], REQ_RESCHED);
	vm_work_post(&jobs[0].work);
	serve(&vcpus[0]);
	assert_int_equal(jobs[0].done, 1);
	assert_int_equal(vcpus[0].requests, REQ_RESCHED | REQ_WORK);
	vcpus[0].requests = REQ_WORK;
	now += 10000 * US;
	serve(&vcpus[0]);
	assert_int_equal(jobs[0].done, 1);
	assert_int_equal(vcpus[0].requests, 0);
	assert_int_equal(vcpus[0].work.timer.deadline, now + 20 * US);
}

static void another_vcpu_that_idles_goes_on(void **state)
{
	jobs[0].portions = 2;
	runs_guest(&vcpus[0]);
	here = &cpus[0];
	guest_ran(&vcpus[0], 5 * US);
	vm_work_post(&jobs[0].work);
	serve(&vcpus[0]);
	assert_false(vcpus[0].work.timer.armed);
	assert_int_equal(vcpus[1].requests, REQ_WORK);
	assert_int_equal(notified[1], 1);
	assert_true(serve(&vcpus[1]));
	assert_int_equal(jobs[0].done, 2);
	assert_ptr_equal(jobs[0].by, &vcpus[1]);
}

/* A turn ends after a tenth of a millisecond. The next one begins with the work that was not reached. */
static void all_works_get_their_turn(void **state)
{
	for (unsigned i = 0; i < WORKS; i++) {
		jobs[i].portions = ~0u;
		jobs[i].takes = 60 * US;
		vm_work_post(&jobs[i].work);
	}
	for (unsigned i = 0; i < 30; i++)
		assert_true(serve(&vcpus[0]));
	for (unsigned i = 0; i < WORKS; i++)
		assert_int_equal(jobs[i].done, 20);	/* two in each turn */
}

static void request_resched(void) { vcpu_request(&vcpus[0], REQ_RESCHED); }
static void request_stop(void) { vcpu_request(&vcpus[0], REQ_STOP); }
static void request_state(void) { vcpu_request(&vcpus[0], REQ_STATE); }

static void a_turn_ends_where_the_vcpu_is_wanted_for_something_else(void **state)
{
	static void (*const requests[])(void) = { request_resched, request_stop, request_state };

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		set_up(state);
		for (unsigned n = 0; n < WORKS; n++)
			vm_work_post(&jobs[n].work);
		jobs[0].during = jobs[1].during = jobs[2].during = requests[i];
		assert_true(serve(&vcpus[0]));
		assert_int_equal(jobs[0].done + jobs[1].done + jobs[2].done, 1);
		assert_true(vcpus[0].requests & REQ_WORK);	/* the others are not forgotten */
	}
}

static void post_again(void) { vm_work_post(&jobs[0].work); }

static void posted_while_it_runs(void **state)
{
	jobs[0].during = post_again;
	vm_work_post(&jobs[0].work);
	assert_true(serve(&vcpus[0]));
	jobs[0].during = NULL;
	assert_int_equal(jobs[0].done, 1);	/* not within itself */
	assert_true(serve(&vcpus[0]));
	assert_int_equal(jobs[0].done, 2);
	assert_false(serve(&vcpus[0]));
}

/* What a vCPU has done while it was halted, and for how long it was, is not held against what comes when its guest runs. */
static void after_a_halt_nothing_waits(void **state)
{
	for (unsigned i = 1; i < VCPUS; i++)
		vcpus[i].sched.state = SCHED_QUEUED;
	runs_guest(&vcpus[0]);
	guest_ran(&vcpus[0], 5 * US);
	vcpus[0].activity = VCPU_HALTED;
	vcpus[0].sched.state = SCHED_PARKED;
	now += 5000000 * US;
	vm_work_post(&jobs[0].work);
	vcpus[0].sched.since = now;
	assert_true(serve(&vcpus[0]));
	assert_int_equal(jobs[0].done, 1);
	vcpus[0].activity = VCPU_RUNNING;
	here = &cpus[VCPUS];
	vm_work_post(&jobs[0].work);
	assert_true(serve(&vcpus[0]));
	assert_int_equal(jobs[0].done, 2);
	/* The exit before the halt does not count. */
	assert_int_equal(vcpus[0].work.not_before, now + 20 * US);
}

static void a_guest_that_halts_lets_the_work_go_on(void **state)
{
	for (unsigned i = 1; i < VCPUS; i++)
		vcpus[i].sched.state = SCHED_QUEUED;
	runs_guest(&vcpus[0]);
	here = &cpus[0];
	jobs[0].portions = 2;
	guest_ran(&vcpus[0], 5 * US);
	vm_work_post(&jobs[0].work);
	serve(&vcpus[0]);
	assert_true(vcpus[0].work.timer.armed);
	guest_ran(&vcpus[0], 1 * US);
	vcpus[0].activity = VCPU_HALTED;
	work_resume(&vcpus[0]);
	assert_true(serve(&vcpus[0]));
	assert_int_equal(jobs[0].done, 2);
	assert_false(vcpus[0].work.timer.armed);
}

static void a_vm_without_work(void **state)
{
	vm.work = NULL;
	work_serve(&vcpus[0]);
	assert_int_equal(windows, 0);
}

/* --- threads --- */

#define POSTERS 3
#define ROUNDS	20000u

static u32 posted[POSTERS][WORKS];	/* what each poster has written before its posts: plain memory, read by the runs */
static u32 seen[WORKS][POSTERS];	/* by the runs of a work */
static u32 inside[WORKS];		/* atomic */
static u32 finished;			/* atomic: posters that have */

static bool run_stressed(struct vm_work *work, struct vcpu *vcpu)
{
	unsigned n = (unsigned)(container_of(work, struct job, work) - jobs);

	if (__atomic_fetch_add(&inside[n], 1, __ATOMIC_RELAXED))
		fail_msg("work %u is done by two", n);
	for (unsigned p = 0; p < POSTERS; p++)
		seen[n][p] = __atomic_load_n(&posted[p][n], __ATOMIC_RELAXED);
	jobs[n].done++;		/* not atomic: one at a time */
	__atomic_fetch_sub(&inside[n], 1, __ATOMIC_RELAXED);
	return jobs[n].done % 7 == 0;
}

static void *post_many(void *number)
{
	unsigned p = (unsigned)(uintptr_t)number;

	here = &cpus[VCPUS];
	for (u32 i = 1; i <= ROUNDS; i++) {
		unsigned n = i % WORKS;

		__atomic_store_n(&posted[p][n], i, __ATOMIC_RELAXED);
		vm_work_post(&jobs[n].work);
	}
	__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* A home CPU that sleeps until it is notified. */
static void *serve_many(void *number)
{
	struct vcpu *vcpu = &vcpus[(uintptr_t)number];
	unsigned heard = 0, idle = 0;

	here = vcpu->cpu;
	while (idle < 1000) {
		unsigned count = __atomic_load_n(&notified[vcpu->id], __ATOMIC_SEQ_CST);
		bool over = __atomic_load_n(&finished, __ATOMIC_SEQ_CST) == POSTERS;

		if (count != heard || vcpu->work.timer.armed || (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) && heard)) {
			heard = count;
			if (vcpu->work.timer.armed)
				work_resume(vcpu);
			while (take_request(vcpu))
				work_serve(vcpu);
			idle = 0;
		} else {
			idle += over;
			sched_yield();
		}
	}
	return NULL;
}

static void none_is_lost_and_none_is_done_by_two(void **state)
{
	pthread_t posters[POSTERS], homes[VCPUS];

	memset(posted, 0, sizeof(posted));
	memset(seen, 0, sizeof(seen));
	finished = 0;
	for (unsigned n = 0; n < WORKS; n++)
		jobs[n].work.run = run_stressed;
	for (uintptr_t i = 0; i < VCPUS; i++)
		assert_int_equal(pthread_create(&homes[i], NULL, serve_many, (void *)i), 0);
	for (uintptr_t p = 0; p < POSTERS; p++)
		assert_int_equal(pthread_create(&posters[p], NULL, post_many, (void *)p), 0);
	for (unsigned p = 0; p < POSTERS; p++)
		pthread_join(posters[p], NULL);
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_join(homes[i], NULL);
	for (unsigned n = 0; n < WORKS; n++) {
		for (unsigned p = 0; p < POSTERS; p++)
			assert_int_equal(seen[n][p], posted[p][n]);
		assert_int_equal(jobs[n].work.state, 0);
		assert_true(jobs[n].done > 0);
	}
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_vcpu_that_this_cpu_runs),
		TEST(not_a_vcpu_of_another_vm),
		TEST(one_that_idles_on_a_cpu_that_idles),
		TEST(one_that_idles_before_one_that_runs),
		TEST(one_that_runs_before_one_that_waits_for_its_cpu),
		TEST(else_the_boot_processor),
		TEST(a_second_post_asks_nobody),
		TEST(a_halted_vcpu_goes_on_until_nothing_is_left),
		TEST(a_running_guest_has_as_much_time_as_the_turn_took),
		TEST(the_guests_time_has_bounds),
		TEST(a_doorbell_does_not_wait),
		TEST(works_that_post_each_other),
		TEST(preemption_is_no_time_of_the_guest),
		TEST(another_vcpu_that_idles_goes_on),
		TEST(all_works_get_their_turn),
		TEST(a_turn_ends_where_the_vcpu_is_wanted_for_something_else),
		TEST(posted_while_it_runs),
		TEST(after_a_halt_nothing_waits),
		TEST(a_guest_that_halts_lets_the_work_go_on),
		TEST(a_vm_without_work),
		TEST(none_is_lost_and_none_is_done_by_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
