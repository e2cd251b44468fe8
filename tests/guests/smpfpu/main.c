/* SPDX-License-Identifier: MIT */
/*
 * Keeps patterns of its own in the x87, SSE and AVX registers, DR0-DR3 and MSRs while its CPUs spin, execute CPUID and
 * halt. Two of these VMs with different seed=N on the same CPUs find what leaks from one to the other.
 * Options: seed=1, ms=500; xcr0=1: the CPUs use XCR0 = 1 for half of the time (SSE registers are kept all the same).
 */
#include "smp.h"

#define WAKE		0x53
/* At least, however long the build machine lets a CPU wait. */
#define ROUNDS_MIN	8

static const u32 msrs[] = { 0xc0000081, 0xc0000102, 0xc0000100, 0xc0000082, 0xc0000103 };
static bool has_avx, has_xsave, has_rdtscp;
static volatile u32 errors[SMP_MAX][5];
static u32 seed = 1, ms = 500, narrow;
static volatile bool go_on = true;
static struct { u8 ymm[16][32]; } in[SMP_MAX] __attribute__((aligned(64))), out[SMP_MAX] __attribute__((aligned(64)));

#define EACH_16(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)
#define LOAD_YMM(n)	asm volatile("vmovdqu %0, %%ymm" #n : : "m"(in[cpu].ymm[n]));
#define STORE_YMM(n)	asm volatile("vmovdqu %%ymm" #n ", %0" : "=m"(out[cpu].ymm[n]));
#define LOAD_XMM(n)	asm volatile("movdqu %0, %%xmm" #n : : "m"(in[cpu].ymm[n]));
#define STORE_XMM(n)	asm volatile("movdqu %%xmm" #n ", %0" : "=m"(out[cpu].ymm[n]));

static void xsetbv(u32 value)
{
	asm volatile("xsetbv" : : "a"(value), "d"(0), "c"(0));
}

static void enable(void)
{
	WRITE_CR(0, (READ_CR(0) & ~(BIT(2) | BIT(3))) | BIT(1) | BIT(5));
	WRITE_CR(4, READ_CR(4) | BIT(9) | BIT(10) | (has_xsave ? BIT(18) : 0));
	if (has_xsave)
		xsetbv(has_avx ? 7 : 3);
	asm volatile("fninit");
}

static u64 pattern(u32 cpu, u32 round, u32 n)
{
	return ((u64)seed << 56) ^ ((u64)cpu << 48) ^ ((u64)round * 0x9e3779b97f4aull) ^ (n * 0x0101ull);
}

static bool differ(const u8 *a, const u8 *b, u32 n)
{
	u32 bad = 0;

	for (u32 i = 0; i < n; i++)
		bad |= a[i] ^ b[i];
	return bad;
}

static void on_timer(struct regs *regs)
{
	(void)regs;
	apic_write(APIC_EOI, 0);
}

/* Something to be preempted in: spin, exits, HLT. */
static void pass_time(u32 round)
{
	for (u32 i = 0; i < 2000; i++)
		pause();
	cpuid(round & 1, 0);
	if (round % 4 == 0) {
		apic_write(APIC_TMICT, 20000);
		wait_irq();
	}
}

static void one_round(u32 cpu, u32 round)
{
	u64 msr_in[ARRAY_SIZE(msrs)], x87_in[8], x87_out[8], dr;
	u32 width = has_avx && !(narrow && round & 1) ? 32 : 16;
	u32 count = ARRAY_SIZE(msrs) - !has_rdtscp;

	for (u32 n = 0; n < 16; n++)
		for (u32 i = 0; i < 32; i++)
			in[cpu].ymm[n][i] = pattern(cpu, round, n) >> i % 8 * 8;
	for (u32 n = 0; n < 8; n++) {
		x87_in[n] = pattern(cpu, round, n + 20) >> 3;	/* positive */
		asm volatile("fildq %0" : : "m"(x87_in[n]));
	}
	if (width == 32) {
		EACH_16(LOAD_YMM)
	} else {
		EACH_16(LOAD_XMM)
	}
	if (narrow && has_xsave && round & 1)
		xsetbv(1);
	for (u32 n = 0; n < count; n++) {
		msr_in[n] = pattern(cpu, round, n + 40) & (msrs[n] == 0xc0000103 ? 0xffffffff : 0x7fffffffffff);
		wrmsr(msrs[n], msr_in[n]);
	}
	asm volatile("mov %0, %%dr0" : : "r"(pattern(cpu, round, 60)));
	asm volatile("mov %0, %%dr3" : : "r"(pattern(cpu, round, 61)));
	pass_time(round);
	if (narrow && has_xsave && round & 1)
		xsetbv(has_avx ? 7 : 3);
	if (width == 32) {
		EACH_16(STORE_YMM)
	} else {
		EACH_16(STORE_XMM)
	}
	for (u32 n = 8; n--;)
		asm volatile("fistpq %0" : "=m"(x87_out[n]));
	for (u32 n = 0; n < 16; n++)
		errors[cpu][width == 32] += differ(in[cpu].ymm[n], out[cpu].ymm[n], width);
	errors[cpu][2] += differ((u8 *)x87_in, (u8 *)x87_out, sizeof(x87_in));
	asm volatile("mov %%dr0, %0" : "=r"(dr));
	errors[cpu][3] += dr != pattern(cpu, round, 60);
	asm volatile("mov %%dr3, %0" : "=r"(dr));
	errors[cpu][3] += dr != pattern(cpu, round, 61);
	for (u32 n = 0; n < count; n++)
		errors[cpu][4] += rdmsr(msrs[n]) != msr_in[n];
}

static void work(u32 cpu)
{
	u64 end = rdtsc() + tsc_per_ms() * ms;

	enable();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, WAKE);
	for (u32 round = 0; round < ROUNDS_MIN || rdtsc() < end; round++)
		one_round(cpu, round);
	apic_write(APIC_LVTT, BIT(16));
}

int main(void)
{
	static const char *const names[] = {
		"SSE registers kept", "AVX registers kept", "x87 registers kept", "DR0 and DR3 kept", "MSRs kept",
	};

	has_xsave = cpuid(1, 0).c & BIT(26);
	has_avx = has_xsave && (cpuid(1, 0).c & BIT(28));
	has_rdtscp = cpuid(0x80000001, 0).d & BIT(27);
	cmdline_number("seed", &seed);
	cmdline_number("ms", &ms);
	cmdline_number("xcr0", &narrow);
	trap_on(WAKE, on_timer);
	smp_init();
	check(smp_all(work), "all CPUs come to the end");
	for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
		u32 bad = 0;

		for (u32 cpu = 0; cpu < smp_cpus; cpu++)
			bad += errors[cpu][i];
		if (i == 1 && !has_avx)
			skip(names[i], "this CPU has no AVX");
		else
			check_eq(bad, 0, names[i]);
	}
	return 0;
}
