/* SPDX-License-Identifier: MIT */
/*
 * A bad neighbour, for ms=1000, or one turn on each CPU, where that takes longer. what=0: each CPU sends IPIs and NMIs
 * to all others without end; 1: INITs and SIPIs to the others; 2: text on the console; 3: timers that are due immediately,
 * interrupts of the IOAPIC whose line never drops, and writes of the same registers from all CPUs; 4: resets the machine
 * after ms, so that it is started again and again.
 */
#include "smp.h"

#define VECTOR	0x55

static u32 what, ms = 1000;
static volatile u32 done[SMP_MAX];
static volatile u64 end;

static bool goes_on(u32 cpu)
{
	return !done[cpu] || rdtsc() < end;
}

static void on_any(struct regs *regs)
{
	(void)regs;
	apic_write(APIC_EOI, 0);
}

static void on_nmi(struct regs *regs)
{
	(void)regs;
}

static void ipis(u32 cpu)
{
	for (u32 i = 0; goes_on(cpu); i++) {
		ipi(0, ICR_OTHERS | ICR_FIXED | VECTOR);
		ipi_to(i % smp_cpus, ICR_FIXED | (VECTOR + i % 8));
		if (i % 16 == cpu % 16)
			ipi(0, ICR_OTHERS | ICR_NMI);
		asm volatile("sti; nop; cli" : : : "memory");
		done[cpu]++;
	}
}

static void starts(void)
{
	for (u32 i = 0; goes_on(0); i++) {
		ipi(0, ICR_OTHERS | ICR_INIT | ICR_ASSERT);
		ipi(0, ICR_OTHERS | ICR_SIPI | TRAMPOLINE >> 12);
		if (i % 3 == 0)
			ipi(0, ICR_OTHERS | ICR_SIPI | TRAMPOLINE >> 12);
		done[0]++;
	}
	delay_us(100000);
}

static void text(u32 cpu)
{
	while (goes_on(cpu)) {
		if (cpu == 0)
			print("smpflood: a line of text that nobody has asked for, again and again\n");
		else
			inb(0x3fd);
		done[cpu]++;
	}
}

static void devices(u32 cpu)
{
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, BIT(17) | (VECTOR + 1));
	apic_write(APIC_TMICT, 1000);
	for (u32 i = 0; goes_on(cpu); i++) {
		ioapic_write(0x10 + 2 * 4 + 1, smp[i % smp_cpus].id << 24);
		ioapic_write(0x10 + 2 * 4, BIT(15) | (VECTOR + 2 + i % 4));
		outb(0x3f9, 2);			/* the line goes up and stays */
		outb(0x43, 0x30);
		outb(0x40, 1);
		outb(0x40, 0);
		asm volatile("sti; nop; nop; cli" : : : "memory");
		done[cpu]++;
	}
	apic_write(APIC_LVTT, BIT(16));
	ioapic_write(0x10 + 2 * 4, BIT(16));
}

static void reset(u32 cpu)
{
	while (rdtsc() < end)
		done[cpu]++;
	if (cpu)
		for (;;)
			pause();
	outb(0xcf9, 6);
	delay_us(1000000);
}

int main(void)
{
	static void (*const works[])(u32) = { ipis, NULL, text, devices, reset };

	cmdline_number("what", &what);
	cmdline_number("ms", &ms);
	for (u32 i = 0; i < 16; i++)
		trap_on(VECTOR + i, on_any);
	trap_on(NMI, on_nmi);
	smp_init();
	end = rdtsc() + tsc_per_ms() * ms;
	if (what == 1)
		starts();
	else if (what < ARRAY_SIZE(works))
		check(smp_all(works[what]), "all CPUs come to the end");
	check_range(done[0], 1, ~0u, "the flood ran");
	check(what != 4, "a reset ends this");
	if (what == 1)
		for (u32 cpu = 1; cpu < smp_cpus; cpu++)
			check(smp_start(cpu), "the other CPUs can still be started");
	return 0;
}
