/* SPDX-License-Identifier: MIT */
/*
 * Checks real mode: segment arithmetic, interrupts through the table at 0 and elsewhere, port
 * and string I/O, leaving and entering protected mode, "unreal" segments, and HLT with the PIT.
 * real.asm runs there and leaves its results in low memory.
 */
#include "guest.h"

void real_mode(void);
extern u8 low_image[], low_start[], low_end[];
extern volatile struct {
	u32 cs, alias, wide, int_cs_ip, int_if, int_sp, de_ip, int3, moved;
	u32 scratch, ins, outs, movs, unreal, limit, switches, cpuid, ticks, loops;
} results;

static volatile u32 *const marker = (u32 *)0x200000;

int main(void)
{
	u32 size = low_end - low_start;

	gdt[SPARE / 8] = 0x00009b000000ffff;		/* 16-bit code and data, base 0 */
	gdt[SPARE / 8 + 1] = 0x000093000000ffff;
	for (u32 i = 0; i < size; i++)
		((volatile u8 *)low_start)[i] = low_image[i];
	*marker = 0xcafe1234;
	results.cs = 0xffff;
	pit_periodic(PIT_HZ / 200);
	real_mode();

	check_eq(READ_CR(0) & 1, 1, "back in protected mode");
	check_eq(results.cs, 0, "CS is the segment of the far jump");
	check_eq(results.alias, 0x1234, "segment * 16 + offset");
	check_eq(results.wide, 0x1234, "a 32-bit address");
	check_eq(results.int_cs_ip, 0, "INT pushes its return address");
	check_eq(results.int_if, 0x200, "INT pushes IF and clears it");
	check_eq(results.int_sp, 0, "IRET takes off what INT pushed");
	check_eq(results.de_ip, 0xffff, "#DE is a fault on the DIV");
	check_eq(results.int3, 1, "INT3 takes vector 3");
	check_eq(results.moved, 0x60, "LIDT moves the interrupt table");
	check_eq(results.scratch, 0x5a, "IN reads what OUT wrote");
	check_eq(results.ins, 0x5a5a5a5a, "REP INSB fills memory");
	check_eq(results.outs, 0x22, "REP OUTSB downwards ends with the last byte, CX 0");
	check_eq(results.movs, 0x44332211, "REP MOVSW");
	check_eq(results.switches, 100, "in and out of protected mode");
	if (results.limit || !vendor_amd())
		check_eq(results.limit, 1, "a word at ffffh raises #GP");
	else
		skip("a word at ffffh raises #GP", "this CPU does not check segment limits");
	check_eq(results.unreal, *marker, "a 4 GiB segment in real mode");
	check_eq(results.cpuid, cpuid(0, 0).a, "CPUID in real mode");
	check_range(results.ticks, 5, 6, "timer ticks while halted");
	check_range(results.loops, 3, 6, "HLT wakes for each tick");
	return 0;
}
