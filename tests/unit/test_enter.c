/* SPDX-License-Identifier: MIT */
/*
 * The order of the enter-guest loop, and of the entry stub where it does what the loop would, tested with an operations
 * table that only records its calls. Each letter of the record is a step: R run, r run with force_immediate_exit, I
 * inject, W host interrupt window, H ordinary exit handler, f forced by a self-IPI, X explain a failed entry, D dump, F
 * failure traced, T trace printed, t timers run, e the wait after an early one, L translations flushed, U start-up signals served.
 */
/* link: core/enter.c core/event.c core/observe/statistics.c core/vm_log.c lib/log.c lib/string.c */
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
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "home_cpu.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

/* For HLT, which no test here has made by an instruction. */
void halt_for_good(struct vcpu *v) { fail(); }
void halt_is_over(struct vcpu *v) { fail(); }

static char diary[64];
static struct vm vm;
static struct vcpu vcpu;

/* What the fake hardware answers. */
static enum exit_fastpath results[16];
static unsigned runs;
static u32 request_after_run;	/* raised by the first run */
static int pending_irq;		/* vector, or -1 */
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
static int irq_by_timer;	/* pending_irq once a timer has expired */
static u32 request_by_timer;
static bool halts;		/* the next exit is a HLT */
/* Another CPU sends an interrupt and kicks: while the interrupt controller is asked, or acknowledges. */
static int irq_while_asked, irq_while_acknowledged;

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

static void fake_handle_exit(struct vcpu *v)
{
	note('H');
	if (halts)
		v->activity = VCPU_HALTED, v->halt_if = v->halt_nmi = true;
	halts = false;
}

static void fake_explain(struct vcpu *v) { note('X'); }
static void fake_dump(struct vcpu *v) { note('D'); }
static bool fake_irq_blocked(struct vcpu *v) { return irq_blocked; }
static bool fake_nmi_blocked(struct vcpu *v) { return nmi_is_blocked; }
static bool startup_resets;	/* INIT, which makes an NMI before it void */

bool startup_serve(struct vcpu *v)
{
	note('U');
	return startup_resets;
}

static u32 request_by_work;

void work_serve(struct vcpu *v)
{
	note('w');
	if (request_by_work)
		vcpu_request(v, request_by_work);
	request_by_work = 0;
}

void work_resume(struct vcpu *v)
{
	note('o');
	v->work.timer.armed = false;
	vcpu_request(v, REQ_WORK);
}

static void fake_flush_tlb(struct vcpu *v) { note('L'); }
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
	.flush_tlb = fake_flush_tlb,
	.inject = fake_inject,
	.interrupt_blocked = fake_irq_blocked,
	.nmi_blocked = fake_nmi_blocked,
	.interrupt_window = fake_irq_window,
	.nmi_window = fake_nmi_window,
	.control_get = fake_control_get,
	.control_set = fake_control_set,
};

static void kick_by_another_cpu(int *irq)
{
	if (*irq < 0)
		return;
	pending_irq = *irq;
	*irq = -1;
	vcpu_request(&vcpu, REQ_EVENT);
}

/* What comes after the answer was formed. */
static int fake_pending(void *vlapic)
{
	int vector = pending_irq;

	kick_by_another_cpu(&irq_while_asked);
	return vector;
}

static bool says_more;

static int fake_acknowledge(void *vlapic, bool *more)
{
	int vector = pending_irq;

	pending_irq = -1;
	*more = says_more;
	kick_by_another_cpu(&irq_while_acknowledged);
	return vector;
}

static const struct irqchip_ops fake_irqchip = { .pending = fake_pending, .wakes = fake_pending, .acknowledge = fake_acknowledge };

/* --- what the loop needs of the rest --- */

void irq_window(void) { note('W'); }
void irq_enable(void) { fail(); }
void force_exit_by_self_ipi(struct vcpu *v) { note('f'); }
void irq_disable(void) { fail(); }
void lapic_timer_arm(u64 deadline) { home.timer_armed = armed_deadline = deadline; }
void trace_print(const struct vm *v, unsigned records) { note('T'); }
void trace_failed_entry(struct vcpu *v) { note('F'); }

/* Memory of the fake VM: enough for a few kinds of exits. */
static char memory[8192] __aligned(16);
static size_t memory_used, memory_end;

void *vm_alloc(struct vm *v, size_t size)
{
	void *block = memory + memory_used;

	if (memory_used + size > memory_end)
		return NULL;
	memory_used += ALIGN_UP(size, (size_t)16);
	memset(block, 0, size);
	return block;
}

static u64 exits_of(unsigned kind)
{
	return vcpu.statistics.by_kind[kind] ? statistics_exits(vcpu.statistics.by_kind[kind]) : 0;
}

static bool timer_fires_early;
static u64 deadline_learnt;

bool vtimer_run(struct vcpu *v, u64 now)
{
	note('t');
	v->timer_deadline = VTIMER_NEVER;
	if (irq_by_timer) {
		pending_irq = irq_by_timer;
		vcpu_request(v, REQ_EVENT);
	}
	if (request_by_timer)
		vcpu_request(v, request_by_timer);
	v->wait.until = timer_fires_early ? now + 100 : 0;
	return true;
}

/* Right before the entry: nothing is left to be chosen. */
void advance_wait(struct vcpu *v)
{
	assert_int_not_equal(v->wait.until, 0);
	assert_false(vcpu_requested(v));
	note('e');
	v->wait.until = 0;
	if (deadline_learnt)
		v->timer_deadline = deadline_learnt;
}

static u32 apic_page[PAGE_SIZE / sizeof(u32)];

static int set_up(void **state)
{
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(diary, 0, sizeof(diary));
	memset(results, 0, sizeof(results));	/* EXIT_FASTPATH_NONE */
	vm.state = VM_RUNNING;
	vm.irqchip = &fake_irqchip;
	vcpu.vm = &vm;
	home_reset();
	vcpu.cpu = &home;
	vcpu.ops = &fake_ops;
	vcpu.choose_event = event_inject;
	vcpu.vlapic = apic_page;
	vcpu.regs_available = REGS_LAZY;
	vcpu.timer_deadline = VTIMER_NEVER;
	runs = 0;
	memory_used = 0;
	memory_end = sizeof(memory);
	request_after_run = 0;
	pending_irq = -1;
	says_more = false;
	irq_blocked = nmi_is_blocked = irq_window_on = nmi_window_on = vectoring_once = vectoring_always = false;
	cr0 = CR0_PE;
	cr2 = cr2_at_injection = 0;
	armed_deadline = 0;
	exit_index = 7;
	handling_time = 0;
	request_by_timer = 0;
	irq_by_timer = 0;
	timer_fires_early = false;
	deadline_learnt = 0;
	irq_while_asked = irq_while_acknowledged = -1;
	halts = startup_resets = false;
	request_by_work = 0;
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

/* --- the same within the entry stub --- */

static struct exit_statistics counted;

/* The stub has handled an exit, and left these requests. */
static enum exit_fastpath from_stub(u32 requests)
{
	memset(&counted, 0, sizeof(counted));
	vcpu.exit_index = 7;
	vcpu.exit_tsc = rdtsc();
	vcpu.statistics.by_kind[7] = &counted;
	vcpu.regs[REG_RIP] = 0x1234;
	home.timer_armed = VTIMER_NEVER;
	if (requests)
		vcpu_request(&vcpu, requests);
	return enter_from_stub(&vcpu);
}

static void the_stub_injects_an_interrupt(void **state)
{
	const struct trace_record *record = &home.trace.records[0];

	pending_irq = 0x31;
	assert_int_equal(from_stub(REQ_EVENT), EXIT_FASTPATH_REENTER_GUEST);
	assert_string_equal(diary, "I");
	assert_int_equal(injected.type, EVENT_INTERRUPT);
	assert_int_equal(injected.vector, 0x31);
	assert_int_equal(vcpu.requests, 0);
	assert_int_equal(statistics_exits(&counted), 1);
	assert_int_equal(vcpu.outcomes[EXIT_FASTPATH_REENTER_GUEST], 1);
	assert_int_equal(record->kind, TRACE_ENTRY);
	assert_int_equal(record->tsc, vcpu.entry_tsc);
	assert_int_equal(record->rip, 0x1234);
	assert_int_equal(record->event.vector, 0x31);
	assert_false(record->forced);
}

static void the_stub_asks_for_a_window(void **state)
{
	pending_irq = 0x31;
	irq_blocked = true;
	assert_int_equal(from_stub(REQ_EVENT), EXIT_FASTPATH_REENTER_GUEST);
	assert_string_equal(diary, "");
	assert_true(irq_window_on);
	assert_int_equal(pending_irq, 0x31);
}

static void the_stub_leaves_the_rest_to_the_loop(void **state)
{
	static const u32 requests[] = { REQ_STOP, REQ_STATE, REQ_RESCHED, REQ_NMI, REQ_STARTUP, REQ_FLUSH_TLB, REQ_DUMP, REQ_WORK };

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		set_up(state);
		pending_irq = 0x31;
		assert_int_equal(from_stub(REQ_EVENT | requests[i]), EXIT_FASTPATH_EXIT_HANDLED);
		assert_string_equal(diary, "");
		assert_int_equal(vcpu.requests, REQ_EVENT | requests[i]);
	}
	for (unsigned i = 0; i < 6; i++) {
		set_up(state);
		vcpu.activity = i == 0 ? VCPU_HALTED : VCPU_RUNNING;
		vcpu.events.exception.type = i == 1 ? EVENT_EXCEPTION : EVENT_NONE;
		vcpu.events.reinject.type = i == 2 ? EVENT_INTERRUPT : EVENT_NONE;
		vcpu.events.nmi_pending = i == 3;
		vcpu.events.nmi_window = i == 4;
		vcpu.every_exit = i == 5;
		assert_int_equal(from_stub(REQ_EVENT), EXIT_FASTPATH_EXIT_HANDLED);
		assert_string_equal(diary, "");
		assert_int_equal(vcpu.requests, REQ_EVENT);
		assert_int_equal(statistics_exits(&counted), 0);
	}
}

/* What another CPU requests in the meantime: the event enters the guest, but no instruction does. */
static void what_the_stub_has_injected_is_entered_with(void **state)
{
	pending_irq = 0x31;
	irq_while_acknowledged = 0x42;
	assert_int_equal(from_stub(REQ_EVENT), EXIT_FASTPATH_REENTER_GUEST);
	assert_string_equal(diary, "If");
	assert_int_equal(injected.vector, 0x31);
	assert_int_equal(vcpu.requests, REQ_EVENT);
	assert_int_equal(vcpu.forced_exits, 1);
	assert_true(home.trace.records[0].forced);
}

static void the_stub_runs_timers(void **state)
{
	irq_by_timer = 0x31;
	assert_int_equal(from_stub(REQ_TIMER), EXIT_FASTPATH_REENTER_GUEST);
	assert_string_equal(diary, "tI");
	assert_int_equal(vcpu.requests, 0);

	set_up(state);				/* early */
	irq_by_timer = 0x31;
	timer_fires_early = true;
	assert_int_equal(from_stub(REQ_TIMER), EXIT_FASTPATH_REENTER_GUEST);
	assert_string_equal(diary, "tIe");

	set_up(state);				/* the vendor has run it, and the wait is left */
	pending_irq = 0x31;
	vcpu.wait.until = rdtsc() + 100;
	assert_int_equal(from_stub(REQ_EVENT | REQ_WAIT), EXIT_FASTPATH_REENTER_GUEST);
	assert_string_equal(diary, "Ie");
	assert_int_equal(vcpu.requests, 0);

	set_up(state);				/* the end of the slice */
	irq_by_timer = 0x31;
	request_by_timer = REQ_RESCHED;
	assert_int_equal(from_stub(REQ_TIMER), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "t");
	assert_int_equal(vcpu.requests, REQ_EVENT | REQ_RESCHED);
	assert_int_equal(pending_irq, 0x31);
}

static void the_stub_arms_the_hosts_timer(void **state)
{
	vcpu.timer_deadline = 4711;
	assert_int_equal(from_stub(0), EXIT_FASTPATH_REENTER_GUEST);
	assert_int_equal(armed_deadline, 4711);

	armed_deadline = 0;
	vcpu.deadline_in_hardware = true;
	assert_int_equal(from_stub(0), EXIT_FASTPATH_REENTER_GUEST);
	assert_int_equal(armed_deadline, 0);

	set_up(state);			/* the wait has learnt another one */
	vcpu.timer_deadline = 4711;
	deadline_learnt = 4700;
	timer_fires_early = true;
	assert_int_equal(from_stub(REQ_TIMER), EXIT_FASTPATH_REENTER_GUEST);
	assert_int_equal(armed_deadline, 4700);
}

/* --- timers --- */

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

/* If it has fired early, all that is to be done before the entry is done before the wait. */
static void after_an_early_timer_the_entry_waits(void **state)
{
	irq_by_timer = 0x31;
	timer_fires_early = true;
	vcpu_request(&vcpu, REQ_TIMER);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "tIeRWH");
	assert_int_equal(vcpu.requests, 0);
}

/* Then the scheduler sees to it: see run() there. */
static void who_is_not_entered_waits_later(void **state)
{
	timer_fires_early = true;
	request_by_timer = REQ_RESCHED;
	vcpu_request(&vcpu, REQ_TIMER);
	assert_false(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "t");
	assert_int_not_equal(vcpu.wait.until, 0);
}

/* Without REQ_EVENT nothing has changed since the last choice. */
static void nothing_is_chosen_without_a_request(void **state)
{
	pending_irq = 0x30;
	vcpu_request(&vcpu, REQ_TIMER);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "tRWH");
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
	assert_int_equal(dr6, 0xffff4ff0);	/* B0 was of an earlier one */
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

/* --- a slice, and why it ends --- */

static void a_halted_vcpu_is_not_entered(void **state)
{
	vcpu.activity = VCPU_HALTED;
	vcpu.halt_if = vcpu.halt_nmi = true;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_HALTED);
	pending_irq = 0x31;
	vcpu.halt_if = false;		/* HLT with interrupts off */
	vcpu_request(&vcpu, REQ_EVENT);
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_HALTED);
	vcpu.activity = VCPU_WAIT_FOR_SIPI;
	irq_blocked = false;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_HALTED);
	assert_string_equal(diary, "");
}

/* Work comes before timers, which may have expired meanwhile, and the guest is entered after it without another exit. */
static void work_is_done_before_the_entry(void **state)
{
	vcpu_request(&vcpu, REQ_WORK);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "wtRWH");
	assert_int_equal(vcpu.requests, 0);
	assert_int_equal(vcpu.forced_exits, 0);
}

static void what_is_requested_during_the_work(void **state)
{
	vcpu_request(&vcpu, REQ_WORK);
	request_by_work = REQ_NMI | REQ_FLUSH_TLB;
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "wLtIRWH");
	assert_int_equal(injected.type, EVENT_NMI);
	memset(diary, 0, sizeof(diary));
	vcpu_request(&vcpu, REQ_WORK);
	request_by_work = REQ_RESCHED;
	assert_false(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "wt");
}

static void the_scheduler_comes_before_work(void **state)
{
	vcpu_request(&vcpu, REQ_WORK | REQ_RESCHED);
	assert_false(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "");
	assert_int_equal(vcpu.requests, REQ_WORK);
}

static void the_work_of_a_paused_vm_stays(void **state)
{
	vm.state = VM_PAUSED;
	vcpu_request(&vcpu, REQ_WORK);
	assert_false(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "");
	assert_int_equal(vcpu.requests, REQ_WORK);
	vm.state = VM_ENDED;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_LEFT);
	assert_string_equal(diary, "");
}

static void a_halted_vcpu_does_work(void **state)
{
	vcpu.activity = VCPU_HALTED;
	vcpu.halt_if = vcpu.halt_nmi = true;
	vcpu_request(&vcpu, REQ_WORK);
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_HALTED);
	assert_string_equal(diary, "wt");
	/* Work that waits for the guest to have had its time does not do so any longer. */
	memset(diary, 0, sizeof(diary));
	vcpu.work.timer.armed = true;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_HALTED);
	assert_string_equal(diary, "o");
	assert_int_equal(vcpu.requests, REQ_WORK);
	/* Unless the guest goes on. */
	memset(diary, 0, sizeof(diary));
	vcpu.requests = REQ_EVENT;
	vcpu.work.timer.armed = true;
	pending_irq = 0x31;
	results[0] = EXIT_FASTPATH_ENTRY_FAILED;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_LEFT);
	assert_string_equal(diary, "IRWXDFT");
}

static void a_halted_vcpu_is_woken_by_its_timer(void **state)
{
	vcpu.activity = VCPU_HALTED;
	vcpu.halt_if = vcpu.halt_nmi = true;
	vcpu.timer_deadline = 4711;
	vcpu_request(&vcpu, REQ_TIMER);
	results[0] = EXIT_FASTPATH_ENTRY_FAILED;	/* ends the slice after one entry */
	irq_by_timer = 0x20;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_LEFT);
	assert_string_equal(diary, "tIRWXDFT");
	assert_int_equal(injected.vector, 0x20);
	assert_int_equal(vcpu.activity, VCPU_RUNNING);
}

static void a_halted_vcpu_is_woken_by_an_early_timer_and_waits(void **state)
{
	vcpu.activity = VCPU_HALTED;
	vcpu.halt_if = vcpu.halt_nmi = true;
	vcpu_request(&vcpu, REQ_TIMER);
	results[0] = EXIT_FASTPATH_ENTRY_FAILED;	/* ends the slice after one entry */
	irq_by_timer = 0x20;
	timer_fires_early = true;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_LEFT);
	assert_string_equal(diary, "tIeRWXDFT");
}

static void a_halted_vcpu_is_woken_by_an_nmi_of_another_cpu(void **state)
{
	vcpu.activity = VCPU_HALTED;
	vcpu.halt_if = vcpu.halt_nmi = true;
	irq_blocked = true;
	vcpu_request(&vcpu, REQ_NMI);
	halts = true;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_HALTED);
	assert_string_equal(diary, "IRWH");
	assert_int_equal(injected.type, EVENT_NMI);
	assert_false(vcpu_requested(&vcpu));
}

static void of_two_nmis_the_second_one_is_latched(void **state)
{
	vcpu_request(&vcpu, REQ_NMI | REQ_NMI_AGAIN);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_int_equal(injected.type, EVENT_NMI);
	assert_int_equal(vcpu.events.nmi_pending, 1);
}

static void a_slice_goes_on_until_the_guest_halts(void **state)
{
	results[0] = EXIT_FASTPATH_EXIT_HANDLED;
	halts = true;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_HALTED);
	assert_string_equal(diary, "RWRWH");
}

/* Another is to run: the request is served by that. */
static void the_scheduler_is_asked_before_the_entry(void **state)
{
	vcpu_request(&vcpu, REQ_RESCHED);
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_PREEMPTED);
	assert_string_equal(diary, "");
	assert_false(vcpu_requested(&vcpu));
}

static void the_scheduler_is_asked_after_an_exit(void **state)
{
	request_after_run = REQ_RESCHED;
	results[0] = EXIT_FASTPATH_REENTER_GUEST;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_PREEMPTED);
	assert_string_equal(diary, "RW");
}

/* The end of the slice is a deadline like a timer's. */
static void the_end_of_the_slice(void **state)
{
	request_by_timer = REQ_RESCHED;
	vcpu_request(&vcpu, REQ_TIMER);
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_PREEMPTED);
	assert_string_equal(diary, "t");
	assert_false(vcpu_requested(&vcpu));
}

/* Nothing that comes together with it is lost. */
static void what_comes_with_the_end_of_the_slice(void **state)
{
	vcpu_request(&vcpu, REQ_RESCHED | REQ_NMI | REQ_FLUSH_TLB | REQ_EVENT);
	pending_irq = 0x31;
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_PREEMPTED);
	assert_null(strchr(diary, 'R'));
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "LIrWH");
	assert_int_equal(injected.type, EVENT_NMI);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_int_equal(injected.vector, 0x31);
}

static void a_paused_vm_is_not_entered(void **state)
{
	vm.state = VM_PAUSED;
	vcpu_request(&vcpu, REQ_STATE);
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_HALTED);
	assert_string_equal(diary, "");
	assert_int_equal(vm.state, VM_PAUSED);
}

static void a_vm_that_another_cpu_ended(void **state)
{
	vm.state = VM_ENDED;
	vcpu_request(&vcpu, REQ_STATE);
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_LEFT);
	assert_string_equal(diary, "");

	vm.state = VM_RUNNING;
	vcpu.activity = VCPU_HALTED;
	vcpu.halt_if = vcpu.halt_nmi = true;
	vcpu_request(&vcpu, REQ_STOP);
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_LEFT);
	assert_int_equal(vm.end, VM_END_STOPPED);
	assert_string_equal(diary, "");
}

static void an_nmi_of_another_cpu_comes_with_the_next_entry(void **state)
{
	vcpu_request(&vcpu, REQ_NMI);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "IRWH");
	assert_int_equal(injected.type, EVENT_NMI);
	assert_false(vcpu_requested(&vcpu));
}

static void start_up_signals_come_before_an_nmi(void **state)
{
	vcpu_request(&vcpu, REQ_STARTUP | REQ_NMI);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "UIRWH");
	assert_int_equal(injected.type, EVENT_NMI);
	set_up(state);
	startup_resets = true;
	vcpu_request(&vcpu, REQ_STARTUP | REQ_NMI | REQ_NMI_AGAIN);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "URWH");
}

static void translations_are_flushed_before_the_entry(void **state)
{
	vcpu_request(&vcpu, REQ_FLUSH_TLB);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "LRWH");
	assert_false(vcpu_requested(&vcpu));
}

/* --- kicks between the steps of the choice --- */

/* None was found, and then one came: the guest is not left to run with it. */
static void an_interrupt_behind_the_answer_that_there_is_none(void **state)
{
	says_more = true;
	irq_while_asked = 0x41;
	vcpu_request(&vcpu, REQ_EVENT);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "rWH");
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "rWHIRWH");
	assert_int_equal(injected.vector, 0x41);
	assert_false(vcpu_requested(&vcpu));
}

/* A second one while the first is taken: a forced exit, or a window for it. */
static void check_interrupt_behind_the_acknowledge(bool more)
{
	says_more = more;
	pending_irq = 0x31;
	irq_while_acknowledged = 0x41;
	vcpu_request(&vcpu, REQ_EVENT);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_int_equal(injected.vector, 0x31);
	assert_true(strchr(diary, 'r') || irq_window_on);
	assert_int_equal(pending_irq, 0x41);
	vcpu_request(&vcpu, REQ_EVENT);		/* by the window's exit, or pending already */
	assert_true(vcpu_enter_guest(&vcpu));
	assert_int_equal(injected.vector, 0x41);
}

static void an_interrupt_behind_the_acknowledge(void **state)
{
	check_interrupt_behind_the_acknowledge(false);
}

static void an_interrupt_behind_one_of_several(void **state)
{
	check_interrupt_behind_the_acknowledge(true);
}

/* A second one while it is asked whether more are pending behind the first. */
static void an_interrupt_behind_the_first_one(void **state)
{
	says_more = true;
	pending_irq = 0x31;
	irq_while_asked = 0x41;
	vcpu_request(&vcpu, REQ_EVENT);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_int_equal(injected.vector, 0x31);
	assert_true(vcpu_requested(&vcpu) || irq_window_on);
	assert_int_equal(pending_irq, 0x41);
	vcpu_request(&vcpu, REQ_EVENT);		/* by the window's exit, or pending already */
	assert_true(vcpu_enter_guest(&vcpu));
	assert_int_equal(injected.vector, 0x41);
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

/* The time until the next slice, of others or asleep, is not the exit's. */
static void the_exit_ends_with_the_slice(void **state)
{
	halts = true;
	vcpu_run_slice(&vcpu);
	assert_int_equal(exits_of(7), 1);
	assert_null(vcpu.statistics.open);
	assert_in_range(vcpu.statistics.by_kind[7]->ticks, 0, rdtsc() - vcpu.exit_tsc);
}

static void the_last_exit_is_counted(void **state)
{
	vcpu_request(&vcpu, REQ_EVENT | REQ_STOP);
	vcpu.events.reinject = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x40 };
	assert_int_equal(vcpu_run_slice(&vcpu), VCPU_STOPPED_LEFT);
	assert_string_equal(diary, "IrWH");
	assert_int_equal(exits_of(7), 1);
}

static void without_memory_exits_are_handled_but_not_counted(void **state)
{
	memory_end = 0;
	vcpu_enter_guest(&vcpu);
	assert_true(vcpu_enter_guest(&vcpu));
	assert_string_equal(diary, "RWHRWH");
	assert_int_equal(exits_of(7), 0);
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
		cmocka_unit_test_setup(the_stub_injects_an_interrupt, set_up),
		cmocka_unit_test_setup(the_stub_asks_for_a_window, set_up),
		cmocka_unit_test_setup(the_stub_leaves_the_rest_to_the_loop, set_up),
		cmocka_unit_test_setup(what_the_stub_has_injected_is_entered_with, set_up),
		cmocka_unit_test_setup(the_stub_runs_timers, set_up),
		cmocka_unit_test_setup(the_stub_arms_the_hosts_timer, set_up),
		cmocka_unit_test_setup(host_timer_is_armed_only_without_a_deadline_in_hardware, set_up),
		cmocka_unit_test_setup(timers_run_before_the_entry, set_up),
		cmocka_unit_test_setup(a_timers_interrupt_enters_at_once, set_up),
		cmocka_unit_test_setup(after_an_early_timer_the_entry_waits, set_up),
		cmocka_unit_test_setup(who_is_not_entered_waits_later, set_up),
		cmocka_unit_test_setup(nothing_is_chosen_without_a_request, set_up),
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
		cmocka_unit_test_setup(a_halted_vcpu_is_not_entered, set_up),
		cmocka_unit_test_setup(work_is_done_before_the_entry, set_up),
		cmocka_unit_test_setup(what_is_requested_during_the_work, set_up),
		cmocka_unit_test_setup(the_scheduler_comes_before_work, set_up),
		cmocka_unit_test_setup(the_work_of_a_paused_vm_stays, set_up),
		cmocka_unit_test_setup(a_halted_vcpu_does_work, set_up),
		cmocka_unit_test_setup(a_halted_vcpu_is_woken_by_its_timer, set_up),
		cmocka_unit_test_setup(a_halted_vcpu_is_woken_by_an_early_timer_and_waits, set_up),
		cmocka_unit_test_setup(a_halted_vcpu_is_woken_by_an_nmi_of_another_cpu, set_up),
		cmocka_unit_test_setup(a_slice_goes_on_until_the_guest_halts, set_up),
		cmocka_unit_test_setup(the_scheduler_is_asked_before_the_entry, set_up),
		cmocka_unit_test_setup(the_scheduler_is_asked_after_an_exit, set_up),
		cmocka_unit_test_setup(the_end_of_the_slice, set_up),
		cmocka_unit_test_setup(what_comes_with_the_end_of_the_slice, set_up),
		cmocka_unit_test_setup(a_paused_vm_is_not_entered, set_up),
		cmocka_unit_test_setup(a_vm_that_another_cpu_ended, set_up),
		cmocka_unit_test_setup(an_nmi_of_another_cpu_comes_with_the_next_entry, set_up),
		cmocka_unit_test_setup(of_two_nmis_the_second_one_is_latched, set_up),
		cmocka_unit_test_setup(start_up_signals_come_before_an_nmi, set_up),
		cmocka_unit_test_setup(translations_are_flushed_before_the_entry, set_up),
		cmocka_unit_test_setup(an_interrupt_behind_the_answer_that_there_is_none, set_up),
		cmocka_unit_test_setup(an_interrupt_behind_the_acknowledge, set_up),
		cmocka_unit_test_setup(an_interrupt_behind_one_of_several, set_up),
		cmocka_unit_test_setup(an_interrupt_behind_the_first_one, set_up),
		cmocka_unit_test_setup(handling_time_ends_at_the_next_entry, set_up),
		cmocka_unit_test_setup(reentries_are_exits_too, set_up),
		cmocka_unit_test_setup(each_outcome_is_counted, set_up),
		cmocka_unit_test_setup(the_exit_ends_with_the_slice, set_up),
		cmocka_unit_test_setup(the_last_exit_is_counted, set_up),
		cmocka_unit_test_setup(without_memory_exits_are_handled_but_not_counted, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
