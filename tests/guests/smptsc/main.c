/* SPDX-License-Identifier: MIT */
/*
 * Checks that time never goes back between CPUs: each pair passes a token with the TSC's value (rounds=20000), before
 * and after a CPU has moved its TSC by MSR 10h and back by IA32_TSC_ADJUST.
 */
#include "smp.h"

#define TSC		0x10
#define TSC_ADJUST	0x3b

static volatile u32 turn, pair[2], rounds = 20000;
static volatile u64 last, worst;
static volatile u32 backwards;

static u64 rdtsc_in_order(void)
{
	asm volatile("lfence" : : : "memory");
	return rdtsc();
}

/* One end of a pair: waits for its turn, compares and passes on. */
static void play(u32 cpu)
{
	u32 me = pair[1] == cpu;

	for (u32 i = 0; i < rounds; i++) {
		u64 now;

		while ((turn & 1) != me)
			pause();
		now = rdtsc_in_order();
		if (now < last) {
			backwards++;
			if (last - now > worst)
				worst = last - now;
		}
		last = now;
		turn++;
	}
}

static void all_pairs(const char *name)
{
	u32 pairs = 0, wanted = 0;

	backwards = 0;
	worst = 0;
	for (u32 a = 0; a < smp_cpus; a++)
		for (u32 b = a + 1; b < smp_cpus; b++) {
			wanted++;
			turn = 0;
			last = 0;
			pair[0] = a;
			pair[1] = b;
			smp_run(b, play);
			if (a)
				smp_run(a, play);
			else
				play(0);
			pairs += (!a || smp_wait(a)) && smp_wait(b);
		}
	check_eq(pairs, wanted, name);
	check_eq(backwards, 0, "... the TSC never goes back");
	check_eq(worst, 0, "... by no tick");
}

static volatile u64 adjust[SMP_MAX], before, moved, after;

static void note_adjust(u32 cpu)
{
	adjust[cpu] = rdmsr(TSC_ADJUST);
}

/* SDM, "IA32_TSC_ADJUST MSR": each write of one register changes the other by the same amount. */
static void move(u32 cpu)
{
	u64 start = rdmsr(TSC_ADJUST), distance = BIT(40);

	(void)cpu;
	before = rdtsc_in_order();
	wrmsr(TSC, before + distance);
	moved = rdmsr(TSC_ADJUST) - start;
	after = rdtsc_in_order() - before;
	wrmsr(TSC_ADJUST, start);
	before = rdtsc_in_order() - before;
}

int main(void)
{
	u32 same = 0, limit;

	smp_init();
	if (cmdline_number("rounds", &limit))
		rounds = limit;
	all_pairs("each pair passes the token");
	if (!(cpuid(7, 0).b & BIT(1))) {
		skip("IA32_TSC_ADJUST", "this CPU has none");
		return 0;
	}
	smp_all(note_adjust);
	for (u32 cpu = 0; cpu < smp_cpus; cpu++)
		same += adjust[cpu] == adjust[0];
	check_eq(same, smp_cpus, "all CPUs begin with the same IA32_TSC_ADJUST");
	smp_run(1, move);
	smp_wait(1);
	check_range(moved, BIT(40) - tsc_per_ms() * EVENT_MS, BIT(40), "MSR 10h moves IA32_TSC_ADJUST");
	check_range(after, BIT(40), BIT(40) + tsc_per_ms() * EVENT_MS, "... and RDTSC");
	check_range(before, 0, tsc_per_ms() * EVENT_MS, "IA32_TSC_ADJUST moves it back");
	all_pairs("each pair passes the token after that");
	return 0;
}
