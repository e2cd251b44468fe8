/* SPDX-License-Identifier: MIT */
/*
 * Work of a VM's devices, on a CPU that runs the scheduler and the enter-guest loop: guests go on running, other VMs
 * get their share, a pause and an end are honoured, and no step loses what another CPU posts.
 */
/* link: core/vcpu_kick.c core/vtimer.c lib/string.c */
#include "sched_steps.h"

#include "core/advance.c"
#include "core/enter.c"
#include "core/sched.c"
#include "core/work.c"

#include "sched_machine.h"

static struct guest *const A = &guests[0], *const B = &guests[1];

#define PORTION 50000ull

static u64 portion;

static struct vm_work work;
static unsigned portions, endless;
static u64 worked, posted_work, seen_work;

static bool run_work(struct vm_work *w, struct vcpu *vcpu)
{
	assert_ptr_equal(w, &work);
	assert_ptr_equal(vcpu->vm, &vms[0]);
	assert_ptr_equal(space, &vms[0].space);		/* its guest's memory is within reach */
	assert_true(guest_of(vcpu)->loaded);
	assert_int_equal(vms[0].state, VM_RUNNING);
	seen_work = posted_work;
	portions++;
	worked += portion;
	advance_to(now + portion);
	return endless;
}

static u64 posted_work_at;

static void post_work(void)
{
	posted_work++;
	posted_work_at = now;
	vm_work_post(&work);
}

static void add_work(void)
{
	portions = endless = 0;
	portion = PORTION;
	worked = posted_work = seen_work = 0;
	vm_work_init(&vms[0], &work, run_work);
	for (u32 i = 0; i < vms[0].vcpu_count; i++)
		work_create(vms[0].vcpus[i]);
}

static void a_guest_with_endless_work_goes_on_running(void **state)
{
	add_guest(0, 0);
	add_work();
	endless = 1;
	act_at(2 * MS, post_work);
	start_vm(0);
	run_until(102 * MS);
	/* About half of the time, less what entries and exits take. */
	assert_in_range(A->ran - 2 * MS, 40 * MS, 70 * MS);
	assert_in_range(worked, 30 * MS, 55 * MS);
}

/*
 * Its time begins when the work's turn ends, and lasts at least 10 us: what timers of the guest's may fire too early by is no
 * part of the turn.
 */
static void a_guest_gets_its_time_though_its_timers_fire_early(void **state)
{
	advances = true;
	machine_tear_down(state);
	machine_set_up(state);
	add_guest(0, 0);
	add_work();
	cpus[0].sched->awake.ticks = 10000;
	portion = 2000;
	endless = 1;
	act_at(2 * MS, post_work);
	start_vm(0);
	run_until(102 * MS);
	advances = false;
	assert_true(portions > 5000);
	assert_true(A->ran - 2 * MS > portions * 9500ull);
}

static void its_timer_comes_in_time(void **state)
{
	add_guest(0, 0)->burst = MS / 3;
	A->sleep = MS / 2;
	add_work();
	endless = 1;
	act_at(2 * MS, post_work);
	start_vm(0);
	run_until(102 * MS);
	assert_in_range(A->latency, 0, 200000);		/* two portions and their exits */
	assert_true(A->taken > 50);
	assert_true(worked > 40 * MS);			/* it goes on while the guest sleeps */
}

static void a_halted_guest_does_its_work_without_a_pause(void **state)
{
	add_guest(0, 0)->burst = MS;
	add_work();
	endless = 1;
	act_at(2 * MS, post_work);
	start_vm(0);
	run_until(102 * MS);
	assert_in_range(worked, 95 * MS, 100 * MS);
	assert_int_equal(A->taken, 0);
}

static void another_vm_gets_its_share(void **state)
{
	add_guest(0, 0)->burst = MS;
	add_guest(1, 1);
	add_work();
	endless = 1;
	act_at(2 * MS, post_work);
	start_vm(0);
	start_vm(1);
	run_until(202 * MS);
	assert_in_range(B->ran, 80 * MS, 110 * MS);
	assert_in_range(worked, 80 * MS, 110 * MS);
}

static void one_that_waits_for_its_start_does_it(void **state)
{
	add_guest(0, 0);
	add_guest(1, 0);
	add_work();
	B->vcpu.activity = VCPU_WAIT_FOR_SIPI;
	act_at(2 * MS, post_work);
	start_vm(0);
	run_until(52 * MS);
	assert_int_equal(seen_work, 1);
	assert_int_equal(B->ran, 0);
}

static void set_state_of_a(u32 vm_state)
{
	vms[0].state = vm_state;
	vcpu_request(&A->vcpu, REQ_STATE);
	sched_notify(&A->vcpu);
}

static void pause_a(void) { set_state_of_a(VM_PAUSED); }
static void resume_a(void) { set_state_of_a(VM_RUNNING); }
static void end_a(void) { vm_end(&vms[0], VM_END_STOPPED, "the test ends it"); }

static unsigned portions_before;
static void note_portions(void) { portions_before = portions; }
static void no_portions_since(void) { assert_int_equal(portions, portions_before); }

/* run_work() fails the test if the VM is not running. */
static void the_work_of_a_paused_vm_waits(void **state)
{
	add_guest(0, 0)->burst = MS;
	A->sleep = MS;
	add_work();
	act_at(5 * MS, pause_a);
	act_at(6 * MS, note_portions);
	act_at(7 * MS, post_work);
	act_at(19 * MS, no_portions_since);
	act_at(20 * MS, resume_a);
	start_vm(0);
	run_until(30 * MS);
	assert_int_equal(seen_work, 1);
}

static void a_vm_ends_with_work_pending(void **state)
{
	add_guest(0, 0);
	add_work();
	endless = 1;
	act_at(2 * MS, post_work);
	act_at(5 * MS, end_a);
	act_at(6 * MS, post_work);	/* nobody is there any more */
	start_vm(0);
	run_until(20 * MS);
	assert_true(portions > 10);
	assert_true(A->released);
	assert_int_equal(vms[0].active, 0);
}

/* --- nothing is lost, whichever step it comes between --- */

static void build_sleeper(void)
{
	add_guest(0, 0)->burst = MS / 2;
	A->sleep = MS;
	add_work();
	start_vm(0);
}

static void build_crowd(void)
{
	add_guest(0, 0)->burst = 5 * MS;
	A->sleep = 4 * MS;
	add_guest(1, 1);
	add_work();
	start_vm(0);
	start_vm(1);
}

static void no_step_loses_a_post(void **state)
{
	static void (*const builds[])(void) = { build_sleeper, build_crowd };
	static const u64 durations[] = { 6 * MS, 40 * MS };
	void *unused = NULL;

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(builds); i++) {
		in_hardware = i / 2;
		for (u64 step = 1;; step++) {
			machine_tear_down(&unused);
			machine_set_up(&unused);
			builds[i % 2]();
			steps = 0;
			step_of_action = step;
			step_action = post_work;
			run_until(durations[i % 2]);
			if (!step_done) {
				assert_true(step > 100);
				break;
			}
			/* One slice of the other guest may come before it. */
			if (seen_work != posted_work && posted_work_at + 2 * SLICE < durations[i % 2])
				fail_msg("step %llu: what was posted is not done", (unsigned long long)step);
		}
	}
	in_hardware = false;
}

static int hardware_set_up(void **state)
{
	in_hardware = true;
	return machine_set_up(state);
}

static int software_set_up(void **state)
{
	in_hardware = false;
	return machine_set_up(state);
}

#define TEST_BOTH(name) cmocka_unit_test_setup_teardown(name, software_set_up, machine_tear_down), \
	{ #name " (deadline in hardware)", name, hardware_set_up, machine_tear_down, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(a_guest_with_endless_work_goes_on_running),
		TEST_BOTH(a_guest_gets_its_time_though_its_timers_fire_early),
		TEST_BOTH(its_timer_comes_in_time),
		TEST_BOTH(a_halted_guest_does_its_work_without_a_pause),
		TEST_BOTH(another_vm_gets_its_share),
		TEST_BOTH(one_that_waits_for_its_start_does_it),
		TEST_BOTH(the_work_of_a_paused_vm_waits),
		TEST_BOTH(a_vm_ends_with_work_pending),
		cmocka_unit_test_setup_teardown(no_step_loses_a_post, software_set_up, machine_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
