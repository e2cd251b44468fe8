/* SPDX-License-Identifier: MIT */
/* The option check=entries: what is counted and reported, and that nothing is without it. */
/* link: core/vm_log.c lib/log.c lib/string.c */
#include "tests/unit/trace_fixture.h"
#include "tests/unit/choice.h"

/* For the function that its option calls. */
#include "core/observe/entry_check.c"

static unsigned rules_broken;
static enum exit_fastpath outcome;
static bool forced;
static char order[8];	/* c: checked, r: run */

static u64 now;
u64 vtimer_now(void) { return now; }

static unsigned fake_check(struct vcpu *v, violation_sink *sink, void *context)
{
	now += 7;
	static const char *const names[] = { "rule.a", "rule.b", "rule.c", "rule.d", "rule.e", "rule.f" };

	strcat(order, "c");
	for (unsigned i = 0; i < rules_broken; i++) {
		struct violation violation = {
			.name = names[i], .text = "must not be", .section = "Checks", .values = "CR0 0x1",
		};

		sink(context, &violation);
		violation = (struct violation){ .name = NULL };
	}
	return rules_broken;
}

static enum exit_fastpath fake_run(struct vcpu *v, bool force)
{
	strcat(order, "r");
	forced = force;
	return outcome;
}

static const struct vcpu_ops ops = {
	.manual = "SDM", .vcpu_run = fake_run, .check_entry = fake_check,
};

static int set_up(void **state)
{
	fixture_set_up(&ops);
	check = CHECK_ENTRIES;
	vcpu.ops = entry_check_ops(&ops);
	rules_broken = 0;
	outcome = EXIT_FASTPATH_NONE;
	order[0] = '\0';
	return 0;
}

static void enter(unsigned broken, enum exit_fastpath result, enum entry_failure failure)
{
	order[0] = '\0';
	rules_broken = broken;
	outcome = result;
	vcpu.failure.kind = failure;
	assert_int_equal(vcpu.ops->vcpu_run(&vcpu, true), result);
	assert_string_equal(order, "cr");
	assert_true(forced);
}

static void without_the_option_nothing_changes(void **state)
{
	choose(&option_check, "off");
	assert_ptr_equal(entry_check_ops(&ops), &ops);
	entry_check_print(&vcpu);
	assert_int_equal(lines_shown(), 0);
	choose(&option_check, "entries");
	assert_ptr_not_equal(entry_check_ops(&ops), &ops);
}

static void a_good_entry_is_counted_but_not_logged(void **state)
{
	enter(0, EXIT_FASTPATH_NONE, ENTRY_OK);
	enter(0, EXIT_FASTPATH_REENTER_GUEST, ENTRY_OK);
	assert_int_equal(lines_shown(), 0);
	entry_check_print(&vcpu);
	assert_shown("web] vcpu 0: check: 2 entries checked, 0 alarms");
}

static void an_entry_against_the_rules_is_an_alarm(void **state)
{
	enter(2, EXIT_FASTPATH_NONE, ENTRY_OK);
	assert_shown("web] error: vcpu 0: check: entered in spite of rule.a: must not be (CR0 0x1)"
		     " [SDM, \"Checks\"]");
	assert_shown("entered in spite of rule.b");
	assert_int_equal(vcpu.entry_checks.alarms, 1);
}

static void a_refusal_that_a_rule_explains_is_none(void **state)
{
	enter(1, EXIT_FASTPATH_ENTRY_FAILED, ENTRY_INVALID_STATE);
	assert_shown("check: refused for rule.a: must not be (CR0 0x1)");
	enter(1, EXIT_FASTPATH_ENTRY_FAILED, ENTRY_VMFAIL_VALID);
	assert_int_equal(vcpu.entry_checks.alarms, 0);
	assert_int_equal(vcpu.entry_checks.made, 2);
	assert_int_equal(vcpu.entry_checks.ticks, 2 * 7);
}

static void a_refusal_without_a_rule_is_an_alarm(void **state)
{
	enter(0, EXIT_FASTPATH_ENTRY_FAILED, ENTRY_INVALID_STATE);
	assert_shown("check: refused, though no rule that Lamina knows was broken");
	enter(0, EXIT_FASTPATH_ENTRY_FAILED, ENTRY_VMFAIL_VALID);
	assert_int_equal(vcpu.entry_checks.alarms, 2);
}

/* Nothing in the state is to blame for these. */
static void other_failures_are_not_about_rules(void **state)
{
	enter(0, EXIT_FASTPATH_ENTRY_FAILED, ENTRY_MACHINE_CHECK);
	enter(0, EXIT_FASTPATH_ENTRY_FAILED, ENTRY_MSR_LOADING);
	enter(0, EXIT_FASTPATH_ENTRY_FAILED, ENTRY_VMFAIL_INVALID);
	assert_int_equal(vcpu.entry_checks.alarms, 0);
	assert_int_equal(lines_shown(), 0);
}

static void a_flood_is_counted_but_not_logged(void **state)
{
	for (unsigned i = 0; i < 1000; i++)
		enter(ARRAY_SIZE("abcde"), EXIT_FASTPATH_NONE, ENTRY_OK);
	assert_int_equal(vcpu.entry_checks.alarms, 1000);
	assert_int_equal(lines_shown(), REPORTED * KEPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_the_option_nothing_changes, set_up),
		cmocka_unit_test_setup(a_good_entry_is_counted_but_not_logged, set_up),
		cmocka_unit_test_setup(an_entry_against_the_rules_is_an_alarm, set_up),
		cmocka_unit_test_setup(a_refusal_that_a_rule_explains_is_none, set_up),
		cmocka_unit_test_setup(a_refusal_without_a_rule_is_an_alarm, set_up),
		cmocka_unit_test_setup(other_failures_are_not_about_rules, set_up),
		cmocka_unit_test_setup(a_flood_is_counted_but_not_logged, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
