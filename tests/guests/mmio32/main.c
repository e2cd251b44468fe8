/* SPDX-License-Identifier: MIT */
/*
 * Checks accesses to memory-mapped I/O from 32-bit and 16-bit code without paging: 16-bit
 * addressing, segment bases, the stack segment as a default, and short absolute addresses.
 */
#include "guest.h"

#define COUNT	(LAPIC + 0x380)		/* the LAPIC's initial count keeps all 32 bits */
#define VALUE	0x1234567

static u64 segment(u32 base, u8 type, u8 flags)
{
	return 0xffff | (u64)(base & 0xffffff) << 16 | (u64)type << 40 | (u64)(base >> 24) << 56 |
	       (u64)flags << 52;
}

/* Runs `insn`, which reads COUNT into EAX; only the low halves of EBX, ESI, EDI name it. */
#define READS(insn) do {								\
	u32 got_, b_ = 0x80380, c_ = 0x100, si_ = 0x80010, di_ = 0x80300;		\
	asm volatile("push %%ebp; xor %%eax, %%eax; mov $0x20, %%ebp\n\t" insn "\n\tpop %%ebp"	\
		     : "=&a"(got_), "+b"(b_), "+c"(c_), "+S"(si_), "+D"(di_)			\
		     : : "edx", "memory");						\
	check_eq(got_, VALUE, insn);							\
} while (0)

static void short_addresses(void)
{
	gdt[SPARE / 8] = segment(LAPIC, 0x93, 4);
	asm volatile("mov %0, %%es" : : "r"(SPARE));
	READS("addr16 mov %%es:(%%bx), %%eax");
	READS("addr16 mov %%es:-16(%%bx,%%si), %%eax");
	READS("addr16 mov %%es:0x60(%%bp,%%di), %%eax");
	READS("addr16 mov %%es:0x370(%%si), %%eax");
	READS("addr16 mov %%es:0x360(%%bp), %%eax");
	READS("addr16 mov %%es:0x380, %%eax");
	READS("mov $0xfff0, %%edx; mov %%edx, %%esi; addr16 mov %%es:0x390(%%si), %%eax");
	READS("addr16 mov %%es:0x80(%%di), %%eax");
	READS("mov %%es:0x280(%%ecx), %%eax");
	READS("mov $0x380, %%esi; push %%ds; push %%es; pop %%ds; lodsl; pop %%ds");
	asm volatile("mov %0, %%es" : : "r"(DATA));
}

static void long_addresses(void)
{
	READS("mov 0xfee00380, %%eax");
	READS("mov $0xfee00380, %%edx; mov (%%edx), %%eax");
	READS("mov $0xfee00370, %%edx; mov 16(%%edx), %%eax");
	READS("mov $0xfee00300, %%edx; mov (%%edx,%%ebp,4), %%eax");
	READS("mov $0x3fb800c0, %%edx; mov 0x80(,%%edx,4), %%eax");
	READS("mov $0xfee0037c, %%ebp; mov 4(%%ebp), %%eax");
	READS("movl $0x1234567, 0xfee00380; mov 0xfee00380, %%eax");
	READS("mov $0x1234567, %%eax; mov %%eax, 0xfee00380");
	READS("mov 0xfee00380, %%ax; mov 0xfee00380, %%eax");
}

/* 16-bit code: prefixes mean the opposite. */
static void narrow_code(void)
{
	static const u8 code[] = {
		0x66, 0x26, 0xa1, 0x80, 0x03,		/* mov eax, es:[0380h] */
		0x66, 0x26, 0x8b, 0x17,			/* mov edx, es:[bx] */
		0x67, 0x66, 0x26, 0x8b, 0x0b,		/* mov ecx, es:[ebx] */
		0x66, 0xcb,				/* retf, 32 bits */
	};
	struct { u32 offset; u16 selector; } __attribute__((packed)) target = { 0, SPARE + 8 };
	u32 a, c, d;

	gdt[SPARE / 8 + 1] = segment((u32)code, 0x9b, 0);
	asm volatile("mov %4, %%es; lcall *%3; mov %5, %%es"
		     : "=&a"(a), "=&c"(c), "=&d"(d)
		     : "m"(target), "r"(SPARE), "r"(DATA), "b"(0x380) : "memory");
	check_eq(a, VALUE, "16-bit code: moffs");
	check_eq(d, VALUE, "16-bit code: [bx]");
	check_eq(c, VALUE, "16-bit code: [ebx]");
}

int main(void)
{
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x320, BIT(16));
	mmio_write(COUNT, VALUE);
	check_eq(mmio_read(COUNT), VALUE, "the register keeps its value");
	long_addresses();
	short_addresses();
	narrow_code();
	return 0;
}
