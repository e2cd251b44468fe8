/* SPDX-License-Identifier: MIT */
/*
 * Forced exits on the real processor: no guest instruction runs, an injected event is delivered
 * first and completely, and each kind of exit is counted. SDM, "VMX-Preemption Timer".
 */
#include <stdarg.h>

#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/apic/lapic_timer.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/time/clock.h"
#include "core/enter.h"
#include "core/event.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "lib/log.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "svm/svm.h"
#include "tests/selftest/forced.h"
#include "tests/selftest/machine.h"
#include "vmx/vmx.h"

enum { SOFT_DISABLED, FORCED, EXPIRED, SPURIOUS };	/* of vcpu->timer_exits */

#define VECTOR_IRQ   0x40
#define BASIC_TIMER  52u
#define BASIC_EXTINT 1u
#define REPEATS	     16

static struct vm *vm;
static struct vcpu *vcpu;
static unsigned passed, failed;
static struct vtimer timer;
static unsigned timer_fired;

static void check(bool ok, const char *format, ...) __printf(2, 3);
static void check(bool ok, const char *format, ...)
{
	char name[160];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	log_info("%s %s", ok ? "PASS" : "FAIL", name);
	passed += ok;
	failed += !ok;
}

static void on_timer(struct vtimer *t)
{
	timer_fired++;
}

/* --- a preemption timer that fires unasked: the value that is written for the entry is replaced --- */

static u32 timer_override;	/* 0: none */

enum exit_fastpath __real_vmx_vmenter(struct vcpu_vmx *vmx, bool resume);
enum exit_fastpath __wrap_vmx_vmenter(struct vcpu_vmx *vmx, bool resume);

enum exit_fastpath __wrap_vmx_vmenter(struct vcpu_vmx *vmx, bool resume)
{
	if (timer_override)
		vmcs_write32(PREEMPTION_TIMER_VALUE, timer_override);
	return __real_vmx_vmenter(vmx, resume);
}

/* --- what is expected of every forced exit --- */

static bool on_vmx(void)
{
	return vcpu->ops->name == vmx_ops.name;
}

static bool by_timer(void)
{
	return on_vmx() && vmx_has_preemption_timer();
}

static bool exit_is_forced(void)
{
	if (by_timer())
		return (u32)vcpu->exit_reason == BASIC_TIMER;
	return vcpu->exit_reason == (on_vmx() ? BASIC_EXTINT : (u64)VMEXIT_INTR);
}

/* The instructions that ran on the slide, although RIP should not have moved. */
static u64 instructions_run(bool delivered)
{
	return vcpu_reg_read(vcpu, REG_RIP) - (delivered ? MACHINE_HANDLER : MACHINE_CODE);
}

/* Guest instructions before a self-IPI's exit: none, one, a few, many, until HLT. */
static struct distribution {
	const char *name;
	u64 most;
	u64 count;
} distribution[] = {
	{ "none", 0 }, { "1", 1 }, { "2 to 15", 15 }, { "16 to 255", 255 },
	{ "more", MACHINE_SLIDE - 1 }, { "all until HLT", ~0ull },
};

static void note_distribution(u64 ran)
{
	unsigned i = 0;

	while (ran > distribution[i].most)
		i++;
	distribution[i].count++;
}

static void print_distribution(void)
{
	log_info("guest instructions that ran before a forced exit:");
	for (unsigned i = 0; i < ARRAY_SIZE(distribution); i++)
		log_info("  %-14s %llu", distribution[i].name, (unsigned long long)distribution[i].count);
}

/* --- one entry --- */

struct scenario {
	enum machine_mode mode;
	bool interrupts_on, halted;
	enum machine_shadow shadow;
	enum event_type event;
	u8 vector;
	bool error_code;
	enum { NO_DEADLINE, DEADLINE_DUE, DEADLINE_FAR } deadline;
};

static const char *describe(const struct scenario *s)
{
	static const char *const shadows[] = { "", ", shadow of STI", ", shadow of MOV SS" };
	static const char *const deadlines[] = { "", ", timer due", ", timer armed" };
	static const char *const events[] = {
		[EVENT_NONE] = "no event", [EVENT_INTERRUPT] = "interrupt", [EVENT_NMI] = "NMI",
		[EVENT_EXCEPTION] = "exception",
	};
	static char text[100];

	snprintf(text, sizeof(text), "%s mode, IF=%u%s%s%s, %s%s", machine_mode_names[s->mode],
		 s->interrupts_on, shadows[s->shadow], s->halted ? ", halted" : "", deadlines[s->deadline],
		 events[s->event],
		 s->error_code ? " with error code" : "");
	return text;
}

static void prepare(const struct scenario *s)
{
	const struct event event = {
		.type = (u8)s->event, .vector = s->vector,
		.has_error_code = s->error_code && s->mode != MODE_REAL, .error_code = 0x1230,
	};

	vtimer_cancel(&timer);
	machine_set(vcpu, s->mode, s->interrupts_on ? RFLAGS_IF : 0);
	if (s->shadow)
		machine_set_shadow(vcpu, s->shadow);
	if (s->halted)
		machine_set_halted(vcpu);
	if (s->event != EVENT_NONE)
		vcpu->ops->inject(vcpu, &event);
	if (s->deadline)
		vtimer_arm(&timer, s->deadline == DEADLINE_DUE ? vtimer_now() - 1 :
				   vtimer_now() + vtimer_from_ns(1000000000));
}

/* The frame that delivery pushed: the guest's return address, and the error code before it. */
static bool frame_is_right(const struct scenario *s)
{
	static const u8 words[MODES] = { 2, 4, 8 }, pushed[MODES] = { 3, 3, 5 };
	bool code = s->error_code && s->mode != MODE_REAL;
	unsigned size = words[s->mode];
	u64 rsp = MACHINE_STACK - size * (pushed[s->mode] + code), ip = 0, error = 0;

	if (vcpu_reg_read(vcpu, REG_RSP) != rsp || (vcpu_rflags(vcpu) & RFLAGS_IF))
		return false;
	if (code)
		guest_read(vm, rsp, &error, size);
	guest_read(vm, rsp + (code ? size : 0), &ip, size);
	return ip == MACHINE_CODE && (!code || error == 0x1230);
}

static void forced_entry(const struct scenario *s, bool report)
{
	struct machine_state before, after;
	u64 forced = vcpu->timer_exits[FORCED];
	bool delivered = s->event != EVENT_NONE;
	enum exit_fastpath fastpath;
	const char *difference;
	u64 ran;

	prepare(s);
	if (report)
		machine_save(vcpu, &before);
	/* As core/enter.c leaves it: so the entry stub does not handle the exit. */
	vcpu_request(vcpu, REQ_STOP);
	fastpath = vcpu->ops->vcpu_run(vcpu, true);
	__atomic_and_fetch(&vcpu->requests, ~(u32)REQ_STOP, __ATOMIC_SEQ_CST);
	irq_window();
	ran = instructions_run(delivered);
	note_distribution(ran);
	if (!report)
		return;
	machine_save(vcpu, &after);

	if (ran || !exit_is_forced() || fastpath != EXIT_FASTPATH_EXIT_HANDLED) {
		check(false, "%s: %llu guest instructions ran, exit 0x%llx, outcome %u", describe(s),
			       (unsigned long long)ran, (unsigned long long)vcpu->exit_reason, fastpath);
		return;
	}
	difference = machine_difference(&before, &after, delivered);
	if (difference)
		check(false, "%s: %s changed", describe(s), difference);
	else if (delivered && !frame_is_right(s))
		check(false, "%s: the frame on the stack is wrong", describe(s));
	else if (vcpu->timer_exits[FORCED] != forced + by_timer())
		check(false, "%s: not counted as forced", describe(s));
	else
		check(true, "%s", describe(s));
}

/* SDM, "Checks on Guest Non-Register State": which states and events go together. */
static bool allowed(const struct scenario *s)
{
	if (s->event == EVENT_INTERRUPT && (!s->interrupts_on || s->shadow))
		return false;
	if (s->shadow == SHADOW_STI && !s->interrupts_on)
		return false;
	if (s->shadow && s->event == EVENT_NMI)	/* STI: processors differ */
		return false;
	/* Lamina never enters a vCPU in that state; one emulator never wakes it for a self-IPI. */
	if (s->halted)
		return by_timer() && !s->shadow && s->event != EVENT_EXCEPTION;
	return true;
}

static const struct scenario events[] = {
	{ .event = EVENT_NONE },
	{ .event = EVENT_INTERRUPT, .vector = VECTOR_IRQ },
	{ .event = EVENT_EXCEPTION, .vector = X86_UD },
	{ .event = EVENT_EXCEPTION, .vector = X86_GP, .error_code = true },
};
/* A delivered NMI blocks NMIs until IRET, and one emulator does not let an entry unblock them. */
static const struct scenario nmis[] = { { .event = EVENT_NMI, .vector = X86_NMI } };

static void all_scenarios(const struct scenario *with, unsigned count)
{
	for (unsigned i = 0; i < MODES * 2 * 2 * 3 * 3 * count; i++) {
		struct scenario s = with[i % count];
		unsigned rest = i / count;

		s.shadow = rest % 3;
		s.interrupts_on = rest / 3 % 2;
		s.halted = rest / 6 % 2;
		s.deadline = rest / 12 % 3;
		s.mode = rest / 36;
		if (!allowed(&s))
			continue;
		for (unsigned repeat = 0; repeat < REPEATS; repeat++)
			forced_entry(&s, repeat == 0);
	}
}

/* --- the four outcomes of an exit by the preemption timer --- */

static void timer_outcome(unsigned outcome, u64 deadline, const char *name)
{
	const struct scenario loop = { .mode = MODE_LONG };
	u64 before[4];

	prepare(&loop);
	vcpu_reg_write(vcpu, REG_RIP, MACHINE_LOOP);
	timer_fired = 0;
	if (deadline != VTIMER_NEVER)
		vtimer_arm(&timer, vtimer_now() + deadline);
	for (unsigned i = 0; i < 4; i++)
		before[i] = vcpu->timer_exits[i];
	check(vcpu->ops->vcpu_run(vcpu, false) == EXIT_FASTPATH_REENTER_GUEST &&
		       (u32)vcpu->exit_reason == BASIC_TIMER, "%s: goes straight back", name);
	for (unsigned i = 0; i < 4; i++)
		check(vcpu->timer_exits[i] == before[i] + (i == outcome), "%s: counter %u", name, i);
	check(timer_fired == (outcome == EXPIRED), "%s: the guest's timer %s", name,
		       outcome == EXPIRED ? "runs" : "does not run");
	vtimer_cancel(&timer);
}

/* A Multiboot kernel finds the 8254 ticking, as a BIOS leaves it. */
static void stop_shared_timers(void)
{
	spin_lock(&vm->lock);
	while (vm->timers.first)
		vtimer_cancel(vm->timers.first);
	spin_unlock(&vm->lock);
}

static void timer_outcomes(void)
{
	if (!by_timer())
		return;
	stop_shared_timers();
	timer_outcome(EXPIRED, 0, "a timer that is due");
	timer_outcome(EXPIRED, 5000, "a timer that expires in the guest");
	timer_override = 100;
	timer_outcome(SOFT_DISABLED, VTIMER_NEVER, "fired while soft-disabled");
	timer_outcome(SPURIOUS, 1ull << 40, "fired too early");
	timer_override = 0;
}

/* --- the caller that asks for a forced exit: the loop of core/enter.c --- */

/* An exception whose delivery was interrupted by an exit, as the vendor code stores it for the next entry. */
static void interrupted_delivery(bool interrupts_on)
{
	const struct scenario s = { .mode = MODE_LONG, .interrupts_on = interrupts_on };

	prepare(&s);
	vcpu->requests = 0;
	vcpu->stopping = false;
	vm->state = VM_RUNNING;
	vcpu->events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_UD };
	vcpu_request(vcpu, REQ_EVENT);
}

static void stop_request(void)
{
	u64 forced = vcpu->forced_exits;

	interrupted_delivery(true);
	vcpu_request(vcpu, REQ_STOP);
	check(vcpu_enter_guest(vcpu), "a stop lets the event in delivery in");
	check(vcpu_reg_read(vcpu, REG_RIP) == MACHINE_HANDLER, "... and no instruction after it");
	check(vcpu->forced_exits == forced + 1, "... by a forced exit");
	check(!vcpu_enter_guest(vcpu) && vm->state == VM_ENDED && vm->end == VM_END_STOPPED,
		       "... and then the VM ends");
	check(vcpu_reg_read(vcpu, REG_RIP) == MACHINE_HANDLER, "... where it was");
	vcpu->requests = 0;
}

/* The second event is injected as soon as the first is delivered: its frame holds the RIP of that moment. */
static void queued_event(void)
{
	u64 forced = vcpu->forced_exits, rip = 0, rsp;

	interrupted_delivery(true);
	event_queue_nmi(vcpu);
	check(vcpu_enter_guest(vcpu), "an NMI waits behind an event in delivery");
	check(vcpu_reg_read(vcpu, REG_RIP) == MACHINE_HANDLER && vcpu->forced_exits == forced + 1,
		       "... with a forced exit before the handler's first instruction");
	vcpu_enter_guest(vcpu);
	rsp = ALIGN_DOWN(MACHINE_STACK - 5 * 8, 16u) - 5 * 8;	/* of the second frame */
	guest_read(vm, rsp, &rip, sizeof(rip));
	check(rip == MACHINE_HANDLER, "... and interrupts that first instruction");
	check(!vcpu->events.nmi_pending, "... once");
}

/* --- an exception in the shadow of the STI before Lamina's HLT: SDM, "STI" --- */

#define WAITED_FOR   0x50
#define LATE_US	     200000u
#define DR7_FIXED    0x400ull
#define DR7_EXECUTE_0 2ull	/* break before the instruction at DR0 is executed */

static unsigned arrived;

static void on_waited_for(void)
{
	arrived++;
	__asm__ volatile("mov %0, %%dr7" : : "r"(DR7_FIXED));
}

/* The #DB comes before the HLT, and the pending interrupt right after its handler. The timer ends a wait that is too long. */
static void exception_before_halt(void)
{
	u64 late = clock_deadline_us(LATE_US), dr0;

	irq_set_handler(WAITED_FOR, on_waited_for);
	lapic_timer_arm(late);
	lapic_self_ipi(WAITED_FOR);
	while (!lapic_irr_pending(WAITED_FOR) && !clock_expired(late))
		cpu_relax();
	__asm__ volatile("mov %%dr0, %0" : "=r"(dr0));
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" : : "r"((u64)irq_wait_halt), "r"(DR7_FIXED | DR7_EXECUTE_0));
	irq_wait();
	__asm__ volatile("mov %0, %%dr7; mov %1, %%dr0" : : "r"(DR7_FIXED), "r"(dr0));
	check(arrived == 1, "an interrupt behind an exception in STI's shadow is served");
	check(this_cpu()->debug_count > 0, "... and there was that exception");
	check(!clock_expired(late), "... and HLT does not sleep on");
	lapic_timer_arm(LAPIC_TIMER_OFF);
}

/* --- runs instead of the guest in the VM named "forced" --- */

void selftest_forced(struct vcpu *loaded)
{
	vcpu = loaded;
	vm = loaded->vm;
	vcpu->slice_end = VTIMER_NEVER;	/* nothing else is to make it exit */
	vtimer_limit_changed(vcpu);
	vtimer_init(&timer, vcpu, on_timer);
	machine_create(vcpu);
	exception_before_halt();
	all_scenarios(events, ARRAY_SIZE(events));
	timer_outcomes();
	stop_request();
	queued_event();
	all_scenarios(nmis, ARRAY_SIZE(nmis));
	vtimer_cancel(&timer);
	lapic_timer_arm(LAPIC_TIMER_OFF);
	print_distribution();
	log_info("selftest forced: %u passed, %u failed", passed, failed);
	vm_end(vm, VM_END_STOPPED, "all forced exits tried");
}
