/* SPDX-License-Identifier: MIT */
/*
 * Events while L2 runs: which is an exit to L1, in which order, and what waits. Intel SDM, "Other Causes of VM Exits",
 * "Priority Among Concurrent Events", "VMX-Preemption Timer", "Virtual NMIs".
 */
/* link: vmx/nested/events.c tests/unit/fake_vmcs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "core/irqchip.h"
#include "core/startup.h"
#include "core/vm.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/nested/nested.h"

struct vmx_caps vmx_caps;

static struct vm vm;
static struct vcpu_vmx vmx;
static struct nested_vmx nested;
static struct vmcs12 vmcs12;
static struct vcpu *const vcpu = &vmx.vcpu;
static int pending, acknowledged;
static u64 now;
static struct nested_exit made;		/* the last exit */
static unsigned exits;
static bool l1_gets, unhalted, for_good;

/* --- the rest of Lamina --- */

static int irq_pending(void *vlapic) { return pending; }

static int irq_acknowledge(void *vlapic, bool *more)
{
	*more = false;
	acknowledged++;
	return pending;
}

static const struct irqchip_ops irqchip = { .pending = irq_pending, .wakes = irq_pending, .acknowledge = irq_acknowledge };

u64 vtimer_now(void) { return now; }

void vtimer_init(struct vtimer *timer, struct vcpu *v, void (*fire)(struct vtimer *timer))
{
	timer->list = &v->timers;
	timer->fire = fire;
}

void vtimer_arm(struct vtimer *timer, u64 deadline)
{
	timer->armed = true;
	timer->deadline = deadline;
}

void vtimer_cancel(struct vtimer *timer) { timer->armed = false; }
void vcpu_unhalt(struct vcpu *v) { unhalted = true; }
void halt_for_good(struct vcpu *v) { for_good = true; }
bool event_wakes(struct vcpu *v) { return false; }
bool nested_l1_gets_exception(const struct vmcs12 *v, u8 vector, u32 error_code) { return l1_gets; }

bool vmx_interrupt_blocked(struct vcpu *v) { return !(v->regs[REG_RFLAGS] & RFLAGS_IF); }
bool vmx_nmi_blocked(struct vcpu *v) { return vmcs_read32(GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI; }

void nested_vmx_exit(struct vcpu *v, const struct nested_exit *exit)
{
	made = *exit;
	exits++;
}

void nested_exit_for(struct vcpu *v, enum exit_reason reason, u64 qualification)
{
	nested_vmx_exit(v, &(struct nested_exit){ .reason.full = reason, .qualification = qualification });
}

static int setup(void **state)
{
	memset(&vmx, 0, sizeof(vmx));
	memset(&nested, 0, sizeof(nested));
	memset(&vmcs12, 0, sizeof(vmcs12));
	fake_vmcs_clear();
	vm.irqchip = &irqchip;
	vcpu->vm = &vm;
	vcpu->timers.vcpu = vcpu;
	vcpu->regs_available = REGS_LAZY;
	vmx.nested = &nested;
	nested.vmcs12 = &vmcs12;
	pending = -1;
	exits = acknowledged = 0;
	l1_gets = unhalted = for_good = false;
	now = 1000;
	nested_events_create(vcpu);
	return 0;
}

static void pin(u32 controls)
{
	vmcs12_write32(&vmcs12, PIN_BASED_CONTROLS, controls);
}

/* S25: without "acknowledge" the local APIC is left alone, and no vector is reported. S26: whatever L2's RFLAGS.IF. */
static void interrupts_exit(void **state)
{
	pending = 0x61;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 0);			/* it is L2's */
	assert_true(nested_interrupt_blocked(vcpu));	/* by L2's RFLAGS.IF */
	vcpu->regs[REG_RFLAGS] = RFLAGS_IF;
	assert_false(nested_interrupt_blocked(vcpu));
	pin(PIN_EXTERNAL_INTERRUPT);
	assert_true(nested_interrupt_blocked(vcpu));	/* never for L2 */
	vcpu->regs[REG_RFLAGS] = 0;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 1);
	assert_int_equal(made.reason.full, EXIT_REASON_EXTERNAL_INTERRUPT);
	assert_int_equal(made.interruption_info, 0);
	assert_int_equal(acknowledged, 0);
	vmcs12_write32(&vmcs12, EXIT_CONTROLS, EXIT_ACKNOWLEDGE);
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 2);
	assert_int_equal(made.interruption_info, INTERRUPTION_VALID | 0x61);
	assert_int_equal(acknowledged, 1);
	pending = -1;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 2);
}

static void nmis_exit(void **state)
{
	vcpu->events.nmi_pending = 1;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 0);
	pin(PIN_NMI | PIN_VIRTUAL_NMI);
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_NMI;	/* of virtual NMIs: nothing to L1's */
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 1);
	assert_int_equal(made.reason.full, EXIT_REASON_EXCEPTION_OR_NMI);
	assert_int_equal(made.interruption_info, INTERRUPTION_VALID | INTERRUPTION_NMI << 8 | X86_NMI);
	assert_int_equal(vcpu->events.nmi_pending, 0);
	vcpu->events.nmi_pending = 1;
	pin(PIN_NMI);
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 1);				/* blocked */
	FAKE(GUEST_INTERRUPTIBILITY) = 0;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 2);
}

/* S1: what L1 injects is delivered before anything else exits: a forced exit, and then again. */
static void a_pending_entry_comes_first(void **state)
{
	pin(PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_PREEMPTION_TIMER);
	nested.l2.entry_pending = true;
	assert_false(nested_vmx_events(vcpu));
	pending = 0x61;
	assert_true(nested_vmx_events(vcpu));
	pending = -1;
	vcpu->events.nmi_pending = 1;
	assert_true(nested_vmx_events(vcpu));
	vcpu->events.nmi_pending = 0;
	nested.l2.timer_expired = true;
	assert_true(nested_vmx_events(vcpu));
	assert_int_equal(exits, 0);
	pin(0);						/* nothing takes the place of L1's event */
	vcpu->regs[REG_RFLAGS] = RFLAGS_IF;
	assert_true(nested_interrupt_blocked(vcpu) && nested_nmi_blocked(vcpu));
	assert_int_equal(nested_l2_init(vcpu), NESTED_INIT_WAITS);
	assert_true(vcpu->requests & REQ_STARTUP);
	nested.l2.entry_pending = false;
	assert_int_equal(nested_l2_init(vcpu), NESTED_INIT_EXITS);
	assert_int_equal(made.reason.full, EXIT_REASON_INIT);
}

static void a_delivery_that_was_cut_off_comes_first(void **state)
{
	pin(PIN_EXTERNAL_INTERRUPT | PIN_PREEMPTION_TIMER);
	pending = 0x61;
	vcpu->events.reinject.type = EVENT_NMI;
	nested.l2.timer_expired = true;
	assert_false(nested_vmx_events(vcpu));		/* event_inject() injects it again */
	assert_int_equal(exits, 0);
	assert_true(vcpu->requests & REQ_EVENT);	/* and the timer is looked at after a forced exit */
	assert_int_equal(nested_l2_init(vcpu), NESTED_INIT_WAITS);
	vcpu->events.reinject.type = EVENT_NONE;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(made.reason.full, EXIT_REASON_PREEMPTION_TIMER);
}

static void the_order_is_timer_nmi_interrupt(void **state)
{
	pin(PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER);
	pending = 0x61;
	vcpu->events.nmi_pending = 1;
	nested.l2.timer_expired = true;
	nested_vmx_events(vcpu);
	assert_int_equal(made.reason.full, EXIT_REASON_PREEMPTION_TIMER);
	nested.l2.timer_expired = false;
	nested_vmx_events(vcpu);
	assert_int_equal(made.reason.full, EXIT_REASON_EXCEPTION_OR_NMI);
	nested_vmx_events(vcpu);
	assert_int_equal(made.reason.full, EXIT_REASON_EXTERNAL_INTERRUPT);
}

/* S2: the vectoring information is that of the delivery which the exception has cut off, not of the exception. */
static void exceptions_that_l0_raises_exit(void **state)
{
	vcpu->events.exception = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_PF, .has_error_code = true, .error_code = 2 };
	vcpu->events.payload = 0x1234;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 0);			/* L2's */
	l1_gets = true;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 1);
	assert_int_equal(made.interruption_info, INTERRUPTION_VALID | INTERRUPTION_ERROR_CODE | 3 << 8 | X86_PF);
	assert_int_equal(made.interruption_error, 2);
	assert_int_equal(made.qualification, 0x1234);
	assert_int_equal(made.vectoring_info, 0);
	vmx.vectoring_info = INTERRUPTION_VALID | INTERRUPTION_ERROR_CODE | 3 << 8 | X86_GP;
	FAKE(IDT_VECTORING_ERROR) = 9;
	vcpu->events.exception.vector = X86_UD;
	vcpu->events.exception.has_error_code = false;
	nested_vmx_events(vcpu);
	assert_int_equal(made.interruption_info, INTERRUPTION_VALID | 3 << 8 | X86_UD);
	assert_int_equal(made.qualification, 0);
	assert_int_equal(made.vectoring_info, vmx.vectoring_info);
	assert_int_equal(made.vectoring_error, 9);
	vcpu->events.exception.vector = X86_DF;
	nested_vmx_events(vcpu);
	assert_int_equal(made.interruption_info, INTERRUPTION_VALID | 3 << 8 | X86_DF);
	assert_int_equal(made.vectoring_info, 0);
}

/* S36: only 0 is immediately; the value is saved where L1 asks for it; L0's own timer is another one. */
static void the_timer_counts_and_is_saved(void **state)
{
	pin(PIN_PREEMPTION_TIMER);
	vmcs12_write32(&vmcs12, PREEMPTION_TIMER_VALUE, 0);
	nested_start_timer(vcpu);
	assert_true(nested.l2.timer_expired && !nested.l2.timer.armed);
	vmcs12_write32(&vmcs12, PREEMPTION_TIMER_VALUE, 1);
	nested_start_timer(vcpu);
	assert_true(!nested.l2.timer_expired && nested.l2.timer.armed);
	assert_int_equal(nested.l2.timer.deadline, 1000 + (1 << NESTED_TIMER_SHIFT));
	vmcs12_write32(&vmcs12, PREEMPTION_TIMER_VALUE, ~0u);
	nested_start_timer(vcpu);
	assert_true(nested.l2.timer.deadline == 1000 + ((u64)~0u << NESTED_TIMER_SHIFT));
	now = 1000 + (10 << NESTED_TIMER_SHIFT);
	nested_stop_timer(vcpu);
	assert_false(nested.l2.timer.armed);
	assert_true(vmcs12_read32(&vmcs12, PREEMPTION_TIMER_VALUE) == ~0u);
	nested_start_timer(vcpu);
	now += 10 << NESTED_TIMER_SHIFT;
	vmcs12_write32(&vmcs12, EXIT_CONTROLS, EXIT_SAVE_PREEMPTION_TIMER);
	nested_stop_timer(vcpu);
	assert_true(vmcs12_read32(&vmcs12, PREEMPTION_TIMER_VALUE) == ~0u - 10);
	nested_start_timer(vcpu);
	vcpu->activity = VCPU_HALTED;
	nested.l2.timer.fire(&nested.l2.timer);
	assert_true(nested.l2.timer_expired && unhalted && (vcpu->requests & REQ_EVENT));
	nested_stop_timer(vcpu);
	assert_int_equal(vmcs12_read32(&vmcs12, PREEMPTION_TIMER_VALUE), 0);
	pin(0);
	nested_start_timer(vcpu);
	assert_true(!nested.l2.timer_expired && !nested.l2.timer.armed);
}

/*
 * SDM, "Monitor Trap Flag", "Saving Non-Register State": the #DB of the instruction's single step and breakpoints is
 * pending: BS is bit 14, and bit 12 says that a breakpoint was enabled.
 */
static void an_instruction_that_l0_has_executed_traps(void **state)
{
	static const struct {
		u64 payload, pending;
	} rows[] = { { BIT(14), BIT(14) }, { BIT(14) | 5, BIT(14) | BIT(12) | 5 }, { 1, BIT(12) | 1 }, { BIT(13), 0 } };

	FAKE(GUEST_PENDING_DEBUG) = 0x1002;
	nested_monitor_trap(vcpu);
	assert_int_equal(exits, 1);
	assert_int_equal(made.reason.full, 37);
	assert_int_equal(made.qualification, 0);
	assert_int_equal(FAKE(GUEST_PENDING_DEBUG), 0x1002);	/* what is pending anyway stays */
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vcpu->events.exception = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_DB };
		vcpu->events.payload = rows[i].payload;
		nested_monitor_trap(vcpu);
		assert_int_equal(exits, 2 + i);
		assert_int_equal(made.reason.full, 37);
		assert_int_equal(FAKE(GUEST_PENDING_DEBUG), rows[i].pending);
	}
	/* A fault is delivered first, with the flag set. */
	exits = 0;
	vcpu->events.exception.vector = X86_GP;
	nested_monitor_trap(vcpu);
	assert_int_equal(exits, 0);
}

/* SDM, "Saving Non-Register State": the field is clear behind a debug exception; behind others MOV SS may hold some back. */
static void a_debug_exception_leaves_none_pending(void **state)
{
	l1_gets = true;
	vcpu->events.exception = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_DB };
	vcpu->events.payload = BIT(14) | 1;
	FAKE(GUEST_PENDING_DEBUG) = BIT(14) | BIT(12) | 1;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(made.qualification, BIT(14) | 1);
	assert_int_equal(FAKE(GUEST_PENDING_DEBUG), 0);
	vcpu->events.exception.vector = X86_GP;
	FAKE(GUEST_PENDING_DEBUG) = BIT(14) | BIT(12) | 1;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 2);
	assert_int_equal(FAKE(GUEST_PENDING_DEBUG), BIT(14) | BIT(12) | 1);
}

/* The timer's exit comes behind the delivery, before L2's next instruction. */
static void a_fault_does_not_hold_the_timer_back(void **state)
{
	vcpu->events.exception = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_GP };
	assert_false(nested_vmx_events(vcpu));
	assert_false(vcpu->requests & REQ_EVENT);
	nested.l2.timer_expired = true;
	assert_false(nested_vmx_events(vcpu));
	assert_int_equal(exits, 0);
	assert_true(vcpu->requests & REQ_EVENT);
}

/* L1's windows stay open, whatever L0 needs; interrupts and NMIs that exit need none. */
static void windows_of_both_levels(void **state)
{
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_NMI_WINDOW);
	vmx.vmcs.primary = PRIMARY_HLT | PRIMARY_NMI_WINDOW;
	nested_interrupt_window(vcpu, true);
	assert_int_equal(FAKE(PRIMARY_CONTROLS), PRIMARY_HLT | PRIMARY_NMI_WINDOW | PRIMARY_INTERRUPT_WINDOW);
	nested_interrupt_window(vcpu, false);
	assert_int_equal(FAKE(PRIMARY_CONTROLS), PRIMARY_HLT | PRIMARY_NMI_WINDOW);
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, 0);
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_STI;
	nested_nmi_window(vcpu, true);
	assert_int_equal(FAKE(PRIMARY_CONTROLS), PRIMARY_HLT | PRIMARY_INTERRUPT_WINDOW);
	nested_nmi_window(vcpu, false);
	pin(PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI);
	vcpu->events.irq_window = vcpu->events.nmi_window = true;
	nested_interrupt_window(vcpu, true);
	assert_int_equal(FAKE(PRIMARY_CONTROLS), PRIMARY_HLT);
	assert_false(vcpu->events.irq_window);
	assert_true(vcpu->requests & REQ_EVENT);
	vcpu->requests = 0;
	nested_nmi_window(vcpu, true);
	assert_int_equal(FAKE(PRIMARY_CONTROLS), PRIMARY_HLT);
	assert_true(vcpu->requests & REQ_EVENT);
	assert_false(vcpu->events.nmi_window);
}

static void what_wakes_l2_from_hlt(void **state)
{
	nested_halt(vcpu);
	assert_int_equal(vcpu->activity, VCPU_HALTED);
	assert_true(nested.l2.halted && !vcpu->halt_if && vcpu->halt_nmi && for_good);
	for_good = false;
	pin(PIN_EXTERNAL_INTERRUPT);
	nested_halt(vcpu);
	assert_true(vcpu->halt_if && !for_good);	/* L1's interrupts, whatever L2's RFLAGS.IF */
	pin(PIN_NMI | PIN_VIRTUAL_NMI);
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_NMI;
	nested.l2.timer.armed = true;
	nested_halt(vcpu);
	assert_true(vcpu->halt_nmi && !vcpu->halt_if && !for_good);	/* the timer will wake it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(interrupts_exit, setup),
		cmocka_unit_test_setup(nmis_exit, setup),
		cmocka_unit_test_setup(a_pending_entry_comes_first, setup),
		cmocka_unit_test_setup(a_delivery_that_was_cut_off_comes_first, setup),
		cmocka_unit_test_setup(the_order_is_timer_nmi_interrupt, setup),
		cmocka_unit_test_setup(exceptions_that_l0_raises_exit, setup),
		cmocka_unit_test_setup(the_timer_counts_and_is_saved, setup),
		cmocka_unit_test_setup(an_instruction_that_l0_has_executed_traps, setup),
		cmocka_unit_test_setup(a_debug_exception_leaves_none_pending, setup),
		cmocka_unit_test_setup(a_fault_does_not_hold_the_timer_back, setup),
		cmocka_unit_test_setup(windows_of_both_levels, setup),
		cmocka_unit_test_setup(what_wakes_l2_from_hlt, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
