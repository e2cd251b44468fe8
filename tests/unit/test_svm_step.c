/* SPDX-License-Identifier: MIT */
/*
 * Single steps under SVM, which wait for the instruction that blocks an NMI: when one is made, and that nothing of it
 * shows. AMD APM vol. 2, "Single Stepping", "Debug-Status Register (DR6)", "Interrupt Shadows".
 */
/* link: tests/unit/fake_nsvm.c svm/step.c svm/state.c lib/insn.c lib/insn_tables.c tests/unit/fake_cpu.c */
#include "fake_cpu.h"

#include <stdio.h>
#include <string.h>

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "core/emulate/emulate.h"
#include "svm/svm.h"

struct cpu_features cpu_features;
struct svm_features svm_features;

static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;
static char raised[64];
static const u8 *code;		/* at RIP; NULL: out of reach */
static bool long_mode;

static const struct vcpu_ops ops = { .reg_fetch = svm_reg_fetch };

#define BS   0x4000u
#define BD   0x2000u
#define NONE 0xffff0ff0u	/* DR6 without a cause */
#define EVENTS_NEEDED (BIT(1) | BIT(17) | BIT(18))	/* #DB, #AC, #MC */

void event_raise(struct vcpu *v, u8 vector)
{
	snprintf(raised, sizeof(raised), "%u", vector);
}

void event_raise_error(struct vcpu *v, u8 vector, u32 error_code)
{
	snprintf(raised, sizeof(raised), "%u(%x)", vector, error_code);
}

void event_raise_page_fault(struct vcpu *v, gva_t address, u32 error_code)
{
	snprintf(raised, sizeof(raised), "14(%x) at %llx", error_code, (unsigned long long)address);
}

void event_raise_debug(struct vcpu *v, u64 bits)
{
	snprintf(raised, sizeof(raised), "1 for %llx", (unsigned long long)bits);
}

/* SDM, "Exception and Interrupt Reference", without the two that only other processors have. */
bool exception_has_error_code(u8 vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static bool awaited;
void svm_await_task_switch(struct vcpu *v) { awaited = true; }

bool vcpu_long_mode(struct vcpu *v)
{
	return long_mode;
}

int emulate_peek(struct vcpu *v, struct insn *insn)
{
	return code ? insn_decode(code, 15, long_mode ? INSN_MODE_64 : INSN_MODE_32, insn) : -EFAULT;
}

static int set_up(void **state)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	svm.vmcb = &vmcb;
	vcpu->ops = &ops;
	vmcb.control.clean = CLEAN_ALL;
	vmcb.control.intercept_exceptions = EVENTS_NEEDED;
	vmcb.save.rflags = RFLAGS_FIXED;
	vmcb.save.dr6 = NONE;
	vmcb.save.dr7 = 0x400;
	raised[0] = '\0';
	code = NULL;
	long_mode = true;
	return 0;
}

static void expect_dirty(u32 bits)
{
	assert_int_equal(vmcb.control.clean, CLEAN_ALL & ~bits);
	vmcb.control.clean = CLEAN_ALL;
}

/* As event_inject() does. */
static void ask(void)
{
	vcpu->events.nmi_window = true;
	svm_nmi_window(vcpu, true);
}

static void expect_no_step(void)
{
	assert_false(svm.stepping);
	assert_int_equal(vcpu_rflags(vcpu) & RFLAGS_TF, 0);
	assert_int_equal(vmcb.save.dr6, NONE);
	assert_int_equal(vmcb.control.intercept_exceptions, EVENTS_NEEDED);
}

/* --- when --- */

/* Only where a single instruction blocks the NMI: a shadow, or the handler's IRET. */
static void an_nmi_window_is_a_step(void **state)
{
	static const struct {
		bool on, masked, iret, steps;
	} rows[] = {
		{ true, false, false, true },
		{ true, true, false, false },	/* the IRET intercept reports the end of the handler */
		{ true, true, true, true },
		{ false, false, false, false },
		{ false, true, true, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		svm.nmi_masked = rows[i].masked;
		svm.iret_pending = rows[i].iret;
		vcpu->events.nmi_window = rows[i].on;
		svm_nmi_window(vcpu, rows[i].on);
		assert_int_equal(svm.stepping, rows[i].steps);
		assert_int_equal(vcpu_rflags(vcpu), RFLAGS_FIXED | (rows[i].steps ? RFLAGS_TF : 0));
		assert_int_equal(vcpu->regs_dirty, rows[i].steps ? BIT(REG_RFLAGS) : 0);
		assert_int_equal(vcpu->events.nmi_window, rows[i].on);
		expect_dirty(rows[i].steps ? CLEAN_DR | CLEAN_INTERCEPTS : 0);
	}
}

/* A frame that is pushed with the next entry would hold TF. */
static void no_step_begins_with_an_event(void **state)
{
	static const bool irets[] = { false, true };

	for (unsigned i = 0; i < ARRAY_SIZE(irets); i++) {
		set_up(NULL);
		svm.nmi_masked = svm.iret_pending = irets[i];
		vmcb.control.event_injection = 0x80000b0d;
		ask();
		expect_no_step();
		assert_false(vcpu->events.nmi_window);	/* event_inject() asks again */
		vmcb.control.event_injection = 0;
		ask();
		assert_true(svm.stepping);
	}
}

#define CODE(...) (const u8[15]){ __VA_ARGS__ }

/* In a shadow: instructions that push or load RFLAGS, clear TF, switch tasks, or access debug registers. */
static void an_instruction_that_shows_the_step_is_not_stepped(void **state)
{
	const struct {
		const u8 *code;
		bool steps, only_32;
	} rows[] = {
		{ CODE(0x9c), false }, { CODE(0x9d), false }, { CODE(0x66, 0x9c), false },	/* PUSHF, POPF */
		{ CODE(0xcc), false }, { CODE(0xcd, 0x80), false }, { CODE(0xcf), false },	/* INT3, INT n, IRET */
		{ CODE(0xce), false, true },							/* INTO */
		{ CODE(0x9a, 0, 0, 0, 0, 8, 0), false, true },					/* CALL far */
		{ CODE(0xea, 0, 0, 0, 0, 8, 0), false, true },					/* JMP far */
		{ CODE(0xff, 0x18), false }, { CODE(0xff, 0x28), false },			/* and by memory */
		{ CODE(0x0f, 0x05), false }, { CODE(0x0f, 0x07), false },			/* SYSCALL, SYSRET */
		{ CODE(0x0f, 0x34), false },							/* SYSENTER */
		{ CODE(0x0f, 0x21, 0xf0), false }, { CODE(0x0f, 0x23, 0xf0), false },		/* MOV DR */
		{ CODE(0x89, 0xe5), true }, { CODE(0xff, 0x10), true }, { CODE(0xff, 0x30), true },
		{ CODE(0x0f, 0x20, 0xc0), true }, { CODE(0x0f, 0x22, 0xc0), true },		/* MOV CR */
		{ CODE(0x0f, 0x38, 0x05), true },
		{ CODE(0xc5, 0xf8, 0x28, 0xc1), true },						/* VMOVAPS */
		{ CODE(0x0f, 0x0b), true },							/* UD2: its #UD exits */
		{ NULL, true },									/* and so does a #PF */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		long_mode = !rows[i].only_32;
		vmcb.control.int_state = 1;
		code = rows[i].code;
		ask();
		assert_int_equal(svm.stepping, rows[i].steps);
		assert_int_equal(vcpu->events.nmi_window, rows[i].steps);
		assert_int_equal(vmcb.control.int_state, rows[i].steps);	/* the NMI comes before it */
		if (!rows[i].steps)
			expect_no_step();
	}
}

/* The task that IRET leaves would keep TF in its TSS. In long mode NT means nothing. */
static void an_iret_to_another_task_is_not_stepped(void **state)
{
	for (unsigned i = 0; i < 16; i++) {
		bool nested = (i & 1) && !(i & 4) && !(i & 8);

		set_up(NULL);
		long_mode = i & 2;
		svm.nmi_masked = svm.iret_pending = true;
		/* Outside of protected mode, too. */
		vmcb.save.cr0 = i & 4 ? 0 : CR0_PE;
		vmcb.save.rflags = RFLAGS_FIXED | (i & 1 ? RFLAGS_NT : 0) | (i & 8 ? RFLAGS_VM : 0);
		awaited = false;
		ask();
		assert_int_equal(svm.stepping, !nested || long_mode);
		assert_int_equal(awaited, nested && !long_mode);
		assert_true(vcpu->events.nmi_window);
	}
}

/* --- what is borrowed is given back --- */

static void begin_step(u64 guest_tf, u64 guest_dr6, bool iret)
{
	set_up(NULL);
	vmcb.save.rflags = RFLAGS_FIXED | RFLAGS_IF | guest_tf;
	vmcb.save.dr6 = guest_dr6;
	svm.nmi_masked = svm.iret_pending = iret;
	ask();
	assert_int_equal(vcpu_rflags(vcpu), RFLAGS_FIXED | RFLAGS_IF | RFLAGS_TF);
	assert_int_equal(vmcb.save.dr6, guest_dr6 & ~0x600full);
	vmcb.control.clean = CLEAN_ALL;
}

/* What the processor has written, and only that, is in the VMCB after an exit. */
static void exit_with(u64 rflags, u64 dr6_causes)
{
	vmcb.save.rflags = rflags;
	vmcb.save.dr6 |= dr6_causes;
	vcpu->regs_available = vcpu->regs_dirty = 0;
	if (svm.iret_pending && (dr6_causes & BS))
		svm.iret_pending = false;		/* as svm_iret_done() has found */
}

static void expect_given_back(u64 tf, u64 dr6)
{
	assert_false(svm.stepping);
	assert_int_equal(vcpu_rflags(vcpu), RFLAGS_FIXED | RFLAGS_IF | tf);
	assert_int_equal(vmcb.save.dr6, dr6);
	assert_int_equal(vmcb.control.intercept_exceptions, EVENTS_NEEDED);
	assert_false(vcpu->events.nmi_window);
	assert_int_equal(vcpu->requests, REQ_EVENT);
	expect_dirty(CLEAN_DR | CLEAN_INTERCEPTS);
}

static void a_step_begins_once(void **state)
{
	begin_step(0, NONE | BS, false);
	ask();
	assert_false(svm.guest_tf);
	assert_int_equal(svm.guest_dr6, NONE | BS);
}

static void a_step_gives_back_what_it_borrowed(void **state)
{
	static const u64 tf[] = { 0, RFLAGS_TF };

	for (unsigned i = 0; i < ARRAY_SIZE(tf); i++) {
		begin_step(tf[i], NONE | 1, false);
		svm_end_step(vcpu);
		expect_given_back(tf[i], NONE | 1);
	}
}

/* Breakpoints 0 and 3 are enabled. DR6 is the guest's, and what is raised says what it gets. */
static void a_debug_exception_is_the_guests_but_for_lone_steps_of_lamina(void **state)
{
	static const struct {
		u64 guest_tf, before, causes;
		const char *raised;
	} rows[] = {
		{ 0, NONE, BS, "" },
		{ 0, NONE, 0, "" },
		{ 0, NONE | BS | 1, BS, "" },		/* causes of earlier ones */
		{ 0, NONE, BS | 1, "1 for 1" },
		{ 0, NONE | 1, BS | 1, "1 for 1" },	/* the same breakpoint again */
		{ 0, NONE | 1, BS | 8, "1 for 8" },
		{ 0, NONE, BS | 6, "" },		/* not enabled */
		{ 0, NONE, BD, "1 for 2000" },		/* a fault: it has not run */
		{ 0, NONE, 8, "1 for 8" },
		{ RFLAGS_TF, NONE, BS, "1 for 4000" },
		{ RFLAGS_TF, NONE, 0, "1 for 4000" },
		{ RFLAGS_TF, NONE, BS | 1, "1 for 4001" },
		{ RFLAGS_TF, NONE, BD, "1 for 2000" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		begin_step(rows[i].guest_tf, rows[i].before, false);
		vmcb.save.dr7 = 0x400 | 0x01 | 0x80;
		exit_with(RFLAGS_FIXED | RFLAGS_IF | RFLAGS_TF, rows[i].causes);
		svm_handle_debug(vcpu);
		assert_string_equal(raised, rows[i].raised);
		expect_given_back(rows[i].guest_tf, rows[i].before);
	}
}

/* The trap after IRET is by the TF that it began with; the one that it has loaded traps the next instruction. */
static void an_iret_loads_the_guests_tf(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		u64 before = i & 1 ? RFLAGS_TF : 0, loaded = i & 2 ? RFLAGS_TF : 0;

		begin_step(before, NONE, true);
		exit_with(RFLAGS_FIXED | RFLAGS_IF | loaded, BS);
		svm_handle_debug(vcpu);
		assert_string_equal(raised, before ? "1 for 4000" : "");
		expect_given_back(loaded, NONE);
	}
}

/* An instruction breakpoint on the IRET, which has not run. */
static void an_iret_that_has_not_run_loads_nothing(void **state)
{
	begin_step(0, NONE, true);
	vmcb.save.dr7 = 0x401;
	exit_with(RFLAGS_FIXED | RFLAGS_IF | RFLAGS_TF, 1);
	svm_handle_debug(vcpu);
	assert_string_equal(raised, "1 for 1");
	expect_given_back(0, NONE);
}

static void a_debug_exception_without_a_step_is_the_guests(void **state)
{
	vmcb.save.dr6 = NONE | BS;
	svm_handle_debug(vcpu);
	assert_string_equal(raised, "1");
	assert_int_equal(vmcb.save.dr6, NONE | BS);
	assert_int_equal(vcpu->requests, 0);
}

/* APM vol. 2, "Exception Intercepts": EXITINFO1 holds the error code, EXITINFO2 a #PF's address. */
static void a_fault_of_the_instruction_is_the_guests(void **state)
{
	static const struct {
		u8 vector;
		u64 info1, info2;
		const char *raised;
	} rows[] = {
		{ 0, 0, 0, "0" }, { 5, 0, 0, "5" }, { 6, 0, 0, "6" }, { 7, 0, 0, "7" },
		{ 10, 0x28, 0, "10(28)" }, { 11, 0x30, 0, "11(30)" }, { 12, 0, 0, "12(0)" },
		{ 13, 0xfff8, 0, "13(fff8)" }, { 14, 7, 0xffff800012345678, "14(7) at ffff800012345678" },
		{ 16, 0, 0, "16" }, { 19, 0, 0, "19" },
	};
	u32 intercepts = EVENTS_NEEDED;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		begin_step(0, NONE | 2, true);
		intercepts |= BIT(rows[i].vector);
		assert_true(vmcb.control.intercept_exceptions & BIT(rows[i].vector));
		exit_with(RFLAGS_FIXED | RFLAGS_IF | RFLAGS_TF, 0);
		vmcb.control.exit_code = 0x40 + rows[i].vector;
		vmcb.control.exit_info1 = rows[i].info1;
		vmcb.control.exit_info2 = rows[i].info2;
		svm_handle_fault(vcpu);
		assert_string_equal(raised, rows[i].raised);
		expect_given_back(0, NONE | 2);
	}
	begin_step(0, NONE, true);
	assert_int_equal(vmcb.control.intercept_exceptions, intercepts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_nmi_window_is_a_step, set_up),
		cmocka_unit_test_setup(no_step_begins_with_an_event, set_up),
		cmocka_unit_test_setup(an_instruction_that_shows_the_step_is_not_stepped, set_up),
		cmocka_unit_test_setup(an_iret_to_another_task_is_not_stepped, set_up),
		cmocka_unit_test_setup(a_step_begins_once, set_up),
		cmocka_unit_test_setup(a_step_gives_back_what_it_borrowed, set_up),
		cmocka_unit_test_setup(a_debug_exception_is_the_guests_but_for_lone_steps_of_lamina, set_up),
		cmocka_unit_test_setup(an_iret_loads_the_guests_tf, set_up),
		cmocka_unit_test_setup(an_iret_that_has_not_run_loads_nothing, set_up),
		cmocka_unit_test_setup(a_debug_exception_without_a_step_is_the_guests, set_up),
		cmocka_unit_test_setup(a_fault_of_the_instruction_is_the_guests, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
