/* SPDX-License-Identifier: MIT */
/*
 * Checks timers and their interrupts: the PIT through the 8259 and the LAPIC's timer in each
 * mode wake HLT at about the right time; self-IPIs keep priority, TPR and EOI order; x2APIC.
 */
#include "guest.h"

enum {
	ID = 0x20, TPR = 0x80, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100,
	IRR = 0x200, ICR = 0x300, ICR_HIGH = 0x310, LVT_TIMER = 0x320, INITIAL = 0x380,
	CURRENT = 0x390, DIVIDE = 0x3e0,
};
#define MASKED		BIT(16)
#define PERIODIC	BIT(17)
#define DEADLINE	BIT(18)
#define SELF		0x40000
#define MSR_DEADLINE	0x6e0
#define MSR_APIC_BASE	0x1b
#define X2APIC(reg)	(0x800 + (reg) / 16)

static volatile u32 ticks, order, in_service, count_at_tick;
static volatile u64 tsc_at_tick;
static u32 lapic_khz;
static bool x2apic, eoi_wanted = true;

static void apic_write(u32 reg, u32 value)
{
	if (x2apic)
		wrmsr(X2APIC(reg), value);
	else
		lapic_write(reg, value);
}

static u32 apic_read(u32 reg)
{
	return x2apic ? rdmsr(X2APIC(reg)) : lapic_read(reg);
}

static bool bit_set(u32 bank, u32 vector)
{
	return apic_read(bank + vector / 32 * 16) >> vector % 32 & 1;
}

static void on_pit(struct regs *regs)
{
	(void)regs;
	ticks++;
	if (eoi_wanted)
		pic_eoi(0);
}

static void on_timer(struct regs *regs)
{
	(void)regs;
	tsc_at_tick = rdtsc();
	count_at_tick = apic_read(CURRENT);
	ticks++;
	apic_write(EOI, 0);
}

static void on_ipi(struct regs *regs)
{
	order = order << 8 | regs->vector;
	in_service = bit_set(ISR, regs->vector);
	apic_write(EOI, 0);
}

/* Halts until `count` ticks have come; returns the microseconds since `start`. */
static u64 halt_until(u32 count, u64 start)
{
	while (ticks < count)
		wait_irq();
	return (rdtsc() - start) * 1000 / tsc_per_ms();
}

static u64 halt_for(u32 count)
{
	ticks = 0;
	return halt_until(count, rdtsc());
}

static void window(void)		/* interrupts may be delivered here */
{
	sti();
	for (u32 i = 0; i < 100; i++)
		pause();
	cli();
}

static void pit(void)
{
	interrupt_on(0x20, on_pit);
	pit_periodic(PIT_HZ / 200);
	outb(0x21, 0xfe);
	halt_for(1);
	check_range(halt_for(20), 50000, 400000, "PIT: 20 ticks at 200 Hz wake HLT");
	eoi_wanted = false;
	halt_for(1);
	ticks = 0;
	sti();
	delay_us(30000);
	cli();
	check_eq(ticks, 0, "8259: without EOI nothing more comes");
	eoi_wanted = true;
	pic_eoi(0);
	halt_for(1);
	check_range(ticks, 1, 2, "8259: and with it the next does");
	outb(0x21, 0xff);
	ticks = 0;
	sti();
	delay_us(20000);
	cli();
	check_eq(ticks, 0, "8259: the mask holds them back");
	pit_oneshot(PIT_HZ / 200);
	pic_init(0xfffe);		/* clears interrupts that came while masked */
	ticks = 0;
	halt_for(1);
	sti();
	delay_us(30000);
	cli();
	check_eq(ticks, 1, "PIT: mode 0 fires once");
	outb(0x21, 0xff);
}

static void calibrate(void)
{
	u32 start = ~0u;

	apic_write(DIVIDE, 0xb);	/* by 1 */
	apic_write(LVT_TIMER, MASKED | 0x40);
	apic_write(INITIAL, start);
	delay_us(10000);
	lapic_khz = (start - apic_read(CURRENT)) / 10;
	check_range(lapic_khz, 100, 20000000, "LAPIC: it counts down while masked");
	check_eq(apic_read(INITIAL), start, "LAPIC: the initial count reads back");
	apic_write(DIVIDE, 3);		/* by 16 */
	apic_write(INITIAL, start);
	delay_us(10000);
	check_range((start - apic_read(CURRENT)) / 10, lapic_khz / 48, lapic_khz / 6,
		    "LAPIC: divided by 16");
	apic_write(DIVIDE, 0xb);
	apic_write(INITIAL, 0);
	check_eq(apic_read(CURRENT), 0, "LAPIC: an initial count of 0 stops it");
}

/* For the timer's interrupt in each way in which it can be seen, in turns: asleep, in a loop, as a bit of IRR. */
static void see_tick(u32 turn)
{
	ticks = 0;
	if (turn % 3 == 2) {
		while (!bit_set(IRR, 0x40))
			pause();
		tsc_at_tick = rdtsc();
		count_at_tick = apic_read(CURRENT);
		window();
		return;
	}
	if (turn % 3 == 1)
		sti();
	while (!ticks) {
		if (turn % 3 == 0)
			wait_irq();
	}
	cli();
}

/* Shots of many lengths, also such that are over before anything can be made ready for them. */
static void count_is_never_early(void)
{
	u32 early = 0;

	apic_write(LVT_TIMER, 0x40);
	for (u32 i = 0; i < 90; i++) {
		apic_write(INITIAL, lapic_khz / 200 * i + 1);
		see_tick(i);
		early += count_at_tick != 0;
	}
	check_eq(early, 0, "LAPIC: no interrupt comes before the count is 0");
}

static void lapic_timer(void)
{
	u64 start;

	interrupt_on(0x40, on_timer);
	apic_write(LVT_TIMER, 0x40);
	ticks = 0;
	start = rdtsc();
	apic_write(INITIAL, lapic_khz * 5);
	check_range(halt_until(1, start), 2500, 50000, "LAPIC: one shot of 5 ms wakes HLT");
	check_eq(apic_read(CURRENT), 0, "LAPIC: ... and then stays at 0");
	sti();
	delay_us(20000);
	cli();
	check_eq(ticks, 1, "LAPIC: ... and fires once");

	count_is_never_early();

	apic_write(LVT_TIMER, PERIODIC | 0x40);
	apic_write(INITIAL, lapic_khz * 5);
	check_range(halt_for(20), 50000, 400000, "LAPIC: 20 periods of 5 ms");
	apic_write(LVT_TIMER, MASKED | PERIODIC | 0x40);
	window();
	ticks = 0;
	sti();
	delay_us(20000);
	cli();
	check_eq(ticks, 0, "LAPIC: the mask in its LVT holds it");
	apic_write(INITIAL, 0);
}

static void deadline_is_never_early(void)
{
	u32 early = 0;

	for (u32 i = 0; i < 90; i++) {
		u64 deadline = rdtsc() + (u64)tsc_per_ms() * i / 200;

		wrmsr(MSR_DEADLINE, deadline);
		see_tick(i);
		early += tsc_at_tick < deadline;
	}
	check_eq(early, 0, "deadline: no interrupt comes before it");
}

static void deadline(void)
{
	u64 armed, start;

	if (!(cpuid(1, 0).c & BIT(24))) {
		skip("TSC deadline", "not offered");
		return;
	}
	apic_write(LVT_TIMER, DEADLINE | 0x40);
	asm volatile("mfence" : : : "memory");
	ticks = 0;
	start = rdtsc();		/* far enough in the future for an emulator that has yet to translate the code */
	wrmsr(MSR_DEADLINE, start + tsc_per_ms() * 30);
	armed = rdmsr(MSR_DEADLINE);
	check_range(halt_until(1, start), 30000, 100000, "deadline: 30 ms wake HLT");
	check(armed, "deadline: the MSR read as armed");
	if (hypervisor_present())	/* Bochs keeps the old value */
		check_eq(rdmsr(MSR_DEADLINE), 0, "deadline: the MSR is 0 after it fired");
	ticks = 0;
	start = rdtsc();
	wrmsr(MSR_DEADLINE, 1);
	check_range(halt_until(1, start), 0, 20000, "deadline: one in the past fires immediately");
	ticks = 0;
	wrmsr(MSR_DEADLINE, rdtsc() + tsc_per_ms() * 30);
	wrmsr(MSR_DEADLINE, 0);
	sti();
	delay_us(40000);
	cli();
	check_eq(ticks, 0, "deadline: 0 disarms");
	deadline_is_never_early();
	apic_write(LVT_TIMER, MASKED | 0x40);
}

static void ipis(void)
{
	order = 0;
	apic_write(ICR, SELF | 0x51);
	apic_write(ICR, SELF | 0x71);
	apic_write(ICR, SELF | 0x61);
	check(bit_set(IRR, 0x51) && bit_set(IRR, 0x61) && bit_set(IRR, 0x71), "IPIs wait in IRR");
	window();
	check_eq(order, 0x716151, "IPIs come by priority");
	check_eq(in_service, 1, "a handler sees itself in ISR");
	check(!bit_set(ISR, 0x51) && !bit_set(IRR, 0x51), "EOI clears it");

	order = 0;
	apic_write(TPR, 0x60);
	check_eq(READ_CR(8), 6, "CR8 is TPR's upper half");
	apic_write(ICR, SELF | 0x61);
	apic_write(ICR, SELF | 0x71);
	window();
	check_eq(order, 0x71, "TPR holds back its class and below");
	WRITE_CR(8, 5);
	check_eq(apic_read(TPR), 0x50, "TPR is what CR8 says");
	window();
	check_eq(order, 0x7161, "... until it is lowered");

	order = 0;
	WRITE_CR(8, 7);
	apic_write(ICR, SELF | 0x71);
	window();
	check_eq(order, 0, "CR8 holds back its class");
	check_eq(READ_CR(8), 7, "... and reads as it was written");
	asm volatile("sti");
	WRITE_CR(8, 6);
	asm volatile("nop; cli");
	check_eq(order, 0x71, "... which comes as soon as CR8 is lower");
	apic_write(TPR, 0x25);
	WRITE_CR(8, 2);
	check_eq(apic_read(TPR), 0x20, "a MOV to CR8 clears TPR's lower half");
	WRITE_CR(8, 0);
	order = 0;
	apic_write(ICR, SELF | 0x51);
	wait_irq();
	check_eq(order, 0x51, "a pending IPI does not let HLT sleep");
}

static void destinations(void)
{
	u32 id = lapic_read(ID);

	order = 0;
	lapic_write(ICR_HIGH, id);
	lapic_write(ICR, 0x51);
	window();
	check_eq(order, 0x51, "an IPI to the own id");
	lapic_write(DFR, ~0u);
	lapic_write(LDR, 4u << 24);
	lapic_write(ICR_HIGH, 6u << 24);
	lapic_write(ICR, 0x800 | 0x61);
	window();
	check_eq(order, 0x5161, "an IPI to a logical destination");
	lapic_write(ICR_HIGH, 2u << 24);
	lapic_write(ICR, 0x800 | 0x71);
	window();
	check_eq(order, 0x5161, "... which is not ours");
	lapic_write(SVR, 0xff);
	check(lapic_read(LVT_TIMER) & MASKED, "a disabled LAPIC masks its LVT");
	lapic_write(SVR, 0x1ff);
}

static void x2apic_mode(void)
{
	u32 id = lapic_read(ID) >> 24;

	if (!(cpuid(1, 0).c & BIT(21))) {
		skip("x2APIC", "not offered");
		return;
	}
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
	x2apic = true;
	check_eq(rdmsr(X2APIC(ID)), id, "x2APIC: the id is 32 bits wide");
	check_eq(try_wrmsr(X2APIC(ID), 1), GP, "x2APIC: the id is read-only");
	check_eq(try_wrmsr(X2APIC(EOI), 1), GP, "x2APIC: EOI takes 0 only");
	check_eq(try_wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~BIT(10)), GP,
		 "x2APIC: no direct way back");
	if (hypervisor_present())	/* Bochs keeps xAPIC's value */
		check_eq(rdmsr(X2APIC(LDR)), id / 16 << 16 | 1 << id % 16,
			 "x2APIC: the LDR follows the id");
	lapic_timer();
	deadline();
	ipis();
	order = 0;
	wrmsr(0x83f, 0x51);
	wrmsr(X2APIC(ICR), (u64)id << 32 | 0x61);
	window();
	check_eq(order, 0x6151, "x2APIC: SELF IPI and a 64-bit ICR");
}

int main(void)
{
	tsc_per_ms();
	pit();
	interrupt_on(0x51, on_ipi);
	interrupt_on(0x61, on_ipi);
	interrupt_on(0x71, on_ipi);
	apic_write(SVR, 0x1ff);
	calibrate();
	lapic_timer();
	deadline();
	ipis();
	destinations();
	x2apic_mode();
	return 0;
}
