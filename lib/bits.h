/* SPDX-License-Identifier: MIT */
/* Bit fields of values whose width is known at run time. */
#pragma once

#include "lib/types.h"

/* All ones in the low `size` bytes, 1 to 8: what an access of that size can hold. */
static inline u64 size_mask(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}
