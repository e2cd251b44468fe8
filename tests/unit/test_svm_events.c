/* SPDX-License-Identifier: MIT */
/*
 * Events under SVM: how each is injected and recovered, what blocks interrupts and NMIs, and the windows
 * in which they are not blocked. AMD APM vol. 2, "Event Injection", "EXITINTINFO", "Virtual Interrupts",
 * "Interrupt Shadows".
 */
/* link: tests/unit/fake_nsvm.c svm/events.c svm/state.c tests/unit/fake_cpu.c */
#include "fake_cpu.h"

#include <string.h>

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "svm/svm.h"

struct cpu_features cpu_features;
struct svm_features svm_features;

static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;

static const struct vcpu_ops ops = { .reg_fetch = svm_reg_fetch };

static int set_up(void **state)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	svm.vmcb = &vmcb;
	vcpu->ops = &ops;
	vmcb.control.clean = CLEAN_ALL;
	vmcb.save.rflags = RFLAGS_FIXED;
	return 0;
}

static void expect_dirty(u32 bits)
{
	assert_int_equal(vmcb.control.clean, CLEAN_ALL & ~bits);
	vmcb.control.clean = CLEAN_ALL;
}

/* What to inject is decided anew before the next entry. */
static void expect_event_request(void)
{
	assert_int_equal(vcpu->requests, REQ_EVENT);
	vcpu->requests = 0;
}

/* --- injection and recovery --- */

/* EVENTINJ: vector 7:0, type 10:8, error code valid 11, valid 31, error code 63:32. */
static void each_event_has_its_encoding(void **state)
{
	static const struct {
		struct event event;
		u64 encoding;
	} rows[] = {
		{ { .type = EVENT_INTERRUPT, .vector = 0xff }, 0x800000ff },
		{ { .type = EVENT_NMI, .vector = 2 }, 0x80000202 },
		{ { .type = EVENT_EXCEPTION, .vector = 6 }, 0x80000306 },
		{ { .type = EVENT_EXCEPTION, .vector = 14, .has_error_code = true, .error_code = 0x80000001 },
		  0x8000000180000b0e },
		{ { .type = EVENT_EXCEPTION, .vector = 8, .has_error_code = true }, 0x80000b08 },
		{ { .type = EVENT_EXCEPTION, .vector = 1, .error_code = 5 }, 0x80000301 },
		{ { .type = EVENT_SOFT_INTERRUPT, .vector = 0x80 }, 0x80000480 },
		{ { .type = EVENT_SOFT_EXCEPTION, .vector = 3 }, 0x80000303 },
		{ { .type = EVENT_PRIVILEGED_EXCEPTION, .vector = 1 }, 0x80000301 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		svm_inject(vcpu, &rows[i].event);
		assert_int_equal(vmcb.control.event_injection, rows[i].encoding);
		assert_int_equal(svm.nmi_masked, rows[i].event.type == EVENT_NMI);
	}
}

#define INTERCEPT_OF_IRET (1u << 20)
#define INTERCEPT_OF_VINTR (1u << 4)

/* An injected NMI blocks others until the IRET of its handler, which is intercepted to see it. */
static void an_injected_nmi_watches_for_iret(void **state)
{
	const u32 others = ~INTERCEPT_OF_IRET;

	vmcb.control.intercept_misc1 = others;
	svm_inject(vcpu, &(struct event){ .type = EVENT_INTERRUPT, .vector = 0x30 });
	assert_int_equal(vmcb.control.intercept_misc1, others);
	assert_false(svm_nmi_blocked(vcpu));
	expect_dirty(0);
	svm_inject(vcpu, &(struct event){ .type = EVENT_NMI, .vector = 2 });
	assert_int_equal(vmcb.control.intercept_misc1, others | INTERCEPT_OF_IRET);
	assert_true(svm_nmi_blocked(vcpu));
	expect_dirty(CLEAN_INTERCEPTS);
}

static void iret_unblocks_nmis_after_it_has_run(void **state)
{
	const u32 others = ~INTERCEPT_OF_IRET;

	svm.nmi_masked = true;
	vcpu->events.nmi_window = true;
	vcpu->exit_rip = 0x1234;
	vmcb.control.intercept_misc1 = others | INTERCEPT_OF_IRET;
	svm_handle_iret(vcpu);
	assert_int_equal(vmcb.control.intercept_misc1, others);	/* it runs with the next entry */
	expect_dirty(CLEAN_INTERCEPTS);
	assert_true(svm.iret_pending);
	assert_int_equal(svm.iret_rip, 0x1234);
	assert_true(svm_nmi_blocked(vcpu));
	assert_false(vcpu->events.nmi_window);
	expect_event_request();

	svm_events_after_exit(vcpu);		/* RIP has not moved */
	assert_true(svm_nmi_blocked(vcpu));
	assert_int_equal(vcpu->requests, 0);
	vcpu->exit_rip = 0x1235;
	svm_events_after_exit(vcpu);
	assert_false(svm_nmi_blocked(vcpu));
	assert_false(svm.iret_pending);
	expect_event_request();
	vcpu->exit_rip = 0x1236;
	svm_events_after_exit(vcpu);		/* once */
	assert_int_equal(vcpu->requests, 0);
}

static void rip_alone_ends_nothing(void **state)
{
	svm.nmi_masked = true;
	vcpu->exit_rip = 0x1234;
	svm_events_after_exit(vcpu);
	assert_true(svm_nmi_blocked(vcpu));
}

#define VALID BIT_ULL(31)
#define CODE  BIT_ULL(11)

static void a_delivery_that_was_cut_off_is_recovered(void **state)
{
	static const struct {
		u64 info;
		struct event event;
	} rows[] = {
		{ VALID | 0x031, { .type = EVENT_INTERRUPT, .vector = 0x31 } },
		{ VALID | 0x202, { .type = EVENT_NMI, .vector = 2 } },
		{ VALID | 0x300, { .type = EVENT_EXCEPTION, .vector = 0 } },
		{ VALID | 0x306, { .type = EVENT_EXCEPTION, .vector = 6 } },
		{ VALID | 0x30d | CODE | 0x28ull << 32,
		  { .type = EVENT_EXCEPTION, .vector = 13, .has_error_code = true, .error_code = 0x28 } },
		{ VALID | 0x31f, { .type = EVENT_EXCEPTION, .vector = 31 } },
	};
	const struct event *found = &vcpu->events.reinject;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		vmcb.control.exit_code = VMEXIT_NPF;
		vmcb.control.exit_int_info = rows[i].info;
		svm_events_after_exit(vcpu);
		assert_int_equal(found->type, rows[i].event.type);
		assert_int_equal(found->vector, rows[i].event.vector);
		assert_int_equal(found->has_error_code, rows[i].event.has_error_code);
		assert_int_equal(found->error_code, rows[i].event.error_code);
		expect_event_request();
	}
}

/* INT n, INT3 and INTO run again; vectors from 32 on are no exception's; a shutdown has delivered it. */
static void other_deliveries_are_not_repeated(void **state)
{
	static const struct {
		u64 code, info;
	} rows[] = {
		{ VMEXIT_NPF, VALID | 0x480 }, { VMEXIT_NPF, VALID | 0x303 },
		{ VMEXIT_NPF, VALID | 0x304 }, { VMEXIT_NPF, VALID | 0x320 },
		{ VMEXIT_NPF, VALID | 0x3ff }, { VMEXIT_NPF, VALID | 0x130 },
		{ VMEXIT_SHUTDOWN, VALID | 0x308 }, { VMEXIT_SHUTDOWN, VALID | 0x030 },
		{ VMEXIT_NPF, 0x30d }, { VMEXIT_NPF, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		vcpu->events.reinject.type = EVENT_NMI;	/* of an earlier exit */
		vmcb.control.exit_code = rows[i].code;
		vmcb.control.exit_int_info = rows[i].info;
		svm_events_after_exit(vcpu);
		assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
	}
}

/* --- what blocks --- */

static void interrupts_need_if_and_no_shadow(void **state)
{
	static const struct {
		u64 rflags, int_state;
		bool interrupt, nmi;
	} rows[] = {
		{ RFLAGS_IF, 0, false, false },
		{ RFLAGS_IF, 1, true, true },		/* INTERRUPT_SHADOW: STI, MOV SS */
		{ RFLAGS_IF, 2, false, false },		/* GUEST_INTERRUPT_MASK says nothing of it */
		{ 0, 0, true, false },
		{ 0, 1, true, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		vmcb.save.rflags = RFLAGS_FIXED | rows[i].rflags;
		vmcb.control.int_state = rows[i].int_state;
		assert_int_equal(svm_interrupt_blocked(vcpu), rows[i].interrupt);
		assert_int_equal(svm_nmi_blocked(vcpu), rows[i].nmi);
		svm.nmi_masked = true;
		assert_int_equal(svm_interrupt_blocked(vcpu), rows[i].interrupt);
		assert_true(svm_nmi_blocked(vcpu));
	}
}

/* An emulated CLI, STI or POPF: the VMCB has the old RFLAGS until the next entry. */
static void the_written_rflags_count(void **state)
{
	for (unsigned on = 0; on < 2; on++) {
		set_up(NULL);
		vmcb.save.rflags = RFLAGS_FIXED | (on ? 0 : RFLAGS_IF);
		vcpu_reg_write(vcpu, REG_RFLAGS, RFLAGS_FIXED | (on ? RFLAGS_IF : 0));
		assert_int_equal(svm_interrupt_blocked(vcpu), !on);
	}
}

/* --- windows --- */

/* V_IRQ 8, V_INTR_PRIO 19:16 and V_IGN_TPR 20, with the intercept of VINTR. */
#define WINDOW (BIT_ULL(8) | 15ull << 16 | BIT_ULL(20))

static void an_interrupt_window_is_a_virtual_interrupt(void **state)
{
	const u64 others = ~WINDOW;
	const u32 intercepts = ~INTERCEPT_OF_VINTR;

	vmcb.control.int_control = others;
	vmcb.control.intercept_misc1 = intercepts;
	svm_interrupt_window(vcpu, true);
	assert_int_equal(vmcb.control.int_control, others | WINDOW);
	assert_int_equal(vmcb.control.intercept_misc1, intercepts | INTERCEPT_OF_VINTR);
	expect_dirty(CLEAN_INTERRUPT | CLEAN_INTERCEPTS);
	svm_interrupt_window(vcpu, false);
	assert_int_equal(vmcb.control.int_control, others);
	assert_int_equal(vmcb.control.intercept_misc1, intercepts);
	expect_dirty(CLEAN_INTERRUPT | CLEAN_INTERCEPTS);
}

static void the_window_closes_with_its_exit(void **state)
{
	svm_interrupt_window(vcpu, true);
	vcpu->events.irq_window = true;
	svm_handle_vintr(vcpu);
	assert_int_equal(vmcb.control.int_control, 0);
	assert_int_equal(vmcb.control.intercept_misc1, 0);
	assert_false(vcpu->events.irq_window);
	expect_event_request();
}

static unsigned steps_ended;

void svm_end_step(struct vcpu *v)
{
	assert_ptr_equal(v, vcpu);
	svm.stepping = false;
	steps_ended++;
}

/* The frame of an event that comes before the stepped instruction is the guest's alone. */
static void an_event_ends_a_step(void **state)
{
	for (u8 type = EVENT_INTERRUPT; type <= EVENT_PRIVILEGED_EXCEPTION; type++) {
		set_up(NULL);
		steps_ended = 0;
		svm.stepping = true;
		svm_inject(vcpu, &(struct event){ .type = type, .vector = type == EVENT_NMI ? 2 : 1 });
		assert_int_equal(steps_ended, 1);
		svm_inject(vcpu, &(struct event){ .type = type, .vector = type == EVENT_NMI ? 2 : 1 });
		assert_int_equal(steps_ended, 1);
	}
}

/*
 * An interrupt that comes before the IRET of an NMI's handler: NMIs stay blocked until its own handler's IRET. A fault
 * of the IRET does not block them: SDM, "Handling Multiple NMIs".
 */
static void an_interrupt_before_the_iret_puts_the_end_off(void **state)
{
	static const struct {
		u8 type;
		bool put_off;
	} rows[] = { { EVENT_INTERRUPT, true }, { EVENT_EXCEPTION, false } };

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		svm.nmi_masked = svm.iret_pending = true;
		svm.iret_rip = 0x1234;
		svm_inject(vcpu, &(struct event){ .type = rows[i].type, .vector = 13 });
		assert_int_equal(svm.iret_pending, !rows[i].put_off);
		assert_int_equal(vmcb.control.intercept_misc1, rows[i].put_off ? INTERCEPT_OF_IRET : 0);
		expect_dirty(rows[i].put_off ? CLEAN_INTERCEPTS : 0);
		vcpu->exit_rip = 0x8000;
		svm_events_after_exit(vcpu);
		assert_int_equal(svm_nmi_blocked(vcpu), rows[i].put_off);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_event_has_its_encoding, set_up),
		cmocka_unit_test_setup(an_injected_nmi_watches_for_iret, set_up),
		cmocka_unit_test_setup(iret_unblocks_nmis_after_it_has_run, set_up),
		cmocka_unit_test_setup(rip_alone_ends_nothing, set_up),
		cmocka_unit_test_setup(a_delivery_that_was_cut_off_is_recovered, set_up),
		cmocka_unit_test_setup(other_deliveries_are_not_repeated, set_up),
		cmocka_unit_test_setup(interrupts_need_if_and_no_shadow, set_up),
		cmocka_unit_test_setup(the_written_rflags_count, set_up),
		cmocka_unit_test_setup(an_interrupt_window_is_a_virtual_interrupt, set_up),
		cmocka_unit_test_setup(the_window_closes_with_its_exit, set_up),
		cmocka_unit_test_setup(an_event_ends_a_step, set_up),
		cmocka_unit_test_setup(an_interrupt_before_the_iret_puts_the_end_off, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
