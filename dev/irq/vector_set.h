/* SPDX-License-Identifier: MIT */
/*
 * A set of interrupt vectors, for a local APIC's IRR, ISR and TMR: eight registers as the APIC's page has them, which
 * a processor may read and change by itself. Intel SDM, "Virtual-APIC Page".
 */
#pragma once

#include "lib/types.h"

#define VECTOR_REGISTERS 8

/* A register of the local APIC: 32 bits, aligned to 16 bytes. In x2APIC mode the ICR has 64. */
struct apic_register {
	union {
		u32 value;
		u64 wide;
	};
	u64 reserved;
};

struct vector_set {
	struct apic_register registers[VECTOR_REGISTERS];	/* vector n: bit n % 32 of register n / 32 */
};

/*
 * Which registers of a set may have a bit set, by their number, so that the others need no look. The owner of the set
 * keeps it; while a processor changes the set by itself it has all bits.
 */
typedef u8 vector_hint;
#define VECTOR_HINT_ALL 0xff

/* The number of the highest bit of a value that is not 0: one BSR. */
static inline unsigned vector_highest_bit(u32 bits)
{
	return 31 ^ (unsigned)__builtin_clz(bits);
}

/* The highest vector in the set; -1: the set is empty. */
static inline int vector_set_highest(const struct vector_set *set, u32 hint)
{
	while (hint) {
		unsigned n = vector_highest_bit(hint);
		u32 bits = READ_ONCE(set->registers[n].value);

		if (likely(bits))
			return (int)(n * 32 + vector_highest_bit(bits));
		hint &= ~BIT(n);
	}
	return -1;
}

/* The same with VECTOR_HINT_ALL. */
static inline int vector_set_highest_of_all(const struct vector_set *set)
{
#pragma GCC unroll 8
	for (int n = VECTOR_REGISTERS - 1; n >= 0; n--) {
		u32 bits = READ_ONCE(set->registers[n].value);

		if (bits)
			return n * 32 + (int)vector_highest_bit(bits);
	}
	return -1;
}

/* By the set's owner, as the next one. Others may read the set meanwhile. */
static inline void vector_set_add(struct vector_set *set, vector_hint *hint, u8 vector)
{
	u32 *value = &set->registers[vector / 32].value;

	WRITE_ONCE(*value, *value | BIT(vector % 32));
	*hint |= (vector_hint)BIT(vector / 32);
}

static inline void vector_set_remove(struct vector_set *set, vector_hint *hint, u8 vector)
{
	u32 *value = &set->registers[vector / 32].value, rest = *value & ~BIT(vector % 32);

	WRITE_ONCE(*value, rest);
	if (likely(!rest))
		*hint &= (vector_hint)~BIT(vector / 32);
}

/* What removing it from one, where it is, and adding it to the other would do. */
static inline void vector_set_move(struct vector_set *from, vector_hint *from_hint,
				   struct vector_set *to, vector_hint *to_hint, unsigned vector)
{
	unsigned n = vector / 32;
	u32 bit = BIT(vector % 32), rest = from->registers[n].value ^ bit;
	vector_hint of_register = (vector_hint)BIT(n);

	WRITE_ONCE(from->registers[n].value, rest);
	WRITE_ONCE(to->registers[n].value, to->registers[n].value | bit);
	*to_hint |= of_register;
	if (likely(!rest))
		*from_hint &= (vector_hint)~of_register;
}

/* Any CPU: put the vector into the set or take it out. Was that a change? */
static inline bool vector_set_assign(struct vector_set *set, u8 vector, bool present)
{
	u32 *value = &set->registers[vector / 32].value, bit = BIT(vector % 32);

	if (likely(!present)) {
		if (likely(!(READ_ONCE(*value) & bit)))
			return false;
		__atomic_fetch_and(value, ~bit, __ATOMIC_SEQ_CST);
	} else {
		if (READ_ONCE(*value) & bit)
			return false;
		__atomic_fetch_or(value, bit, __ATOMIC_SEQ_CST);
	}
	return true;
}

static inline bool vector_set_has(const struct vector_set *set, u8 vector)
{
	return READ_ONCE(set->registers[vector / 32].value) >> (vector % 32) & 1;
}

/* Register n of the local APIC's eight: vectors n * 32 to n * 32 + 31. */
static inline u32 vector_set_register(const struct vector_set *set, unsigned n)
{
	return READ_ONCE(set->registers[n].value);
}
