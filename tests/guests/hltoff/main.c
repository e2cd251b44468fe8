/* SPDX-License-Identifier: MIT */
/*
 * Halts with interrupts off. Nothing can wake this CPU any more, so the VM must end, with a
 * message. There is no result line, and nothing may be printed after "now".
 */
#include "guest.h"

int main(void)
{
	print("guest hltoff: now\n");
	asm volatile("cli; hlt");
	check(false, "HLT with interrupts off does not return");
	return 0;
}
