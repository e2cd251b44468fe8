/* SPDX-License-Identifier: MIT */
/* The service thread: a stack of its own, to and from which the boot CPU's scheduler switches. */
#include "core/service.h"

#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/gdt.h"
#include "arch/cpu/percpu.h"
#include "core/sched.h"
#include "core/vcpu.h"
#include "core/vtimer.h"

#define TURN_NS	 5000000ull	/* how long the thread runs while vCPUs wait */
#define PIECE_NS 1000000ull	/* and how long without interrupts: a serial port's FIFO is full after 1.4 ms */

/* core/service_switch.asm */
void service_switch(u64 *old_stack, u64 new_stack);
void service_begin(void);

static struct {
	struct percpu *cpu;	/* constant: the boot CPU; NULL before service_create() */
	u64 own_stack, cpu_stack;	/* boot CPU: the stack pointers of the thread and of cpu_main(), while they do not run */
	u64 turn_end, piece_end;	/* boot CPU: host TSC */
	bool in_turn;		/* boot CPU */
	bool waits;		/* boot CPU: in service_wait() */
	bool woken;		/* atomic */
} service;

void service_create(void (*main)(void))
{
	/* What service_switch() pops: six registers, and where it returns to, with the stack aligned to 16. */
	struct {
		u64 r15, r14, r13, r12, rbx, rbp, begin, unused[2];
	} *stack = (void *)(cpu_stack_top(0, STACK_SERVICE) - sizeof(*stack));

	stack->rbx = (u64)main;
	stack->rbp = 0;		/* ends the backtrace */
	stack->begin = (u64)service_begin;
	service.own_stack = (u64)stack;
	service.woken = true;
	service.cpu = this_cpu();
}

bool service_is_ready(void)
{
	return service.cpu == this_cpu() && (!service.waits || __atomic_load_n(&service.woken, __ATOMIC_ACQUIRE));
}

bool service_run(void)
{
	u64 now = rdtsc();

	if (!service.in_turn)
		service.turn_end = now + vtimer_from_ns(TURN_NS);
	service.piece_end = now + vtimer_from_ns(PIECE_NS);
	service_switch(&service.cpu_stack, service.own_stack);
	/* On the CPU's own stack: what the handlers log must not make the thread pause in them. */
	irq_window();
	service.in_turn = service_is_ready() && rdtsc() < service.turn_end;
	return !service.in_turn;
}

/* The vCPU that the thread has loaded is loaded again when it goes on. */
static void let_others_run(void)
{
	struct vcpu *vcpu = this_cpu()->current_vcpu;

	service_switch(&service.own_stack, service.cpu_stack);
	vcpu_switch_to(vcpu);
}

void service_pause(void)
{
	if (rdtsc() >= service.piece_end)
		let_others_run();
}

void service_wait(void)
{
	vcpu_switch_to(NULL);
	/* Cleared before the caller looks for work: what comes after that wakes it again. */
	while (!__atomic_exchange_n(&service.woken, false, __ATOMIC_SEQ_CST)) {
		service.waits = true;
		let_others_run();
		service.waits = false;
	}
}

bool service_is_current(void)
{
	u64 here = (u64)__builtin_frame_address(0), top = cpu_stack_top(0, STACK_SERVICE);

	return here < top && here >= top - STACK_SLOT;
}

void service_wake(void)
{
	struct percpu *cpu = service.cpu;

	if (!cpu || __atomic_exchange_n(&service.woken, true, __ATOMIC_SEQ_CST))
		return;
	if (cpu != this_cpu())
		lapic_send_fixed(cpu->apic_id, IRQ_VECTOR_KICK);
	else if (cpu->running)
		vcpu_request(cpu->running, REQ_RESCHED);
}
