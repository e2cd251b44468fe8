/* SPDX-License-Identifier: MIT */
/* For the tests of the parsers: damaged copies of an image, each in a heap block. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "lib/types.h"

/* Marsaglia's xorshift64: the same sequence in every run. */
static inline u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A heap block of exactly this size, so that AddressSanitizer sees every byte read beyond it. */
static inline u8 *exact_copy(const void *data, size_t size)
{
	u8 *copy = malloc(size);

	if (size)
		memcpy(copy, data, size);
	return copy;
}

/* Read all of it, so that AddressSanitizer checks it; volatile keeps the compiler from removing the reads. */
static inline void touch(const void *bytes, u64 size)
{
	for (u64 i = 0; i < size; i++)
		(void)((const volatile u8 *)bytes)[i];
}

/* Call parse() with every truncation of the image, from nothing to one byte less than all. */
static inline void each_truncation(const void *image, size_t size,
				   void (*parse)(const u8 *image, size_t size))
{
	for (size_t length = 0; length < size; length++) {
		u8 *copy = exact_copy(image, length);

		parse(copy, length);
		free(copy);
	}
}

/* Call parse() with each of the first `range` bytes set to each of these extremes. */
static inline void each_byte_mutation(const void *image, size_t size, size_t range,
				      void (*parse)(const u8 *image, size_t size))
{
	static const u8 extremes[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	u8 *copy = exact_copy(image, size);

	for (size_t at = 0; at < MIN(range, size); at++) {
		u8 good = copy[at];

		for (size_t i = 0; i < ARRAY_SIZE(extremes); i++) {
			copy[at] = extremes[i];
			parse(copy, size);
		}
		copy[at] = good;
	}
	free(copy);
}

/*
 * Call parse() with `count` copies in which one to eight of the first `range` bytes are random, and
 * of which every fourth is cut off somewhere too.
 */
static inline void random_mutations(const void *image, size_t size, size_t range, u32 count,
				    void (*parse)(const u8 *image, size_t size))
{
	static const u8 extremes[] = { 0x00, 0x01, 0x08, 0x7f, 0x80, 0xff };
	u64 state = 0x9e3779b97f4a7c15;

	while (count--) {
		size_t length = next_random(&state) % 4 ? size : next_random(&state) % (size + 1);
		u8 *copy = exact_copy(image, length);

		for (u64 n = next_random(&state) % 8 + 1; n && length; n--) {
			u64 at = next_random(&state) % MIN(range, length);
			u64 value = next_random(&state);

			copy[at] = value & 0x100 ? (u8)value : extremes[(u8)value % 6];
		}
		parse(copy, length);
		free(copy);
	}
}
