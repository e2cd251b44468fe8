/* SPDX-License-Identifier: MIT */
/* The bound on a periodic source's rate: a ninth of the time is the guest's. */
/* link: core/pace.c tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* cflags: -DVM_MAX_VCPUS=4 */
#include "core/pace.h"

#include <string.h>

#include "fake_vm.h"

#define US 1000ull

static struct exit_statistics kinds[2];
static struct pace pace;

static int set_up(void **state)
{
	struct vm *vm = fake_create(0);

	memset(kinds, 0, sizeof(kinds));
	pace = (struct pace){ 0 };
	vm_bsp(vm)->statistics.by_kind[1] = &kinds[0];
	vm_bsp(vm)->statistics.by_kind[EXIT_KINDS - 1] = &kinds[1];
	*state = vm;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

/* What may come next, in ns, `period` us being set. */
static u64 tick(struct vm *vm, u64 period)
{
	fake_advance_ns(vm, 1000);
	return vtimer_to_ns(pace_next(&pace, vm_bsp(vm), "a source", vtimer_from_ns(period * US), vtimer_now()));
}

static void exits_take(unsigned kind, u64 us)
{
	kinds[kind].ticks += vtimer_from_ns(us * US);
}

/* Eight ninths are for the exits. */
static void a_tick_takes_its_exits_and_an_eighth_more(void **state)
{
	struct vm *vm = *state;

	exits_take(0, 777);		/* before the first tick */
	assert_int_equal(tick(vm, 20), 0);
	exits_take(0, 60);
	exits_take(1, 20);
	assert_in_range(tick(vm, 20), 89 * US, 90 * US);
	exits_take(1, 8);
	assert_in_range(tick(vm, 20), 8 * US, 9 * US);
	assert_in_range(tick(vm, 20), 0, 0);
	vm_bsp(vm)->entry_checks.ticks += vtimer_from_ns(40 * US);
	assert_in_range(tick(vm, 20), 44 * US, 45 * US);
}

static void it_is_told_once_and_only_where_it_matters(void **state)
{
	struct vm *vm = *state;

	tick(vm, 20);
	exits_take(0, 17);
	tick(vm, 20);
	assert_int_equal(fake_of(vm)->logged, 0);
	exits_take(0, 50);
	tick(vm, 20);
	assert_int_equal(fake_of(vm)->logged, 1);
	exits_take(0, 50);
	tick(vm, 20);
	assert_int_equal(fake_of(vm)->logged, 1);
}

static void long_periods_are_left_alone(void **state)
{
	struct vm *vm = *state;

	tick(vm, 501);
	exits_take(0, 5000);
	assert_int_equal(tick(vm, 501), 0);
	assert_int_equal(pace.tick, 0);
}

static void one_long_exit_does_not_stop_the_clock(void **state)
{
	struct vm *vm = *state;

	tick(vm, 20);
	exits_take(0, 1000000);
	assert_in_range(tick(vm, 20), 9999 * US, 10000 * US);
}

static void a_source_that_is_set_anew_begins_anew(void **state)
{
	struct vm *vm = *state;

	tick(vm, 20);
	exits_take(0, 1000);
	pace.tick = 0;
	assert_int_equal(tick(vm, 20), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tick_takes_its_exits_and_an_eighth_more),
		TEST(it_is_told_once_and_only_where_it_matters),
		TEST(long_periods_are_left_alone),
		TEST(one_long_exit_does_not_stop_the_clock),
		TEST(a_source_that_is_set_anew_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
