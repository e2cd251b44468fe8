/* SPDX-License-Identifier: MIT */
/* From L1 to L2, and out of it without an exit. Intel SDM, "VM Entries", "Event Blocking". */
/* link: vmx/nested/entry.c vmx/vmcs.c tests/unit/fake_vmcs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "core/startup.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/nested/nested.h"

struct vmx_caps vmx_caps;

static struct vcpu_vmx vmx;
static struct nested_vmx nested;
static struct vmcs12 vmcs12;
static struct nested_checks checks;
static struct vcpu *const vcpu = &vmx.vcpu;
static u32 refused_msr, failed_reason;

/* --- the rest of Lamina --- */

void panic(const char *format, ...) { fail_msg("panic"); __builtin_unreachable(); }
int vmx_msr_get(struct vcpu *v, u32 msr, u64 *value) { *value = 0x66; return 0; }
u64 vmx_control_get(struct vcpu *v, enum vcpu_control control) { return 0; }
void nested_vmx_check(struct vcpu *v, struct nested_check *check) { }
void nested_vmfail(struct vcpu *v, enum vmx_error error) { fail(); }
void nested_use_vmcs02(struct vcpu *v) { v->l2_runs = true; }
void nested_use_vmcs01(struct vcpu *v) { v->l2_runs = false; }
void nested_fill_vmcs02(struct vcpu *v, const struct nested_origin *from) { assert_int_equal(from->pat, 0x66); }
u32 nested_load_msrs(struct vcpu *v, gpa_t list, u32 count) { return refused_msr; }
void nested_start_timer(struct vcpu *v) { nested.l2.timer.armed = true; }
void nested_stop_timer(struct vcpu *v) { fail_msg("it saves the timer's value, as an exit does"); }
void vtimer_cancel(struct vtimer *timer) { timer->armed = false; }
void nested_halt(struct vcpu *v) { v->activity = VCPU_HALTED; }

void nested_fail_entry(struct vcpu *v, u32 reason, u64 qualification)
{
	failed_reason = reason;
	assert_int_equal(qualification, refused_msr);
	nested_vmx_leave(v);
}

static int setup(void **state)
{
	memset(&vmx, 0, sizeof(vmx));
	memset(&nested, 0, sizeof(nested));
	memset(&vmcs12, 0, sizeof(vmcs12));
	fake_vmcs_clear();
	vmx.nested = &nested;
	nested.vmcs12 = &vmcs12;
	nested.checks = &checks;
	refused_msr = failed_reason = 0;
	return 0;
}

/* The launch state changes when the processor has entered, or L2 is halted at once: it may still refuse. */
static void entries_are_pending(void **state)
{
	nested_vmx_enter(vcpu);
	assert_true(vcpu->l2_runs && nested.l2.entry_pending && !vmcs12.launched);
	assert_int_equal(vcpu->requests, REQ_EVENT);
	vmcs12_write32(&vmcs12, GUEST_ACTIVITY, ACTIVITY_HLT);
	nested_vmx_enter(vcpu);
	assert_true(vcpu->activity == VCPU_HALTED && vmcs12.launched);
	/* SDM, "VM Exits Induced by the TPR Threshold": it wakes from HLT. */
	vcpu->activity = VCPU_RUNNING;
	nested.l2.entry_pending = false;
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_TPR_SHADOW);
	vmcs12_write32(&vmcs12, TPR_THRESHOLD, 3);
	checks.l1.virtual_tpr = 0x2f;
	nested_vmx_enter(vcpu);
	assert_true(vcpu->activity == VCPU_RUNNING && nested.l2.entry_pending);
	nested.l2.entry_pending = false;
	checks.l1.virtual_tpr = 0x30;
	nested_vmx_enter(vcpu);
	assert_true(vcpu->activity == VCPU_HALTED && !nested.l2.entry_pending);
}

/* INIT is blocked in root operation only: what waits there becomes an exit of L2. */
static void an_init_that_waits_is_looked_at_again(void **state)
{
	vcpu->startup = STARTUP_INIT;
	nested_vmx_enter(vcpu);
	assert_int_equal(vcpu->requests, REQ_EVENT | REQ_STARTUP);
}

/* A failed entry leaves vmcs12's launch state and timer as they were. */
static void a_refused_msr_fails_the_entry(void **state)
{
	refused_msr = 3;
	vmcs12_write32(&vmcs12, PIN_BASED_CONTROLS, PIN_PREEMPTION_TIMER);
	vmcs12_write32(&vmcs12, EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER);
	vmcs12_write32(&vmcs12, PREEMPTION_TIMER_VALUE, 1000);
	nested_vmx_enter(vcpu);
	assert_int_equal(failed_reason, NESTED_FAILED_ENTRY | EXIT_REASON_MSR_LOADING);
	assert_false(vcpu->l2_runs || vmcs12.launched);
	assert_int_equal(vmcs12_read32(&vmcs12, PREEMPTION_TIMER_VALUE), 1000);
}

static void leaving_forgets_what_was_due(void **state)
{
	nested_vmx_enter(vcpu);
	nested.l2.timer_expired = nested.l2.halted = true;
	vcpu->events.reinject.type = EVENT_INTERRUPT;
	nested_vmx_leave(vcpu);
	assert_false(vcpu->l2_runs || nested.l2.timer.armed || nested.l2.timer_expired);
	assert_false(nested.l2.entry_pending || nested.l2.halted);
	assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entries_are_pending, setup),
		cmocka_unit_test_setup(an_init_that_waits_is_looked_at_again, setup),
		cmocka_unit_test_setup(a_refused_msr_fails_the_entry, setup),
		cmocka_unit_test_setup(leaving_forgets_what_was_due, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
