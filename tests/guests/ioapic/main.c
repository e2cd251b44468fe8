/* SPDX-License-Identifier: MIT */
/*
 * Checks the IOAPIC: the PIT's edges reach the CPU by a redirection entry, a level stays in
 * service until the line drops (remote IRR), and masks, destinations and priorities hold.
 */
#include "guest.h"

#define LEVEL		BIT(15)
#define REMOTE_IRR	BIT(14)
#define LOGICAL		BIT(11)
#define MASKED		BIT(16)
#define PIT_PIN		2		/* "Interrupt Source Override" of ISA IRQ 0 */
#define UART_PIN	4
#define PIT_VECTOR	0x60
#define UART_VECTOR	0x71
#define UART_IER	0x3f9

static volatile u32 ticks, levels, rte_inside, tmr_inside, drop_after;

static u32 rte_low(u32 pin) { return ioapic_read(0x10 + 2 * pin); }

static void rte_set(u32 pin, u32 low, u8 destination)
{
	ioapic_write(0x10 + 2 * pin, MASKED);
	ioapic_write(0x11 + 2 * pin, (u32)destination << 24);
	ioapic_write(0x10 + 2 * pin, low);
}

static void on_tick(struct regs *regs)
{
	(void)regs;
	ticks++;
	lapic_write(0xb0, 0);
}

/* The UART keeps its line up until this handler has come `drop_after` times. */
static void on_level(struct regs *regs)
{
	(void)regs;
	rte_inside = rte_low(UART_PIN);
	tmr_inside = lapic_read(0x180 + UART_VECTOR / 32 * 16) >> UART_VECTOR % 32 & 1;
	if (++levels >= drop_after)
		outb(UART_IER, 0);
	lapic_write(0xb0, 0);
}

static u32 ticks_in(u32 us)
{
	ticks = 0;
	sti();
	delay_us(us);
	cli();
	return ticks;
}

static u32 levels_in(u32 us)
{
	levels = 0;
	sti();
	delay_us(us);
	cli();
	return levels;
}

static void registers(void)
{
	u32 version = ioapic_read(1);
	u32 unmasked = 0;

	check_eq(version >> 16 & 0xff, 23, "24 pins");
	check_range(version & 0xff, 0x11, 0x20, "a known version");
	for (u32 pin = 0; pin < 24; pin++)
		unmasked += !(rte_low(pin) & MASKED);
	check_eq(unmasked, 0, "every pin starts masked");
	rte_set(7, MASKED | LEVEL | LOGICAL | BIT(13) | 0x55, 0xa5);
	check_eq(rte_low(7), MASKED | LEVEL | LOGICAL | BIT(13) | 0x55, "an entry reads back");
	check_eq(ioapic_read(0x11 + 2 * 7) >> 24, 0xa5, "... its destination too");
	ioapic_write(0x10 + 2 * 7, MASKED | REMOTE_IRR | BIT(12));
	check_eq(rte_low(7), MASKED, "remote IRR and delivery status are read-only");
}

static void edge(void)
{
	u8 id = lapic_read(0x20) >> 24;

	interrupt_on(PIT_VECTOR, on_tick);
	pit_periodic(PIT_HZ / 200);
	rte_set(PIT_PIN, PIT_VECTOR, id);
	check_range(ticks_in(50000), 4, 15, "edge: PIT ticks at 200 Hz for 50 ms");
	check_eq(rte_low(PIT_PIN) & REMOTE_IRR, 0, "edge: no remote IRR");
	ticks = 0;
	while (ticks < 3)
		wait_irq();
	check(ticks >= 3, "edge: they wake HLT");
	rte_set(PIT_PIN, MASKED | PIT_VECTOR, id);
	ticks_in(6000);
	check_eq(ticks_in(30000), 0, "edge: the mask holds them");
	rte_set(PIT_PIN, PIT_VECTOR, id + 1);
	check_eq(ticks_in(30000), 0, "edge: not for another CPU's id");
	lapic_write(0xe0, ~0u);
	lapic_write(0xd0, 2u << 24);
	rte_set(PIT_PIN, LOGICAL | PIT_VECTOR, 3);
	check_range(ticks_in(50000), 4, 15, "edge: a logical destination");
	lapic_write(0x80, 0x60);
	check_eq(ticks_in(30000), 0, "edge: TPR holds them");
	lapic_write(0x80, 0);
	rte_set(PIT_PIN, MASKED, id);
	ticks_in(6000);
}

static void level(void)
{
	u8 id = lapic_read(0x20) >> 24;

	interrupt_on(UART_VECTOR, on_level);
	drop_after = 1;
	rte_set(UART_PIN, MASKED | LEVEL | UART_VECTOR, id);
	outb(UART_IER, 2);		/* the transmitter is empty: the line goes up */
	check_eq(levels_in(2000), 0, "level: the mask holds it");
	rte_set(UART_PIN, LEVEL | UART_VECTOR, id);
	check_eq(levels_in(2000), 1, "level: ... and unmasking lets it through, once");
	check_eq(tmr_inside, 1, "level: the LAPIC's TMR says level");
	if (!hypervisor_present() && !(rte_inside & REMOTE_IRR)) {
		skip("level: remote IRR", "Bochs has none, and forgets the level at EOI");
		return;
	}
	check_eq(rte_inside & REMOTE_IRR, REMOTE_IRR, "level: remote IRR is set in the handler");
	check_eq(rte_low(UART_PIN) & REMOTE_IRR, 0, "level: EOI clears remote IRR");
	drop_after = 3;
	outb(UART_IER, 2);
	check_eq(levels_in(2000), 3, "level: it comes again until the line drops");
	check_eq(levels_in(2000), 0, "level: ... and then no more");
	rte_set(UART_PIN, MASKED, id);
}

int main(void)
{
	tsc_per_ms();
	lapic_write(0xf0, 0x1ff);
	registers();
	edge();
	level();
	return 0;
}
