/* SPDX-License-Identifier: MIT */
/*
 * Periodic interrupts as fast as each source can be set: the code that they interrupt has to get on, however long the
 * host takes for each of them.
 */
#include "guest.h"

#define VECTOR 0x40

static volatile u32 ticks;

static void on_lapic(struct regs *regs)
{
	(void)regs;
	ticks++;
	lapic_write(0xb0, 0);
}

static void on_pit(struct regs *regs)
{
	(void)regs;
	ticks++;
	pic_eoi(0);
}

static void on_rtc(struct regs *regs)
{
	(void)regs;
	ticks++;
	outb(0x70, 0x0c);
	inb(0x71);
	pic_eoi(8);
}

static u8 cmos(u8 index, u8 value)
{
	outb(0x70, index);
	outb(0x71, value);
	return value;
}

/* Some milliseconds of work; ends when enough ticks have come, too. */
static void work(const char *name)
{
	volatile u32 steps = 0;

	ticks = 0;
	sti();
	while (steps < 2000 || ticks < 20)
		steps++;
	cli();
	check(ticks >= 20, name);
}

int main(void)
{
	lapic_write(0xf0, 0x1ff);
	interrupt_on(VECTOR, on_lapic);
	lapic_write(0x3e0, 0xb);
	lapic_write(0x320, 0x20000 | VECTOR);
	lapic_write(0x380, 1);
	work("with the local APIC's shortest period the code gets on");
	lapic_write(0x320, 0x10000);
	lapic_write(0x380, 0);

	interrupt_on(0x20, on_pit);
	pit_periodic(2);
	pic_init(0xfffe);
	work("with the 8254's shortest period the code gets on");
	pic_init(0xffff);
	pit_oneshot(1);

	interrupt_on(0x28, on_rtc);
	cmos(0x0a, 0x23);			/* 8192 Hz */
	cmos(0x0b, 0x42);
	pic_init(0xfefb);
	outb(0x70, 0x0c);
	inb(0x71);
	work("with the real-time clock's shortest period the code gets on");
	cmos(0x0b, 0x02);
	return 0;
}
