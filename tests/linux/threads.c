/* SPDX-License-Identifier: MIT */
/*
 * Threads of a Linux guest that check what its CPUs do together: a mutex and a condition variable (futexes, and so
 * IPIs that wake idle CPUs), pages whose protection and mapping change under running threads (TLB
 * shootdowns), pages shared by two mappings, the time of CLOCK_MONOTONIC and of RDTSC across threads, and sums.
 * Usage: threads [THREADS] [ROUNDS]; prints "threads: N threads, ROUNDS rounds: passed", or what is wrong.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define PAGE		4096
#define THREADS_MAX	64

static int threads = 4, rounds = 2000;
static atomic_int failures;

static void fail(const char *what)
{
	if (atomic_fetch_add(&failures, 1) < 10)
		printf("threads: wrong: %s\n", what);
}

static void pin(int thread)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(thread % sysconf(_SC_NPROCESSORS_ONLN), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("a thread cannot be pinned to its CPU");
}

static void on_all(void *(*function)(void *))
{
	pthread_t ids[THREADS_MAX];

	for (long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, function, (void *)i))
			fail("pthread_create");
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

/* --- each thread in turn, by a condition variable; a sum under the mutex --- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long turn, sum;

static void *take_turns(void *argument)
{
	long me = (long)argument;

	pin(me);
	for (int i = 0; i < rounds; i++) {
		pthread_mutex_lock(&mutex);
		while (turn % threads != me)
			pthread_cond_wait(&changed, &mutex);
		turn++;
		sum += me + 1;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

/* --- locked additions, and one mutex without order --- */

static atomic_long added;
static long plain;

static void *add(void *argument)
{
	pin((long)argument);
	for (int i = 0; i < rounds * 20; i++) {
		atomic_fetch_add(&added, 1);
		if (i % 8 == 0) {
			pthread_mutex_lock(&mutex);
			plain++;
			pthread_mutex_unlock(&mutex);
		}
	}
	return NULL;
}

/* --- time --- */

static atomic_ullong last_tsc, last_clock;

static unsigned long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void *watch_time(void *argument)
{
	pin((long)argument);
	for (int i = 0; i < rounds * 10; i++) {
		unsigned long long before = atomic_load(&last_tsc), tsc;
		unsigned long long clock_before = atomic_load(&last_clock), clock;

		_mm_lfence();
		tsc = __rdtsc();
		_mm_lfence();
		clock = now();
		if (tsc < before)
			fail("the TSC goes back from one CPU to another");
		if (clock < clock_before)
			fail("CLOCK_MONOTONIC goes back from one CPU to another");
		atomic_store(&last_tsc, tsc);
		atomic_store(&last_clock, clock);
	}
	return NULL;
}

/*
 * --- TLB shootdowns ---
 * Thread 0 makes a page read-only, after which no write of another thread may change it, then gives it back; and it
 * replaces the page by another, after which nobody may see the old contents.
 */

static volatile uint32_t *page;
static atomic_uint generation;		/* odd: the page is read-only */
static atomic_int shootdown_ends;
static __thread sigjmp_buf *volatile on_fault;

static void handle_fault(int signal)
{
	(void)signal;
	if (!on_fault)
		_exit(3);
	siglongjmp(*on_fault, 1);
}

static void change_page(void)
{
	for (int i = 0; i < rounds / 4; i++) {
		uint32_t before;

		if (mprotect((void *)page, PAGE, PROT_READ))
			fail("mprotect");
		atomic_fetch_add(&generation, 1);
		before = page[0];
		for (int j = 0; j < 200; j++)
			_mm_pause();
		if (page[0] != before)
			fail("a write reached a read-only page");
		atomic_fetch_add(&generation, 1);
		if (i % 2)
			mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE);
		else if (mmap((void *)page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			      -1, 0) == MAP_FAILED)
			fail("mmap");
		if (i % 3 == 0)
			sched_yield();
	}
	atomic_store(&shootdown_ends, 1);
}

static void *shoot_down(void *argument)
{
	sigjmp_buf here;

	pin((long)argument);
	if (!argument) {
		change_page();
		return NULL;
	}
	while (!atomic_load(&shootdown_ends)) {
		if (!sigsetjmp(here, 1)) {
			on_fault = &here;
			for (int j = 0; j < 50; j++)
				__atomic_fetch_add(&page[0], 1, __ATOMIC_RELAXED);
		}
		on_fault = NULL;
	}
	return NULL;
}

/* --- a page in two places --- */

static atomic_uint *left, *right;
static atomic_int arrived;

static void *share(void *argument)
{
	long me = (long)argument;
	atomic_uint *words = me & 1 ? right : left;

	pin(me);
	for (int i = 0; i < rounds; i++)
		atomic_fetch_add(&words[i % (PAGE / sizeof(*words))], me + 1);
	atomic_fetch_add(&arrived, 1);
	return NULL;
}

static void check_shared(void)
{
	unsigned long seen = 0;
	int file = memfd_create("shared", 0);

	if (file < 0 || ftruncate(file, PAGE))
		fail("memfd_create");
	left = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	right = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (left == MAP_FAILED || right == MAP_FAILED) {
		fail("mmap of the shared page");
		return;
	}
	on_all(share);
	for (size_t i = 0; i < PAGE / sizeof(*left); i++) {
		seen += left[i];
		if (left[i] != right[i])
			fail("two mappings of a page differ");
	}
	if (seen != (unsigned long)rounds * threads * (threads + 1) / 2)
		fail("the sum in the shared page");
}

int main(int count, char **arguments)
{
	if (count > 1)
		threads = atoi(arguments[1]);
	if (count > 2)
		rounds = atoi(arguments[2]);
	if (threads < 1 || threads > THREADS_MAX || rounds < 1) {
		printf("threads: bad arguments\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGSEGV, handle_fault);
	on_all(take_turns);
	if (turn != (long)rounds * threads || sum != (long)rounds * threads * (threads + 1) / 2)
		fail("the sum of the turns");
	on_all(add);
	if (added != (long)rounds * 20 * threads)
		fail("the sum of locked additions");
	if (plain != (long)(rounds * 20 + 7) / 8 * threads)
		fail("the sum under a mutex");
	on_all(watch_time);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		fail("mmap");
	else
		on_all(shoot_down);
	check_shared();
	printf("threads: %d threads, %d rounds: %s\n", threads, rounds, failures ? "FAILED" : "passed");
	return failures != 0;
}
