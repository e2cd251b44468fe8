/* SPDX-License-Identifier: MIT */
/*
 * Checks the 16550: registers that keep their bits, the divisor latch, loop-back of data and
 * modem lines, FIFOs, the order of interrupt causes in IIR, and IRQ 4.
 */
#include "guest.h"

enum { DATA_REG = 0x3f8, IER, IIR, LCR, MCR, LSR, MODEM, SCRATCH, FCR = IIR };
#define LOOP	0x10
#define OUT2	0x08

static volatile u32 interrupts, cause;
static u8 errors;		/* LSR's error bits, which each read clears */

static bool wait_lsr(u8 bits)
{
	for (u32 i = 0; i < 1000000; i++) {
		u8 lsr = inb(LSR);

		errors |= lsr & 0x1e;
		if ((lsr & bits) == bits)
			return true;
	}
	return false;
}

static void registers(void)
{
	outb(SCRATCH, 0xa5);
	check_eq(inb(SCRATCH), 0xa5, "scratch register");
	outb(SCRATCH, 0x5a);
	check_eq(inb(SCRATCH), 0x5a, "scratch register again");
	wait_lsr(0x60);
	outb(LCR, 0x83);
	outb(DATA_REG, 0x34);
	outb(IER, 0x12);
	check_eq(inb(DATA_REG) | inb(IER) << 8, 0x1234, "divisor latch");
	outb(DATA_REG, 1);
	outb(IER, 0);
	outb(LCR, 0x03);
	check_eq(inb(LCR), 0x03, "LCR reads back");
	check_eq(inb(IER), 0, "the latch is not IER");
	outb(IER, 0xff);
	check_eq(inb(IER), 0x0f, "IER has four bits");
	outb(IER, 0);
	outb(MCR, 0x0b);
	check_eq(inb(MCR), 0x0b, "MCR reads back");
	check(wait_lsr(0x60), "LSR says that the transmitter is empty");
}

/* Deviations of Bochs and QEMU without a hypervisor. */
static void check_emulated(u64 got, u64 expected, const char *name, const char *why)
{
	if (got != expected && !hypervisor_present())
		skip(name, why);
	else
		check_eq(got, expected, name);
}

/* From here on nothing reaches the line: print only with LOOP off. */
static u8 loop_back(u8 byte)
{
	outb(DATA_REG, byte);
	return wait_lsr(1) ? inb(DATA_REG) : 0;
}

static void loop(void)
{
	static const u8 lines[][2] = { { 2, 0x10 }, { 1, 0x20 }, { 4, 0x40 }, { 8, 0x80 } };
	u8 modem[4], first, second, before, after;

	wait_lsr(0x60);
	outb(FCR, 0x07);
	outb(MCR, LOOP);
	before = inb(LSR);
	first = loop_back(0x12);
	second = loop_back(0xe7);
	after = inb(LSR);
	for (u32 i = 0; i < 4; i++) {
		outb(MCR, LOOP | lines[i][0]);
		modem[i] = inb(MODEM) & 0xf0;
	}
	outb(MCR, 0x0b);
	check_eq(before & 1, 0, "loop: nothing received yet");
	check_eq(first, 0x12, "loop: a byte comes back");
	check_eq(second, 0xe7, "loop: another byte comes back");
	check_eq(after & 1, 0, "loop: reading takes it");
	check_eq(modem[0], lines[0][1], "loop: RTS is CTS");
	check_eq(modem[1], lines[1][1], "loop: DTR is DSR");
	check_eq(modem[2], lines[2][1], "loop: OUT1 is RI");
	check_eq(modem[3], lines[3][1], "loop: OUT2 is DCD");
}

static void fifo(void)
{
	u8 with, without, got[16], extra, after_reset;
	bool order = true;

	wait_lsr(0x60);
	outb(FCR, 0);
	without = inb(IIR);
	outb(FCR, 0x07);
	with = inb(IIR);
	outb(MCR, LOOP);
	for (u32 i = 0; i < 16; i++) {
		outb(DATA_REG, 0x30 + i);
		wait_lsr(0x60);
	}
	for (u32 i = 0; i < 16; i++) {
		got[i] = wait_lsr(1) ? inb(DATA_REG) : 0;
		order &= got[i] == 0x30 + i;
	}
	extra = inb(LSR);
	outb(DATA_REG, 0x55);
	wait_lsr(0x61);
	outb(FCR, 0x03);
	after_reset = inb(LSR);
	errors = 0;
	for (u32 i = 0; i < 17; i++) {
		outb(DATA_REG, i);
		wait_lsr(0x60);
	}
	outb(FCR, 0x07);
	outb(MCR, 0x0b);
	check_eq(without & 0xc0, 0, "FIFO: off shows in IIR");
	check_eq(with & 0xc0, 0xc0, "FIFO: on shows in IIR");
	check(order, "FIFO: 16 bytes come out in order");
	check_eq(extra & 1, 0, "FIFO: ... and no more");
	check_emulated(after_reset & 1, 0, "FIFO: its reset empties it", "Bochs keeps LSR");
	check_eq(errors & 2, 2, "FIFO: the 17th byte is an overrun");
}

static void causes(void)
{
	u8 idle, empty, read, received, overrun, modem, order[3];

	wait_lsr(0x60);
	outb(FCR, 0);
	outb(MCR, LOOP);
	inb(DATA_REG), inb(LSR), inb(MODEM);
	outb(IER, 0);
	idle = inb(IIR);
	outb(IER, 2);
	empty = inb(IIR);
	read = inb(IIR);
	outb(IER, 1);
	outb(DATA_REG, 0x41);
	wait_lsr(0x61);
	received = inb(IIR);
	outb(DATA_REG, 0x42);
	wait_lsr(0x60);
	outb(IER, 4);
	outb(DATA_REG, 0x43);
	for (u32 i = 0; i < 100000 && inb(IIR) != 6; i++)
		pause();
	overrun = inb(IIR);
	outb(IER, 0x0f);
	outb(MCR, LOOP | 2);
	order[0] = inb(IIR);
	inb(LSR);
	order[1] = inb(IIR);
	inb(DATA_REG);
	order[2] = inb(IIR);		/* reading IIR with this cause clears it */
	modem = inb(IIR);
	inb(MODEM);
	read |= inb(IIR) << 4;
	outb(IER, 0);
	outb(MCR, 0x0b);
	outb(FCR, 0x07);
	check_eq(idle, 1, "IIR: nothing pending");
	check_eq(empty, 2, "IIR: enabling it, an empty transmitter interrupts");
	check_eq(read & 0xf, 1, "IIR: ... which reading IIR clears");
	check_eq(received, 4, "IIR: data received");
	check_eq(overrun, 6, "IIR: an overrun is a line status");
	check_eq(order[0], 6, "IIR: line status comes first,");
	check_eq(order[1], 4, "IIR: ... then data,");
	check_emulated(order[2], 2, "IIR: ... then the transmitter,", "Bochs has lost it");
	check_emulated(modem, 0, "IIR: ... then the modem lines", "QEMU sees no change");
	check_eq(read >> 4, 1, "IIR: ... and then nothing");
}

static void on_uart(struct regs *regs)
{
	(void)regs;
	interrupts++;
	cause = inb(IIR) & 0xf;
	pic_eoi(4);
}

static u32 interrupts_in(u32 us)
{
	interrupts = 0;
	sti();
	delay_us(us);
	cli();
	return interrupts;
}

static void irq(void)
{
	u32 without_out2, with_out2, again;

	tsc_per_ms();
	interrupt_on(0x24, on_uart);
	wait_lsr(0x60);
	outb(0x21, 0xef);
	outb(IER, 0);
	outb(MCR, 0x03);
	outb(IER, 2);
	without_out2 = interrupts_in(2000);
	outb(IER, 0);
	outb(MCR, 0x03 | OUT2);
	outb(IER, 2);
	with_out2 = interrupts_in(2000);
	outb(DATA_REG, '\n');
	again = interrupts_in(5000);
	outb(IER, 0);
	outb(0x21, 0xff);
	check_emulated(without_out2, 0, "IRQ 4: OUT2 gates it", "QEMU's does not");
	check_eq(with_out2, 1, "IRQ 4: the transmitter is empty");
	check_eq(again, 1, "IRQ 4: ... and again after a byte");
	check_eq(cause, 2, "IRQ 4: IIR names the cause");
}

static const char text[] = "(sent by an interrupt handler)\n";
static volatile u32 sent;

static void on_transmitter(struct regs *regs)
{
	(void)regs;
	interrupts++;
	if (text[sent])
		outb(DATA_REG, text[sent++]);
	else
		outb(IER, 0);
	pic_eoi(4);
}

/* "Interrupt Control Functions": a write to THR resets the transmitter's interrupt, so the line makes an edge. */
static void write_without_iir(void)
{
	interrupt_on(0x24, on_transmitter);
	wait_lsr(0x60);
	outb(FCR, 0);
	outb(0x21, 0xef);
	interrupts = 0;
	outb(IER, 2);
	sti();
	for (u32 i = 0; i < 500 && text[sent]; i++)
		delay_us(100);
	delay_us(1000);
	cli();
	outb(IER, 0);
	outb(0x21, 0xff);
	outb(FCR, 0x07);
	check_emulated(sent, sizeof(text) - 1, "IRQ 4: a handler that only writes sends all", "Bochs loses one");
	check_emulated(interrupts, sizeof(text), "IRQ 4: ... with an interrupt for each", "Bochs loses one");
}

int main(void)
{
	registers();
	loop();
	fifo();
	causes();
	irq();
	write_without_iir();
	return 0;
}
