/* SPDX-License-Identifier: MIT */
/* Task switches that exit under SVM. AMD APM vol. 2, "Task Switch Intercept", "EXITINTINFO". */
/* link: svm/task.c tests/unit/fake_cpu.c */
#include "fake_cpu.h"

#include <string.h>

#include "arch/cpu/x86.h"
#include "core/emulate/emulate.h"
#include "core/emulate/task.h"
#include "svm/nested/nested.h"
#include "svm/svm.h"

struct svm_features svm_features;

#define INTERCEPT_OF_TASK_SWITCHES BIT(29)
#define IRET BIT_ULL(36)
#define JMP  BIT_ULL(38)
#define CODE BIT_ULL(44)
#define VALID BIT_ULL(31)

static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;
static struct task_switch seen;
static bool succeeds, fetched;
static unsigned switches, irets_done, steps_ended, nmis_delivered;

int emulate_fetch(struct vcpu *v, struct insn *insn)
{
	*insn = (struct insn){ .length = 2 };
	return fetched ? 0 : -EFAULT;
}

bool emulate_task_switch(struct vcpu *v, const struct task_switch *task_switch)
{
	seen = *task_switch;
	switches++;
	v->events.reinject.type = EVENT_NONE;
	return succeeds;
}

void svm_iret_done(struct vcpu *v) { irets_done++; }
void svm_end_step(struct vcpu *v) { svm.stepping = false; steps_ended++; }
void svm_nmi_delivered(struct vcpu_svm *s) { nmis_delivered++; }

static int set_up(void **state)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	svm.vmcb = &vmcb;
	vmcb.control.clean = CLEAN_ALL;
	vmcb.control.intercept_misc1 = ~INTERCEPT_OF_TASK_SWITCHES;
	vmcb.control.int_state = 1;
	succeeds = fetched = true;
	switches = irets_done = steps_ended = nmis_delivered = 0;
	return 0;
}

static void they_exit_on_demand(void **state)
{
	svm_await_task_switch(vcpu);
	assert_int_equal(vmcb.control.intercept_misc1, ~0u);
	assert_int_equal(vmcb.control.clean, CLEAN_ALL & ~CLEAN_INTERCEPTS);
	vmcb.control.clean = CLEAN_ALL;
	svm_handle_task_switch(vcpu);
	assert_int_equal(vmcb.control.intercept_misc1, ~INTERCEPT_OF_TASK_SWITCHES);
	assert_int_equal(vmcb.control.clean, CLEAN_ALL & ~CLEAN_INTERCEPTS);
	assert_int_equal(vmcb.control.int_state, 0);
}

static void what_has_switched(void **state)
{
	static const struct {
		u64 info2, int_info;
		u8 reinject;
		struct task_switch expected;
	} rows[] = {
		{ IRET, 0, EVENT_NONE, { .source = TASK_IRET, .length = 2 } },
		{ JMP, 0, EVENT_NONE, { .source = TASK_JMP, .length = 2 } },
		{ 0, 0, EVENT_NONE, { .source = TASK_CALL, .length = 2 } },
		{ 0, VALID | 0x031, EVENT_INTERRUPT, { .source = TASK_GATE, .external = true } },
		{ 0, VALID | 0x202, EVENT_NMI, { .source = TASK_GATE, .external = true } },
		{ CODE | 0x18, VALID | 0x18ull << 32 | 0xb0d, EVENT_EXCEPTION,
		  { .source = TASK_GATE, .external = true, .has_error_code = true, .error_code = 0x18 } },
		{ 0, VALID | 0x480, EVENT_NONE, { .source = TASK_GATE, .length = 2 } },
		{ 0, VALID | 0x303, EVENT_NONE, { .source = TASK_GATE, .length = 2 } },
		{ 0, VALID | 0x304, EVENT_NONE, { .source = TASK_GATE, .length = 2 } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		vmcb.control.exit_info1 = 0x28;
		vmcb.control.exit_info2 = rows[i].info2;
		vmcb.control.exit_int_info = rows[i].int_info;
		vcpu->events.reinject.type = rows[i].reinject;
		svm_handle_task_switch(vcpu);
		assert_int_equal(switches, 1);
		assert_int_equal(seen.selector, 0x28);
		assert_int_equal(seen.source, rows[i].expected.source);
		assert_int_equal(seen.length, rows[i].expected.length);
		if (seen.source == TASK_GATE)
			assert_int_equal(seen.external, rows[i].expected.external);
		assert_int_equal(seen.has_error_code, rows[i].expected.has_error_code);
		assert_int_equal(seen.error_code, rows[i].expected.error_code);
		assert_int_equal(nmis_delivered, rows[i].reinject == EVENT_NMI);
	}
}

/*
 * What L1 injects into L2 comes from no instruction of L2's: nsvm_keep_injection() has had it injected again, and has set the next
 * RIP. And its NMIs block none of its processor's.
 */
static void what_l1_injects(void **state)
{
	static struct svm_nested nested;

	svm.nested = &nested;
	vcpu->l2_runs = true;
	fetched = false;
	for (unsigned nrip = 0; nrip < 2; nrip++) {
		svm_features.nrip_save = nrip;
		vcpu->exit_rip = 0x1000;
		vmcb.control.next_rip = 0x1003;
		vmcb.control.exit_int_info = VALID | 0x480;
		vcpu->events.reinject.type = EVENT_SOFT_INTERRUPT;
		svm_handle_task_switch(vcpu);
		assert_int_equal(switches, 1 + nrip);
		assert_int_equal(seen.source, TASK_GATE);
		assert_int_equal(seen.length, nrip ? 3 : 0);
	}
	svm_features.nrip_save = false;
	for (unsigned own = 0; own < 2; own++) {
		nested.nmi_of_l1 = own;
		vmcb.control.exit_int_info = VALID | 0x202;
		vcpu->events.reinject.type = EVENT_NMI;
		svm_handle_task_switch(vcpu);
		assert_int_equal(nmis_delivered, 1);
	}
}

/* IRET unblocks NMIs, also where it faults. */
static void an_iret_ends_an_nmis_handler(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		set_up(NULL);
		svm.nmi_masked = i & 1;
		succeeds = i & 2;
		vmcb.control.exit_info2 = IRET;
		svm_handle_task_switch(vcpu);
		assert_int_equal(irets_done, i & 1);
	}
	set_up(NULL);
	svm.nmi_masked = true;
	vmcb.control.exit_info2 = JMP;
	svm_handle_task_switch(vcpu);
	assert_int_equal(irets_done, 0);
}

static void a_step_ends_before_the_old_task_is_saved(void **state)
{
	svm.stepping = true;
	svm_handle_task_switch(vcpu);
	assert_int_equal(steps_ended, 1);
}

static void an_instruction_that_cannot_be_fetched(void **state)
{
	fetched = false;
	vmcb.control.exit_info2 = IRET;
	svm_handle_task_switch(vcpu);
	assert_int_equal(switches, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(they_exit_on_demand, set_up),
		cmocka_unit_test_setup(what_has_switched, set_up),
		cmocka_unit_test_setup(what_l1_injects, set_up),
		cmocka_unit_test_setup(an_iret_ends_an_nmis_handler, set_up),
		cmocka_unit_test_setup(a_step_ends_before_the_old_task_is_saved, set_up),
		cmocka_unit_test_setup(an_instruction_that_cannot_be_fetched, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
