/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share. Random bytes alone never get past a magic number or a checksum: each
 * fuzzer provides valid inputs to start from, and repairs the checksums of mutated ones.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errno.h"
#include "lib/types.h"

/* --- what each fuzzer must define --- */

/* Pass these bytes to the code under test. That it rejects them is no failure. */
void fuzz_one(const u8 *data, size_t size);

/* Write valid input number `which` (any number) to data[0..max); returns its size. */
size_t fuzz_seed(u8 *data, size_t max, unsigned which);

/* Correct checksums and total lengths after a mutation. May do nothing. */
void fuzz_repair(u8 *data, size_t size);

/* --- what fuzz.c provides --- */

/* A copy in a heap block of exactly its size, so that any access beyond its end is noticed. */
u8 *fuzz_copy(const void *data, size_t size);

/* End the program, as a failed check of the fuzzer's own. */
#define fuzz_assert(condition)							\
	do {									\
		if (!(condition)) {						\
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();						\
		}								\
	} while (0)

/* Numbers taken from the input, zeros behind its end. */
struct fuzz_input {
	const u8 *at, *end;
};
u64 fuzz_take(struct fuzz_input *input, unsigned bytes);

static inline void fuzz_checksum(u8 *table, size_t size, size_t at)
{
	u8 sum = 0;

	table[at] = 0;
	for (size_t i = 0; i < size; i++)
		sum += table[i];
	table[at] = (u8)-sum;
}
