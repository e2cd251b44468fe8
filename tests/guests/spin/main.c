/* SPDX-License-Identifier: MIT */
/*
 * Loops forever with interrupts off, or with `if=1` on: a guest that never halts. The
 * hypervisor must still get the CPU, so that a time limit can end this VM. With `exit=` each turn
 * causes an exit that can be handled without the loop of the hypervisor.
 */
#include "guest.h"

#define MTRR_CAP      0xfe
#define UNUSED_PORT   0x80
#define LAPIC_VERSION 0xfee00030u

enum { NO_EXIT, EXIT_CPUID, EXIT_RDMSR, EXIT_OUT, EXIT_MMIO };

static void turn(u32 exit)
{
	u32 version;

	switch (exit) {
	case EXIT_CPUID:
		cpuid(0, 0);
		break;
	case EXIT_RDMSR:
		rdmsr(MTRR_CAP);
		break;
	case EXIT_OUT:
		outb(UNUSED_PORT, 0);
		break;
	case EXIT_MMIO:
		/* This form is handled on the fast path; one with an absolute address is not. */
		asm volatile("movl (%1), %0" : "=r"(version) : "r"(LAPIC_VERSION));
		break;
	default:
		asm volatile("");
		break;
	}
}

int main(void)
{
	u32 interrupts = 0, exit = NO_EXIT;

	cmdline_number("if", &interrupts);
	cmdline_number("exit", &exit);
	print("guest spin: now\n");
	if (interrupts)
		sti();
	for (;;)
		turn(exit);
}
