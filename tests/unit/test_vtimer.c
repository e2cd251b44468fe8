/* SPDX-License-Identifier: MIT */
/*
 * Timers of device models: order, whose deadline they move, the bound on what fires in one call, and the
 * arithmetic of time.
 */
/* link: tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#define NOW 1000

static struct vtimer timers[40];
static unsigned fired[64], fired_count;
static u64 rearm_at;	/* for the timer that arms itself again; 0: it does not */

static void fire(struct vtimer *timer)
{
	assert_false(timer->armed);
	assert_in_range(fired_count, 0, ARRAY_SIZE(fired) - 1);
	fired[fired_count++] = (unsigned)(timer - timers);
	if (rearm_at)
		vtimer_arm(timer, rearm_at);
}

static int set_up(void **state)
{
	struct vm *vm = fake_create(0);

	for (unsigned i = 0; i < ARRAY_SIZE(timers); i++)
		vtimer_init(&timers[i], vm_bsp(vm), fire);
	fired_count = 0;
	rearm_at = 0;
	*state = vm;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void a_new_timer_is_not_armed(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	assert_false(timers[0].armed);
	assert_int_equal(timers[0].deadline, VTIMER_NEVER);
	assert_ptr_equal(timers[0].list, &vcpu->timers);
	vtimer_cancel(&timers[0]);	/* nothing to cancel */
	assert_int_equal(vcpu->timer_deadline, VTIMER_NEVER);
}

static void the_earliest_deadline_counts(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	vtimer_arm(&timers[0], 300);
	assert_true(timers[0].armed);
	assert_int_equal(timers[0].deadline, 300);
	assert_int_equal(vcpu->timer_deadline, 300);
	vtimer_arm(&timers[1], 200);
	assert_int_equal(vcpu->timer_deadline, 200);
	vtimer_arm(&timers[2], 400);
	assert_int_equal(vcpu->timer_deadline, 200);
	vtimer_cancel(&timers[1]);
	assert_false(timers[1].armed);
	assert_int_equal(vcpu->timer_deadline, 300);
	vtimer_arm(&timers[0], 500);	/* moves it */
	assert_int_equal(vcpu->timer_deadline, 400);
	vtimer_cancel(&timers[0]);	/* the last one of the list */
	assert_int_equal(vcpu->timer_deadline, 400);
	vtimer_cancel(&timers[2]);
	assert_int_equal(vcpu->timer_deadline, VTIMER_NEVER);
	assert_null(vcpu->timers.first);
}

static void never_is_the_same_as_cancel(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	vtimer_arm(&timers[0], 300);
	vtimer_arm(&timers[0], VTIMER_NEVER);
	assert_false(timers[0].armed);
	assert_null(vcpu->timers.first);
	assert_int_equal(vcpu->timer_deadline, VTIMER_NEVER);
}

/* By deadline, and in the order of arming where that is equal; the one that is due now included. */
static void they_fire_in_order(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);
	const unsigned order[] = { 3, 0, 2, 1 };

	vtimer_arm(&timers[0], 500);
	vtimer_arm(&timers[1], NOW);
	vtimer_arm(&timers[2], 500);
	vtimer_arm(&timers[3], 400);
	vtimer_arm(&timers[4], NOW + 1);
	vtimer_run_expired(vcpu, NOW);
	assert_int_equal(fired_count, ARRAY_SIZE(order));
	assert_memory_equal(fired, order, sizeof(order));
	assert_int_equal(vcpu->timer_deadline, NOW + 1);
	assert_int_equal(vcpu->requests, 0);
	assert_true(timers[4].armed);
}

static void nothing_fires_early(void **state)
{
	vtimer_arm(&timers[0], NOW);
	vtimer_run_expired(vm_bsp(*state), NOW - 1);
	assert_int_equal(fired_count, 0);
	assert_true(timers[0].armed);
}

/* Sixteen in one call; the vCPU is asked to call again for the rest. */
static void many_are_left_for_the_next_call(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	for (unsigned i = 0; i < 20; i++)
		vtimer_arm(&timers[i], NOW - 20 + i);
	vtimer_run_expired(vcpu, NOW);
	assert_int_equal(fired_count, 16);
	assert_int_equal(vcpu->requests, REQ_TIMER);
	assert_int_equal(vcpu->timer_deadline, NOW - 4);
	vcpu->requests = 0;
	vtimer_run_expired(vcpu, NOW);
	assert_int_equal(fired_count, 20);
	assert_int_equal(vcpu->requests, 0);
}

static void one_that_stays_in_the_past_does_not_hang(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	rearm_at = NOW;
	vtimer_arm(&timers[0], NOW);
	vtimer_run_expired(vcpu, NOW);
	assert_int_equal(fired_count, 16);
	assert_int_equal(vcpu->requests, REQ_TIMER);
}

static void one_that_goes_on_in_the_future_fires_once(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	rearm_at = NOW + 1;
	vtimer_arm(&timers[0], NOW);
	vtimer_run_expired(vcpu, NOW);
	assert_int_equal(fired_count, 1);
	assert_int_equal(vcpu->timer_deadline, NOW + 1);
	assert_int_equal(vcpu->requests, 0);
}

/* --- timers that fire early --- */

#define ADVANCE 50

static void set_advance(struct vcpu *vcpu)
{
	vtimer_set_advance(&vcpu->timers, ADVANCE);
	vcpu->wait.advance = (struct advance *)vcpu;	/* only handed on */
	vcpu->entry_tsc = NOW - 2 * ADVANCE;
}

static void an_advance_moves_the_deadline(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	set_advance(vcpu);
	assert_int_equal(vcpu->timer_deadline, VTIMER_NEVER);
	vtimer_arm(&timers[0], NOW);
	assert_int_equal(vcpu->timer_deadline, NOW - ADVANCE);
	assert_int_equal(timers[0].deadline, NOW);
	vtimer_set_advance(&vcpu->timers, 0);
	assert_int_equal(vcpu->timer_deadline, NOW);
	vtimer_cancel(&timers[0]);
	set_advance(vcpu);
	assert_int_equal(vcpu->timer_deadline, VTIMER_NEVER);
}

/* One that is due later does not fire with it: the wait is until the first deadline. */
static void the_first_one_fires_early_and_the_entry_has_to_wait(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	set_advance(vcpu);
	vtimer_arm(&timers[0], NOW);
	vtimer_arm(&timers[1], NOW);
	vtimer_arm(&timers[2], NOW + 1);
	assert_true(vtimer_run(vcpu, NOW - ADVANCE - 1));
	assert_int_equal(fired_count, 0);
	assert_int_equal(vcpu->wait.until, 0);
	assert_true(vtimer_run(vcpu, NOW - ADVANCE));
	assert_int_equal(fired_count, 2);
	assert_int_equal(vcpu->wait.until, NOW);
	assert_ptr_equal(vcpu->wait.learner, vcpu);
	assert_int_equal(vcpu->requests, 0);
	assert_int_equal(vcpu->timer_deadline, NOW + 1 - ADVANCE);
}

/* What is no device's of the guest has nothing to wait for. */
static void others_on_the_list_do_not_fire_early(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	vtimer_init_on(&timers[0], &vcpu->timers, fire);
	set_advance(vcpu);
	vtimer_arm(&timers[0], NOW);
	assert_int_equal(vcpu->timer_deadline, NOW);
	assert_true(vtimer_run(vcpu, NOW - 1));
	assert_int_equal(fired_count, 0);
	assert_true(vtimer_run(vcpu, NOW));
	assert_int_equal(fired_count, 1);
	assert_int_equal(vcpu->wait.until, 0);
	assert_null(vcpu->wait.learner);
}

/* From outside the loop: the next entry goes through what waits. */
static void an_early_one_is_seen_to_at_the_next_entry(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	set_advance(vcpu);
	vtimer_arm(&timers[0], NOW);
	vtimer_run_expired(vcpu, NOW - 1);
	assert_int_equal(vcpu->requests, REQ_WAIT);
}

/* Armed so late that the guest was entered within the advance: what it took says nothing about the way. */
static void nothing_is_learnt_from_one_that_was_armed_late(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	set_advance(vcpu);
	vcpu->entry_tsc = NOW - ADVANCE;
	vtimer_arm(&timers[0], NOW);
	assert_true(vtimer_run(vcpu, NOW - 1));
	assert_int_equal(vcpu->wait.until, NOW);
	assert_null(vcpu->wait.learner);
	/* And if it is late, there is nothing to wait for either. */
	vcpu->wait.until = 0;
	vtimer_arm(&timers[0], NOW);
	assert_true(vtimer_run(vcpu, NOW));
	assert_int_equal(vcpu->wait.until, 0);
}

/* One that is late has been armed in time: how late it is teaches the most. */
static void a_late_one_is_learnt_from(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	set_advance(vcpu);
	vtimer_arm(&timers[0], NOW);
	assert_true(vtimer_run(vcpu, NOW + 500));
	assert_int_equal(vcpu->wait.until, NOW);
	assert_ptr_equal(vcpu->wait.learner, vcpu);
}

/* --- timers of the devices that the vCPUs share --- */

static void shared_fire(struct vtimer *timer)
{
	const struct vm *vm = container_of(timer->list, struct vm, timers);

	assert_int_not_equal(vm->lock.next, vm->lock.served);	/* held */
	fire(timer);
}

static void arm_shared(struct vm *vm, struct vtimer *timer, u64 deadline)
{
	vtimer_init_shared(timer, vm, shared_fire);
	spin_lock(&vm->lock);
	vtimer_arm(timer, deadline);
	spin_unlock(&vm->lock);
}

/* They run on the boot processor, with the VM lock held. */
static void shared_timers_run_on_the_boot_processor(void **state)
{
	struct vm *vm = *state;
	struct vcpu *bsp = vm_bsp(vm), *other = vm->vcpus[1];

	arm_shared(vm, &timers[0], NOW);
	assert_int_equal(bsp->timer_deadline, NOW);
	assert_int_equal(other->timer_deadline, VTIMER_NEVER);
	vtimer_run_expired(other, NOW);
	assert_int_equal(fired_count, 0);
	vtimer_run_expired(bsp, NOW - 1);
	assert_int_equal(fired_count, 0);
	vtimer_run_expired(bsp, NOW);
	assert_int_equal(fired_count, 1);
	assert_int_equal(bsp->timer_deadline, VTIMER_NEVER);
	assert_int_equal(bsp->requests, 0);
	assert_int_equal(vm->lock.next, vm->lock.served);
}

/* Another vCPU may get their interrupts, which waits for nothing. */
static void shared_timers_do_not_fire_early(void **state)
{
	struct vm *vm = *state;
	struct vcpu *bsp = vm_bsp(vm);

	set_advance(bsp);
	arm_shared(vm, &timers[0], NOW);
	assert_int_equal(bsp->timer_deadline, NOW);
	assert_true(vtimer_run(bsp, NOW - 1));
	assert_int_equal(fired_count, 0);
	assert_int_equal(bsp->wait.until, 0);
}

/* The earliest of own timers, shared timers and the end of the slice. */
static void the_deadline_of_a_vcpu(void **state)
{
	struct vm *vm = *state;
	struct vcpu *bsp = vm_bsp(vm), *other = vm->vcpus[1];

	vtimer_arm(&timers[0], 500);
	arm_shared(vm, &timers[1], 400);
	assert_int_equal(bsp->timer_deadline, 400);
	bsp->slice_end = 300;
	vtimer_limit_changed(bsp);
	assert_int_equal(bsp->timer_deadline, 300);
	vtimer_arm(&timers[2], 200);
	assert_int_equal(bsp->timer_deadline, 200);
	vtimer_cancel(&timers[2]);
	assert_int_equal(bsp->timer_deadline, 300);
	bsp->slice_end = VTIMER_NEVER;
	vtimer_limit_changed(bsp);
	assert_int_equal(bsp->timer_deadline, 400);
	vtimer_cancel(&timers[1]);
	assert_int_equal(bsp->timer_deadline, 500);

	other->slice_end = 250;
	vtimer_limit_changed(other);
	assert_int_equal(other->timer_deadline, 250);
	assert_int_equal(bsp->timer_deadline, 500);
}

/* It says so to the scheduler, and no timer fires for it. */
static void the_end_of_a_slice(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);

	vtimer_arm(&timers[0], NOW + 5);
	vcpu->slice_end = NOW;
	vtimer_limit_changed(vcpu);
	vtimer_run_expired(vcpu, NOW - 1);
	assert_int_equal(vcpu->requests, 0);
	vtimer_run_expired(vcpu, NOW);
	assert_int_equal(vcpu->requests, REQ_RESCHED);
	assert_int_equal(fired_count, 0);
}

/* Those that are left are asked for again, whichever list they are in. */
static void many_shared_ones(void **state)
{
	struct vm *vm = *state;
	struct vcpu *bsp = vm_bsp(vm);

	for (unsigned i = 0; i < 20; i++)
		arm_shared(vm, &timers[i], NOW);
	vtimer_run_expired(bsp, NOW);
	assert_int_equal(fired_count, 16);
	assert_int_equal(bsp->requests, REQ_TIMER);
	assert_int_equal(bsp->timer_deadline, NOW);
	bsp->requests = 0;
	vtimer_run_expired(bsp, NOW);
	assert_int_equal(fired_count, 20);
	assert_int_equal(bsp->requests, 0);
}

static unsigned changes;

static void count_change(struct vtimer_list *list)
{
	changes++;
}

/* A list of the host's own; its owner hears of each change of the first deadline and of no other. */
static void a_list_of_its_own(void **state)
{
	struct vtimer_list list = { .deadline = VTIMER_NEVER, .changed = count_change };

	changes = 0;
	for (unsigned i = 0; i < 4; i++)
		vtimer_init_on(&timers[i], &list, fire);
	vtimer_arm(&timers[0], NOW);
	assert_int_equal(list.deadline, NOW);
	assert_int_equal(changes, 1);
	vtimer_arm(&timers[1], NOW + 1);	/* behind it */
	vtimer_cancel(&timers[1]);
	vtimer_arm(&timers[2], NOW);		/* at the same time */
	assert_int_equal(changes, 1);
	vtimer_arm(&timers[3], NOW - 1);
	assert_int_equal(list.deadline, NOW - 1);
	assert_int_equal(changes, 2);
	assert_true(vtimer_list_run(&list, NOW));
	assert_int_equal(fired_count, 3);
	assert_int_equal(list.deadline, VTIMER_NEVER);
	assert_null(list.first);
	assert_int_equal(vm_bsp(*state)->timer_deadline, VTIMER_NEVER);
}

static void scale_has_128_bits_in_between(void **state)
{
	assert_int_equal(vtimer_scale(7, 10, 3), 23);
	assert_int_equal(vtimer_scale(1ull << 63, 6, 12), 1ull << 62);
	assert_int_equal(vtimer_scale(~0ull, 5, 5), ~0ull);
	assert_int_equal(vtimer_scale(0, ~0ull, 1), 0);
	/* A deadline that does not fit into 64 bits never comes. */
	assert_int_equal(vtimer_scale(1ull << 63, 2, 1), VTIMER_NEVER);
	assert_int_equal(vtimer_scale(1ull << 63, 4, 1), VTIMER_NEVER);
	assert_int_equal(vtimer_scale(1ull << 63, 2, 2), 1ull << 63);
}

static void time_is_the_tsc(void **state)
{
	struct vcpu *vcpu = vm_bsp(*state);
	u64 now = vtimer_now();

	fake_advance(*state, 12345);
	assert_int_equal(vtimer_now(), now + 12345);
	fake_hz = 2000000000;
	assert_int_equal(vtimer_hz(), 2000000000);
	assert_int_equal(vtimer_from_ns(50), 100);
	assert_int_equal(vtimer_to_ns(100), 50);
	vcpu->tsc_offset = -1000ull;
	assert_int_equal(vcpu_guest_tsc(vcpu, 5000), 4000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_timer_is_not_armed),
		TEST(the_earliest_deadline_counts),
		TEST(never_is_the_same_as_cancel),
		TEST(they_fire_in_order),
		TEST(nothing_fires_early),
		TEST(many_are_left_for_the_next_call),
		TEST(one_that_stays_in_the_past_does_not_hang),
		TEST(one_that_goes_on_in_the_future_fires_once),
		TEST(an_advance_moves_the_deadline),
		TEST(the_first_one_fires_early_and_the_entry_has_to_wait),
		TEST(others_on_the_list_do_not_fire_early),
		TEST(an_early_one_is_seen_to_at_the_next_entry),
		TEST(nothing_is_learnt_from_one_that_was_armed_late),
		TEST(a_late_one_is_learnt_from),
		TEST(shared_timers_run_on_the_boot_processor),
		TEST(shared_timers_do_not_fire_early),
		TEST(the_deadline_of_a_vcpu),
		TEST(the_end_of_a_slice),
		TEST(many_shared_ones),
		TEST(a_list_of_its_own),
		TEST(scale_has_128_bits_in_between),
		TEST(time_is_the_tsc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
