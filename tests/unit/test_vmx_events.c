/* SPDX-License-Identifier: MIT */
/*
 * Events under VMX: what injection writes, what comes back of a delivery that an exit cut off, what
 * blocks events, and which window waits for them. Intel SDM, "VM-Entry Controls for Event Injection",
 * "Information for VM Exits That Occur During Event Delivery", "Guest Non-Register State".
 */
/* link: vmx/events.c tests/unit/fake_vmcs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/vmx.h"

#define STI    BIT(0)
#define MOV_SS BIT(1)
#define SMI    BIT(2)
#define NMI    BIT(3)
#define BASE   0x0401e172u		/* primary controls without windows */
#define IRQ_WINDOW BIT(2)
#define NMI_WINDOW BIT(22)
#define CPUID	      10		/* exit reasons */
#define EPT_VIOLATION 48
#define NMI_UNBLOCKED BIT(12)

struct vmx_caps vmx_caps;

static struct vcpu_vmx vmx;
static struct vcpu *const vcpu = &vmx.vcpu;

static void fetch_rflags(struct vcpu *v, enum vcpu_reg reg)
{
	assert_int_equal(reg, REG_RFLAGS);
	v->regs[reg] = FAKE(GUEST_RFLAGS);
}

static const struct vcpu_ops ops = { .reg_fetch = fetch_rflags };

static int setup(void **state)
{
	fake_vmcs_clear();
	memset(&vmx, 0, sizeof(vmx));
	vcpu->ops = &ops;
	vmx.vmcs.primary = BASE;
	FAKE(GUEST_RFLAGS) = RFLAGS_FIXED | RFLAGS_IF;
	vmx_caps = (struct vmx_caps){ .pin = PIN_VIRTUAL_NMI };
	return 0;
}

static void without_virtual_nmis(void)
{
	vmx_caps.pin = 0;
}

/* --- NMIs that Lamina delivers, or whose handlers it ends --- */

static void an_nmi_that_a_task_switch_delivers_is_in_service(void **state)
{
	for (unsigned virtual = 0; virtual < 2; virtual++) {
		setup(NULL);
		vmx_caps.pin = virtual ? PIN_VIRTUAL_NMI : 0;
		FAKE(GUEST_INTERRUPTIBILITY) = SMI;
		vmx_nmi_in_service(vcpu, true);
		assert_true(vmx_nmi_blocked(vcpu));
		assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY), virtual ? SMI | NMI : SMI);
		assert_int_equal(vcpu->requests, REQ_EVENT);
		vmx_nmi_in_service(vcpu, false);
		assert_false(vmx_nmi_blocked(vcpu));
		assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY), SMI);
	}
}

/* --- injection --- */

/* Bits 7:0 vector, 10:8 type, 11 deliver error code, 31 valid. */
static void injection_encodes_the_event(void **state)
{
	static const struct {
		struct event event;
		u32 info;
	} cases[] = {
		{ { .type = EVENT_INTERRUPT, .vector = 0x20 }, 0x80000020 },
		{ { .type = EVENT_INTERRUPT, .vector = 0xff }, 0x800000ff },
		{ { .type = EVENT_NMI, .vector = 2 }, 0x80000202 },
		{ { .type = EVENT_EXCEPTION, .vector = 6 }, 0x80000306 },
		{ { .type = EVENT_EXCEPTION, .vector = 14, .has_error_code = true, .error_code = 0x1f },
		  0x80000b0e },
		{ { .type = EVENT_EXCEPTION, .vector = 13, .has_error_code = true }, 0x80000b0d },
		{ { .type = EVENT_SOFT_INTERRUPT, .vector = 0x80, .length = 2 }, 0x80000480 },
		{ { .type = EVENT_PRIVILEGED_EXCEPTION, .vector = 1, .length = 1 }, 0x80000501 },
		{ { .type = EVENT_SOFT_EXCEPTION, .vector = 3, .length = 1 }, 0x80000603 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct event *event = &cases[i].event;

		setup(state);
		FAKE(ENTRY_EXCEPTION_ERROR_CODE) = 0x77;
		vmx_inject(vcpu, event);
		assert_int_equal(FAKE(ENTRY_INTERRUPTION_INFO), cases[i].info);
		assert_int_equal(WRITTEN(ENTRY_EXCEPTION_ERROR_CODE), event->has_error_code);
		assert_int_equal(FAKE(ENTRY_EXCEPTION_ERROR_CODE),
				 event->has_error_code ? event->error_code : 0x77);
		assert_int_equal(WRITTEN(ENTRY_INSTRUCTION_LENGTH), event->length != 0);
		assert_int_equal(FAKE(ENTRY_INSTRUCTION_LENGTH), event->length);
		assert_int_equal(vmx.nmi_blocked, event->type == EVENT_NMI);
	}
}

/* An NMI is injected only when no shadow is left: the next one waits for IRET. */
static void injecting_an_nmi_moves_the_window(void **state)
{
	const struct event nmi = { .type = EVENT_NMI, .vector = 2 };
	const struct event interrupt = { .type = EVENT_INTERRUPT, .vector = 0x40 };

	FAKE(GUEST_INTERRUPTIBILITY) = STI;
	vmx_nmi_window(vcpu, true);
	assert_int_equal(FAKE(PRIMARY_CONTROLS), BASE | IRQ_WINDOW);
	FAKE(GUEST_INTERRUPTIBILITY) = 0;
	vmx_inject(vcpu, &interrupt);
	assert_int_equal(FAKE(PRIMARY_CONTROLS), BASE | IRQ_WINDOW);
	vmx_inject(vcpu, &nmi);
	assert_int_equal(FAKE(PRIMARY_CONTROLS), BASE | NMI_WINDOW);
}

/* --- what blocks --- */

static void interrupts_are_blocked_by_if_and_shadows(void **state)
{
	static const struct {
		u64 rflags;
		u32 interruptibility;
		bool blocked;
	} cases[] = {
		{ RFLAGS_IF, 0, false }, { 0, 0, true }, { ~RFLAGS_IF, 0, true },
		{ RFLAGS_IF, STI, true }, { RFLAGS_IF, MOV_SS, true }, { RFLAGS_IF, SMI, false },
		{ RFLAGS_IF, NMI, false }, { 0, STI, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		FAKE(GUEST_RFLAGS) = cases[i].rflags;
		FAKE(GUEST_INTERRUPTIBILITY) = cases[i].interruptibility;
		assert_int_equal(vmx_interrupt_blocked(vcpu), cases[i].blocked);
	}
}

/* An emulated CLI, STI or POPF: the VMCS has the old RFLAGS until the next entry. */
static void the_written_rflags_count(void **state)
{
	for (unsigned on = 0; on < 2; on++) {
		setup(state);
		FAKE(GUEST_RFLAGS) = on ? 0 : RFLAGS_IF;
		FAKE(GUEST_INTERRUPTIBILITY) = 0;
		vcpu_reg_write(vcpu, REG_RFLAGS, on ? RFLAGS_IF : 0);
		assert_int_equal(vmx_interrupt_blocked(vcpu), !on);
	}
}

/* With virtual NMIs the VMCS has the blocking; without them Lamina remembers that one was injected. */
static void nmis_are_blocked_by_shadows_and_nmis(void **state)
{
	static const struct {
		u32 interruptibility;
		bool remembered, blocked, blocked_without;
	} cases[] = {
		{ 0, false, false, false }, { STI, false, true, true }, { MOV_SS, false, true, true },
		{ SMI, false, false, false }, { NMI, false, true, false }, { 0, true, false, true },
		{ NMI, true, true, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		FAKE(GUEST_INTERRUPTIBILITY) = cases[i].interruptibility;
		vmx.nmi_blocked = cases[i].remembered;
		assert_int_equal(vmx_nmi_blocked(vcpu), cases[i].blocked);
		without_virtual_nmis();
		assert_int_equal(vmx_nmi_blocked(vcpu), cases[i].blocked_without);
	}
}

/* --- windows --- */

/* An NMI window needs virtual NMIs and no STI shadow; otherwise an interrupt window takes its place. */
static void windows_are_controls(void **state)
{
	static const struct {
		bool irq, nmi, no_virtual_nmis;
		u32 interruptibility, window;
	} cases[] = {
		{ .window = 0 },
		{ .irq = true, .window = IRQ_WINDOW },
		{ .nmi = true, .window = NMI_WINDOW },
		{ .irq = true, .nmi = true, .window = IRQ_WINDOW | NMI_WINDOW },
		{ .nmi = true, .interruptibility = STI, .window = IRQ_WINDOW },
		{ .nmi = true, .interruptibility = MOV_SS | NMI | SMI, .window = NMI_WINDOW },
		{ .nmi = true, .no_virtual_nmis = true, .window = IRQ_WINDOW },
		{ .irq = true, .nmi = true, .interruptibility = STI, .window = IRQ_WINDOW },
		{ .interruptibility = STI, .no_virtual_nmis = true, .window = 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		if (cases[i].no_virtual_nmis)
			without_virtual_nmis();
		FAKE(GUEST_INTERRUPTIBILITY) = cases[i].interruptibility;
		vmx_interrupt_window(vcpu, cases[i].irq);
		vmx_nmi_window(vcpu, cases[i].nmi);
		assert_int_equal(vmx.vmcs.primary, BASE | cases[i].window);
		/* VMWRITE is slow: only a change is written. */
		assert_int_equal(WRITTEN(PRIMARY_CONTROLS), cases[i].window != 0);
		if (cases[i].window)
			assert_int_equal(FAKE(PRIMARY_CONTROLS), BASE | cases[i].window);

		vmx_interrupt_window(vcpu, false);
		vmx_nmi_window(vcpu, false);
		assert_int_equal(vmx.vmcs.primary, BASE);
		assert_int_equal(FAKE(PRIMARY_CONTROLS), cases[i].window ? BASE : 0);
	}
}

/* --- after an exit --- */

static void exit_with(u32 basic, u32 vectoring, u64 qualification)
{
	vmx.vectoring_info = vectoring;
	vmx.qualification = qualification;
	vmx_events_after_exit(vcpu, (union vmx_exit_reason){ .full = basic });
}

/* IDT-vectoring information has the layout of the injected event's. */
static void a_delivery_cut_off_is_repeated(void **state)
{
	static const struct {
		u32 vectoring;
		struct event event;
	} cases[] = {
		{ 0x80000031, { .type = EVENT_INTERRUPT, .vector = 0x31 } },
		{ 0x80000202, { .type = EVENT_NMI, .vector = 2 } },
		{ 0x80000306, { .type = EVENT_EXCEPTION, .vector = 6 } },
		{ 0x80000b0e, { .type = EVENT_EXCEPTION, .vector = 14, .has_error_code = true,
				.error_code = 0x15 } },
		{ 0x80000480, { .type = EVENT_SOFT_INTERRUPT, .vector = 0x80, .length = 3 } },
		{ 0x80000501, { .type = EVENT_PRIVILEGED_EXCEPTION, .vector = 1, .length = 3 } },
		{ 0x80000603, { .type = EVENT_SOFT_EXCEPTION, .vector = 3, .length = 3 } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct event *got = &vcpu->events.reinject, *want = &cases[i].event;

		setup(state);
		FAKE(IDT_VECTORING_ERROR) = 0x15;
		FAKE(EXIT_INSTRUCTION_LENGTH) = 3;
		exit_with(EPT_VIOLATION, cases[i].vectoring, 0);
		assert_int_equal(got->type, want->type);
		assert_int_equal(got->vector, want->vector);
		assert_int_equal(got->has_error_code, want->has_error_code);
		assert_int_equal(got->error_code, want->error_code);
		assert_int_equal(got->length, want->length);
		assert_int_equal(vcpu->requests, REQ_EVENT);
	}
}

static void without_the_valid_bit_nothing_is_repeated(void **state)
{
	vcpu->events.reinject.type = EVENT_NMI;		/* of an earlier exit */
	exit_with(EPT_VIOLATION, 0x7fffffff, 0);
	assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
	assert_int_equal(vcpu->requests, 0);
	assert_false(WRITTEN(GUEST_INTERRUPTIBILITY));
}

/* SDM, "Checks on Guest Non-Register State": no NMI is injected while the guest's NMIs are blocked. */
static void repeating_an_nmi_needs_nmis_unblocked(void **state)
{
	FAKE(GUEST_INTERRUPTIBILITY) = NMI | STI;
	exit_with(EPT_VIOLATION, 0x80000202, NMI_UNBLOCKED);
	assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY), STI);

	setup(state);
	FAKE(GUEST_INTERRUPTIBILITY) = NMI;
	exit_with(CPUID, 0x80000202, 0);
	assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY), 0);
}

/* SDM, "Exit Qualification for EPT Violations", bit 12. */
static void an_iret_that_faulted_blocks_nmis_again(void **state)
{
	static const struct {
		u32 basic, vectoring;
		u64 qualification;
		u32 blocking;
	} cases[] = {
		{ EPT_VIOLATION, 0, NMI_UNBLOCKED, NMI },
		{ EPT_VIOLATION, 0, ~(u64)NMI_UNBLOCKED, 0 },
		{ CPUID, 0, NMI_UNBLOCKED, 0 },
		{ EPT_VIOLATION, 0x80000031, NMI_UNBLOCKED, 0 },	/* bit 12 is undefined then */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		FAKE(GUEST_INTERRUPTIBILITY) = MOV_SS;
		exit_with(cases[i].basic, cases[i].vectoring, cases[i].qualification);
		assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY), MOV_SS | cases[i].blocking);
		assert_int_equal(WRITTEN(GUEST_INTERRUPTIBILITY), cases[i].blocking != 0);
	}
}

/* The same bit of notification exits, whose handler asks for it. */
static void a_notified_iret_blocks_nmis_again(void **state)
{
	for (unsigned unblocked = 0; unblocked < 2; unblocked++) {
		setup(state);
		vmx.qualification = unblocked ? NMI_UNBLOCKED : 0;
		vmx_nmi_blocking_after_exit(vcpu, (union vmx_exit_reason){ .full = 75 });
		assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY), unblocked ? NMI : 0);
	}
}

static void blocking_that_is_there_is_not_written_again(void **state)
{
	FAKE(GUEST_INTERRUPTIBILITY) = NMI;
	exit_with(EPT_VIOLATION, 0, NMI_UNBLOCKED);
	assert_false(WRITTEN(GUEST_INTERRUPTIBILITY));
}

/* Without virtual NMIs: the handler has ended once the guest has interrupts on. */
static void open_interrupts_end_an_nmi_handler(void **state)
{
	static const struct {
		bool before;
		u64 rflags;
		u32 interruptibility;
		bool after;
	} cases[] = {
		{ true, RFLAGS_IF, NMI, false }, { true, 0, NMI, true }, { true, RFLAGS_IF, NMI | STI, true },
		{ true, RFLAGS_IF, 0, false }, { false, 0, NMI, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		without_virtual_nmis();
		vmx.nmi_blocked = cases[i].before;
		FAKE(GUEST_RFLAGS) = cases[i].rflags;
		FAKE(GUEST_INTERRUPTIBILITY) = cases[i].interruptibility;
		exit_with(CPUID, 0, 0);
		assert_int_equal(vmx.nmi_blocked, cases[i].after);
		/* The processor saved the host's blocking there. */
		assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY) & NMI, cases[i].before ? 0 : NMI);
		assert_int_equal(FAKE(GUEST_INTERRUPTIBILITY) & STI, cases[i].interruptibility & STI);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_nmi_that_a_task_switch_delivers_is_in_service, setup),
		cmocka_unit_test_setup(injection_encodes_the_event, setup),
		cmocka_unit_test_setup(injecting_an_nmi_moves_the_window, setup),
		cmocka_unit_test_setup(interrupts_are_blocked_by_if_and_shadows, setup),
		cmocka_unit_test_setup(the_written_rflags_count, setup),
		cmocka_unit_test_setup(nmis_are_blocked_by_shadows_and_nmis, setup),
		cmocka_unit_test_setup(windows_are_controls, setup),
		cmocka_unit_test_setup(a_delivery_cut_off_is_repeated, setup),
		cmocka_unit_test_setup(without_the_valid_bit_nothing_is_repeated, setup),
		cmocka_unit_test_setup(repeating_an_nmi_needs_nmis_unblocked, setup),
		cmocka_unit_test_setup(an_iret_that_faulted_blocks_nmis_again, setup),
		cmocka_unit_test_setup(a_notified_iret_blocks_nmis_again, setup),
		cmocka_unit_test_setup(blocking_that_is_there_is_not_written_again, setup),
		cmocka_unit_test_setup(open_interrupts_end_an_nmi_handler, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
