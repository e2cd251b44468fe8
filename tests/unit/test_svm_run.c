/* SPDX-License-Identifier: MIT */
/*
 * Entry and exit under SVM with a fake VMCB: what no emulator raises, and the order of the steps.
 * Each letter of the diary is one: t trace of the entry, G CLGI, i interrupts on, I self-IPI, E
 * entry, d interrupts off, g STGI, T trace of the exit, M machine check.
 */
/* link: svm/run.c svm/events.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/percpu.h"
#include "arch/x86.h"
#include "core/exit.h"
#include "core/force_exit.h"
#include "core/trace.h"
#include "svm/svm.h"

void clgi(void);
void stgi(void);
void svm_vmenter(struct vcpu *vcpu, u64 vmcb_pa, u64 host_vmcb_pa);

static char diary[32];
static struct vm vm;
static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;
static struct percpu cpu;
static u64 next_code, next_int_info, reason_at_machine_check;

static void note(char step)
{
	size_t n = strlen(diary);

	assert_true(n + 1 < sizeof(diary));
	diary[n] = step;
}

/* --- the fake processor --- */

struct percpu *this_cpu(void) { return &cpu; }
void clgi(void) { note('G'); }
void stgi(void) { note('g'); }
void irq_enable(void) { note('i'); }
void irq_disable(void) { note('d'); }

void svm_vmenter(struct vcpu *v, u64 vmcb_pa, u64 host_vmcb_pa)
{
	note('E');
	vmcb.control.exit_code = next_code;
	vmcb.control.exit_int_info = next_int_info;
	vmcb.save.rip = 0x1234;
}

/* --- the rest of Lamina --- */

void force_exit_by_self_ipi(struct vcpu *v) { note('I'); }
void trace_entry(struct vcpu *v, bool force) { note('t'); }
void trace_exit(struct vcpu *v) { note('T'); }
u8 svm_exit_index(u64 code) { return (u8)code; }
void svm_control_set(struct vcpu *v, enum vcpu_control control, u64 value) { vmcb.save.dr6 = value; }
void event_raise(struct vcpu *v, u8 vector) { fail(); }

void exit_machine_check(struct vcpu *v, bool entered)
{
	assert_ptr_equal(v, vcpu);
	assert_true(entered);
	reason_at_machine_check = v->exit_reason;
	note('M');
}

static int setup(void **state)
{
	memset(diary, 0, sizeof(diary));
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	svm.vmcb = &vmcb;
	vcpu->vm = &vm;
	next_code = VMEXIT_CPUID;
	next_int_info = reason_at_machine_check = 0;
	return 0;
}

/* --- the tests --- */

static void ordinary_exit(void **state)
{
	vmcb.control.event_injection = EVENT_VALID | 0x30;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_string_equal(diary, "tGiEdgT");
	assert_int_equal(vcpu->exit_reason, VMEXIT_CPUID);
	assert_int_equal(vcpu->exit_rip, 0x1234);
	assert_int_equal(vmcb.control.event_injection, 0);	/* it is not injected again */
}

/* With GIF clear and IF set, so that it can be pending but not be taken. */
static void forced_exit(void **state)
{
	next_code = VMEXIT_INTR;
	assert_int_equal(svm_vcpu_run(vcpu, true), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "tGiIEdgT");
}

/* No emulator intercepts #MC. The snapshot is taken before, and interrupts are served after. */
static void intercepted_machine_check(void **state)
{
	next_code = VMEXIT_EXCEPTION + X86_MC;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_string_equal(diary, "tGiEdgTM");
	assert_int_equal(reason_at_machine_check, 0x52);
}

/* Both forms of -1, and what an earlier exit has left is not taken up. */
static void refused_entry(void **state)
{
	static const u64 codes[] = { ~0ull, 0xffffffff };

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		setup(state);
		next_code = codes[i];
		next_int_info = EVENT_VALID | 0x30;
		assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_ENTRY_FAILED);
		assert_int_equal(vcpu->failure.kind, ENTRY_INVALID_STATE);
		assert_int_equal(vcpu->failure.reason, codes[i]);
		assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
	}
}

static const struct event *interrupted(u64 code, u64 info)
{
	setup(NULL);
	next_code = code;
	next_int_info = info;
	svm_vcpu_run(vcpu, false);
	return &vcpu->events.reinject;
}

/* APM vol. 2, "EXITINTINFO Pseudo-Code". */
static void interrupted_delivery_is_recovered(void **state)
{
	const struct event *event = interrupted(VMEXIT_NPF, EVENT_VALID | 0x31);

	assert_int_equal(event->type, EVENT_INTERRUPT);
	assert_int_equal(event->vector, 0x31);
	event = interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(2) | 2);
	assert_int_equal(event->type, EVENT_NMI);
	event = interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(3) | EVENT_HAS_CODE | X86_PF | 6ull << 32);
	assert_int_equal(event->type, EVENT_EXCEPTION);
	assert_int_equal(event->vector, X86_PF);
	assert_true(event->has_error_code);
	assert_int_equal(event->error_code, 6);
}

/* RIP is still at the instruction, which runs again by itself. */
static void interrupted_instructions_run_again(void **state)
{
	assert_int_equal(interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(4) | 0x80)->type, EVENT_NONE);
	assert_int_equal(interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(3) | X86_BP)->type, EVENT_NONE);
	assert_int_equal(interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(3) | X86_OF)->type, EVENT_NONE);
}

static void stale_information_is_not_taken_up(void **state)
{
	assert_int_equal(interrupted(VMEXIT_NPF, EVENT_TYPE_BITS(3) | X86_GP)->type, EVENT_NONE);
	assert_int_equal(interrupted(VMEXIT_SHUTDOWN, EVENT_VALID | EVENT_TYPE_BITS(3) | X86_DF)->type, EVENT_NONE);
	/* A virtual interrupt has been seen with an exception's type. */
	assert_int_equal(interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(3) | 0x31)->type, EVENT_NONE);
}

static void injection_format(void **state)
{
	const struct event gp = { .type = EVENT_EXCEPTION, .vector = X86_GP, .has_error_code = true,
				  .error_code = 0x28 };
	const struct event nmi = { .type = EVENT_NMI, .vector = X86_NMI };

	svm_inject(vcpu, &gp);
	assert_int_equal(vmcb.control.event_injection, 0x2880000b0dull);
	svm_inject(vcpu, &nmi);
	assert_int_equal(vmcb.control.event_injection, 0x80000202);
	assert_true(svm_nmi_blocked(vcpu));
}

/* NMIs stay blocked while their handler's IRET, which has exited once, has not run. */
static void iret_unblocks_nmis_when_it_has_run(void **state)
{
	const struct event nmi = { .type = EVENT_NMI, .vector = X86_NMI };

	svm_inject(vcpu, &nmi);
	next_code = VMEXIT_IRET;
	svm_vcpu_run(vcpu, false);
	svm_handle_iret(vcpu);
	assert_true(svm_nmi_blocked(vcpu));
	next_code = VMEXIT_NPF;			/* of its access to the stack: RIP has not moved */
	svm_vcpu_run(vcpu, false);
	assert_true(svm_nmi_blocked(vcpu));
	svm.iret_rip = 0x1000;			/* and now it has */
	svm_vcpu_run(vcpu, false);
	assert_false(svm_nmi_blocked(vcpu));
	assert_true(vcpu->requests & REQ_EVENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ordinary_exit, setup),
		cmocka_unit_test_setup(forced_exit, setup),
		cmocka_unit_test_setup(intercepted_machine_check, setup),
		cmocka_unit_test_setup(refused_entry, setup),
		cmocka_unit_test_setup(interrupted_delivery_is_recovered, setup),
		cmocka_unit_test_setup(interrupted_instructions_run_again, setup),
		cmocka_unit_test_setup(stale_information_is_not_taken_up, setup),
		cmocka_unit_test_setup(injection_format, setup),
		cmocka_unit_test_setup(iret_unblocks_nmis_when_it_has_run, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
