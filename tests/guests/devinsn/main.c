/* SPDX-License-Identifier: MIT */
/*
 * Instructions of every kind whose operand is device memory: on the stack, of x87 and vector registers, of segment
 * registers and descriptor tables. Where nothing is, all bits read as ones, writes are lost, and the instruction
 * does the rest of what it does with RAM. Breakpoints hit such accesses, too. Intel SDM, "Instruction Set Reference".
 */
#include "guest.h"

#define COUNT	(LAPIC + 0x380)		/* keeps all 32 bits; its interrupt stays masked */
#define NOBODY	0xd0000000ul

static u8 area[512] __attribute__((aligned(64)));
u8 ones[512] __attribute__((aligned(64)));
static const u32 mxcsr = 0x1f80;
u64 ram[8] __attribute__((aligned(64)));
static bool avx, avx512;

/* The instruction with RBX = NOBODY, RAX = 5, RDX = 7: what is in RAX afterwards. */
#define RUN(insn) ({										\
	ulong a_ = 5, d_ = 7, v_ = TRY(insn, : "+a"(a_), "+d"(d_) : "b"(NOBODY)			\
				       : "memory", "cc", "rcx", "r12");	\
	if (v_ != NO_TRAP)									\
		check_eq(v_, NO_TRAP, insn);							\
	a_;											\
})
#define TRAPS(insn, vector)										\
	check_eq(TRY(insn, : : "b"(NOBODY) : "memory", "cc", "rax", "rcx", "rdx"), vector, insn)

static void integers(void)
{
	check_eq(RUN("cmove (%%rbx), %%eax; stc; cmovc (%%rbx), %%eax"), 0xffffffff, "CMOVcc");
	check_eq(RUN("imul (%%rbx), %%eax"), (u32)-5, "IMUL");
	check_eq(RUN("mull (%%rbx)"), (u32)-5, "MUL");
	check_eq(RUN("mov $9, %%eax; xor %%edx, %%edx; divb (%%rbx)"), 9 << 8, "DIV: remainder in AH");
	check_eq(RUN("bsf (%%rbx), %%eax"), 0, "BSF");
	check_eq(RUN("bsr (%%rbx), %%rax"), 63, "BSR");
	check_eq(RUN("popcnt (%%rbx), %%rax"), 64, "POPCNT");
	RUN("sete (%%rbx)");
	RUN("shll $1, (%%rbx)");
	RUN("rorw $3, (%%rbx)");
	check_eq(RUN("xor %%ecx, %%ecx; shldl $3, %%eax, (%%rbx); setc %%cl; movzx %%cl, %%eax"), 1, "SHLD: CF is a one");
	check_eq(RUN("xor %%ebx, %%ebx; mov $0xd0000000, %%ebx; xor %%ecx, %%ecx; lock cmpxchg8b (%%rbx)"),
		 0xffffffff, "CMPXCHG8B compares and loads");
	check_eq(RUN("mov %%rsp, %%r12; mov $1, %%esp; cmovne (%%rbx), %%rsp; mov %%rsp, %%rax; mov %%r12, %%rsp"),
		 RUN("mov $1, %%ecx; xor %%eax, %%eax; cmovne (%%rbx), %%rcx; mov %%rcx, %%rax"), "RSP as a register");
	check_eq(RUN("push %%rbx; mov $1, %%al; xlatb; pop %%rbx"), 0xff, "XLAT");
	TRAPS("mov $7, %%edx; divl (%%rbx); xor %%ecx, %%ecx; div %%ecx", DE);
}

static void stack(void)
{
	check_eq(RUN("pushq (%%rbx); pop %%rax"), ~0ull, "PUSH of device memory");
	RUN("push %%rax; popq (%%rbx)");
	check_eq(RUN("mov %%rsp, %%r12; lea 0x800(%%rbx), %%rsp; push %%rax; push $3; pushf; pop %%rax; mov %%rsp, %%rcx;"
		     "mov %%r12, %%rsp; lea -0x800(%%rcx), %%rax; sub %%rbx, %%rax"), (ulong)-16, "a stack there moves");
	check_eq(RUN("mov %%rsp, %%r12; lea 0x800(%%rbx), %%rsp; push %%rax; pop %%rax; mov %%r12, %%rsp"), ~0ull,
		 "... and forgets");
	check_eq(RUN("mov %%rsp, %%r12; lea 0x800(%%rbx), %%rsp; call 1f; 1: mov %%rsp, %%rax; mov %%r12, %%rsp;"
		     "sub %%rbx, %%rax"), 0x7f8, "CALL with a stack there");
	check_eq(TRY("jmp *(%%rbx)", : : "b"(NOBODY) : "memory"), PF, "JMP through device memory");
	check_eq(trap.cr2, ~0ull, "... to the last byte");
}

static void vectors(void)
{
	u64 low = 0;

	RUN("movaps %%xmm0, (%%rbx)");
	RUN("movntdq %%xmm0, (%%rbx)");
	RUN("movdqu %%xmm0, 0xffc(%%rbx)");
	check_eq(RUN("movups (%%rbx), %%xmm1; movq %%xmm1, %%rax"), ~0ull, "MOVUPS");
	check_eq(RUN("pxor %%xmm0, %%xmm0; movd (%%rbx), %%xmm0; movq %%xmm0, %%rax"), 0xffffffff, "MOVD zeroes the rest");
	check_eq(RUN("pxor %%xmm0, %%xmm0; paddb (%%rbx), %%xmm0; movq %%xmm0, %%rax"), ~0ull, "PADDB");
	check_eq(RUN("cvtsi2sdl (%%rbx), %%xmm0; movq %%xmm0, %%rax"), 0xbff0000000000000ull, "CVTSI2SD of -1");
	check_eq(RUN("movq (%%rbx), %%mm0; movq %%mm0, %%rax; emms"), ~0ull, "MOVQ of an MMX register");
	RUN("movq %%mm0, (%%rbx); emms");
	RUN("stmxcsr (%%rbx)");
	/* QEMU ignores reserved bits: in RAM, too. */
	TRAPS("ldmxcsr (%%rbx)", TRY("ldmxcsr ones(%%rip)", : : : "memory"));
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
	check_eq(TRY("movaps 8(%%rbx), %%xmm0", : : "b"(NOBODY) : "memory"), GP, "MOVAPS checks its alignment");
	asm volatile("movd %0, %%xmm0; movd %%xmm0, (%1)" : : "r"(0x12345678), "r"(COUNT) : "memory");
	check_eq(mmio_read(COUNT), 0x12345678, "MOVD stores to a register");
	asm volatile("pxor %%xmm0, %%xmm0; movss (%1), %%xmm0; movq %%xmm0, %0" : "=r"(low) : "r"(COUNT) : "memory");
	check_eq(low, 0x12345678, "MOVSS loads it");
	asm volatile("shll $4, (%0)" : : "r"(COUNT) : "memory", "cc");
	check_eq(mmio_read(COUNT), 0x23456780, "SHL changes it");
	asm volatile("clflush (%0)" : : "r"(COUNT) : "memory");
	check_eq(mmio_read(COUNT), 0x23456780, "CLFLUSH does not");
	if (!avx)
		return;
	check_eq(RUN("vmovups (%%rbx), %%ymm1; vextractf128 $1, %%ymm1, %%xmm1; movq %%xmm1, %%rax; vzeroupper"), ~0ull,
		 "VMOVUPS");
	RUN("vmovups %%ymm1, 0xff0(%%rbx)");
	RUN("vpxor %%xmm1, %%xmm1, %%xmm1; vmaskmovps %%ymm1, %%ymm1, (%%rbx); vzeroupper");
}

/* XCR0 does not enable what is in use: SSE's registers without any XSETBV, and AVX's where a guest disables it again. */
static void hidden_registers(void)
{
	u32 before = 1, high = 0;

	if (avx)
		asm volatile("xgetbv" : "=a"(before) : "c"(0) : "edx");
	asm volatile("movd %0, %%xmm2" : : "r"(0x12345678));
	if (avx)
		asm volatile("vinsertf128 $1, %%xmm2, %%ymm2, %%ymm2" : : );
	if (avx)
		asm volatile("xsetbv" : : "a"(1), "d"(0), "c"(0));
	check_eq(RUN("movups (%%rbx), %%xmm1; movq %%xmm1, %%rax"), ~0ull, "MOVUPS with XCR0 = 1");
	RUN("fldz; fstpl (%%rbx)");
	RUN("fxsave (%%rbx)");
	if (avx)
		asm volatile("xsetbv" : : "a"(before), "d"(0), "c"(0));
	if (avx)
		asm volatile("vextractf128 $1, %%ymm2, %%xmm2\n\tmovd %%xmm2, %0\n\tvzeroupper" : "=r"(high));
	check(!avx || high == 0x12345678, "... and hidden registers are kept");
}

/* A displacement of one byte counts in units of the operand's size. */
static void wide_vectors(void)
{
	u64 low = 0;

	if (!avx512)
		return;
	check_eq(RUN("vmovups 0x40(%%rbx), %%zmm1; vextracti64x4 $1, %%zmm1, %%ymm1; vmovq %%xmm1, %%rax"), ~0ull,
		 "VMOVUPS of 64 bytes");
	RUN("vmovups %%zmm1, -0x40(%%rbx)");
	mmio_write(COUNT, 0x12345678);
	asm volatile("vpbroadcastd 4(%1), %%zmm1; vmovq %%xmm1, %0" : "=r"(low) : "r"(COUNT - 4) : "memory");
	check_eq(low, 0x1234567812345678, "VPBROADCASTD");
	asm volatile("mov $1, %%eax; kmovw %%eax, %%k1; mov $0x23456789, %%eax; vmovd %%eax, %%xmm1;"
		     "vmovdqu32 %%zmm1, 0x40(%0)%{%%k1%}; vzeroupper" : : "r"(COUNT - 0x40) : "memory", "rax");
	check_eq(mmio_read(COUNT), 0x23456789, "VMOVDQU32 with a mask");
}

static void x87(void)
{
	check_eq(RUN("fninit; fildl (%%rbx); fistpl ram(%%rip); mov ram(%%rip), %%eax"), 0xffffffff, "FILD of -1");
	RUN("fldz; fstpl (%%rbx)");
	RUN("fldz; fstpt (%%rbx)");
	RUN("fnstcw (%%rbx)");
	RUN("fnstenv (%%rbx)");
	RUN("fxsave (%%rbx)");
	TRAPS("fxrstor (%%rbx)", TRY("fxrstor ones(%%rip)", : : : "memory"));
	asm volatile("fninit; fxsave (%0)" : : "r"(area) : "memory");
	check_eq(*(u16 *)area, 0x37f, "the control word is still FNINIT's");
}

static void systems(void)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) before, after;

	RUN("mov %%ds, (%%rbx)");
	RUN("sidt (%%rbx)");
	RUN("smsw (%%rbx)");
	RUN("sldt (%%rbx)");
	RUN("prefetcht0 (%%rbx); prefetchw (%%rbx); nopl (%%rbx)");
	asm volatile("sidt %0" : "=m"(before));
	check_eq(TRY("lidt (%%rbx)", : : "b"(NOBODY) : "memory"), NO_TRAP, "LIDT");
	asm volatile("sidt %0\n\tlidt %1" : "=m"(after) : "m"(before));
	check(after.limit == 0xffff && after.base == ~0ull, "... takes all ones, a canonical address");
	TRAPS("ltr (%%rbx)", GP);
	check_eq(trap.error, 0xfffc, "... with the selector");
	TRAPS("mov (%%rbx), %%es", GP);
	check_eq(RUN("xor %%eax, %%eax; lar (%%rbx), %%ecx; setz %%al"), 0, "LAR finds no descriptor");
}

#define WRITE_DR(n, v) asm volatile("mov %0, %%dr" #n : : "r"((ulong)(v)))

/* Which breakpoints the #DB that was just taken reports. */
static ulong hits(void)
{
	ulong dr6;

	asm volatile("mov %%dr6, %0" : "=r"(dr6));
	WRITE_DR(6, 0xffff0ff0);
	return dr6 & 15;
}

/* SDM, "Debug Control Register (DR7)": 0 on any access to 4 bytes, 1 on any to a port, 2 on writes to 8 bytes. */
static void breakpoints(void)
{
	WRITE_CR(4, READ_CR(4) | 8);
	WRITE_DR(0, NOBODY + 0x10);
	WRITE_DR(1, 0x80);
	WRITE_DR(2, ram + 1);
	WRITE_DR(6, 0xffff0ff0);
	WRITE_DR(7, 0x400 | 0x15 | 15ul << 16 | 2ul << 20 | 9ul << 24);
	check_eq(TRY("mov 0x13(%%rbx), %%al", : : "b"(NOBODY) : "rax", "memory"), DB, "a breakpoint on device memory");
	check_eq(hits(), 1, "... is reported");
	check_eq(TRY("movaps %%xmm0, (%%rbx)", : : "b"(NOBODY) : "memory"), NO_TRAP, "... not for its neighbour");
	check_eq(TRY("movaps %%xmm0, 0x10(%%rbx)", : : "b"(NOBODY) : "memory"), DB, "... by a vector instruction");
	check_eq(hits(), 1, "... is reported");
	check_eq(TRY("outb %%al, $0x80", : : "a"(0)), DB, "a breakpoint on a port");
	check_eq(hits(), 2, "... is reported");
	check_eq(TRY("insb", : : "d"(0x61), "D"(ram + 1) : "memory"), DB, "a breakpoint on what INS writes");
	check_eq(hits(), 4, "... is reported");
	WRITE_DR(7, 0x400);
}

int main(void)
{
	if (qemu_tcg()) {
		skip("all of it", "QEMU's empty memory reads as 0");
		check(true, "nothing to do");
		return 0;
	}
	WRITE_CR(0, (READ_CR(0) & ~0xcul) | 2);		/* EM, TS off; MP */
	WRITE_CR(4, READ_CR(4) | 0x600);		/* OSFXSR, OSXMMEXCPT */
	if (cpuid(1, 0).c & BIT(26) && cpuid(1, 0).c & BIT(28)) {
		WRITE_CR(4, READ_CR(4) | BIT(18));
		avx = true;
		avx512 = (cpuid(0xd, 0).a & 0xe0) == 0xe0 && (cpuid(7, 0).b & BIT(16));
		asm volatile("xsetbv" : : "a"(avx512 ? 0xe7 : 7), "d"(0), "c"(0));
	}
	for (u32 i = 0; i < sizeof(ones); i++)
		ones[i] = 0xff;
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x320, BIT(16));
	integers();
	stack();
	vectors();
	wide_vectors();
	hidden_registers();
	x87();
	systems();
	breakpoints();
	return 0;
}
