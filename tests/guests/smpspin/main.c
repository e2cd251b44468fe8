/* SPDX-License-Identifier: MIT */
/*
 * Measures what a CPU that is shared with another VM gives this one, for ms=2000:
 *	what=0: each CPU spins, and counts in the middle of that: "smpspin: cpu N: L loops in K";
 *		K is in 1024 ticks, since the length of a ms is what was measured beside the other VM;
 *	what=1: the boot CPU's timer is due every 5 ms while it halts: "smpspin: late by at most L of P ticks per ms".
 * The numbers are for the test run to compare; the checks here are only that time passes.
 */
#include "smp.h"

#define TICK	0x54

static volatile u32 loops[SMP_MAX], fired;
static volatile u64 fired_at;
static u32 ms = 2000;

static u32 loops_in(u32 duration)
{
	u64 end = rdtsc() + tsc_per_ms() * duration;
	u32 count = 0;

	while (rdtsc() < end) {
		for (volatile u32 i = 0; i < 1000; i++)
			;
		count++;
	}
	return count;
}

/* With interrupts on: see smp_wait(). None is on its way to this CPU. */
static void spin(u32 cpu)
{
	sti();
	loops_in(ms / 2);	/* the other VM is being loaded */
	loops[cpu] = loops_in(ms);
	loops_in(ms * 3 / 2);	/* the other one still counts: its ms may be longer by half */
	cli();
}

static void on_tick(struct regs *regs)
{
	(void)regs;
	fired_at = rdtsc();
	fired++;
	apic_write(APIC_EOI, 0);
}

/* The timer's own rate, from a wait of 20 ms; the shortest of three. */
static u32 timer_per_ms(void)
{
	u32 best = ~0u;

	for (u32 i = 0; i < 3; i++) {
		u32 gone;

		apic_write(APIC_TMICT, ~0u);
		delay_us(20000);
		gone = (~0u - apic_read(APIC_TMCCT)) / 20;
		best = gone < best ? gone : best;
	}
	apic_write(APIC_TMICT, 0);
	return best;
}

static void latency(void)
{
	u64 worst = 0, sum = 0;
	u32 count = ms / 5, rate;

	trap_on(TICK, on_tick);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, TICK);
	rate = timer_per_ms();
	sti();
	loops_in(ms / 2);	/* the other VM is being loaded */
	cli();
	for (u32 i = 0; i < count; i++) {
		u64 due, late;

		fired = 0;
		apic_write(APIC_TMICT, rate * 5);
		due = rdtsc() + tsc_per_ms() * 5;	/* now: the other VM's slice may have come before */
		while (!fired)
			wait_irq();
		late = fired_at > due ? fired_at - due : 0;
		worst = late > worst ? late : worst;
		sum += late;
	}
	print("smpspin: late by at most ");
	print_dec((u32)worst);
	print(" of ");
	print_dec((u32)tsc_per_ms());
	print(" ticks per ms, on average ");
	print_dec((u32)(sum / (count ?: 1)));
	print("\n");
	check(true, "all ticks came");
}

int main(void)
{
	u32 what = 0;

	cmdline_number("what", &what);
	cmdline_number("ms", &ms);
	/* With interrupts on, too: where none ends a guest that keeps them off, this VM would not share the CPU meanwhile. */
	sti();
	tsc_per_ms();
	cli();
	smp_find();
	trampoline_at(TRAMPOLINE);
	if (what == 1) {
		latency();
		return 0;
	}
	for (u32 cpu = 1; cpu < smp_cpus; cpu++)
		check(smp_start(cpu), "a CPU comes up");
	check(smp_all(spin), "all CPUs come to the end");
	for (u32 cpu = 0; cpu < smp_cpus; cpu++) {
		print("smpspin: cpu ");
		print_dec(cpu);
		print(": ");
		print_dec(loops[cpu]);
		print(" loops in ");
		print_dec((u32)(tsc_per_ms() * ms >> 10));
		print("\n");
		check_range(loops[cpu], 1, ~0u, "it had some");
	}
	return 0;
}
