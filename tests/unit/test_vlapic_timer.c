/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer in its three modes. The expected values are from the Intel SDM, "APIC
 * Timer". The fake TSC runs at an odd frequency, so that rounding errors would show.
 */
/* link: dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c dev/irq/apic_bus.c */
/* link: dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
/* cflags: -DVM_MAX_VCPUS=4 */
#include "apic_fixture.h"

#define VECTOR	 0x31
#define PERIODIC 0x20000
#define DEADLINE 0x40000
#define BY_1	 0xb	/* divide configuration */

#define US 1000ull
#define MS 1000000ull

static int set_up(void **state)
{
	*state = apic_vm(1);
	return 0;
}

static void start(struct vm *vm, u32 lvt, u32 divide, u32 count)
{
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, lvt);
	apic_set(vm, 0, LAPIC_DIVIDE, divide);
	apic_set(vm, 0, LAPIC_INITIAL_COUNT, count);
}

static u32 count(struct vm *vm)
{
	return apic_get(vm, 0, LAPIC_CURRENT_COUNT);
}

/* Take the timer's interrupt if it is there. */
static bool interrupted(struct vm *vm)
{
	int vector = acknowledge(vm, 0);

	if (vector < 0)
		return false;
	assert_int_equal(vector, VECTOR);
	end_interrupt(vm, 0);
	return true;
}

static void assert_near(u64 value, u64 expected, u64 tolerance)
{
	assert_in_range(value, expected - MIN(expected, tolerance), expected + tolerance);
}

static void test_one_shot(void **state)
{
	struct vm *vm = *state;

	start(vm, VECTOR, BY_1, LAPIC_TIMER_HZ / 1000);
	assert_int_equal(apic_get(vm, 0, LAPIC_INITIAL_COUNT), LAPIC_TIMER_HZ / 1000);
	assert_near(count(vm), LAPIC_TIMER_HZ / 1000, 1);
	fake_advance_ns(vm, 400 * US);
	assert_near(count(vm), LAPIC_TIMER_HZ / 1000 * 6 / 10, 1);
	fake_advance_ns(vm, 599 * US);
	assert_false(interrupted(vm));
	assert_true(count(vm) > 0);
	fake_advance_ns(vm, 2 * US);
	assert_int_equal(count(vm), 0);
	assert_true(interrupted(vm));
	fake_advance_ns(vm, 100 * MS);
	assert_false(interrupted(vm));
	assert_int_equal(count(vm), 0);
	assert_true(fake_deadline(vm) == VTIMER_NEVER);
}

/* The interrupt does not come before the count is 0. */
static void test_count_is_zero_at_the_interrupt(void **state)
{
	struct vm *vm = *state;

	for (u32 initial = 1; initial < 3000; initial = initial * 5 / 3 + 1) {
		start(vm, VECTOR, BY_1, initial);
		fake_advance(vm, fake_deadline(vm) - vtimer_now() - 1);
		assert_false(interrupted(vm));
		assert_in_range(count(vm), 0, 1);
		fake_advance(vm, 1);
		assert_true(interrupted(vm));
		assert_int_equal(count(vm), 0);
	}
}

static void test_interrupt_at_the_first_tick_of_zero(void **state)
{
	static const u32 initials[] = { 1, 2, 999, 1000, 123457 };
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(initials); i++) {
		start(vm, VECTOR, BY_1, initials[i]);
		fake_advance(vm, fake_deadline(vm) - vtimer_now() - 1);
		assert_int_equal(count(vm), 1);
		fake_advance(vm, 1);
		assert_int_equal(count(vm), 0);
		assert_true(interrupted(vm));
	}
}

/* SDM, "APIC Timer": at 0 the counter is reloaded, so software never reads 0 there. */
static void test_periodic_reloads_at_zero(void **state)
{
	struct vm *vm = *state;

	start(vm, VECTOR | PERIODIC, BY_1, 100000);
	fake_advance(vm, fake_deadline(vm) - vtimer_now() - 1);
	assert_int_equal(count(vm), 1);
	fake_advance(vm, 1);
	assert_true(interrupted(vm));
	assert_int_equal(count(vm), 100000);
}

/* The first period after a change of the divider is what was left; the next ones are whole again. */
static void test_periodic_after_a_change_of_the_divider(void **state)
{
	struct vm *vm = *state;

	start(vm, VECTOR | PERIODIC, BY_1, LAPIC_TIMER_HZ / 100);	/* 10 ms */
	fake_advance_ns(vm, 7 * MS);
	apic_set(vm, 0, LAPIC_DIVIDE, 0);				/* by 2: 3 ms become 6 */
	fake_advance_ns(vm, 6 * MS + US);
	assert_true(interrupted(vm));
	fake_advance_ns(vm, 10 * MS - US);				/* half of a period of 20 ms */
	assert_near(count(vm), LAPIC_TIMER_HZ / 200, 2);
	fake_advance_ns(vm, 10 * MS - US);
	assert_false(interrupted(vm));
	fake_advance_ns(vm, 2 * US);
	assert_true(interrupted(vm));
}

static void test_initial_count_restarts(void **state)
{
	struct vm *vm = *state;

	start(vm, VECTOR, BY_1, LAPIC_TIMER_HZ / 100);
	fake_advance_ns(vm, 7 * MS);
	apic_set(vm, 0, LAPIC_INITIAL_COUNT, LAPIC_TIMER_HZ / 100);
	assert_near(count(vm), LAPIC_TIMER_HZ / 100, 1);
	assert_near(fake_deadline(vm) - vtimer_now(), vtimer_from_ns(10 * MS), 2);
}

/* Ticks of the TSC that a count of the timer takes. */
static u64 ticks_of(u64 counts)
{
	return vtimer_scale(counts, fake_hz, LAPIC_TIMER_HZ);
}

/* An expiry after the last value of the TSC never comes; it does not come early either. */
static void test_expiry_at_the_end_of_time(void **state)
{
	const u32 initial = 1000000;
	const u64 needed = ticks_of(initial) + 1;	/* ticks until the count is 0 */
	const struct {
		u64 left, deadline;
	} rows[] = {
		{ needed + 2, VTIMER_NEVER - 2 },
		{ needed + 1, VTIMER_NEVER - 1 },
		{ needed, VTIMER_NEVER },
		{ needed - 1, VTIMER_NEVER },
		{ needed - 2, VTIMER_NEVER },
		{ 10, VTIMER_NEVER },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vm *vm = apic_vm(1);

		fake_stall(vm, VTIMER_NEVER - rows[i].left - vtimer_now());
		start(vm, VECTOR, BY_1, initial);
		assert_true(fake_deadline(vm) == rows[i].deadline);
		fake_destroy(vm);
	}
}

static void test_dividers(void **state)
{
	static const struct {
		u8 encoding, divisor;
	} dividers[] = {
		{ 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 },
		{ 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 },
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(dividers); i++) {
		start(vm, VECTOR, dividers[i].encoding, 0xffffffff);
		fake_advance_ns(vm, 10 * MS);
		assert_near(0xffffffff - count(vm), LAPIC_TIMER_HZ / 100 / dividers[i].divisor, 1);
	}
}

static void test_divider_changes_while_counting(void **state)
{
	struct vm *vm = *state;

	start(vm, VECTOR, BY_1, LAPIC_TIMER_HZ / 100);	/* 10 ms */
	fake_advance_ns(vm, 5 * MS);
	apic_set(vm, 0, LAPIC_DIVIDE, 0);		/* the other half takes twice as long */
	assert_near(count(vm), LAPIC_TIMER_HZ / 200, 1);
	fake_advance_ns(vm, 9990 * US);
	assert_false(interrupted(vm));
	fake_advance_ns(vm, 20 * US);
	assert_true(interrupted(vm));
}

static void test_initial_count_zero_stops(void **state)
{
	struct vm *vm = *state;

	start(vm, VECTOR | PERIODIC, BY_1, 1000);
	apic_set(vm, 0, LAPIC_INITIAL_COUNT, 0);
	assert_int_equal(count(vm), 0);
	fake_advance_ns(vm, 10 * MS);
	assert_false(interrupted(vm));
}

static void test_periodic(void **state)
{
	struct vm *vm = *state;
	unsigned interrupts = 0;

	start(vm, VECTOR | PERIODIC, BY_1, LAPIC_TIMER_HZ / 1000);
	for (unsigned i = 0; i < 10000; i++) {
		fake_advance_ns(vm, 100 * US);
		interrupts += interrupted(vm);
		assert_in_range(count(vm), 1, LAPIC_TIMER_HZ / 1000);
	}
	assert_near(interrupts, 1000, 1);
}

/* Interrupts that a busy host delivers late merge; the later ones come when they would have. */
static void test_periodic_keeps_its_phase(void **state)
{
	struct vm *vm = *state;
	u64 begin = vtimer_now(), second;

	start(vm, VECTOR | PERIODIC, BY_1, LAPIC_TIMER_HZ / 1000);
	fake_advance_ns(vm, 500 * US);
	fake_stall(vm, vtimer_from_ns(7 * MS));
	assert_true(interrupted(vm));
	assert_false(interrupted(vm));
	assert_near(fake_deadline(vm) - begin, vtimer_from_ns(8 * MS), 3);

	/* After an hour of ticks there is still no drift. */
	fake_stall(vm, vtimer_from_ns(3600 * 1000 * MS));
	second = fake_deadline(vm) - begin;
	assert_near(vtimer_scale(second, LAPIC_TIMER_HZ, fake_hz) % (LAPIC_TIMER_HZ / 1000), 0, 1);
}

/* A guest cannot flood itself or the host with interrupts. */
static void test_shortest_period(void **state)
{
	struct vm *vm = *state;
	unsigned fired = 0;
	u64 end;

	start(vm, VECTOR | PERIODIC, BY_1, 1);
	end = vtimer_now() + vtimer_from_ns(10 * MS);
	while (fake_deadline(vm) < end) {
		fake_advance(vm, fake_deadline(vm) - vtimer_now());
		assert_true(fake_deadline(vm) > vtimer_now());
		fired++;
	}
	assert_in_range(fired, 400, 10 * MS / LAPIC_TIMER_MIN_PERIOD_NS + 1);
	assert_int_equal(count(vm), 1);
}

/* Where the exits of a tick take longer than its period, the guest has a ninth of the time nevertheless. */
static void test_shortest_period_on_a_slow_host(void **state)
{
	struct vm *vm = *state;
	struct exit_statistics exits = { 0 };
	u64 before = vtimer_now(), interval;

	vm_bsp(vm)->statistics.by_kind[7] = &exits;
	start(vm, VECTOR | PERIODIC, BY_1, 1);
	for (unsigned i = 0; i < 10; i++) {
		fake_advance(vm, fake_deadline(vm) - vtimer_now());
		before = vtimer_now();
		exits.ticks += vtimer_from_ns(80 * US);
	}
	interval = fake_deadline(vm) - before;
	assert_in_range(interval, vtimer_from_ns(89 * US), vtimer_from_ns(91 * US));
	/* One that is set to fewer ticks than that is as it was set, and so is one that is set anew. */
	apic_set(vm, 0, LAPIC_INITIAL_COUNT, LAPIC_TIMER_HZ / 10000);
	fake_advance(vm, fake_deadline(vm) - vtimer_now());
	before = vtimer_now();
	exits.ticks += vtimer_from_ns(70 * US);
	fake_advance(vm, fake_deadline(vm) - vtimer_now());
	assert_in_range(vtimer_now() - before, vtimer_from_ns(99 * US), vtimer_from_ns(101 * US));
	vm_bsp(vm)->statistics.by_kind[7] = NULL;
}

static void test_masked_counts_and_is_silent(void **state)
{
	struct vm *vm = *state;

	start(vm, VECTOR | PERIODIC | LVT_MASKED, BY_1, LAPIC_TIMER_HZ / 1000);
	assert_true(fake_deadline(vm) == VTIMER_NEVER);
	fake_advance_ns(vm, 3300 * US);
	assert_near(count(vm), LAPIC_TIMER_HZ / 1000 * 7 / 10, 1);
	assert_false(interrupted(vm));
	/* Unmasking does not bring back what was missed. */
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | PERIODIC);
	assert_false(interrupted(vm));
	fake_advance_ns(vm, 690 * US);
	assert_false(interrupted(vm));
	fake_advance_ns(vm, 20 * US);
	assert_true(interrupted(vm));
}

static void test_one_shot_that_ended_does_not_restart(void **state)
{
	struct vm *vm = *state;

	start(vm, VECTOR, BY_1, 1000);
	fake_advance_ns(vm, MS);
	assert_true(interrupted(vm));
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | PERIODIC);
	apic_set(vm, 0, LAPIC_DIVIDE, 0);
	fake_advance_ns(vm, MS);
	assert_false(interrupted(vm));
	assert_int_equal(count(vm), 0);
}

/* Let the clock run `ticks` past the timer's deadline, without the timer noticing. */
static void overslept(struct vm *vm, u64 ticks)
{
	u64 deadline = fake_deadline(vm);

	cpu(vm, 0)->timers.deadline = VTIMER_NEVER - 1; /* hide it from the fake's clock */
	fake_advance(vm, deadline - vtimer_now() + ticks);
	cpu(vm, 0)->timers.deadline = deadline;
}

/* Due already, and the host has not come to it: it happens with the vector that it had then. */
static void test_due_before_the_entry_changes(void **state)
{
	static const u64 late[] = { 0, 1, 10, 1000 };
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(late); i++) {
		start(vm, VECTOR, BY_1, 1000);
		overslept(vm, late[i]);
		apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, 0x99);
		assert_true(interrupted(vm));
		assert_false(interrupted(vm));
	}
}

/* --- TSC-deadline mode --- */

static u64 guest_tsc(struct vm *vm)
{
	return vcpu_guest_tsc(cpu(vm, 0), vtimer_now());
}

static void test_deadline(void **state)
{
	struct vm *vm = *state;
	u64 deadline;

	cpu(vm, 0)->tsc_offset = -vtimer_now(); /* the guest's TSC starts at 0 */
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	deadline = guest_tsc(vm) + 12345;
	assert_int_equal(msr_set(vm, 0, MSR_TSC_DEADLINE, deadline), 0);
	assert_int_equal(msr_value(vm, 0, MSR_TSC_DEADLINE), deadline);
	assert_int_equal(count(vm), 0);
	fake_advance(vm, 12344);
	assert_false(interrupted(vm));
	fake_advance(vm, 1);
	assert_true(interrupted(vm));
	assert_int_equal(msr_value(vm, 0, MSR_TSC_DEADLINE), 0);
	fake_advance(vm, 1000000);
	assert_false(interrupted(vm));
}

static void test_deadline_in_the_past(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	msr_set(vm, 0, MSR_TSC_DEADLINE, 1);
	assert_true(interrupted(vm));
	assert_int_equal(msr_value(vm, 0, MSR_TSC_DEADLINE), 0);
	assert_true(fake_deadline(vm) == VTIMER_NEVER);
}

/* The TSC has reached it: the interrupt comes with the write, not with a later exit. */
static void test_deadline_of_now(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	msr_set(vm, 0, MSR_TSC_DEADLINE, guest_tsc(vm));
	assert_true(interrupted(vm));
	assert_true(fake_deadline(vm) == VTIMER_NEVER);
}

static void test_deadline_disarmed(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	msr_set(vm, 0, MSR_TSC_DEADLINE, guest_tsc(vm) + 1000);
	msr_set(vm, 0, MSR_TSC_DEADLINE, 0);
	fake_advance(vm, 5000);
	assert_false(interrupted(vm));
}

static void test_deadline_far_away(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	msr_set(vm, 0, MSR_TSC_DEADLINE, ~0ull);
	assert_int_equal(msr_value(vm, 0, MSR_TSC_DEADLINE), ~0ull);
	fake_advance_ns(vm, 1000 * MS);
	assert_false(interrupted(vm));
}

/* The guest's TSC may run far ahead of the host's, or behind it. */
static void test_deadline_as_host_tsc(void **state)
{
	struct vm *vm = *state;
	u64 now = vtimer_now(), from_start = VTIMER_NEVER - now;
	const struct {
		u64 offset, deadline, host;
	} rows[] = {
		{ 0, now + 1, now + 1 },
		{ 0, 1ull << 63, 1ull << 63 },
		{ 0, VTIMER_NEVER - now, VTIMER_NEVER - now },
		{ 0, VTIMER_NEVER - 1, VTIMER_NEVER - 1 },
		{ 0, VTIMER_NEVER, VTIMER_NEVER },
		{ -now, 1, now + 1 },
		{ -now, 3 * now, 4 * now },
		{ -now, from_start - 1, VTIMER_NEVER - 1 },
		{ -now, from_start, VTIMER_NEVER },
		{ -now, from_start + 1, VTIMER_NEVER },
		{ -now, ~0ull, VTIMER_NEVER },
		{ now, 2 * now + 5, now + 5 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		cpu(vm, 0)->tsc_offset = rows[i].offset;
		apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
		msr_set(vm, 0, MSR_TSC_DEADLINE, rows[i].deadline);
		assert_true(fake_deadline(vm) == rows[i].host);
	}
}

static void test_count_is_zero_in_deadline_mode(void **state)
{
	struct vm *vm = *state;

	start(vm, VECTOR, BY_1, LAPIC_TIMER_HZ);
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	assert_int_equal(count(vm), 0);
	assert_int_equal(apic_get(vm, 0, LAPIC_INITIAL_COUNT), 0);
	assert_true(fake_deadline(vm) == VTIMER_NEVER);
}

/* It reads 0 from the tick on at which the TSC reaches it. */
static void test_masked_deadline_reads_zero_when_reached(void **state)
{
	struct vm *vm = *state;
	u64 deadline = guest_tsc(vm) + 1000;

	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE | LVT_MASKED);
	msr_set(vm, 0, MSR_TSC_DEADLINE, deadline);
	fake_advance(vm, 999);
	assert_int_equal(msr_value(vm, 0, MSR_TSC_DEADLINE), deadline);
	fake_advance(vm, 1);
	assert_int_equal(msr_value(vm, 0, MSR_TSC_DEADLINE), 0);
}

static void test_reset_disarms_the_deadline(void **state)
{
	struct vm *vm = *state;

	cpu(vm, 0)->tsc_offset = -vtimer_now(); /* the guest's TSC starts at 0 */
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	msr_set(vm, 0, MSR_TSC_DEADLINE, 100000);
	vm->irqchip->vcpu_reset(cpu(vm, 0), false);
	assert_int_equal(msr_value(vm, 0, MSR_TSC_DEADLINE), 0);
	assert_true(fake_deadline(vm) == VTIMER_NEVER);
	fake_advance(vm, 200000);
	assert_false(interrupted(vm));
}

static void test_the_clocks_do_not_mix(void **state)
{
	struct vm *vm = *state;

	/* In the other modes the MSR reads 0 and ignores writes; in this one the counter does. */
	msr_set(vm, 0, MSR_TSC_DEADLINE, guest_tsc(vm) + 1000);
	assert_int_equal(msr_value(vm, 0, MSR_TSC_DEADLINE), 0);
	start(vm, VECTOR | DEADLINE, BY_1, 1000);
	assert_int_equal(apic_get(vm, 0, LAPIC_INITIAL_COUNT), 0);
	fake_advance_ns(vm, MS);
	assert_false(interrupted(vm));

	/* A change of the clock disarms the timer. */
	msr_set(vm, 0, MSR_TSC_DEADLINE, guest_tsc(vm) + 1000);
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR);
	assert_int_equal(msr_value(vm, 0, MSR_TSC_DEADLINE), 0);
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	fake_advance(vm, 5000);
	assert_false(interrupted(vm));
	start(vm, VECTOR, BY_1, 1000);
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR);
	fake_advance_ns(vm, MS);
	assert_false(interrupted(vm));
}

static void test_masked_deadline_passes_silently(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE | LVT_MASKED);
	msr_set(vm, 0, MSR_TSC_DEADLINE, guest_tsc(vm) + 1000);
	fake_advance(vm, 5000);
	assert_int_equal(msr_value(vm, 0, MSR_TSC_DEADLINE), 0);
	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	fake_advance(vm, 5000);
	assert_false(interrupted(vm));
}

/* The deadline is a value of the guest's TSC: setting that moves it. */
static void test_deadline_follows_the_guest_tsc(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_TIMER, VECTOR | DEADLINE);
	msr_set(vm, 0, MSR_TSC_DEADLINE, guest_tsc(vm) + 10000);
	cpu(vm, 0)->tsc_offset -= 10000;
	vm->irqchip->tsc_changed(cpu(vm, 0));
	fake_advance(vm, 19999);
	assert_false(interrupted(vm));
	fake_advance(vm, 1);
	assert_true(interrupted(vm));

	msr_set(vm, 0, MSR_TSC_DEADLINE, guest_tsc(vm) + 10000);
	cpu(vm, 0)->tsc_offset += 20000;
	vm->irqchip->tsc_changed(cpu(vm, 0));
	fake_advance(vm, 1);
	assert_true(interrupted(vm));
}

static void test_reserved_mode_is_silent(void **state)
{
	struct vm *vm = *state;

	start(vm, VECTOR | PERIODIC | DEADLINE, BY_1, 1000);
	msr_set(vm, 0, MSR_TSC_DEADLINE, 1);
	fake_advance_ns(vm, 10 * MS);
	assert_false(interrupted(vm));
}

#define ON(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(test_one_shot),
		ON(test_count_is_zero_at_the_interrupt),
		ON(test_interrupt_at_the_first_tick_of_zero),
		ON(test_periodic_reloads_at_zero),
		ON(test_periodic_after_a_change_of_the_divider),
		ON(test_initial_count_restarts),
		cmocka_unit_test(test_expiry_at_the_end_of_time),
		ON(test_dividers),
		ON(test_divider_changes_while_counting),
		ON(test_initial_count_zero_stops),
		ON(test_periodic),
		ON(test_periodic_keeps_its_phase),
		ON(test_shortest_period),
		ON(test_shortest_period_on_a_slow_host),
		ON(test_masked_counts_and_is_silent),
		ON(test_one_shot_that_ended_does_not_restart),
		ON(test_due_before_the_entry_changes),
		ON(test_deadline),
		ON(test_deadline_in_the_past),
		ON(test_deadline_of_now),
		ON(test_deadline_disarmed),
		ON(test_deadline_far_away),
		ON(test_deadline_as_host_tsc),
		ON(test_count_is_zero_in_deadline_mode),
		ON(test_masked_deadline_reads_zero_when_reached),
		ON(test_reset_disarms_the_deadline),
		ON(test_the_clocks_do_not_mix),
		ON(test_masked_deadline_passes_silently),
		ON(test_deadline_follows_the_guest_tsc),
		ON(test_reserved_mode_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
