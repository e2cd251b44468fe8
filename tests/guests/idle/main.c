/* SPDX-License-Identifier: MIT */
/*
 * Halts until a key is typed, woken by the 8254 now and then to check: a guest that is idle
 * nearly all of the time, and still responds to input.
 */
#include "guest.h"

#define COM1	   0x3f8
#define VECTOR_PIT 0x20

static void on_tick(struct regs *regs)
{
	(void)regs;
	pic_eoi(0);
}

int main(void)
{
	trap_on(VECTOR_PIT, on_tick);
	pic_init(0xfffe);
	pit_periodic(PIT_HZ / 20);
	print("guest idle: now\n");
	while (!(inb(COM1 + 5) & 1))
		wait_irq();
	check_eq(inb(COM1), 'x', "a key was typed");
	return 0;
}
