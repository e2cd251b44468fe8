/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share. Random bytes alone never get past a magic number or a checksum: each
 * fuzzer brings valid inputs to start from, and repairs what every input must have.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errno.h"
#include "lib/types.h"

/* --- what each fuzzer must have --- */

/* Let the code under test have these bytes. Whatever it finds wrong with them is no failure. */
void fuzz_one(const u8 *data, size_t size);

/* Write valid input number `which` (any number) to data[0..max); returns its size. */
size_t fuzz_seed(u8 *data, size_t max, unsigned which);

/* Put checksums and total lengths right again after a mutation. May do nothing. */
void fuzz_repair(u8 *data, size_t size);

/* --- what it gets --- */

/* A copy that ends where the allocation ends, so that each byte too far is noticed. */
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
