/* SPDX-License-Identifier: MIT */
/*
 * Spins for ever with interrupts off, or with `if=1` on: a guest that gives nothing back. The
 * hypervisor must still get the CPU, so that a time limit can end this VM.
 */
#include "guest.h"

int main(void)
{
	u32 interrupts = 0;

	cmdline_number("if", &interrupts);
	print("guest spin: now\n");
	if (interrupts)
		sti();
	for (;;)
		asm volatile("");
}
