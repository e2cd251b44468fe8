/* SPDX-License-Identifier: MIT */
/*
 * The service thread, with the real switch of stacks: it runs when it was woken, pauses when its turn is
 * over, keeps its registers and the vCPU that it has loaded, and no wake-up is lost.
 */
/* link: core/service_switch.asm */
/* cflags: -z noexecstack */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/gdt.h"

static void between_steps(void);
#define __atomic_exchange_n(...) ({ between_steps(); __atomic_exchange_n(__VA_ARGS__); })
#define __atomic_load_n(...)     ({ between_steps(); __atomic_load_n(__VA_ARGS__); })

/* The host's stacks are at addresses that a program cannot have. */
static char stack_of_thread[STACK_SIZE] __aligned(16);
#define cpu_stack_top(cpu, stack) \
	(assert_int_equal(cpu, 0), assert_int_equal(stack, STACK_SERVICE), (u64)(stack_of_thread + STACK_SIZE))

#include "core/service.c"

#define MS 1000000ull

static struct percpu cpus[2];
static struct percpu *current;
static u64 now;
static struct vcpu vcpus[2];
static unsigned ipis;
static char diary[64];

struct percpu *this_cpu(void) { return current; }
u64 test_tsc(void) { return now; }
u64 vtimer_from_ns(u64 ns) { return ns; }

void lapic_send_fixed(u32 apic_id, u8 vector)
{
	assert_int_equal(apic_id, 6);
	assert_int_equal(vector, IRQ_VECTOR_KICK);
	ipis++;
}

void vcpu_switch_to(struct vcpu *vcpu)
{
	assert_ptr_equal(current, &cpus[0]);
	current->current_vcpu = vcpu;
}

static void note(char step)
{
	size_t used = strlen(diary);

	assert_true(used + 1 < sizeof(diary));
	diary[used] = step;
}

/* On the CPU's own stack: a handler that logs must not make the thread pause within it. */
static bool notes_windows;

void irq_window(void)
{
	assert_ptr_equal(current, &cpus[0]);
	assert_false(service_is_current());
	if (notes_windows)
		note('i');
}

/* --- another CPU, which wakes the thread at one of its steps --- */

static u64 steps, step_of_wake;

static void wake_by_another_cpu(void)
{
	struct percpu *before = current;

	current = &cpus[1];
	service_wake();
	current = before;
}

static void between_steps(void)
{
	if (current == &cpus[0] && ++steps == step_of_wake)
		wake_by_another_cpu();
}

/* --- the tests --- */

static int set_up(void **state)
{
	memset(&service, 0, sizeof(service));
	memset(cpus, 0, sizeof(cpus));
	memset(vcpus, 0, sizeof(vcpus));
	memset(diary, 0, sizeof(diary));
	memset(stack_of_thread, 0xa5, sizeof(stack_of_thread));
	cpus[0].apic_id = 6;
	cpus[1].index = 1;
	cpus[1].apic_id = 8;
	current = &cpus[0];
	now = 5000;
	ipis = 0;
	notes_windows = false;
	steps = step_of_wake = 0;
	return 0;
}

static bool on_its_stack(const void *address)
{
	return (const char *)address >= stack_of_thread && (const char *)address < stack_of_thread + STACK_SIZE;
}

/* Works once for each wake-up. */
static void worker(void)
{
	for (;;) {
		service_wait();
		note('w');
	}
}

static void checks_its_stack(void)
{
	char *frame = __builtin_frame_address(0);

	assert_true(on_its_stack(frame));
	/* System V ABI: aligned to 16 before the call, which has pushed an address, as the prologue has RBP. */
	assert_int_equal((uintptr_t)frame % 16, 0);
	note('b');
	for (;;) {
		service_wait();
		note('w');
	}
}

static void it_begins_on_its_own_stack(void **state)
{
	service_create(checks_its_stack);
	assert_string_equal(diary, "");
	assert_true(service_is_ready());
	service_run();
	assert_string_equal(diary, "bw");	/* it is woken at its creation */
	assert_false(service_is_ready());
	assert_false(on_its_stack(__builtin_frame_address(0)));
}

static void it_runs_once_for_each_wake_up(void **state)
{
	service_create(worker);
	service_run();
	assert_string_equal(diary, "w");
	for (unsigned i = 0; i < 5; i++) {
		assert_false(service_is_ready());
		service_wake();
		service_wake();
		assert_true(service_is_ready());
		service_run();
		assert_int_equal(strlen(diary), i + 2);
	}
	assert_int_equal(ipis, 0);
}

static void a_wake_up_by_another_cpu(void **state)
{
	service_create(worker);
	service_run();
	wake_by_another_cpu();
	assert_int_equal(ipis, 1);
	wake_by_another_cpu();
	assert_int_equal(ipis, 1);		/* it has not looked yet */
	assert_true(service_is_ready());
	current = &cpus[1];
	assert_false(service_is_ready());	/* it is the boot CPU's */
	current = &cpus[0];
	service_run();
	assert_string_equal(diary, "ww");
	wake_by_another_cpu();
	assert_int_equal(ipis, 2);
}

static void a_wake_up_ends_the_slice_of_a_vcpu(void **state)
{
	service_create(worker);
	service_run();
	cpus[0].running = &vcpus[0];
	service_wake();
	assert_int_equal(vcpus[0].requests, REQ_RESCHED);
	assert_int_equal(ipis, 0);
}

static void before_there_is_a_thread(void **state)
{
	service_wake();
	assert_int_equal(ipis, 0);
	assert_false(service_is_ready());
}

/* --- pausing --- */

static void works_in_pieces(void)
{
	service_wait();
	for (;;) {
		note('p');
		now += 2 * MS;
		service_pause();
	}
}

/* Five milliseconds are its turn; interrupts and timers are served within it, after a millisecond or more. */
static void it_pauses_at_the_end_of_its_turn(void **state)
{
	notes_windows = true;
	service_create(works_in_pieces);
	for (unsigned turn = 0; turn < 2; turn++) {
		assert_false(service_run());
		assert_string_equal(diary + turn * 6, "pi");
		assert_false(service_run());
		assert_true(service_run());
		assert_string_equal(diary + turn * 6, "pipipi");
		assert_true(service_is_ready());	/* it only pauses */
		now += 10 * MS;
	}
}

static void loads_and_pauses(void)
{
	service_wait();
	vcpu_switch_to(&vcpus[1]);
	now += 5 * MS;
	service_pause();
	assert_ptr_equal(current->current_vcpu, &vcpus[1]);
	note('v');
	service_wait();
	assert_null(current->current_vcpu);
	note('n');
	for (;;)
		service_wait();
}

/* While it pauses a vCPU of the CPU has run; while it waits it has none. */
static void its_vcpu_is_loaded_again(void **state)
{
	service_create(loads_and_pauses);
	service_run();
	assert_string_equal(diary, "");
	vcpu_switch_to(&vcpus[0]);		/* the scheduler runs another */
	service_run();
	assert_string_equal(diary, "v");
	assert_null(cpus[0].current_vcpu);
}

/* --- the registers that a call keeps --- */

#define FILL_AND_CHECK(base, call)							\
	do {										\
		u64 bad;								\
		__asm__ volatile("push %%rbp\n\tpush %%rbx\n\tpush %%r12\n\tpush %%r13\n\tpush %%r14\n\tpush %%r15\n\t" \
				 "lea 1(%1), %%rbx\n\tlea 2(%1), %%r12\n\tlea 3(%1), %%r13\n\t"	\
				 "lea 4(%1), %%r14\n\tlea 5(%1), %%r15\n\tmov %1, %%rbp\n\t"	\
				 "call " call "\n\t"							\
				 "xor %%eax, %%eax\n\tlea 1(%%rbp), %%rcx\n\tsub %%rbx, %%rcx\n\tor %%rcx, %%rax\n\t" \
				 "lea 2(%%rbp), %%rcx\n\tsub %%r12, %%rcx\n\tor %%rcx, %%rax\n\t" \
				 "lea 3(%%rbp), %%rcx\n\tsub %%r13, %%rcx\n\tor %%rcx, %%rax\n\t" \
				 "lea 4(%%rbp), %%rcx\n\tsub %%r14, %%rcx\n\tor %%rcx, %%rax\n\t" \
				 "lea 5(%%rbp), %%rcx\n\tsub %%r15, %%rcx\n\tor %%rcx, %%rax\n\t" \
				 "mov $" #base ", %%ecx\n\tsub %%rbp, %%rcx\n\tor %%rcx, %%rax\n\t" \
				 "pop %%r15\n\tpop %%r14\n\tpop %%r13\n\tpop %%r12\n\tpop %%rbx\n\tpop %%rbp" \
				 : "=a"(bad) : "D"((u64)base)					\
				 : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc"); \
		assert_int_equal(bad, 0);						\
	} while (0)

void thread_leaves(void);
void cpu_leaves(void);
__attribute__((used)) void thread_leaves(void) { service_switch(&service.own_stack, service.cpu_stack); }
__attribute__((used)) void cpu_leaves(void) { service_switch(&service.cpu_stack, service.own_stack); }

static void keeps_registers(void)
{
	for (;;) {
		FILL_AND_CHECK(0x5000, "thread_leaves");
		note('k');
	}
}

static void both_sides_keep_their_registers(void **state)
{
	service_create(keeps_registers);
	for (unsigned i = 0; i < 4; i++)
		FILL_AND_CHECK(0x7000, "cpu_leaves");
	assert_string_equal(diary, "kkk");
}

/* --- nothing is lost --- */

/*
 * The loop of the scheduler: it runs the thread while that is ready. Whatever step another CPU's wake-up comes
 * between, the thread works after it.
 */
static void no_step_loses_a_wake_up(void **state)
{
	for (u64 step = 1; ; step++) {
		size_t worked;

		set_up(state);
		service_create(worker);
		step_of_wake = step;
		for (unsigned i = 0; i < 3; i++) {
			if (i)
				service_wake();
			while (service_is_ready())
				service_run();
		}
		if (steps < step) {
			assert_true(step > 10);
			break;
		}
		worked = strlen(diary);
		/* Its own for each of the three; the other's may be together with one of them. */
		assert_in_range(worked, 3, 4);
		assert_false(service.woken);
		assert_true(service.waits);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_begins_on_its_own_stack),
		TEST(it_runs_once_for_each_wake_up),
		TEST(a_wake_up_by_another_cpu),
		TEST(a_wake_up_ends_the_slice_of_a_vcpu),
		TEST(before_there_is_a_thread),
		TEST(it_pauses_at_the_end_of_its_turn),
		TEST(its_vcpu_is_loaded_again),
		TEST(both_sides_keep_their_registers),
		TEST(no_step_loses_a_wake_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
