/* SPDX-License-Identifier: MIT */
/* Masks for values whose width is known only at run time. */
#pragma once

#include "lib/types.h"

/* Ones in the low `size` bytes, 1 to 8: the largest value that an access of that size holds. */
static inline u64 size_mask(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}
