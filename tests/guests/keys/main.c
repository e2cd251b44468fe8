/* SPDX-License-Identifier: MIT */
/*
 * A VM that does what is typed, for tests of the monitor and of consoles: a line for each key, and
 *	r	resets the machine	t	causes a triple fault
 *	h	hangs with interrupts off
 *	f	prints without end
 *	l	prints a line in three parts, with control characters, after 2 s, in which another VM comes to the front
 *	p	prints a prompt without the end of a line
 *	q	ends with the result
 */
#include "guest.h"

#define COM1	   0x3f8
#define VECTOR_PIT 0x20

static void on_tick(struct regs *regs)
{
	(void)regs;
	pic_eoi(0);
}

static void triple_fault(void)
{
	struct {
		u16 limit;
		ulong base;
	} __attribute__((packed)) none = { 0, 0 };

	asm volatile("lidt %0; ud2" : : "m"(none));
}

static void flood(void)
{
	for (u32 i = 0; ; i++) {
		print("keys: flood ");
		print_dec(i);
		print("\n");
	}
}

static void hang(void)
{
	print("keys: hangs\n");
	for (;;)
		asm volatile("");
}

static void take(u8 key)
{
	static u32 count;
	const char text[] = { (char)key, 0 };

	print("keys: ");
	print_dec(++count);
	print(" ");
	print(text);
	print("\n");
	if (key == 'r')
		outb(0xcf9, 6);
	else if (key == 't')
		triple_fault();
	else if (key == 'h')
		hang();
	else if (key == 'f')
		flood();
	else if (key == 'l')
		delay_us(2000000), print("\x1b[1mfirst\x1b[0m part,"), delay_us(20000), print(" second\a part,"), print(" third\n");
	else if (key == 'p')
		print("prompt> ");
}

int main(void)
{
	u8 key;

	trap_on(VECTOR_PIT, on_tick);
	pic_init(0xfffe);
	pit_periodic(PIT_HZ / 50);
	print("guest keys: now\n");
	do {
		while (!(inb(COM1 + 5) & 1))
			wait_irq();
		key = inb(COM1);
		take(key);
	} while (key != 'q');
	check_eq(key, 'q', "the last key was typed");
	return 0;
}
