/* SPDX-License-Identifier: MIT */
/* Which level's operations a vCPU has, who chooses its events, and walks of L2's page tables. */
/* link: core/nested.c core/emulate/gwalk.c core/cpu/control.c core/vcpu.c tests/unit/fake_vcpu.c */
#include "fake_vcpu.h"

#include <string.h>

#include "core/nested.h"
#include "core/observe/trace_record.h"

#define MOVED	0x100000ull	/* L1 has put L2's memory so much higher */
#define TABLES	0x10000ull
#define PAGE	0x23000ull
#define ADDRESS 0x0000123456789abcull

static struct vcpu_ops of_l2;
static unsigned asked, refuse_at, for_tables, injected, chosen_by_l1;
static u32 last_access;
static bool complete, exits;

static bool l2_events(struct vcpu *vcpu)
{
	if (exits)
		nested_switch_to_l1(vcpu);
	return !complete;
}

bool event_inject(struct vcpu *vcpu)
{
	injected++;
	return false;
}

/* With an APIC by hardware L1 has more to do than that. */
static bool choose_for_l1(struct vcpu *vcpu)
{
	chosen_by_l1++;
	return false;
}

bool (*event_chooser(const struct vm *vm))(struct vcpu *vcpu)
{
	assert_ptr_equal(vm, &fake.vm);
	return choose_for_l1;
}

static int l2_gpa(struct vcpu *vcpu, gpa_t l2, gva_t gva, u32 access, bool table, gpa_t *gpa)
{
	assert_int_equal(gva, ADDRESS);
	for_tables += table;
	last_access = access;
	if (++asked == refuse_at)
		return -EFAULT;
	*gpa = l2 + MOVED;
	return 0;
}

static int set_up(void **state)
{
	fake_machine_create();
	of_l2 = *fake.vm.ops;
	of_l2.nested_events = l2_events;
	of_l2.nested_gpa = l2_gpa;
	fake.vm.l2_ops = &of_l2;
	fake.vcpu.choose_event = choose_for_l1;
	fake.vcpu.trace_head = 0x030200;
	asked = refuse_at = for_tables = injected = chosen_by_l1 = 0;
	exits = false;
	return 0;
}

static int tear_down(void **state)
{
	fake_machine_destroy();
	return 0;
}

static void test_levels(void **state)
{
	fake.vm.every_exit = false;
	nested_switch_to_l2(&fake.vcpu);
	assert_true(fake.vcpu.l2_runs);
	assert_ptr_equal(fake.vcpu.ops, &of_l2);
	assert_int_equal(fake.vcpu.every_exit, 1);
	assert_int_equal(fake.vcpu.trace_head, 0x030200 | TRACE_NESTED);

	/* L2's entry is not complete: nothing is chosen, and the entry is forced. Then what L2 gets; after an exit, what L1 gets. */
	complete = false;
	assert_true(fake.vcpu.choose_event(&fake.vcpu));
	assert_int_equal(injected, 0);
	complete = true;
	assert_false(fake.vcpu.choose_event(&fake.vcpu));
	assert_int_equal(injected, 1);
	assert_int_equal(chosen_by_l1, 0);
	exits = true;
	assert_false(fake.vcpu.choose_event(&fake.vcpu));
	assert_int_equal(injected, 1);
	assert_int_equal(chosen_by_l1, 1);

	assert_false(fake.vcpu.l2_runs);
	assert_ptr_equal(fake.vcpu.ops, fake.vm.ops);
	assert_int_equal(fake.vcpu.every_exit, 0);
	assert_int_equal(fake.vcpu.trace_head, 0x030200);
	assert_ptr_equal(fake.vcpu.choose_event, choose_for_l1);

	fake.vm.every_exit = true;	/* check=entries, trace.stop= */
	nested_switch_to_l2(&fake.vcpu);
	nested_switch_to_l1(&fake.vcpu);
	assert_int_equal(fake.vcpu.every_exit, 1);
}

/* Four levels of tables and a page, all at L2's addresses. */
static void map(void)
{
	fake_long_mode();
	for (unsigned level = 4; level; level--) {
		u64 *table = (u64 *)(fake.ram + MOVED + TABLES + level * 0x1000);
		u64 next = level > 1 ? TABLES + (level - 1) * 0x1000 : PAGE;

		table[ADDRESS >> (3 + 9 * level) & 511] = next | PTE_PRESENT | PTE_WRITE | PTE_USER;
	}
	fake.controls[CTL_CR0] = CR0_PE | CR0_PG;
	fake.controls[CTL_CR4] = CR4_PAE;
	fake.controls[CTL_EFER] = EFER_LME | EFER_LMA;
	fake.controls[CTL_CR3] = TABLES + 0x4000;
}

static void test_walk_of_l2(void **state)
{
	struct guest_fault fault;
	gpa_t gpa = 0;

	map();
	/* The tables of L1 itself have nothing there. */
	assert_int_equal(gwalk_translate(&fake.vcpu, ADDRESS, PF_WRITE, &gpa, &fault), -EFAULT);
	expect_fault(&fault, X86_PF, PF_WRITE, ADDRESS);
	assert_int_equal(asked, 0);

	nested_switch_to_l2(&fake.vcpu);
	assert_int_equal(gwalk_translate(&fake.vcpu, ADDRESS, PF_WRITE, &gpa, &fault), 0);
	assert_int_equal(gpa, MOVED + PAGE + (ADDRESS & 0xfff));
	assert_int_equal(asked, 5);
	assert_int_equal(for_tables, 4);
	assert_int_equal(last_access, PF_WRITE);
	assert_true(*(u64 *)(fake.ram + MOVED + TABLES + 0x1000 + 8 * (ADDRESS >> 12 & 511)) & PTE_DIRTY);

	for (refuse_at = 1; refuse_at <= 5; refuse_at++) {
		asked = 0;
		assert_int_equal(gwalk_translate(&fake.vcpu, ADDRESS, 0, &gpa, &fault), -EFAULT);
		assert_int_equal(fault.vector, GUEST_FAULT_NESTED);
		assert_int_equal(asked, refuse_at);
	}
}

static void test_l2_without_paging(void **state)
{
	struct guest_fault fault;
	gpa_t gpa = 0;

	fake_protected_mode(true);
	of_l2.nested_gpa = l2_gpa;
	nested_switch_to_l2(&fake.vcpu);
	fake.controls[CTL_EFER] = EFER_LME | EFER_LMA;	/* so that the address keeps its upper half */
	assert_int_equal(gwalk_translate(&fake.vcpu, ADDRESS, 0, &gpa, &fault), 0);
	assert_int_equal(gpa, ADDRESS + MOVED);
	of_l2.nested_gpa = NULL;			/* L1 has no nested paging for it: L2's addresses are L1's */
	assert_int_equal(gwalk_translate(&fake.vcpu, ADDRESS, 0, &gpa, &fault), 0);
	assert_int_equal(gpa, ADDRESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_walk_of_l2, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_l2_without_paging, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
