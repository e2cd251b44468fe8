/* SPDX-License-Identifier: MIT */
/*
 * Nested page tables: from guest-physical to host-physical addresses, in four levels of 512 entries.
 * EPT and AMD's tables differ only in the bits of an entry. Intel SDM, "The Extended Page Table
 * Mechanism (EPT)"; AMD APM vol. 2, "Nested Paging".
 */
#pragma once

#include "lib/types.h"

struct vm;

#define TDP_LEVELS 4
#define TDP_LARGE  BIT_ULL(7)	/* in both formats: the entry maps 2 MiB or 1 GiB */

/* Sizes of pages, and of the memory that an entry of a level covers. */
enum tdp_level { TDP_4K, TDP_2M, TDP_1G };

struct tdp_format {
	u64 table_bits;		/* of an entry that points to a table */
	u64 page_bits;		/* of an entry that maps 4 KiB of RAM */
	u64 large_bits;		/* of one that maps more, without TDP_LARGE */
	u8 largest;		/* enum tdp_level */
};

/* Sets vm->tdp_root. -ENOMEM. */
int tdp_create(struct vm *vm);
/* Frees the tables, not what they map. */
void tdp_destroy(struct vm *vm);
/* Map [gpa, gpa + size) with the largest pages that fit. All 4 KiB aligned. -ENOMEM. */
int tdp_map(struct vm *vm, const struct tdp_format *format, gpa_t gpa, hpa_t hpa, u64 size);
/*
 * Have a page of 4 KiB map gpa, which is mapped, by splitting the larger pages there. It must be safe for any CPU to
 * use the old entries until it has a fault. Not by two CPUs at the same time for one VM. -ENOMEM; -ENOENT: not mapped.
 */
int tdp_split(struct vm *vm, const struct tdp_format *format, gpa_t gpa);
/* For reports: the entry where the walk for gpa ends, and its level. 0: nothing is mapped. */
u64 tdp_entry(const struct vm *vm, gpa_t gpa, int *level);
