/* SPDX-License-Identifier: MIT */
/* Scaling by a fraction without overflow. */
#pragma once

#include "lib/types.h"

/* a * b / c with a 128-bit intermediate; all ones if the result does not fit or c is 0. */
static inline u64 mul_div(u64 a, u64 b, u64 c)
{
	u64 low, high, quotient, remainder;

	__asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(a), "rm"(b) : "cc");
	if (high >= c)
		return ~0ull;
	__asm__("divq %4"
		: "=a"(quotient), "=d"(remainder)
		: "a"(low), "d"(high), "rm"(c)
		: "cc");
	return quotient;
}
