/* SPDX-License-Identifier: MIT */
/*
 * Raises an exception while the stack is where there is no RAM. The VM must end by an error that names
 * vector and address; there is no result line, and nothing may be printed after "now".
 */
#include "guest.h"

int main(void)
{
	*(u64 *)(tss + 36) = 0xd0001000;
	idt[UD].ist = 1;
	print("guest devicestack: now\n");
	asm volatile("ud2");
	check(false, "the machine went on");
	return 0;
}
