/* SPDX-License-Identifier: MIT */
/* Random numbers: the cipher by RFC 8439's vectors, and which generator of the processor is used, or not. */
/* link: core/random.c lib/chacha20.c arch/cpu/entropy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/entropy.h"
#include "core/random.h"
#include "lib/chacha20.h"
#include "lib/log.h"

static char lines[2048];

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t used = strlen(lines);
	va_list args;

	va_start(args, format);
	vsnprintf(lines + used, sizeof(lines) - used, format, args);
	va_end(args);
	strncat(lines, "\n", sizeof(lines) - strlen(lines) - 1);
}

/* --- the processor --- */

enum behaviour { SOUND, STUCK, ALL_ONES, SILENT, SLOW, STUCK_LATER };

static struct {
	bool announced;
	enum behaviour behaviour;
	u64 next;
	unsigned draws;
} rdseed, rdrand;
static u32 max_leaf = 7;
static u64 now;
static bool jitter;

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r = { 0 };

	if (leaf == 0)
		r.eax = max_leaf;
	if (leaf == 1 && rdrand.announced)
		r.ecx = 1u << 30;	/* SDM, "CPUID": RDRAND */
	if (leaf == 7 && rdseed.announced)
		r.ebx = 1u << 18;	/* RDSEED */
	return r;
}

u64 test_tsc(void)
{
	now += 100;
	if (jitter)
		now += now / 7 % 13;
	return now;
}

static bool draw(typeof(rdseed) *from, u64 *word)
{
	assert_true(from->announced);
	from->draws++;
	from->next += 0x9e3779b97f4a7c15;
	*word = from->next;
	switch (from->behaviour) {
	case STUCK:
		*word = 0x1234567;
		break;
	case ALL_ONES:
		*word = ~0ull;
		break;
	case SILENT:
		return false;
	case SLOW:
		return from->draws % 5 == 0;
	case STUCK_LATER:
		if (from->draws > 100)
			*word = 5;
		break;
	case SOUND:
		break;
	}
	return true;
}

bool test_rdseed(u64 *word)
{
	return draw(&rdseed, word);
}

bool test_rdrand(u64 *word)
{
	return draw(&rdrand, word);
}

static void processor(bool has_rdseed, enum behaviour seed, bool has_rdrand, enum behaviour rand)
{
	memset(&rdseed, 0, sizeof(rdseed));
	memset(&rdrand, 0, sizeof(rdrand));
	rdseed.announced = has_rdseed;
	rdseed.behaviour = seed;
	rdrand.announced = has_rdrand;
	rdrand.behaviour = rand;
	lines[0] = '\0';
}

/* --- */

/* RFC 8439, 2.3.2, "Test Vector for the ChaCha20 Block Function". */
static void the_block_function(void **state)
{
	static const u32 nonce[3] = { 0x09000000, 0x4a000000, 0 };
	static const u8 expected[64] = {
		0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4,
		0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e,
		0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2,
		0xb5, 0x12, 0x9c, 0xd1, 0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e,
	};
	/* A.1, "Test Vector #1": all zeros. */
	static const u8 zeros[16] = {
		0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28,
	};
	u8 key[32], block[64];
	u32 words[8];

	for (unsigned i = 0; i < 32; i++)
		key[i] = i;
	memcpy(words, key, 32);
	chacha20_block_nonce(words, 1, nonce, block);
	assert_memory_equal(block, expected, 64);
	memset(words, 0, 32);
	chacha20_block(words, 0, block);
	assert_memory_equal(block, zeros, 16);
}

static void the_best_sound_generator(void **state)
{
	static const struct {
		bool has_rdseed;
		enum behaviour rdseed;
		bool has_rdrand;
		enum behaviour rdrand;
		enum entropy_source source;
		const char *line;
	} cases[] = {
		{ true, SOUND, true, SOUND, ENTROPY_RDSEED, "come from RDSEED" },
		{ true, SLOW, true, SOUND, ENTROPY_RDSEED, "come from RDSEED" },
		{ false, SOUND, true, SOUND, ENTROPY_RDRAND, "come from RDRAND" },
		{ true, STUCK, true, SOUND, ENTROPY_RDRAND, "RDSEED gives the same value twice: not used" },
		{ true, ALL_ONES, true, ALL_ONES, ENTROPY_JITTER, "RDRAND gives the same value twice: not used" },
		{ true, SILENT, true, SOUND, ENTROPY_RDRAND, "RDSEED gives nothing: not used" },
		{ false, SOUND, false, SOUND, ENTROPY_JITTER, "come from the TSC's jitter" },
		{ false, SOUND, true, STUCK, ENTROPY_JITTER, "come from the TSC's jitter" },
	};
	u64 word;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		processor(cases[i].has_rdseed, cases[i].rdseed, cases[i].has_rdrand, cases[i].rdrand);
		assert_int_equal(entropy_find(), cases[i].source);
		assert_non_null(strstr(lines, cases[i].line));
		assert_int_equal(entropy_word(&word), cases[i].source != ENTROPY_JITTER);
		/* Silent or not, it takes no longer than so many attempts. */
		assert_in_range(rdseed.draws + rdrand.draws, 0, 9 * 64 + 9 * 10);
	}
	/* There is no leaf 7. */
	processor(true, SOUND, false, SOUND);
	max_leaf = 1;
	assert_int_equal(entropy_find(), ENTROPY_JITTER);
	max_leaf = 7;
}

static void a_generator_that_gets_stuck(void **state)
{
	u64 word, before = 0;

	processor(true, STUCK_LATER, true, SOUND);
	assert_int_equal(entropy_find(), ENTROPY_RDSEED);
	for (unsigned i = 0; i < 300; i++) {
		assert_true(entropy_word(&word));
		assert_int_not_equal(word, before);
		before = word;
	}
	assert_non_null(strstr(lines, "RDSEED gives the same value twice: not used"));
	/* Once, and it is not asked again. */
	assert_null(strstr(strstr(lines, "twice") + 1, "twice"));
	assert_in_range(rdseed.draws, 100, 103);
}

/* No two blocks of 16 bytes are the same, whatever the sizes, and nothing is written behind the end. */
static void numbers_differ(void **state)
{
	static u8 bytes[70000 + 1];

	processor(true, SOUND, true, SOUND);
	random_start();
	assert_non_null(strstr(lines, "come from RDSEED"));
	lines[0] = '\0';
	random_start();
	assert_string_equal(lines, "");		/* once per boot */

	for (u32 size = 0; size < 70000; size = size * 3 + 1) {
		u32 bits = 0;

		memset(bytes, 0, sizeof(bytes));
		random_fill(bytes, size);
		assert_int_equal(bytes[size], 0);
		for (u32 i = 0; i < size; i++)
			bits += (u32)__builtin_popcount(bytes[i]);
		/* Half of the bits, within 6 standard deviations of 2 x sqrt(size) / sqrt(2) bits. */
		if (size >= 364)
			assert_in_range(bits, size * 4 - size / 3, size * 4 + size / 3);
		for (u32 i = 16; i + 16 <= size; i += 16)
			assert_memory_not_equal(bytes, bytes + i, 16);
	}
	/* Also where the generator fails from now on. */
	rdseed.behaviour = rdrand.behaviour = SILENT;
	random_fill(bytes, 32);
	random_fill(bytes + 32, 32);
	assert_memory_not_equal(bytes, bytes + 32, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_block_function),
		cmocka_unit_test(the_best_sound_generator),
		cmocka_unit_test(a_generator_that_gets_stuck),
		cmocka_unit_test(numbers_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
