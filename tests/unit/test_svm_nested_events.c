/* SPDX-License-Identifier: MIT */
/*
 * Which events end a guest's guest under SVM, and which wait. AMD APM vol. 2, "Virtual Interrupts", "Event Injection",
 * "Global Interrupt Flag, STGI and CLGI Instructions".
 */
/* link: svm/nested/events.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "core/exit.h"
#include "core/startup.h"
#include "svm/nested/nested.h"

static struct vm vm;
static struct vmcb vmcb;
static struct svm_nested nested;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;
static int pending_vector;
static bool l2_blocks;
static struct nsvm_exit last;	/* code 0: none */
static bool halted_for_good;

/* --- the rest of Lamina --- */

static int pending(void *vlapic) { return pending_vector; }
void nsvm_exit(struct vcpu *v, const struct nsvm_exit *exit) { last = *exit; nested.gif = false; }
void nsvm_exit_event(struct vcpu *v, u64 code) { nsvm_exit(v, &(struct nsvm_exit){ .code = code }); }
bool svm_interrupt_blocked(struct vcpu *v) { return l2_blocks; }
bool svm_nmi_blocked(struct vcpu *v) { return svm.nmi_masked; }
u64 nsvm_interrupted_event(const struct vcpu_svm *s) { return 0x80000b0e; }

void svm_inject(struct vcpu *v, const struct event *event)
{
	if (event->type != EVENT_NMI)
		return;
	svm.nmi_masked = true;
	vmcb.control.intercept_misc1 |= INTERCEPT_IRET;
}

void svm_interrupt_window(struct vcpu *v, bool on)
{
	vmcb.control.int_control = on ? V_IRQ | V_INTR_PRIO(15) | V_IGN_TPR : 0;
}

void svm_nmi_window(struct vcpu *v, bool on) { }
u64 svm_control_get(struct vcpu *v, enum vcpu_control control) { return vmcb.save.dr6; }
void svm_control_set(struct vcpu *v, enum vcpu_control control, u64 value) { vmcb.save.dr6 = value; }
void exit_triple_fault(struct vcpu *v) { last.code = VMEXIT_SHUTDOWN; }
bool event_wakes(struct vcpu *v) { return false; }
void halt_for_good(struct vcpu *v) { halted_for_good = true; }

/* L1's own operations, one of which halts. */
static bool halts;
static enum exit_fastpath run_l1(struct vcpu *v, bool force_immediate_exit)
{
	v->activity = halts ? VCPU_HALTED : VCPU_RUNNING;
	v->halt_if = v->halt_nmi = true;
	return EXIT_FASTPATH_EXIT_HANDLED;
}

static void handle_exit_of_l1(struct vcpu *v) { run_l1(v, false); }

static int set_up(void **state)
{
	static const struct irqchip_ops irqchip = { .pending = pending, .wakes = pending };

	memset(&svm, 0, sizeof(svm));
	memset(&nested, 0, sizeof(nested));
	memset(&vmcb, 0, sizeof(vmcb));
	svm.vmcb = &vmcb;
	svm.nested = &nested;
	vm.irqchip = &irqchip;
	vcpu->vm = &vm;
	vcpu->l2_runs = true;
	nested.gif = true;
	pending_vector = -1;
	l2_blocks = false;
	last.code = 0;
	return 0;
}

static void intercept(u32 misc1, u64 int_control, bool host_if)
{
	nested.vmcb12.control.intercept_misc1 = misc1;
	nested.vmcb12.control.int_control = int_control;
	nested.host_if = host_if;
}

static void expect_exit(u64 code)
{
	last.code = 0;
	nested.gif = true;
	assert_false(nsvm_events(vcpu));
	assert_int_equal(last.code, code);
}

/* --- tests --- */

static void the_host_s_if_counts_with_v_intr_masking(void **state)
{
	pending_vector = 0x40;
	l2_blocks = true;
	intercept(INTERCEPT_INTR, V_INTR_MASKING, true);
	expect_exit(0x60);
	intercept(INTERCEPT_INTR, V_INTR_MASKING, false);
	expect_exit(0);
}

static void the_guest_s_if_counts_without(void **state)
{
	pending_vector = 0x40;
	intercept(INTERCEPT_INTR, 0, false);
	expect_exit(0x60);
	l2_blocks = true;
	expect_exit(0);
}

static void an_injected_event_comes_first(void **state)
{
	pending_vector = 0x40;
	intercept(INTERCEPT_INTR, V_INTR_MASKING, true);
	nsvm_take_injection(vcpu, 0x80000b0dull | 0x1234ull << 32);
	assert_int_equal(vcpu->events.reinject.type, EVENT_EXCEPTION);
	assert_int_equal(vcpu->events.reinject.vector, 13);
	assert_int_equal(vcpu->events.reinject.error_code, 0x1234);
	expect_exit(0);
	/* The entry is a forced exit: then the interrupt is looked at again. */
	assert_true(vcpu->requests & REQ_EVENT);
}

/* Posted by another CPU after nsvm_events(): it must not go through the guest's IDT. */
static void an_intercepted_interrupt_is_never_the_guest_s(void **state)
{
	intercept(INTERCEPT_INTR, V_INTR_MASKING, true);
	expect_exit(0);
	pending_vector = 0x40;
	assert_true(nsvm_interrupt_blocked(vcpu));
	intercept(0, V_INTR_MASKING, true);
	assert_false(nsvm_interrupt_blocked(vcpu));
}

static void nothing_comes_while_gif_is_0(void **state)
{
	pending_vector = 0x40;
	vcpu->events.nmi_pending = 1;
	intercept(INTERCEPT_INTR | INTERCEPT_NMI, V_INTR_MASKING, true);
	nested.gif = false;
	assert_false(nsvm_events(vcpu));
	assert_int_equal(last.code, 0);
	expect_exit(0x61);
}

static void check_halt(const struct vcpu_ops *ops, bool gif, bool expected)
{
	for (unsigned slowly = 0; slowly <= 1; slowly++) {
		nested.gif = gif;
		halted_for_good = false;
		if (slowly)
			ops->handle_exit(vcpu);
		else
			assert_int_equal(ops->vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
		assert_int_equal(halted_for_good, expected);
		assert_int_equal(vcpu->halt_if, !expected);
		assert_int_equal(vcpu->halt_nmi, !expected);
	}
}

/* APM vol. 2, "Global Interrupt Flag, STGI and CLGI Instructions": what would end a HLT is held back while GIF is 0. */
static void nothing_ends_a_halt_while_gif_is_0(void **state)
{
	static const struct vcpu_ops l1 = { .vcpu_run = run_l1, .handle_exit = handle_exit_of_l1 };
	struct vcpu_ops ops = l1;

	vm.ops = &l1;
	nsvm_gif_clear_ops(&ops);
	halts = true;
	check_halt(&ops, false, true);
	check_halt(&ops, true, false);	/* the exit has set it */

	/* It was known already: the VM ends once, with its state in the log once. */
	nested.gif = halted_for_good = false;
	vcpu->halted_for_good = true;
	ops.handle_exit(vcpu);
	ops.vcpu_run(vcpu, false);
	assert_false(halted_for_good);
	vcpu->halted_for_good = false;
	halts = false;
	check_halt(&ops, false, false);
}

static void exceptions_exit_with_what_they_bring(void **state)
{
	nested.vmcb12.control.intercept_exceptions = BIT(X86_PF);
	vcpu->events.exception = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_PF, .error_code = 6 };
	vcpu->events.payload = 0x1234;
	expect_exit(0x4e);
	assert_int_equal(last.info1, 6);
	assert_int_equal(last.info2, 0x1234);
	assert_int_equal(last.int_info, 0x80000b0e);
	vcpu->events.exception.vector = X86_GP;
	expect_exit(0);
}

/* APM vol. 2, "Virtual Interrupts": L1's own waits while L0 uses V_IRQ. */
static void a_window_borrows_v_irq(void **state)
{
	intercept(INTERCEPT_INTR, V_IRQ | V_INTR_PRIO(3), false);
	vmcb.control.int_control = V_IRQ | V_INTR_PRIO(3);
	nsvm_interrupt_window(vcpu, true);
	assert_true(nested.virq_lent);
	nsvm_interrupt_window(vcpu, false);
	assert_false(nested.virq_lent);
	assert_int_equal(vmcb.control.int_control, V_IRQ | V_INTR_PRIO(3));
}

/* "Event Injection": it is an event of L2's, which says nothing of the processor's own NMIs. */
static void l1_s_own_nmi_blocks_none_of_l1_s(void **state)
{
	const struct event nmi = { .type = EVENT_NMI, .vector = X86_NMI };

	nsvm_take_injection(vcpu, 0x80000202);
	assert_int_equal(vcpu->events.reinject.type, EVENT_NMI);
	nsvm_inject(vcpu, &nmi);
	assert_false(svm.nmi_masked);
	assert_int_equal(vmcb.control.intercept_misc1 & INTERCEPT_IRET, 0);
	nsvm_take_injection(vcpu, 0x80000b0d);
	nsvm_inject(vcpu, &nmi);
	assert_true(svm.nmi_masked);
	/* What L1 injected once says nothing of a later entry without an injection. */
	svm.nmi_masked = false;
	nsvm_take_injection(vcpu, 0x80000202);
	nsvm_take_injection(vcpu, 0x00000202);
	nsvm_inject(vcpu, &nmi);
	assert_true(svm.nmi_masked);
	/* In L1's own NMI handler they stay blocked. */
	nsvm_take_injection(vcpu, 0x80000202);
	nsvm_inject(vcpu, &nmi);
	assert_true(svm.nmi_masked);
}

static void an_init_comes_behind_what_is_injected(void **state)
{
	intercept(INTERCEPT_INIT, 0, false);
	nsvm_take_injection(vcpu, 0x80000b0d);
	assert_int_equal(nsvm_init(vcpu), NESTED_INIT_WAITS);
	assert_int_equal(last.code, 0);
	assert_true(vcpu->requests & REQ_STARTUP);
	vcpu->events.reinject.type = EVENT_NONE;
	/* An exception that L0's emulation has raised for L2, too. */
	vcpu->requests = 0;
	vcpu->events.exception.type = EVENT_EXCEPTION;
	assert_int_equal(nsvm_init(vcpu), NESTED_INIT_WAITS);
	assert_int_equal(last.code, 0);
	assert_true(vcpu->requests & REQ_STARTUP);
	vcpu->events.exception.type = EVENT_NONE;
	nsvm_init(vcpu);
	assert_int_equal(last.code, 0x63);
}

static void an_init_waits_for_gif(void **state)
{
	assert_int_equal(nsvm_init(vcpu), NESTED_INIT_RESETS);
	intercept(INTERCEPT_INIT, 0, false);
	assert_int_equal(nsvm_init(vcpu), NESTED_INIT_WAITS);
	assert_int_equal(last.code, 0x63);
	assert_true(nested.init_waits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_host_s_if_counts_with_v_intr_masking, set_up),
		cmocka_unit_test_setup(the_guest_s_if_counts_without, set_up),
		cmocka_unit_test_setup(an_injected_event_comes_first, set_up),
		cmocka_unit_test_setup(an_intercepted_interrupt_is_never_the_guest_s, set_up),
		cmocka_unit_test_setup(nothing_comes_while_gif_is_0, set_up),
		cmocka_unit_test_setup(nothing_ends_a_halt_while_gif_is_0, set_up),
		cmocka_unit_test_setup(exceptions_exit_with_what_they_bring, set_up),
		cmocka_unit_test_setup(a_window_borrows_v_irq, set_up),
		cmocka_unit_test_setup(an_init_waits_for_gif, set_up),
		cmocka_unit_test_setup(an_init_comes_behind_what_is_injected, set_up),
		cmocka_unit_test_setup(l1_s_own_nmi_blocks_none_of_l1_s, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
