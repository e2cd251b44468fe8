/* SPDX-License-Identifier: MIT */
/* link: lib/insn.c lib/insn_tables.c tests/unit/insn_oracle.c */
/* libs: -lZydis */
/*
 * The instruction decoder compared with Zydis: every opcode with every ModRM, every SIB, and random
 * strings, in all modes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "lib/insn.h"
#include "tests/unit/insn_oracle.h"

#define RANDOM_STRINGS 1500000

static const char *const escapes[] = { "", "\x0f", "\x0f\x38", "\x0f\x3a" };

/* A deterministic generator (xorshift64*): each run tests the same strings. */
static u64 random64(void)
{
	static u64 state = 0x9e3779b97f4a7c15;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

static void random_bytes(u8 *to, size_t size)
{
	for (size_t i = 0; i < size; i += sizeof(u64)) {
		u64 r = random64();

		memcpy(to + i, &r, MIN(size - i, sizeof(r)));
	}
}

/* Append text to the string; returns its new size. */
static size_t append(u8 *bytes, size_t size, const char *text)
{
	memcpy(bytes + size, text, strlen(text));
	return size + strlen(text);
}

/* All opcodes of all maps with all ModRM bytes, after a prefix; the bytes that follow are random. */
static void compare_maps(enum insn_mode mode, const char *prefix)
{
	u8 bytes[STRING_SIZE];

	for (unsigned int n = 0; n < ARRAY_SIZE(escapes) << 16; n++) {
		size_t size;

		random_bytes(bytes, STRING_SIZE);
		size = append(bytes, 0, prefix);
		size = append(bytes, size, escapes[n >> 16]);
		bytes[size] = n >> 8;
		bytes[size + 1] = n;
		insn_compare(bytes, mode);
	}
}

static void every_opcode(void **state)
{
	static const char *const prefixes[] = {
		"", "\x66", "\xf2", "\xf3", "\x66\xf2", "\x66\xf3", "\x67", "\x66\x67", "\xf0",
		"\x26", "\x2e", "\x36", "\x3e", "\x64", "\x65",
	};

	for (enum insn_mode mode = INSN_MODE_16; mode <= INSN_MODE_64; mode++) {
		for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
			compare_maps(mode, prefixes[i]);
	}
	assert_int_equal(insn_differences(), 0);
}

static void every_opcode_with_rex(void **state)
{
	static const char *const prefixes[] = {
		"\x40", "\x41", "\x42", "\x44", "\x48", "\x4f", "\x66\x48", "\xf2\x48", "\xf3\x48",
		"\x66\xf2\x48", "\x66\xf3\x48", "\x67\x47", "\x48\x66", "\x48\x40", "\x64\x2e\x43",
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		compare_maps(INSN_MODE_64, prefixes[i]);
	assert_int_equal(insn_differences(), 0);
}

static void every_sib(void **state)
{
	static const char *const prefixes[] = {
		"", "\x67", "\x41", "\x42", "\x43", "\x65\x4f", "\x67\x43"
	};
	u8 bytes[STRING_SIZE];

	for (unsigned int n = 0; n < ARRAY_SIZE(prefixes) << 16; n++) {
		size_t size;

		random_bytes(bytes, STRING_SIZE);
		size = append(bytes, 0, prefixes[n >> 16]);
		size = append(bytes, size, "\x8b");
		bytes[size] = n >> 8;
		bytes[size + 1] = n;
		for (enum insn_mode mode = INSN_MODE_16; mode <= INSN_MODE_64; mode++)
			insn_compare(bytes, mode);
	}
	assert_int_equal(insn_differences(), 0);
}

/* All opcodes and ModRM bytes after the bytes of a vector prefix, which select the map. */
static void compare_vector_map(u8 first, unsigned int map, size_t payload_size)
{
	u8 bytes[STRING_SIZE];

	for (unsigned int n = 0; n < 0x10000; n++) {
		random_bytes(bytes, STRING_SIZE);
		bytes[0] = first;
		if (first == 0x62) {
			bytes[1] = (bytes[1] & 0xf0) | map;
			bytes[2] |= 4;
		} else if (first != 0xc5) {
			bytes[1] = (bytes[1] & 0xe0) | map;
		}
		bytes[1 + payload_size] = n >> 8;
		bytes[2 + payload_size] = n;
		for (enum insn_mode mode = INSN_MODE_16; mode <= INSN_MODE_64; mode++)
			insn_compare(bytes, mode);
	}
}

static void every_vector_opcode(void **state)
{
	for (unsigned int map = 0; map < 12; map++) {
		unsigned int rounds = map >= 1 && map <= 3 ? 3 : 1; /* see more of pp, W, L */

		for (unsigned int i = 0; i < rounds; i++) {
			compare_vector_map(0xc4, map, 2);
			compare_vector_map(0x8f, map, 2);
			if (map < 8)
				compare_vector_map(0x62, map, 3);
			if (map == 1)
				compare_vector_map(0xc5, map, 1);
		}
	}
	assert_int_equal(insn_differences(), 0);
}

/* Up to four prefixes and any opcode. */
static void random_strings(void **state)
{
	static const u8 prefixes[] = {
		0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3,
		0x40, 0x44, 0x48, 0x4d,
	};
	u8 bytes[STRING_SIZE];

	for (unsigned int n = 0; n < RANDOM_STRINGS; n++) {
		enum insn_mode mode = random64() % 3;
		u64 r = random64();
		size_t size = r % 8 < 5 ? r % 8 : 0;

		random_bytes(bytes, STRING_SIZE);
		for (size_t i = 0; i < size; i++)
			bytes[i] = prefixes[random64() % ARRAY_SIZE(prefixes)];
		append(bytes, size, escapes[r >> 3 & 3]);
		insn_check_truncated(bytes, insn_compare(bytes, mode), mode);
	}
	assert_int_equal(insn_differences(), 0);
}

/* Random bytes without any structure. */
static void noise(void **state)
{
	u8 bytes[STRING_SIZE];

	for (unsigned int n = 0; n < RANDOM_STRINGS; n++) {
		random_bytes(bytes, STRING_SIZE);
		insn_compare(bytes, n % 3);
	}
	assert_int_equal(insn_differences(), 0);
}

/* An instruction has at most 15 bytes, whatever they consist of. */
static void longest(void **state)
{
	u8 bytes[STRING_SIZE];
	struct insn insn;

	memset(bytes, 0x66, STRING_SIZE);
	bytes[14] = 0x90;
	assert_int_equal(insn_decode_at_end(bytes, 14, INSN_MODE_32, &insn), -EAGAIN);
	assert_int_equal(insn_decode_at_end(bytes, 15, INSN_MODE_32, &insn), 0);
	assert_int_equal(insn.length, INSN_MAX_LENGTH);
	bytes[14] = 0x66;
	bytes[15] = 0x90;
	assert_int_equal(insn_decode_at_end(bytes, 15, INSN_MODE_32, &insn), -E2BIG);
	assert_int_equal(insn_decode_at_end(bytes, 16, INSN_MODE_32, &insn), -E2BIG);
	assert_int_equal(insn_decode(NULL, 0, INSN_MODE_64, &insn), -EAGAIN);
}

/* The other tests must have covered every verdict and every emulated instruction. */
static void everything_was_met(void **state)
{
	const char *unseen = insn_emulated_unseen();

	for (size_t i = 0; i < INSN_VERDICTS; i++) {
		printf("%9lu %s\n", insn_verdicts[i], insn_verdict_names[i]);
		assert_true(insn_verdicts[i] > 0);
	}
	if (unseen)
		fail_msg("%s never came up", unseen);
}

static int set_up(void **state)
{
	return insn_oracle_open();
}

static int tear_down(void **state)
{
	insn_oracle_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest),
		cmocka_unit_test(every_opcode),
		cmocka_unit_test(every_opcode_with_rex),
		cmocka_unit_test(every_sib),
		cmocka_unit_test(every_vector_opcode),
		cmocka_unit_test(random_strings),
		cmocka_unit_test(noise),
		cmocka_unit_test(everything_was_met),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
