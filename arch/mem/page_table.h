/* SPDX-License-Identifier: MIT */
/* The shape of page tables. Intel SDM, "4-Level Paging and 5-Level Paging". */
#pragma once

#include "arch/mem/paging.h"
#include "lib/types.h"

#define PT_LEVELS  4u
#define PT_ENTRIES 512u

/* Level 0 holds 4 KiB pages, 1 holds 2 MiB, 2 holds 1 GiB, 3 is the top. */
static inline unsigned pt_index(u64 va, unsigned level)
{
	return va >> (PAGE_SHIFT + 9 * level) & (PT_ENTRIES - 1);
}

static inline u64 pt_page_size(unsigned level)
{
	return PAGE_SIZE << (9 * level);
}
