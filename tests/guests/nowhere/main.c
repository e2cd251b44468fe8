/* SPDX-License-Identifier: MIT */
/*
 * Jumps to where there is no RAM: the VM must end by an error that says so, with the dump and the
 * last records of the trace. There is no result line, and nothing may be printed after "now".
 */
#include "guest.h"

int main(void)
{
	print("guest nowhere: now\n");
	outb(0x80, 0x5a);		/* its last access before that: the trace must show it */
	((void (*)(void))0xa0000000)();
	check(false, "the machine executed at 0xa0000000");
	return 0;
}
