/* SPDX-License-Identifier: MIT */
/* Bit fields of values whose width is known at run time. */
#pragma once

#include "lib/types.h"

/* All ones in the low `size` bytes: what an access of that size can hold. */
static inline u64 size_mask(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}
