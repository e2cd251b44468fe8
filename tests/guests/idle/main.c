/* SPDX-License-Identifier: MIT */
/*
 * Halts until a key is typed, woken by the 8254 now and then to check: a guest that is idle
 * nearly all of the time, and still responds to input. With tick=0 nothing but the key wakes it.
 */
#include "guest.h"

#define COM1	   0x3f8
#define VECTOR_PIT 0x20
#define VECTOR_UART 0x24

static void on_tick(struct regs *regs)
{
	(void)regs;
	pic_eoi(0);
}

static void on_key(struct regs *regs)
{
	(void)regs;
	pic_eoi(4);
}

int main(void)
{
	u32 tick = 1;

	cmdline_number("tick", &tick);
	trap_on(VECTOR_PIT, on_tick);
	trap_on(VECTOR_UART, on_key);
	pic_init(tick ? 0xfffe : 0xffef);
	if (tick) {
		pit_periodic(PIT_HZ / 20);
	} else {
		outb(COM1 + 4, 0x0b);		/* OUT2 gates the interrupt */
		outb(COM1 + 1, 1);		/* of received data */
	}
	print("guest idle: now\n");
	while (!(inb(COM1 + 5) & 1))
		wait_irq();
	check_eq(inb(COM1), 'x', "a key was typed");
	return 0;
}
