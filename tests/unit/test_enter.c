/* SPDX-License-Identifier: MIT */
/*
 * The order of the enter-guest loop, tested with an operations table that only records its calls. Each
 * letter of the record is a step: R run, r run with force_immediate_exit, I inject, W host interrupt
 * window, H ordinary exit handler, X explain a failed entry, D dump, F failure traced, T trace printed, S
 * statistics printed, t timers run, Z processor asleep.
 */
/* link: core/enter.c core/event.c core/observe/statistics.c core/observe/report.c core/vm_log.c lib/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/apic/lapic_timer.h"
#include "arch/cpu/x86.h"
#include "core/enter.h"
#include "core/observe/trace.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"

static char diary[64];
static struct vm vm;
static struct vcpu vcpu;

/* What the fake hardware answers. */
static enum exit_fastpath results[16];
static unsigned runs;
static u32 request_after_run;	/* raised by the first run */
static int pending_irq;		/* vector, or -1 */
static int irq_after_wait;	/* pending_irq once the processor has slept */
static bool irq_blocked, nmi_is_blocked, irq_window_on, nmi_window_on;
static struct event injected;
static u64 cr0, dr6, dr7;
static u64 cr2_at_injection, cr2;
static bool vectoring_once;	/* the next run reports an interrupted delivery */
static bool vectoring_always;	/* each run does */
static struct event vectoring;
static u64 armed_deadline;
static u8 exit_index;
static u64 handling_time;	/* which passes after each run */
static u32 request_while_asleep;
static u64 sleep_time;
static int irq_by_timer;	/* pending_irq once a timer has expired */
static u64 armed_asleep;

static void note(char step)
{
	size_t n = strlen(diary);

	assert_true(n + 1 < sizeof(diary));
	diary[n] = step;
}

/* --- the fake vendor --- */

static enum exit_fastpath fake_run(struct vcpu *v, bool force)
{
	note(force ? 'r' : 'R');
	v->events.injected.type = EVENT_NONE;
	v->events.reinject = (struct event){ .type = EVENT_NONE };
	if (vectoring_once || vectoring_always) {
		v->events.reinject = vectoring;
		vcpu_request(v, REQ_EVENT);
	}
	vectoring_once = false;
	if (runs == 0 && request_after_run)
		vcpu_request(v, request_after_run);
	assert_true(runs < ARRAY_SIZE(results));
	v->exit_index = exit_index;
	v->exit_tsc = rdtsc() - handling_time;
	return results[runs++];
}

static void fake_handle_exit(struct vcpu *v) { note('H'); }
static void fake_explain(struct vcpu *v) { note('X'); }
static void fake_dump(struct vcpu *v) { note('D'); }
static bool fake_irq_blocked(struct vcpu *v) { return irq_blocked; }
static bool fake_nmi_blocked(struct vcpu *v) { return nmi_is_blocked; }
static void fake_irq_window(struct vcpu *v, bool on) { irq_window_on = on; }
static void fake_nmi_window(struct vcpu *v, bool on) { nmi_window_on = on; }

static void fake_inject(struct vcpu *v, const struct event *event)
{
	note('I');
	injected = *event;
	cr2_at_injection = cr2;
}

static u64 fake_control_get(struct vcpu *v, enum vcpu_control control)
{
	return control == CTL_CR0 ? cr0 : control == CTL_DR6 ? dr6 : control == CTL_DR7 ? dr7 : 0;
}

static void fake_control_set(struct vcpu *v, enum vcpu_control control, u64 value)
{
	if (control == CTL_CR2)
		cr2 = value;
	else if (control == CTL_DR6)
		dr6 = value;
	else if (control == CTL_DR7)
		dr7 = value;
}

static const struct vcpu_ops fake_ops = {
	.name = "fake",
	.vcpu_run = fake_run,
	.handle_exit = fake_handle_exit,
	.explain_failure = fake_explain,
	.dump = fake_dump,
	.inject = fake_inject,
	.interrupt_blocked = fake_irq_blocked,
	.nmi_blocked = fake_nmi_blocked,
	.interrupt_window = fake_irq_window,
	.nmi_window = fake_nmi_window,
	.control_get = fake_control_get,
	.control_set = fake_control_set,
};

static int fake_pending(struct vcpu *v) { return pending_irq; }

static int fake_acknowledge(struct vcpu *v)
{
	int vector = pending_irq;

	pending_irq = -1;
	return vector;
}

static const struct irqchip_ops fake_irqchip = { .pending = fake_pending, .acknowledge = fake_acknowledge };

/* --- what the loop needs of the rest --- */

void irq_window(void) { note('W'); }
void irq_enable(void) { fail(); }
void irq_disable(void) { fail(); }
u64 lapic_timer_armed;
void lapic_timer_arm(u64 deadline) { lapic_timer_armed = armed_deadline = deadline; }
void trace_print(const struct vm *v, unsigned records) { note('T'); }
void trace_failed_entry(struct vcpu *v) { note('F'); }
void statistics_print(struct vcpu *v, bool on_request) { note('S'); assert_true(on_request); }

void irq_wait(void)
{
	note('Z');
	armed_asleep = lapic_timer_armed;
	for (u64 end = rdtsc() + sleep_time; rdtsc() < end; )
		;
	if (request_while_asleep) {
		vcpu_request(&vcpu, request_while_asleep);
		request_while_asleep = 0;
		return;
	}
	pending_irq = irq_after_wait;
	vcpu_request(&vcpu, REQ_TIMER);
}

/* Memory of the fake VM: enough for a few kinds of exits. */
static char memory[8192] __aligned(16);
static size_t memory_used, memory_limit;

void *vm_alloc(struct vm *v, size_t size)
{
	void *block = memory + memory_used;

	if (memory_used + size > memory_limit)
		return NULL;
	memory_used += ALIGN_UP(size, (size_t)16);
	memset(block, 0, size);
	return block;
}

static u64 exits_of(unsigned kind)
{
	return vcpu.statistics.by_kind[kind] ? statistics_exits(vcpu.statistics.by_kind[kind]) : 0;
}

void vtimer_run_expired(struct vcpu *v, u64 now)
{
	note('t');
	v->timer_deadline = VTIMER_NEVER;
	if (irq_by_timer) {
		pending_irq = irq_by_timer;
		vcpu_request(v, REQ_EVENT);
	}
}

static int set_up(void **state)
{
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(diary, 0, sizeof(diary));
	memset(results, 0, sizeof(results));	/* EXIT_FASTPATH_NONE */
	vm.state = VM_RUNNING;
	vm.irqchip = &fake_irqchip;
	vcpu.vm = &vm;
	vcpu.ops = &fake_ops;
	vcpu.regs_available = REGS_LAZY;
	vcpu.timer_deadline = VTIMER_NEVER;
	runs = 0;
	memory_used = 0;
	memory_limit = sizeof(memory);
	request_after_run = 0;
	pending_irq = -1;
	irq_blocked = nmi_is_blocked = irq_window_on = nmi_window_on = vectoring_once = vectoring_always = false;
	cr0 = CR0_PE;
	cr2 = cr2_at_injection = 0;
	armed_deadline = lapic_timer_armed = 0;
	exit_index = 7;
	handling_time = sleep_time = 0;
	request_while_asleep = 0;
	irq_by_timer = 0;
	armed_asleep = 0;
	injected = (struct event){ .type = EVENT_NONE };
	log_set_level(LOG_ERROR);
	return 0;
}

/* --- the loop --- */

static void ordinary_exit_is_handled_after_the_window(void **state)
{
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "RWH");
	assert_int_equal(vcpu.outcomes[EXIT_FASTPATH_NONE], 1);
}

static void reenter_loops_without_leaving(void **state)
{
	results[0] = results[1] = EXIT_FASTPATH_REENTER_GUEST;
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "RRRWH");
	assert_int_equal(vcpu.outcomes[EXIT_FASTPATH_REENTER_GUEST], 2);
	assert_int_equal(vcpu.outcomes[EXIT_FASTPATH_NONE], 1);
}

static void reenter_stops_where_something_is_pending(void **state)
{
	results[0] = EXIT_FASTPATH_REENTER_GUEST;
	request_after_run = REQ_EVENT;
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "RW");
}

static void exit_handled_skips_the_handler(void **state)
{
	results[0] = EXIT_FASTPATH_EXIT_HANDLED;
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "RW");
}

static void failed_entry_ends_the_vm_with_words(void **state)
{
	results[0] = EXIT_FASTPATH_ENTRY_FAILED;
	assert_false(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "RWXDFT");
	assert_int_equal(vm.state, VM_ENDED);
	assert_int_equal(vm.end, VM_END_ENTRY_FAILED);
	assert_int_equal(vcpu.outcomes[EXIT_FASTPATH_ENTRY_FAILED], 1);
	assert_null(vcpu.statistics.open);
	assert_int_equal(exits_of(7), 0);
}

static void forced_entry_is_not_just_repeated(void **state)
{
	/* An exception before an interrupt makes the entry exit immediately; the rest is decided before the next one. */
	event_raise_error(&vcpu, X86_GP, 0);
	pending_irq = 0x31;
	vcpu_request(&vcpu, REQ_EVENT);
	results[0] = EXIT_FASTPATH_REENTER_GUEST;
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "IrW");
	assert_int_equal(vcpu.forced_exits, 1);
}

static void host_timer_is_armed_only_without_a_deadline_in_hardware(void **state)
{
	vcpu.timer_deadline = 4711;
	vcpu_enter_guest(&vcpu);
	assert_int_equal(armed_deadline, 4711);

	armed_deadline = 0;
	vcpu.deadline_in_hardware = true;
	vcpu_enter_guest(&vcpu);
	assert_int_equal(armed_deadline, 0);
}

static void timers_run_before_the_entry(void **state)
{
	vcpu_request(&vcpu, REQ_TIMER);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "tRWH");
}

/* What the timer raises enters with this very entry. */
static void a_timers_interrupt_enters_at_once(void **state)
{
	irq_by_timer = 0x31;
	vcpu_request(&vcpu, REQ_TIMER);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "tIRWH");
	assert_int_equal(injected.vector, 0x31);
	assert_int_equal(vcpu.requests, 0);
}

/* Without REQ_EVENT nothing has changed since the last choice. */
static void nothing_is_chosen_without_a_request(void **state)
{
	pending_irq = 0x30;
	vcpu_request(&vcpu, REQ_TIMER);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "tRWH");
}

/* Its host timer is armed while it sleeps, and off once the VM has ended, whatever was left armed. */
static void the_host_timer_of_a_sleeping_and_of_an_ended_vcpu(void **state)
{
	vcpu.activity = VCPU_HALTED;
	vcpu.timer_deadline = rdtsc() + (1ull << 50);
	request_while_asleep = REQ_STOP;
	vcpu_main(&vcpu);
	assert_int_equal(armed_asleep, vcpu.timer_deadline);
	assert_int_equal(vm.end, VM_END_STOPPED);
	assert_int_equal(armed_deadline, LAPIC_TIMER_OFF);
}

static void passed_deadline_runs_its_timer_without_another_exit(void **state)
{
	vcpu.timer_deadline = 4711;
	vcpu.exit_tsc = 4710;
	vcpu_enter_guest(&vcpu);
	assert_null(strchr(diary, 't'));

	vcpu.timer_deadline = 4711;
	vcpu.exit_tsc = 4711;
	diary[0] = '\0';
	vcpu_enter_guest(&vcpu);
	assert_int_equal(diary[0], 't');
}

/* --- stop requests --- */

static void stop_ends_the_vm_without_an_entry(void **state)
{
	vcpu_request(&vcpu, REQ_STOP);
	assert_false(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "");
	assert_int_equal(vm.end, VM_END_STOPPED);
}

static void stop_waits_for_the_event_in_delivery_and_forces_the_exit(void **state)
{
	vcpu.events.reinject = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x40 };
	vcpu_request(&vcpu, REQ_EVENT | REQ_STOP);
	results[0] = EXIT_FASTPATH_EXIT_HANDLED;
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "IrW");
	assert_int_equal(injected.vector, 0x40);
	assert_false(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "IrW");
	assert_int_equal(vm.end, VM_END_STOPPED);
}

static void stop_does_not_wait_for_ever(void **state)
{
	vectoring = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_AC, .has_error_code = true };
	vectoring_always = true;
	vcpu.events.reinject = vectoring;
	vcpu_request(&vcpu, REQ_EVENT | REQ_STOP);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "IrWH");
	assert_false(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "IrWH");
	assert_int_equal(vm.end, VM_END_STOPPED);
}

/* --- events --- */

static void interrupted_delivery_comes_first_and_forces_for_what_waits(void **state)
{
	vectoring = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x51 };
	vectoring_once = true;
	vcpu_enter_guest(&vcpu);
	pending_irq = 0x61;
	vcpu_request(&vcpu, REQ_EVENT);
	vcpu_enter_guest(&vcpu);
	assert_string_equal(diary, "RWHIrWH");
	assert_int_equal(injected.vector, 0x51);
	assert_int_equal(pending_irq, 0x61);	/* not acknowledged yet */
	/* It waited for the forced exit only, which is not requested again. */
	vcpu_enter_guest(&vcpu);
	assert_string_equal(diary, "RWHIrWHIRWH");
	assert_int_equal(injected.vector, 0x61);
}

static void interrupted_delivery_keeps_its_error_code(void **state)
{
	vcpu.events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_PF, .has_error_code = true,
					       .error_code = 6 };
	vcpu_request(&vcpu, REQ_EVENT);
	vcpu_enter_guest(&vcpu);
	assert_string_equal(diary, "IRWH");
	assert_int_equal(injected.error_code, 6);
}

static void interrupt_enters_when_it_may(void **state)
{
	pending_irq = 0x71;
	vcpu_request(&vcpu, REQ_EVENT);
	vcpu_enter_guest(&vcpu);
	assert_string_equal(diary, "IRWH");
	assert_int_equal(injected.type, EVENT_INTERRUPT);
	assert_int_equal(injected.vector, 0x71);
	assert_false(irq_window_on);
}

static void blocked_interrupt_asks_for_a_window(void **state)
{
	pending_irq = 0x71;
	irq_blocked = true;
	vcpu_request(&vcpu, REQ_EVENT);
	vcpu_enter_guest(&vcpu);
	assert_string_equal(diary, "RWH");
	assert_true(irq_window_on);

	pending_irq = -1;
	vcpu_request(&vcpu, REQ_EVENT);
	vcpu_enter_guest(&vcpu);
	assert_false(irq_window_on);
}

static void nmi_goes_before_an_interrupt(void **state)
{
	pending_irq = 0x71;
	event_queue_nmi(&vcpu);
	vcpu_enter_guest(&vcpu);
	assert_string_equal(diary, "IrWH");
	assert_int_equal(injected.type, EVENT_NMI);
	assert_int_equal(pending_irq, 0x71);
}

static void one_nmi_is_latched_while_one_is_in_service(void **state)
{
	for (unsigned i = 0; i < 5; i++)
		event_queue_nmi(&vcpu);
	assert_int_equal(vcpu.events.nmi_pending, 2);
	vcpu_enter_guest(&vcpu);
	assert_int_equal(vcpu.events.nmi_pending, 1);
	assert_true(nmi_window_on);
}

/* Three came while the guest was serving one, and the guest saw two more. */
static void further_nmis_are_lost_while_one_is_in_service(void **state)
{
	nmi_is_blocked = true;
	for (int i = 0; i < 3; i++)
		event_queue_nmi(&vcpu);
	vcpu_enter_guest(&vcpu);
	nmi_is_blocked = false;
	vcpu_request(&vcpu, REQ_EVENT);
	vcpu_enter_guest(&vcpu);
	assert_int_equal(injected.type, EVENT_NMI);
	assert_int_equal(vcpu.events.nmi_pending, 0);
}

static void blocked_nmi_asks_for_a_window(void **state)
{
	nmi_is_blocked = true;
	event_queue_nmi(&vcpu);
	vcpu_enter_guest(&vcpu);
	assert_string_equal(diary, "RWH");
	assert_true(nmi_window_on);
}

static void exception_takes_the_place_of_what_it_interrupted(void **state)
{
	vcpu.events.reinject = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x40 };
	event_raise(&vcpu, X86_UD);
	vcpu_enter_guest(&vcpu);
	assert_string_equal(diary, "IRWH");
	assert_int_equal(injected.vector, X86_UD);
	vcpu_enter_guest(&vcpu);
	assert_string_equal(diary, "IRWHRWH");
}

static void cr2_changes_with_the_injection_only(void **state)
{
	event_raise_page_fault(&vcpu, 0xdead000, PF_WRITE);
	assert_int_equal(cr2, 0);
	vcpu_enter_guest(&vcpu);
	assert_int_equal(cr2_at_injection, 0xdead000);
}

static void debug_exception_says_why_and_opens_the_debug_registers(void **state)
{
	dr6 = 0xffff0ff1;
	dr7 = 0x400 | DR7_GD;
	event_raise_debug(&vcpu, DR6_BS);
	assert_int_equal(dr6, 0xffff0ff1);
	vcpu_enter_guest(&vcpu);
	assert_int_equal(dr6, 0xffff4ff1);
	assert_int_equal(dr7, 0x400);
}

static void real_mode_pushes_no_error_code(void **state)
{
	cr0 = 0;
	event_raise_error(&vcpu, X86_GP, 0);
	vcpu_enter_guest(&vcpu);
	assert_false(injected.has_error_code);

	event_raise_error(&vcpu, X86_GP, 0);
	event_raise_error(&vcpu, X86_GP, 0);
	vcpu_enter_guest(&vcpu);
	assert_int_equal(injected.vector, X86_DF);
	assert_false(injected.has_error_code);
}

/* SDM, "Conditions for Generating a Double Fault": rows first, columns second exception. */
static void pairs_of_faults_follow_the_manual(void **state)
{
	static const u8 benign[] = { X86_DB, X86_BP, X86_UD, X86_NM, X86_MF, X86_AC };
	static const u8 contributory[] = { X86_DE, X86_TS, X86_NP, X86_SS, X86_GP };
	struct {
		u8 first, second, expected;
	} pairs[] = {
		{ X86_GP, X86_NP, X86_DF }, { X86_GP, X86_PF, X86_PF }, { X86_PF, X86_GP, X86_DF },
		{ X86_PF, X86_PF, X86_DF }, { X86_PF, X86_UD, X86_UD }, { X86_UD, X86_GP, X86_GP },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
		set_up(state);
		vcpu.events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = pairs[i].first };
		event_raise(&vcpu, pairs[i].second);
		assert_int_equal(vcpu.events.exception.vector, pairs[i].expected);
		assert_int_equal(vcpu.events.exception.has_error_code, pairs[i].expected == X86_DF);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(benign); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(contributory); j++) {
			set_up(state);
			vcpu.events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = benign[i] };
			event_raise(&vcpu, contributory[j]);
			assert_int_equal(vcpu.events.exception.vector, contributory[j]);
		}
	}
}

static void fault_in_a_double_fault_is_a_triple_fault(void **state)
{
	vcpu.events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_DF, .has_error_code = true };
	event_raise_error(&vcpu, X86_NP, 0);
	assert_int_equal(vm.state, VM_ENDED);
	assert_int_equal(vm.end, VM_END_TRIPLE_FAULT);
}

static void halted_vcpu_sleeps_until_its_timer(void **state)
{
	vcpu.activity = VCPU_HALTED;
	vcpu.timer_deadline = rdtsc() + (1ull << 50);
	results[0] = EXIT_FASTPATH_ENTRY_FAILED;	/* ends vcpu_main() after one entry */
	irq_after_wait = 0x20;
	vcpu_main(&vcpu);
	assert_string_equal(diary, "ZtIRWXDFT");
	assert_int_equal(injected.vector, 0x20);
	assert_int_equal(vcpu.activity, VCPU_RUNNING);
	assert_int_equal(armed_deadline, LAPIC_TIMER_OFF);
}

/* --- accounting --- */

static void handling_time_ends_at_the_next_entry(void **state)
{
	handling_time = 1ull << 33;
	vcpu_enter_guest(&vcpu);
	assert_int_equal(exits_of(7), 0);	/* not over yet */
	handling_time = 0;
	exit_index = 9;
	vcpu_enter_guest(&vcpu);
	assert_int_equal(exits_of(7), 1);
	assert_int_equal(exits_of(9), 0);
	assert_int_equal(vcpu.statistics.by_kind[7]->log2[33], 1);
	assert_in_range(vcpu.statistics.by_kind[7]->max, 1ull << 33, (1ull << 34) - 1);
	assert_int_equal(vcpu.statistics.by_kind[7]->ticks, vcpu.statistics.by_kind[7]->max);
}

static void reentries_are_exits_too(void **state)
{
	results[0] = results[1] = EXIT_FASTPATH_REENTER_GUEST;
	vcpu_enter_guest(&vcpu);
	assert_int_equal(exits_of(7), 2);
	vcpu_enter_guest(&vcpu);
	assert_int_equal(exits_of(7), 3);
}

static void each_outcome_is_counted(void **state)
{
	for (unsigned i = 0; i < EXIT_FASTPATH_OUTCOMES; i++) {
		set_up(state);
		results[0] = (enum exit_fastpath)i;
		vcpu_enter_guest(&vcpu);
		for (unsigned j = 0; j < EXIT_FASTPATH_OUTCOMES; j++) {
			bool second_run = i == EXIT_FASTPATH_REENTER_GUEST && j == EXIT_FASTPATH_NONE;

			assert_int_equal(vcpu.outcomes[j], j == i || second_run);
		}
	}
}

static void sleep_is_not_handling(void **state)
{
	vcpu_enter_guest(&vcpu);
	vcpu.activity = VCPU_HALTED;
	vcpu.timer_deadline = rdtsc() + (1ull << 50);
	results[1] = EXIT_FASTPATH_ENTRY_FAILED;
	irq_after_wait = 0x20;
	sleep_time = 1ull << 28;		/* a tenth of a second or so */
	vcpu_main(&vcpu);
	assert_int_equal(exits_of(7), 1);
	assert_in_range(vcpu.statistics.idle, sleep_time, ~0ull);
	assert_in_range(vcpu.statistics.by_kind[7]->ticks, 0, sleep_time - 1);
}

static void the_last_exit_is_counted(void **state)
{
	vcpu_request(&vcpu, REQ_EVENT | REQ_STOP);
	vcpu.events.reinject = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x40 };
	vcpu_main(&vcpu);
	assert_string_equal(diary, "IrWH");
	assert_int_equal(exits_of(7), 1);
}

static void without_memory_exits_are_handled_but_not_counted(void **state)
{
	memory_limit = 0;
	vcpu_enter_guest(&vcpu);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "RWHRWH");
	assert_int_equal(exits_of(7), 0);
}

static void requests_of_the_console_are_served_before_the_entry(void **state)
{
	vcpu_request(&vcpu, REQ_STATISTICS);
	vcpu_request(&vcpu, REQ_TRACE);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "STRWH");
	assert_false(vcpu_requested(&vcpu));
}

static void requests_of_the_console_are_served_asleep(void **state)
{
	vcpu.activity = VCPU_HALTED;
	vcpu.timer_deadline = rdtsc() + (1ull << 50);
	results[0] = EXIT_FASTPATH_ENTRY_FAILED;
	request_while_asleep = REQ_STATISTICS;
	irq_after_wait = 0x20;
	vcpu_main(&vcpu);
	assert_string_equal(diary, "ZSZtIRWXDFT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ordinary_exit_is_handled_after_the_window, set_up),
		cmocka_unit_test_setup(reenter_loops_without_leaving, set_up),
		cmocka_unit_test_setup(reenter_stops_where_something_is_pending, set_up),
		cmocka_unit_test_setup(exit_handled_skips_the_handler, set_up),
		cmocka_unit_test_setup(failed_entry_ends_the_vm_with_words, set_up),
		cmocka_unit_test_setup(forced_entry_is_not_just_repeated, set_up),
		cmocka_unit_test_setup(host_timer_is_armed_only_without_a_deadline_in_hardware, set_up),
		cmocka_unit_test_setup(timers_run_before_the_entry, set_up),
		cmocka_unit_test_setup(a_timers_interrupt_enters_at_once, set_up),
		cmocka_unit_test_setup(nothing_is_chosen_without_a_request, set_up),
		cmocka_unit_test_setup(the_host_timer_of_a_sleeping_and_of_an_ended_vcpu, set_up),
		cmocka_unit_test_setup(passed_deadline_runs_its_timer_without_another_exit, set_up),
		cmocka_unit_test_setup(stop_ends_the_vm_without_an_entry, set_up),
		cmocka_unit_test_setup(stop_waits_for_the_event_in_delivery_and_forces_the_exit, set_up),
		cmocka_unit_test_setup(stop_does_not_wait_for_ever, set_up),
		cmocka_unit_test_setup(interrupted_delivery_comes_first_and_forces_for_what_waits, set_up),
		cmocka_unit_test_setup(interrupted_delivery_keeps_its_error_code, set_up),
		cmocka_unit_test_setup(interrupt_enters_when_it_may, set_up),
		cmocka_unit_test_setup(blocked_interrupt_asks_for_a_window, set_up),
		cmocka_unit_test_setup(nmi_goes_before_an_interrupt, set_up),
		cmocka_unit_test_setup(one_nmi_is_latched_while_one_is_in_service, set_up),
		cmocka_unit_test_setup(further_nmis_are_lost_while_one_is_in_service, set_up),
		cmocka_unit_test_setup(blocked_nmi_asks_for_a_window, set_up),
		cmocka_unit_test_setup(exception_takes_the_place_of_what_it_interrupted, set_up),
		cmocka_unit_test_setup(cr2_changes_with_the_injection_only, set_up),
		cmocka_unit_test_setup(debug_exception_says_why_and_opens_the_debug_registers, set_up),
		cmocka_unit_test_setup(real_mode_pushes_no_error_code, set_up),
		cmocka_unit_test_setup(pairs_of_faults_follow_the_manual, set_up),
		cmocka_unit_test_setup(fault_in_a_double_fault_is_a_triple_fault, set_up),
		cmocka_unit_test_setup(halted_vcpu_sleeps_until_its_timer, set_up),
		cmocka_unit_test_setup(handling_time_ends_at_the_next_entry, set_up),
		cmocka_unit_test_setup(reentries_are_exits_too, set_up),
		cmocka_unit_test_setup(each_outcome_is_counted, set_up),
		cmocka_unit_test_setup(sleep_is_not_handling, set_up),
		cmocka_unit_test_setup(the_last_exit_is_counted, set_up),
		cmocka_unit_test_setup(without_memory_exits_are_handled_but_not_counted, set_up),
		cmocka_unit_test_setup(requests_of_the_console_are_served_before_the_entry, set_up),
		cmocka_unit_test_setup(requests_of_the_console_are_served_asleep, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
