/* SPDX-License-Identifier: MIT */
/*
 * Causes one of each kind of trace record. tests/test_trace_stop.py stops the VM at each of them,
 * and the last line says at which RIP: after each is a label, with an instruction that would
 * change RIP. There is no result line; nothing may be printed after "now".
 */
#include "guest.h"

#define LABEL(name) "\n.globl " name "\n" name ": "
#define MOVES_ON    "incl ran(%%rip)\n"

#define APIC_SPURIOUS 0xfee000f0ul
#define APIC_ICR      0xfee00300ul
#define SELF_IPI      0x44050u		/* vector 0x50 */
#define NO_SUCH_MSR   0x12345u

u32 ran;
void at_general_protection(void), at_interrupt(void);
asm(LABEL("at_general_protection") "addq $8, %rsp; addq $2, (%rsp); iretq");	/* after RDMSR */

int main(void)
{
	gate_set(GP, (ulong)at_general_protection, CODE64, 0x8e, 0);
	gate_set(0x50, (ulong)at_interrupt, CODE64, 0x8e, 0);
	pic_init(0xffff);
	*(volatile u32 *)APIC_SPURIOUS = 0x1ff;
	print("guest tracestop: now\n");

	asm volatile("out %%al, $0xe0" LABEL("behind_port") MOVES_ON : : "a"(0x5a) : "memory");
	asm volatile("rdmsr" LABEL("behind_msr") MOVES_ON : : "c"(0x1b) : "eax", "edx", "memory");
	asm volatile("movl $0, (%0)" LABEL("behind_mmio") MOVES_ON : : "r"(0xfee00080ul) : "memory");
	asm volatile(LABEL("at_cpuid") "cpuid" LABEL("behind_cpuid") MOVES_ON
		     : : "a"(0), "c"(0) : "ebx", "edx", "memory");
	/* A REP that takes more than one exit. */
	asm volatile(LABEL("at_string") "rep outsb" LABEL("behind_string") MOVES_ON
		     : : "S"(pd), "c"(0x400), "d"(0xe1) : "memory");
	/* Only the exception that it raises is delivered, no interrupt, although interrupts are on. */
	asm volatile("sti; nop; rdmsr" LABEL("behind_no_such_msr") "cli\n"
		     : : "c"(NO_SUCH_MSR) : "eax", "edx", "memory");
	/* An interrupt becomes pending immediately, and stays pending. */
	asm volatile("sti; nop; movl %0, (%1)" LABEL("behind_ipi") MOVES_ON
		     LABEL("at_interrupt") MOVES_ON "hlt"
		     : : "r"(SELF_IPI), "r"(APIC_ICR) : "memory");
	check(false, "the machine went on");
	return 0;
}
