/* SPDX-License-Identifier: MIT */
/* Random bits of the processor. Intel SDM, "RDSEED", "RDRAND"; AMD APM vol. 3, the same instructions. */
#include "arch/cpu/entropy.h"

#include "arch/cpu/cpu.h"
#include "lib/log.h"

#define RDSEED_ATTEMPTS 64	/* it is slower than its readers: CF = 0 is usual */
#define RDRAND_ATTEMPTS 10	/* SDM, "DRNG": after 10 the generator is broken */
#define PROBES		8

#ifdef LAMINA_HOST_TEST
bool test_rdseed(u64 *word);
bool test_rdrand(u64 *word);
#define rdseed test_rdseed
#define rdrand test_rdrand
#else
static bool rdseed(u64 *word)
{
	bool valid;

	__asm__ volatile("rdseed %0" : "=r"(*word), "=@ccc"(valid));
	return valid;
}

static bool rdrand(u64 *word)
{
	bool valid;

	__asm__ volatile("rdrand %0" : "=r"(*word), "=@ccc"(valid));
	return valid;
}
#endif

/*
 * Some processors' generators return the same value for ever, with CF = 1: after a resume, or by an erratum. Two equal words
 * in a row come from a sound one once in 2^64.
 */
static struct generator {
	const char *name;
	bool (*draw)(u64 *word);
	unsigned attempts;
	/* Atomic. */
	bool usable;
	u64 last;
} generators[] = {
	[ENTROPY_RDSEED] = { .name = "RDSEED", .draw = rdseed, .attempts = RDSEED_ATTEMPTS },
	[ENTROPY_RDRAND] = { .name = "RDRAND", .draw = rdrand, .attempts = RDRAND_ATTEMPTS },
};

static void give_up(struct generator *generator, const char *why)
{
	if (__atomic_exchange_n(&generator->usable, false, __ATOMIC_RELAXED))
		log_warn("entropy: the processor's %s %s: not used", generator->name, why);
}

static bool draw(struct generator *generator, u64 *word)
{
	for (unsigned i = 0; i < generator->attempts; i++) {
		if (!generator->draw(word)) {
			__builtin_ia32_pause();
			continue;
		}
		if (*word != __atomic_exchange_n(&generator->last, *word, __ATOMIC_RELAXED))
			return true;
		give_up(generator, "gives the same value twice");
		return false;
	}
	return false;
}

bool entropy_word(u64 *word)
{
	for (unsigned i = 0; i < ARRAY_SIZE(generators); i++)
		if (__atomic_load_n(&generators[i].usable, __ATOMIC_RELAXED) && draw(&generators[i], word))
			return true;
	return false;
}

static void probe(struct generator *generator, bool announced)
{
	unsigned words = 0;
	u64 word;

	generator->usable = announced;
	generator->last = 0;
	for (unsigned i = 0; i < PROBES && generator->usable; i++)
		words += draw(generator, &word);
	if (generator->usable && !words)
		give_up(generator, "gives nothing");
}

enum entropy_source entropy_find(void)
{
	u32 seven = cpuid(0).eax >= 7 ? cpuid(7).ebx : 0;

	probe(&generators[ENTROPY_RDSEED], seven & BIT(18));
	probe(&generators[ENTROPY_RDRAND], cpuid(1).ecx & BIT(30));
	for (unsigned i = 0; i < ARRAY_SIZE(generators); i++) {
		if (!generators[i].usable)
			continue;
		log_info("entropy: random numbers come from %s", generators[i].name);
		return (enum entropy_source)i;
	}
	log_info("entropy: the processor has no RDSEED and no RDRAND that work: random numbers come from the TSC's jitter");
	return ENTROPY_JITTER;
}

/* Which line of memory is accessed depends on when the one before it came. */
u64 entropy_jitter(void)
{
	static volatile u8 lines[64 * 64];
	static u32 at;
	u64 begin = rdtsc();
	u32 line = __atomic_load_n(&at, __ATOMIC_RELAXED) & 63;
	u64 end;

	lines[64 * line]++;
	end = rdtsc();
	__atomic_store_n(&at, line * 5 + 1 + (u32)end, __ATOMIC_RELAXED);
	return end - begin;
}
