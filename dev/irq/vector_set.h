/* SPDX-License-Identifier: MIT */
/* A set of interrupt vectors, for a local APIC's IRR, ISR and TMR. */
#pragma once

#include "lib/types.h"

#define VECTOR_WORDS 4

struct vector_set {
	u64 words[VECTOR_WORDS];	/* bit n % 64 of word n / 64 */
};

/* The highest vector in the set; -1: the set is empty. */
static inline int vector_set_highest(const struct vector_set *set)
{
#pragma GCC unroll 4
	for (int i = VECTOR_WORDS - 1; i >= 0; i--) {
		u64 word = READ_ONCE(set->words[i]);

		if (word)
			return i * 64 + 63 - __builtin_clzll(word);
	}
	return -1;
}

static inline bool vector_set_is_empty(const struct vector_set *set)
{
	return !(READ_ONCE(set->words[0]) | READ_ONCE(set->words[1]) | READ_ONCE(set->words[2]) | READ_ONCE(set->words[3]));
}

/* By the set's owner. Others may read the set meanwhile. */
static inline void vector_set_add(struct vector_set *set, u8 vector)
{
	WRITE_ONCE(set->words[vector / 64], set->words[vector / 64] | BIT_ULL(vector % 64));
}

static inline void vector_set_remove(struct vector_set *set, u8 vector)
{
	WRITE_ONCE(set->words[vector / 64], set->words[vector / 64] & ~BIT_ULL(vector % 64));
}

/* Any CPU: put the vector into the set or take it out. */
static inline void vector_set_assign(struct vector_set *set, u8 vector, bool present)
{
	u64 *word = &set->words[vector / 64], bit = BIT_ULL(vector % 64);

	if (!(READ_ONCE(*word) & bit) == !present)
		return;
	if (present)
		__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST);
}

static inline bool vector_set_has(const struct vector_set *set, u8 vector)
{
	return READ_ONCE(set->words[vector / 64]) >> (vector % 64) & 1;
}

/* Register n of the local APIC's eight: vectors n * 32 to n * 32 + 31. */
static inline u32 vector_set_register(const struct vector_set *set, unsigned n)
{
	return (u32)(READ_ONCE(set->words[n / 2]) >> (n % 2 * 32));
}
