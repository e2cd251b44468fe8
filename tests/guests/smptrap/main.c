/* SPDX-License-Identifier: MIT */
/*
 * Exceptions while interrupts come from another CPU: each #UD is taken once, at its instruction, with the stack that
 * it had there, wherever an interrupt of the host ends the guest's turn. rounds=20000, or more until an interrupt came:
 * on a busy machine the sender may have no turn meanwhile.
 */
#include "smp.h"

#define VECTOR		0x55
#define ROUNDS_MAX	(1u << 24)

static volatile u32 rounds = 20000;
static volatile u32 raised[SMP_MAX], taken[SMP_MAX], elsewhere[SMP_MAX], moved[SMP_MAX], interrupts[SMP_MAX];

extern const u8 at_ud2[];

static void on_ud(struct regs *regs)
{
	u32 cpu = smp_index();

	taken[cpu]++;
	elsewhere[cpu] += regs->ip != (ulong)at_ud2;
	regs->ip += 2;
}

static void on_ipi(struct regs *regs)
{
	(void)regs;
	interrupts[smp_index()]++;
	apic_write(APIC_EOI, 0);
}

/* The stack pointer moves if the exception is taken again within its own delivery. */
static __attribute__((noinline)) bool raise_one(void)
{
	ulong before, after;

	asm volatile("mov %%rsp, %0; .globl at_ud2; at_ud2: ud2; mov %%rsp, %1; mov %0, %%rsp"
		     : "=&b"(before), "=&r"(after) : : "memory");
	return before != after;
}

static void raise_all(u32 cpu)
{
	sti();
	while (raised[cpu] < rounds || (!interrupts[cpu] && raised[cpu] < ROUNDS_MAX)) {
		raised[cpu]++;
		moved[cpu] += raise_one();
	}
	cli();
}

int main(void)
{
	u32 limit;

	trap_on(UD, on_ud);
	trap_on(VECTOR, on_ipi);
	smp_init();
	if (cmdline_number("rounds", &limit))
		rounds = limit;
	smp_run(1, raise_all);
	while (smp[1].job) {
		ipi_to(1, ICR_FIXED | VECTOR);
		for (u32 i = 0; i < 20; i++)
			pause();
	}
	check(smp_wait(1), "the other CPU comes to the end");
	check_range(interrupts[1], 1, ~0u, "interrupts came meanwhile");
	check_eq(taken[1], raised[1], "each #UD was taken once");
	check_eq(elsewhere[1], 0, "... at its instruction");
	check_eq(moved[1], 0, "... and left the stack as it was");
	return 0;
}
