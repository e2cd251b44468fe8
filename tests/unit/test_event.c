/* SPDX-License-Identifier: MIT */
/*
 * Which event enters the guest next. Intel SDM, "Interrupt 8: Double Fault Exception", "Priority Among
 * Concurrent Events", "Error Code", "Handling Multiple NMIs", "Debug Control Register (DR7)".
 */
/* link: core/event.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "core/irqchip.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"

static struct vm vm;
static struct vcpu vcpu;
static u64 controls[CTL_XCR0 + 1];
static bool irq_blocked, nmi_blocked, no_window_yet;
static int pending, acknowledged, pending_after;	/* vectors, -1: none */
static char diary[512];		/* what reached the vendor, in order */
static enum vm_end ended;
static char why[80];

static void note(const char *format, ...)
{
	size_t used = strlen(diary);
	va_list args;

	va_start(args, format);
	vsnprintf(diary + used, sizeof(diary) - used, format, args);
	va_end(args);
}

/* --- the rest of Lamina --- */

void vm_end(struct vm *v, enum vm_end reason, const char *format, ...)
{
	va_list args;

	assert_ptr_equal(v, &vm);
	ended = reason;
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
}

static u64 control_get(struct vcpu *v, enum vcpu_control control) { return controls[control]; }

static void control_set(struct vcpu *v, enum vcpu_control control, u64 value)
{
	static const char *const names[] = { [CTL_CR2] = "CR2", [CTL_DR6] = "DR6", [CTL_DR7] = "DR7" };

	controls[control] = value;
	note("%s=0x%llx ", names[control], (ull)value);
}

/* By the time the vendor is asked, everything about the event is set. */
static void inject(struct vcpu *v, const struct event *event)
{
	assert_memory_equal(&v->events.injected, event, sizeof(*event));
	note("type %u vector %u", event->type, event->vector);
	if (event->has_error_code)
		note(" error 0x%x", event->error_code);
	note(" ");
}

static unsigned for_good, revived;
void halt_for_good(struct vcpu *v) { for_good++; }

static unsigned dumps;

static void dump(struct vcpu *v) { dumps++; }

void halt_is_over(struct vcpu *v) { revived++; }

static bool is_irq_blocked(struct vcpu *v) { return irq_blocked; }
static bool is_nmi_blocked(struct vcpu *v) { return nmi_blocked; }

static void irq_window(struct vcpu *v, bool on)
{
	assert_int_equal(v->events.irq_window, on);
	note("IRQ window %u ", on);
}

static void nmi_window(struct vcpu *v, bool on)
{
	assert_int_equal(v->events.nmi_window, on);
	note("NMI window %u ", on);
	if (no_window_yet)
		v->events.nmi_window = false;
}

static u8 taken_by_l1;
static bool takes_exception(struct vcpu *v, u8 vector, u32 error_code) { return vector == taken_by_l1; }
static void triple_fault(struct vcpu *v) { ended = VM_END_TRIPLE_FAULT; }

static int irq_pending(void *vlapic) { return pending; }

static int irq_acknowledge(void *vlapic, bool *more)
{
	int vector = pending < 0 ? -1 : acknowledged;

	pending = pending_after;
	*more = pending >= 0;
	return vector;
}

static u32 apic_page[PAGE_SIZE / sizeof(u32)];	/* TPR is at 80h */
static unsigned apic_entries;
static void apic_entry(struct vcpu *v) { apic_entries++; }

static int setup(void **state)
{
	static const struct vcpu_ops ops = {
		.dump = dump, .control_get = control_get, .control_set = control_set, .inject = inject,
		.interrupt_blocked = is_irq_blocked, .nmi_blocked = is_nmi_blocked,
		.interrupt_window = irq_window, .nmi_window = nmi_window,
		.nested_takes_exception = takes_exception, .nested_triple_fault = triple_fault,
		.apic_entry = apic_entry,
	};
	static const struct irqchip_ops irqchip = { .pending = irq_pending, .wakes = irq_pending, .acknowledge = irq_acknowledge };

	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(controls, 0, sizeof(controls));
	memset(diary, 0, sizeof(diary));
	vm.irqchip = &irqchip;
	vcpu.vm = &vm;
	vcpu.ops = &ops;
	memset(apic_page, 0, sizeof(apic_page));
	vcpu.vlapic = apic_page;
	apic_entries = 0;
	vcpu.regs[REG_RFLAGS] = RFLAGS_FIXED;
	vcpu.regs_available = BIT(REG_RFLAGS);
	controls[CTL_CR0] = CR0_PE;
	irq_blocked = nmi_blocked = no_window_yet = false;
	for_good = revived = 0;
	pending = acknowledged = pending_after = -1;
	ended = VM_END_NONE;
	return 0;
}

/* The next entry; returns what it does, and whether something waits behind it. */
static const char *entry(bool *waiting)
{
	memset(diary, 0, sizeof(diary));
	*waiting = event_inject(&vcpu);
	return diary;
}

static void enters(const char *expected, bool expected_waiting)
{
	bool waiting;

	assert_string_equal(entry(&waiting), expected);
	assert_int_equal(waiting, expected_waiting);
}

/* --- exceptions --- */

/* "Error Code": #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP. */
static void which_exceptions_have_an_error_code(void **state)
{
	for (unsigned vector = 0; vector < 256; vector++)
		assert_int_equal(exception_has_error_code((u8)vector),
				 vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21);
}

static void exceptions_are_injected_as_raised(void **state)
{
	event_raise(&vcpu, X86_UD);
	assert_int_equal(vcpu.requests, REQ_EVENT);
	enters("type 3 vector 6 ", false);
	enters("", false);			/* once */
	event_raise_error(&vcpu, X86_GP, 0x1234);
	enters("type 3 vector 13 error 0x1234 ", false);
	event_raise_page_fault(&vcpu, 0xdeadbeef000, 6);
	assert_int_equal(controls[CTL_CR2], 0);	/* only when it is taken */
	enters("CR2=0xdeadbeef000 type 3 vector 14 error 0x6 ", false);
	controls[CTL_DR6] = 0xffff0ff0;
	controls[CTL_DR7] = 0x2400;
	event_raise_debug(&vcpu, 0x4000);
	enters("DR6=0xffff4ff0 DR7=0x400 type 3 vector 1 ", false);
}

/* "Debug Status Register (DR6)": B0 to B3 tell of this exception only; BS and BD stay until the guest clears them. */
static void debug_exceptions_replace_the_breakpoints_of_earlier_ones(void **state)
{
	controls[CTL_DR6] = 0xffff6ff5;		/* B0, B2, BD, BS */
	controls[CTL_DR7] = 0x400;
	event_raise_debug(&vcpu, 0x8);
	enters("DR6=0xffff6ff8 DR7=0x400 type 3 vector 1 ", false);
	event_raise(&vcpu, X86_DB);		/* the processor has written DR6 */
	enters("DR6=0xffff6ff8 DR7=0x400 type 3 vector 1 ", false);
}

/* "Resume Flag": the image that a fault pushes has RF set; not that of traps (#BP, #OF), of aborts (#DF, #MC), of #DB. */
static void faults_push_the_resume_flag(void **state)
{
	for (u8 vector = 0; vector < 32; vector++) {
		bool fault = vector != 1 && vector != 2 && vector != 3 && vector != 4 && vector != 8 && vector != 18;

		setup(NULL);
		event_raise_error(&vcpu, vector, 0);
		assert_int_equal(vcpu.regs[REG_RFLAGS], 2);	/* not before it is taken */
		event_inject(&vcpu);
		assert_int_equal(vcpu.regs[REG_RFLAGS], fault ? 0x10002 : 2);
		assert_int_equal(!!(vcpu.regs_dirty & BIT(REG_RFLAGS)), fault);
	}
}

/* In real mode none is pushed, and a page fault cannot be. */
static void real_mode_pushes_no_error_code(void **state)
{
	controls[CTL_CR0] = 0;
	event_raise_error(&vcpu, X86_GP, 0x10);
	enters("type 3 vector 13 ", false);
}

/* The manual's table: benign, contributory, page faults. */
static const u8 benign[] = { X86_DB, X86_BP, X86_UD, X86_AC, X86_MC };
static const u8 contributory[] = { X86_DE, X86_TS, X86_NP, X86_SS, X86_GP, X86_CP };
static const u8 page_faults[] = { X86_PF, X86_VE };

static void raise_second(const u8 first[], size_t firsts, const u8 second[], size_t seconds, bool makes_double)
{
	for (size_t i = 0; i < firsts * seconds; i++) {
		u8 a = first[i / seconds], b = second[i % seconds];

		for (unsigned interrupted = 0; interrupted < 2; interrupted++) {
			setup(NULL);
			if (interrupted)
				vcpu.events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = a };
			else
				event_raise(&vcpu, a);
			event_raise_error(&vcpu, b, 7);
			assert_int_equal(vcpu.events.exception.vector, makes_double ? X86_DF : b);
			assert_int_equal(vcpu.events.reinject.type, EVENT_NONE);
			if (makes_double) {
				assert_true(vcpu.events.exception.has_error_code);
				assert_int_equal(vcpu.events.exception.error_code, 0);
			}
		}
	}
}

#define PAIRS(first, second, makes_double) raise_second(first, sizeof(first), second, sizeof(second), makes_double)

static void pairs_that_make_a_double_fault(void **state)
{
	PAIRS(benign, benign, false);
	PAIRS(benign, contributory, false);
	PAIRS(benign, page_faults, false);
	PAIRS(contributory, benign, false);
	PAIRS(contributory, contributory, true);
	PAIRS(contributory, page_faults, false);
	PAIRS(page_faults, benign, false);
	PAIRS(page_faults, contributory, true);
	PAIRS(page_faults, page_faults, true);
}

static void a_double_fault_has_no_address(void **state)
{
	event_raise_page_fault(&vcpu, 0x1000, 2);
	event_raise_page_fault(&vcpu, 0x2000, 2);
	enters("type 3 vector 8 error 0x0 ", false);
	assert_int_equal(controls[CTL_CR2], 0);
	assert_int_equal(vcpu.events.payload, 0);
}

static void a_double_fault_in_real_mode_has_no_error_code(void **state)
{
	controls[CTL_CR0] = 0;
	event_raise(&vcpu, X86_GP);
	event_raise(&vcpu, X86_GP);
	enters("type 3 vector 8 ", false);
}

static void any_exception_in_a_double_fault_ends_the_vm(void **state)
{
	static const u8 vectors[] = { X86_UD, X86_GP, X86_PF };

	for (unsigned i = 0; i < sizeof(vectors); i++) {
		char expected[80];

		setup(state);
		vcpu.events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_DF };
		event_raise(&vcpu, vectors[i]);
		assert_int_equal(dumps, i + 1);
		snprintf(expected, sizeof(expected), "triple fault: exception %u while delivering #DF", vectors[i]);
		assert_int_equal(ended, VM_END_TRIPLE_FAULT);
		assert_string_equal(why, expected);
		assert_int_equal(vcpu.events.exception.type, EVENT_NONE);
		assert_int_equal(vcpu.events.reinject.vector, X86_DF);
	}
}

/* An interrupt whose delivery raises an exception is lost, as on the processor. */
static void an_interrupted_interrupt_is_replaced(void **state)
{
	vcpu.events.reinject = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x30 };
	event_raise_error(&vcpu, X86_GP, 0);
	enters("type 3 vector 13 error 0x0 ", false);
	enters("", false);
}

static void an_interrupted_delivery_is_done_again(void **state)
{
	vcpu.events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_PF, .has_error_code = true,
					       .error_code = 5 };
	enters("type 3 vector 14 error 0x5 ", false);	/* CR2 has been set already */
	enters("", false);
	vcpu.events.reinject = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x41 };
	enters("type 1 vector 65 ", false);
	enters("", false);
}

/* --- NMIs --- */

static void one_nmi_is_latched_behind_another(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		event_queue_nmi(&vcpu);
	assert_int_equal(vcpu.requests, REQ_EVENT);
	assert_int_equal(vcpu.events.nmi_pending, 2);
	enters("type 2 vector 2 NMI window 1 ", false);
	nmi_blocked = true;
	event_queue_nmi(&vcpu);
	enters("", false);				/* the window is open already */
	assert_int_equal(vcpu.events.nmi_pending, 1);	/* with one in service, one more */
	nmi_blocked = false;
	enters("type 2 vector 2 ", false);
	enters("NMI window 0 ", false);
	enters("", false);
}

static void a_blocked_nmi_waits_for_its_window(void **state)
{
	nmi_blocked = true;
	event_queue_nmi(&vcpu);
	enters("NMI window 1 ", false);
	enters("", false);
}

/* The vendor has to be asked again, after what the next entry delivers. */
static void a_window_that_cannot_be_opened_yet_is_asked_for_again(void **state)
{
	bool waiting;

	nmi_blocked = no_window_yet = true;
	event_queue_nmi(&vcpu);
	event_raise_error(&vcpu, X86_GP, 0);
	assert_string_equal(entry(&waiting), "type 3 vector 13 error 0x0 NMI window 1 ");
	assert_true(waiting);
	no_window_yet = false;
	assert_string_equal(entry(&waiting), "NMI window 1 ");
	assert_false(waiting);
}

static void an_nmi_waits_behind_an_exception(void **state)
{
	event_raise(&vcpu, X86_UD);
	event_queue_nmi(&vcpu);
	enters("type 3 vector 6 ", true);		/* chosen after a forced exit */
	enters("type 2 vector 2 ", false);
}

/* --- interrupts --- */

static void an_interrupt_is_acknowledged_when_it_enters(void **state)
{
	pending = acknowledged = 0x30;
	enters("type 1 vector 48 ", false);
	enters("", false);
	pending = acknowledged = 0;			/* vector 0 is one, from an 8259 that is programmed so */
	enters("type 1 vector 0 ", false);
}

static void another_interrupt_behind_it_asks_for_a_window(void **state)
{
	pending = acknowledged = 0x30;
	pending_after = 0;
	enters("type 1 vector 48 IRQ window 1 ", false);
	acknowledged = 0;
	pending_after = -1;
	enters("type 1 vector 0 IRQ window 0 ", false);
}

static void a_blocked_interrupt_asks_for_a_window(void **state)
{
	pending = 0;
	irq_blocked = true;
	enters("IRQ window 1 ", false);
	enters("", false);
	pending = -1;					/* taken back meanwhile */
	enters("IRQ window 0 ", false);
	enters("", false);
}

/* The 8259 may have nothing any more by the time it is asked. */
static void an_interrupt_that_is_gone_is_none(void **state)
{
	pending = 0x30;
	enters("", false);
}

static void an_interrupt_waits_behind_everything(void **state)
{
	pending = acknowledged = 0x30;
	event_raise(&vcpu, X86_UD);
	enters("type 3 vector 6 ", true);
	assert_int_equal(pending, 0x30);
	vcpu.events.reinject = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x41 };
	enters("type 1 vector 65 ", true);
	event_queue_nmi(&vcpu);
	enters("type 2 vector 2 ", true);
	enters("type 1 vector 48 ", false);
}

/* --- what ends a halt --- */

static void halted(bool interrupts, bool nmis)
{
	vcpu.activity = VCPU_HALTED;
	vcpu.halt_if = interrupts;
	vcpu.halt_nmi = nmis;
	vcpu.halted_for_good = false;
	/* The vCPU need not be loaded: what HLT has kept decides. */
	irq_blocked = interrupts;
	nmi_blocked = nmis;
}

static void what_wakes_a_halted_vcpu(void **state)
{
	halted(true, true);
	assert_false(event_wakes(&vcpu));
	assert_int_equal(vcpu.activity, VCPU_HALTED);
	vcpu.events.exception.type = EVENT_EXCEPTION;
	assert_true(event_wakes(&vcpu));
	/* Once: the loop need not ask again. */
	assert_int_equal(vcpu.activity, VCPU_RUNNING);
	assert_int_equal(vcpu.requests, REQ_EVENT);
	setup(state);
	halted(false, false);
	vcpu.events.reinject.type = EVENT_INTERRUPT;
	assert_true(event_wakes(&vcpu));
	setup(state);
	vcpu.events.nmi_pending = 1;
	halted(false, true);
	assert_true(event_wakes(&vcpu));
	halted(false, false);
	assert_false(event_wakes(&vcpu));
	setup(state);
	pending = 0;
	halted(true, false);
	assert_true(event_wakes(&vcpu));
	halted(false, false);
	assert_false(event_wakes(&vcpu));
	assert_int_equal(vcpu.activity, VCPU_HALTED);
	vcpu.unhalted = true;
	assert_true(event_wakes(&vcpu));
	assert_int_equal(vcpu.activity, VCPU_RUNNING);
	assert_false(vcpu.unhalted);
}

static void a_wake_up_ends_a_halt_for_good(void **state)
{
	halted(false, true);
	vcpu.halted_for_good = true;
	assert_false(event_wakes(&vcpu));
	assert_int_equal(revived, 0);
	vcpu.events.nmi_pending = 1;
	assert_true(event_wakes(&vcpu));
	assert_int_equal(revived, 1);
}

/* APM vol. 2, "Exception Intercepts"; SDM, "Exceptions, Exits": the second one of a pair exits before the pair counts. */
static void a_hypervisor_gets_the_second_exception_of_a_pair(void **state)
{
	static const u8 first[] = { X86_GP, X86_DF };

	vcpu.l2_runs = true;
	taken_by_l1 = X86_NP;
	for (unsigned i = 0; i < sizeof(first); i++) {
		vcpu.events.exception.type = EVENT_NONE;
		vcpu.events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = first[i] };
		event_raise_error(&vcpu, X86_NP, 0x18);
		assert_int_equal(vcpu.events.exception.vector, X86_NP);
		assert_int_equal(vcpu.events.exception.error_code, 0x18);
	}
	assert_int_equal(ended, VM_END_NONE);
	taken_by_l1 = X86_UD;
	vcpu.events.exception.type = EVENT_NONE;
	vcpu.events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_GP };
	event_raise_error(&vcpu, X86_NP, 0x18);
	assert_int_equal(vcpu.events.exception.vector, X86_DF);
	event_raise_error(&vcpu, X86_NP, 0x18);
	assert_int_equal(ended, VM_END_TRIPLE_FAULT);
}

/* An NMI while the NMI handler has halted: nothing but a reset ends that. */
static void an_nmi_that_is_blocked_leaves_it_halted_for_good(void **state)
{
	halted(false, false);
	event_queue_nmi(&vcpu);
	assert_int_equal(for_good, 1);
	halted(false, true);
	event_queue_nmi(&vcpu);
	halted(true, false);
	event_queue_nmi(&vcpu);
	assert_int_equal(for_good, 1);
	halted(false, false);
	vcpu.l2_runs = true;
	event_queue_nmi(&vcpu);
	assert_int_equal(for_good, 1);		/* L1's preemption timer ends it */
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

/* The vendor looks what TPR holds back while it may hold back something, or did when it last looked; for L1's APIC only. */
static void the_vendor_watches_tpr(void **state)
{
	static const struct {
		enum apic_hardware hardware;
		u32 tpr;
		bool watched, l2;
		unsigned entries;
	} rows[] = {
		{ APIC_TPR, 0, false, false, 0 }, { APIC_TPR, 0xf, false, false, 0 }, { APIC_TPR, 0x10, false, false, 1 },
		{ APIC_TPR, 0xff, false, false, 1 }, { APIC_TPR, 0, true, false, 1 }, { APIC_TPR, 0xff, true, true, 0 },
		{ APIC_BY_SOFTWARE, 0xff, false, false, 0 },
	};
	bool waiting;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(state);
		vm.apic_hardware = rows[i].hardware;
		apic_page[0x80 / sizeof(u32)] = rows[i].tpr;
		vcpu.tpr_watched = rows[i].watched;
		vcpu.l2_runs = rows[i].l2;
		entry(&waiting);
		assert_int_equal(apic_entries, rows[i].entries);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(which_exceptions_have_an_error_code),
		TEST(exceptions_are_injected_as_raised),
		TEST(debug_exceptions_replace_the_breakpoints_of_earlier_ones),
		TEST(faults_push_the_resume_flag),
		TEST(real_mode_pushes_no_error_code),
		TEST(pairs_that_make_a_double_fault),
		TEST(a_double_fault_has_no_address),
		TEST(a_double_fault_in_real_mode_has_no_error_code),
		TEST(any_exception_in_a_double_fault_ends_the_vm),
		TEST(a_hypervisor_gets_the_second_exception_of_a_pair),
		TEST(an_interrupted_interrupt_is_replaced),
		TEST(an_interrupted_delivery_is_done_again),
		TEST(one_nmi_is_latched_behind_another),
		TEST(a_blocked_nmi_waits_for_its_window),
		TEST(a_window_that_cannot_be_opened_yet_is_asked_for_again),
		TEST(an_nmi_waits_behind_an_exception),
		TEST(an_interrupt_is_acknowledged_when_it_enters),
		TEST(another_interrupt_behind_it_asks_for_a_window),
		TEST(a_blocked_interrupt_asks_for_a_window),
		TEST(an_interrupt_that_is_gone_is_none),
		TEST(an_interrupt_waits_behind_everything),
		TEST(the_vendor_watches_tpr),
		TEST(what_wakes_a_halted_vcpu),
		TEST(a_wake_up_ends_a_halt_for_good),
		TEST(an_nmi_that_is_blocked_leaves_it_halted_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
