/* SPDX-License-Identifier: MIT */
/* Clearing a VM's RAM: all of it, nothing else, each piece once, also while other CPUs come and go. */
/* link: core/mem/guest_clear.c */
/* libs: -lpthread */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "arch/cpu/percpu.h"
#include "arch/mem/paging.h"
#include "core/mem/guest_clear.h"
#include "core/mem/guest_mem.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/log.h"

#define LOW	MIB(6)
#define HIGH	MIB(2)
#define BEHIND	4096u
#define HELPERS 3

static struct vm vm, other_vm;
static struct vcpu other_vcpu;
static u8 *low, *high;
static u64 us, us_per_pause;
static unsigned pauses, wakes;
static bool helps_in_pauses;
static unsigned helped;
static char shown[1024];

/* Each thread is a CPU. */
static __thread struct percpu cpu;
static __thread const struct address_space *space;
struct address_space kernel_space;

struct percpu *this_cpu(void) { return &cpu; }
void sched_wake_idle(void) { wakes++; }
u64 clock_us_since_boot(void) { return us; }
const char *vm_name(const struct vm *v) { return "vm"; }
void address_space_switch(const struct address_space *s) { space = s; }

void *guest_window(gpa_t gpa)
{
	assert_ptr_equal(space, &vm.space);
	return gpa < GUEST_HIGH_RAM ? low + gpa : high + (gpa - GUEST_HIGH_RAM);
}

void service_pause(void)
{
	const struct address_space *before = space;

	pauses++;
	us += us_per_pause;
	sched_yield();
	if (!helps_in_pauses)
		return;
	/* As another CPU would, between two pieces. */
	space = &other_vm.space;
	cpu.current_vcpu = &other_vcpu;
	helped += guest_mem_clear_help();
	assert_ptr_equal(space, &other_vm.space);
	cpu.current_vcpu = NULL;
	space = before;
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t used = strlen(shown);
	va_list args;

	va_start(args, format);
	vsnprintf(shown + used, sizeof(shown) - used, format, args);
	va_end(args);
}

static int set_up(void **state)
{
	memset(&vm, 0, sizeof(vm));
	vm.mem.low_size = LOW;
	vm.mem.high_size = HIGH;
	vm.mem.size = LOW + HIGH;
	other_vcpu.vm = &other_vm;
	low = malloc(LOW + BEHIND);
	high = malloc(HIGH + BEHIND);
	memset(low, 0x55, LOW + BEHIND);
	memset(high, 0x55, HIGH + BEHIND);
	us = us_per_pause = 0;
	pauses = wakes = helped = 0;
	helps_in_pauses = false;
	shown[0] = 0;
	space = &vm.space;
	return 0;
}

static int tear_down(void **state)
{
	free(low);
	free(high);
	return 0;
}

static void assert_cleared(void)
{
	for (u64 i = 0; i < LOW + BEHIND; i++)
		assert_int_equal(low[i], i < LOW ? 0 : 0x55);
	for (u64 i = 0; i < HIGH + BEHIND; i++)
		assert_int_equal(high[i], i < HIGH ? 0 : 0x55);
}

/* The CPU's other work is let through after each piece. */
static void all_of_it_is_zeroed(void **state)
{
	assert_false(guest_mem_clear_help());
	guest_mem_clear(&vm);
	assert_cleared();
	assert_int_equal(pauses, (LOW + HIGH) >> 17);
	assert_int_equal(wakes, 1);
	assert_false(guest_mem_clear_help());
}

/* A helper takes the pieces that come next; its own address space is back after each. */
static void others_take_pieces_in_between(void **state)
{
	helps_in_pauses = true;
	guest_mem_clear(&vm);
	assert_cleared();
	assert_int_equal(helped, (LOW + HIGH) >> 18);
	assert_int_equal(pauses, (LOW + HIGH) >> 18);
	/* And there is nothing left for the next VM's. */
	helps_in_pauses = false;
	memset(low, 0x55, LOW);
	memset(high, 0x55, HIGH);
	guest_mem_clear(&vm);
	assert_cleared();
}

/* A line every two seconds, so that a large VM's start is no silence of a quarter of a minute. */
static void a_long_clearing_is_reported(void **state)
{
	us_per_pause = 100000;
	guest_mem_clear(&vm);
	assert_non_null(strstr(shown, "clearing its memory: 2 of 8 MiB"));
	assert_non_null(strstr(shown, "clearing its memory: 5 of 8 MiB"));
	assert_null(strstr(shown, "memory: 3 of"));
}

/* --- CPUs that run at the same time --- */

static bool end;
static unsigned pieces;	/* atomic: that the threads have cleared */

static void *work(void *unused)
{
	while (!__atomic_load_n(&end, __ATOMIC_ACQUIRE)) {
		space = &kernel_space;
		__atomic_fetch_add(&pieces, guest_mem_clear_help(), __ATOMIC_RELAXED);
		if (space != &kernel_space)
			abort();
	}
	return NULL;
}

/* When it returns, nobody writes there any more: what is written then stays. */
static void nobody_clears_after_its_end(void **state)
{
	pthread_t threads[HELPERS];

	end = false;
	pieces = 0;
	for (unsigned i = 0; i < HELPERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
	/* On a busy build machine it may take a while until they get a turn. */
	for (unsigned round = 0; round < 20 || (round < 10000 && !__atomic_load_n(&pieces, __ATOMIC_RELAXED)); round++) {
		guest_mem_clear(&vm);
		assert_int_equal(low[0] | low[LOW - 1] | high[0] | high[HIGH - 1], 0);
		for (u64 i = 0; i < LOW; i += 4096)
			assert_int_equal(low[i], 0);
		memset(low, 0x55, LOW);
		memset(high, 0x55, HIGH);
	}
	usleep(1000);
	for (u64 i = 0; i < LOW; i += 4096)
		assert_int_equal(low[i], 0x55);
	__atomic_store_n(&end, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < HELPERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(pieces);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_of_it_is_zeroed),
		TEST(others_take_pieces_in_between),
		TEST(a_long_clearing_is_reported),
		TEST(nobody_clears_after_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
