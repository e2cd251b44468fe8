/* SPDX-License-Identifier: MIT */
/* The decoder of guests' instructions. tests/unit/test_insn.c tests that its results are right. */
/* link: lib/insn.c lib/insn_tables.c */
#include "tests/fuzz/fuzz.h"

#include "lib/insn.h"

/* With fewer bytes the result must not be a shorter instruction, nor with more bytes another one. */
static void decode(const u8 *bytes, size_t size, enum insn_mode mode)
{
	struct insn insn, again;
	int error = insn_decode(bytes, size, mode, &insn);
	u8 *cut;

	fuzz_assert(error == 0 || error == -EINVAL || error == -E2BIG || error == -EAGAIN);
	fuzz_assert(error != -EAGAIN || size < INSN_MAX_LENGTH);
	if (error)
		return;
	fuzz_assert(insn.length >= 1 && insn.length <= MIN(size, (size_t)INSN_MAX_LENGTH));
	cut = fuzz_copy(bytes, insn.length);
	fuzz_assert(insn_decode(cut, insn.length, mode, &again) == 0 && again.length == insn.length);
	free(cut);
	cut = fuzz_copy(bytes, insn.length - 1u);
	fuzz_assert(insn_decode(cut, insn.length - 1u, mode, &again) != 0);
	free(cut);
}

void fuzz_one(const u8 *data, size_t size)
{
	for (enum insn_mode mode = INSN_MODE_16; mode <= INSN_MODE_64; mode++)
		decode(data, MIN(size, (size_t)INSN_MAX_LENGTH + 1), mode);
}

size_t fuzz_seed(u8 *data, size_t max, unsigned which)
{
	static const char *const seeds[] = {
		"\x48\x8b\x84\x88\x44\x33\x22\x11", "\x66\x67\x8b\x02", "\xc8\x10\x20\x03",
		"\x0f\x38\xf0\x05\x11\x22\x33\x44", "\x62\xf1\x7c\x48\x58\x05\x04\x03\x02\x01",
		"\xc4\xe2\x79\x18\x05\x11\x22\x33\x44", "\xf3\x48\xa5", "\x48\xb8\x11\x22\x33\x44\x55\x66\x77\x88",
		"\x8f\xe9\x78\x81\x05\x01\x02\x03\x04", "\xf0\x66\x2e\x64\x48\x81\x84\x24\x44\x33\x22\x11\x78\x56",
	};
	const char *seed = seeds[which % ARRAY_SIZE(seeds)];
	size_t size = MIN(strlen(seed), max);

	memcpy(data, seed, size);
	return size;
}

void fuzz_repair(u8 *data, size_t size)
{
}
