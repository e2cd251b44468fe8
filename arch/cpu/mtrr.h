/* SPDX-License-Identifier: MIT */
/* Memory type range registers: alike on all CPUs. Intel SDM, "MTRR Considerations in MP Systems". */
#pragma once

#include "lib/types.h"

#define MTRR_FIXED_COUNT     11
#define MTRR_VARIABLE_COUNT  32	/* registers: base and mask of 16 ranges */

struct mtrr_state {
	u64 capabilities;	/* 0: this processor has none */
	u64 default_type;
	u64 fixed[MTRR_FIXED_COUNT];
	u64 variable[MTRR_VARIABLE_COUNT];
};

/* Read the running CPU's. */
void mtrr_read(struct mtrr_state *state);
/*
 * Make the running CPU's the same as another's, if they are not. Takes the caches off meanwhile, so this
 * is for a CPU that does nothing else yet. Ranges that it has no registers for are left out: compare.
 */
void mtrr_write(const struct mtrr_state *wanted);
