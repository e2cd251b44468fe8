/* SPDX-License-Identifier: MIT */
/*
 * Ends in a triple fault: with an empty IDT neither #UD nor the #DF after it can be delivered.
 * There is no result line; the VM must end with the reason, and nothing may be printed after "now".
 */
#include "guest.h"

int main(void)
{
	static const u8 empty[10];

	print("guest triplefault: now\n");
	while (!(inb(0x3fd) & 0x40))
		pause();
	asm volatile("lidt %0; ud2" : : "m"(empty));
	check(false, "the machine survived a triple fault");
	return 0;
}
