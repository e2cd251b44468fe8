/* SPDX-License-Identifier: MIT */
/*
 * Checks accesses to memory-mapped I/O: an instruction must change a device's register, its other
 * operand and the flags as it does with RAM, in every form that code uses on devices; and
 * addresses without a device read as all ones.
 */
#include "guest.h"

#define COUNT		(LAPIC + 0x380)		/* keeps all 32 bits; its interrupt stays masked */
#define NOBODY		0xd0000000ul
#define FAR		0x8000000000ul
#define ARITHMETIC	0x8c5ul			/* OF, SF, ZF, PF, CF */
#define START		0x81c3a55a
#define OTHER		0x1122334485667788

static u64 ram[16] __attribute__((aligned(64)));
static u64 floating = ~0ull;			/* what an address without a device reads as */
static u64 far_pdpt[512] __attribute__((aligned(4096))), far_pd[512] __attribute__((aligned(4096)));
static u64 far_pt[512] __attribute__((aligned(4096))), frame[512] __attribute__((aligned(4096)));
static u64 near_pt[512] __attribute__((aligned(4096)));
u32 near[1024] __attribute__((aligned(4096)));	/* the LAPIC within reach of RIP */

struct outcome {
	u64 a, c, di, si, flags;
};

/* Runs `insn` with RBX = address, RAX = OTHER, RCX = 3, RDI = RSI = address, CF = ZF = 1. */
#define RUN(insn, address) ({								\
	struct outcome o_ = { .a = OTHER, .c = 3, .di = (ulong)(address) };		\
	ulong b_ = o_.si = o_.di;							\
	asm volatile("push $0x47; popf\n\t" insn "\n\tpushf; pop %4; cld"		\
		     : "+a"(o_.a), "+c"(o_.c), "+D"(o_.di), "+S"(o_.si), "=&r"(o_.flags),	\
		       "+b"(b_) : "d"(START) : "memory", "cc", "r8", "r12", "r13");	\
	o_;										\
})

static bool same(struct outcome x, struct outcome y)
{
	return x.a == y.a && x.c == y.c && !((x.flags ^ y.flags) & ARITHMETIC);
}

/* A device's register: the same in memory, registers and flags as with RAM. */
#define REGISTER(insn) do {								\
	struct outcome a_, b_;								\
	mmio_write(COUNT, START);							\
	ram[0] = START;									\
	a_ = RUN(insn, COUNT);								\
	b_ = RUN(insn, ram);								\
	check(same(a_, b_), insn);							\
	check_eq(mmio_read(COUNT), (u32)ram[0], "... in memory");			\
} while (0)

/* An address without a device, for sizes that a LAPIC does not support: the same in registers and flags. */
#define UNCLAIMED(insn) do {								\
	struct outcome a_ = RUN(insn, NOBODY), b_;					\
	ram[0] = floating;								\
	b_ = RUN(insn, ram);								\
	check(same(a_, b_), insn);							\
} while (0)

static void moves(void)
{
	REGISTER("mov (%%rbx), %%eax");
	REGISTER("mov %%eax, (%%rbx)");
	REGISTER("movl $0x7654321, (%%rbx)");
	REGISTER("movslq (%%rbx), %%rax");
	REGISTER("xchg %%eax, (%%rbx)");
	UNCLAIMED("mov (%%rbx), %%al");
	UNCLAIMED("mov (%%rbx), %%ah");
	UNCLAIMED("mov (%%rbx), %%ax");
	UNCLAIMED("mov (%%rbx), %%rax");
	UNCLAIMED("mov (%%rbx), %%r8b; mov %%r8b, %%al");
	UNCLAIMED("movzbl (%%rbx), %%eax");
	UNCLAIMED("movzbw (%%rbx), %%ax");
	UNCLAIMED("movzbq (%%rbx), %%rax");
	UNCLAIMED("movzwl (%%rbx), %%eax");
	UNCLAIMED("movsbl (%%rbx), %%eax");
	UNCLAIMED("movsbq (%%rbx), %%rax");
	UNCLAIMED("movswl (%%rbx), %%eax");
	UNCLAIMED("movswq (%%rbx), %%rax");
	UNCLAIMED("mov %%al, (%%rbx)");
	UNCLAIMED("mov %%ah, (%%rbx)");
	UNCLAIMED("mov %%ax, (%%rbx)");
	UNCLAIMED("mov %%rax, (%%rbx)");
	UNCLAIMED("movb $1, (%%rbx)");
	UNCLAIMED("movw $0x1234, (%%rbx)");
	UNCLAIMED("movq $-5, (%%rbx)");
	UNCLAIMED("xchg %%rax, (%%rbx)");
	UNCLAIMED("xchg %%al, (%%rbx)");
}

static void arithmetic(void)
{
#define FORMS(op)			\
	REGISTER(op " %%eax, (%%rbx)");	\
	REGISTER(op " (%%rbx), %%eax");	\
	REGISTER(op "l $-3, (%%rbx)")
	FORMS("add");
	FORMS("or");
	FORMS("adc");
	FORMS("sbb");
	FORMS("and");
	FORMS("sub");
	FORMS("xor");
	FORMS("cmp");
	REGISTER("andl $0x0fffffff, (%%rbx)");
	REGISTER("lock orl $0x10, (%%rbx)");
	REGISTER("test %%eax, (%%rbx)");
	REGISTER("testl $0x5a, (%%rbx)");
	REGISTER("incl (%%rbx)");
	REGISTER("decl (%%rbx)");
	REGISTER("notl (%%rbx)");
	REGISTER("negl (%%rbx)");
	UNCLAIMED("cmpb $0xff, (%%rbx)");
	UNCLAIMED("testb $0x80, (%%rbx)");
	UNCLAIMED("add (%%rbx), %%ax");
	UNCLAIMED("sub (%%rbx), %%rax");
	UNCLAIMED("and (%%rbx), %%al");
}

static void interlocked(void)
{
	REGISTER("lock xadd %%eax, (%%rbx)");
	REGISTER("lock cmpxchg %%ecx, (%%rbx)");
	REGISTER("mov %%edx, %%eax; lock cmpxchg %%ecx, (%%rbx)");
	REGISTER("btl $3, (%%rbx)");
	REGISTER("lock btsl $2, (%%rbx)");
	REGISTER("lock btrl $3, (%%rbx)");
	REGISTER("btcl $31, (%%rbx)");
}

/* The same register, by every addressing form of 64-bit code. */
static void addresses(void)
{
	REGISTER("mov $0x1234, %%r8d; mov %%r8d, -128+128(%%rbx)");
	REGISTER("lea -0x70(%%rbx), %%rbx; mov 0x70(%%rbx), %%eax");
	REGISTER("lea -0x7000(%%rbx), %%rbx; mov 0x7000(%%rbx), %%eax");
	REGISTER("lea -24(%%rbx), %%rbx; mov (%%rbx,%%rcx,8), %%eax");
	REGISTER("lea 12(%%rbx), %%rbx; neg %%rcx; mov (%%rbx,%%rcx,4), %%eax");
	REGISTER("mov %%rbx, %%r13; mov 0(%%r13), %%eax");
	REGISTER("mov %%rbx, %%r12; mov (%%r12), %%eax");
	REGISTER("mov %%rbx, %%r13; xor %%r12d, %%r12d; mov (%%r13,%%r12,2), %%eax");
	REGISTER("mov %%rbx, %%r8; mov 0(,%%r8,1), %%eax");
	REGISTER("bts $40, %%rbx; mov (%%ebx), %%eax");
	REGISTER("bts $40, %%rbx; mov -6(%%ebx,%%ecx,2), %%eax");

	for (ulong i = 0, base = (ulong)near & ~0x1ffffful; i < 512; i++, base += 4096)
		near_pt[i] = (base == (ulong)near ? LAPIC : base) | 3;
	pd[(ulong)near >> 21] = (ulong)near_pt | 3;
	WRITE_CR(3, pml4);
	mmio_write(COUNT, START);
	check_eq(RUN("mov near+0x380(%%rip), %%eax", 0).a, START, "RIP-relative read");
	RUN("movl $0x1234567, near+0x380(%%rip)", 0);
	check_eq(mmio_read(COUNT), 0x1234567, "RIP-relative write with an immediate behind it");
	check_eq(RUN("mov near+0x380, %%eax", 0).a, 0x1234567, "absolute address");
	check_eq(RUN("movabs 0xfee00380, %%eax", 0).a, 0x1234567, "a 64-bit moffs, read");
	RUN("movabs %%eax, 0xfee00380", 0);
	check_eq(mmio_read(COUNT), (u32)OTHER, "a 64-bit moffs, write");
	check_eq(RUN("addr32 mov near+0x380, %%eax", 0).a, (u32)OTHER, "a 32-bit address");
	wrmsr(0xc0000100, COUNT - 0x50);
	check_eq(RUN("mov %%fs:0x50, %%eax", 0).a, (u32)OTHER, "FS with a base");
}

static void strings(void)
{
	struct outcome o = RUN("rep stosl", NOBODY);

	check(!o.c && o.di == NOBODY + 12, "REP STOSD: RCX and RDI move on");
	o = RUN("mov $0x3000, %%ecx; rep stosb", NOBODY + 0x800);
	check(!o.c && o.di == NOBODY + 0x3800, "REP STOSB over several pages");
	o = RUN("std; rep stosq", NOBODY + 0x1008);
	check(!o.c && o.di == NOBODY + 0x1008 - 24, "REP STOSQ downwards");
	RUN("stosl", COUNT);
	check_eq(mmio_read(COUNT), (u32)OTHER, "STOSD reaches the register");
	o = RUN("lodsl", COUNT);
	check(o.a == (u32)OTHER && o.si == COUNT + 4, "LODSD reads it");
	ram[1] = START;
	o = RUN("lea 8+ram(%%rip), %%rsi; movsl", COUNT);
	check(o.si == (ulong)&ram[1] + 4 && o.di == COUNT + 4, "MOVSD from RAM moves on");
	check_eq(mmio_read(COUNT), START, "MOVSD from RAM stores");
	RUN("lea 16+ram(%%rip), %%rdi; movsl", COUNT);
	check_eq((u32)ram[2], START, "MOVSD to RAM");
	ram[3] = ram[5] = START;
	ram[4] = 0;
	o = RUN("lea 24+ram(%%rip), %%rdi; rep movsw", NOBODY);
	check_eq(ram[3], (floating & 0xffffffffffff) | (u64)START >> 48 << 48, "REP MOVSW to RAM");
	check(!o.c && o.si == NOBODY + 6, "... RCX and RSI move on");
	o = RUN("lea 0x100(%%rsi), %%rdi; rep movsq", NOBODY);
	check(!o.c && o.di == NOBODY + 0x118, "REP MOVSQ between devices");
}

/* RAM that ends in a missing page, on the other side of a REP MOVS. */
static void faults(void)
{
	ulong di = FAR + 0xff8, si = NOBODY, c = 5;

	pml4[1] = (ulong)far_pdpt | 3;
	far_pdpt[0] = (ulong)far_pd | 3;
	far_pd[0] = (ulong)far_pt | 3;
	far_pt[0] = (ulong)frame | 3;
	WRITE_CR(3, pml4);
	check_eq(TRY("rep movsl", : "+D"(di), "+S"(si), "+c"(c) : : "memory"), PF,
		 "REP MOVSD from a device into a missing page");
	check_eq(trap.cr2, FAR + 0x1000, "... faults at the page");
	check_eq(trap.error, 2, "... as a write");
	check(c == 3 && di == FAR + 0x1000 && si == NOBODY + 8, "... with two moves done");
	check_eq(frame[511], floating, "... and stored");
	check_eq(TRY("mov (%0), %%eax", : : "r"(BIT(63) | LAPIC) : "eax"), GP,
		 "an address that is not canonical");
}

int main(void)
{
	if (qemu_tcg()) {
		skip("nobody's memory reads as ones", "QEMU reads it as 0");
		floating = 0;
	}
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x320, BIT(16));
	check_eq(*(volatile u64 *)NOBODY, floating, "nobody's memory");
	moves();
	arithmetic();
	interlocked();
	addresses();
	strings();
	faults();
	return 0;
}
