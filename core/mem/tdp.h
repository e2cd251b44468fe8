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
/* In both formats: the entry maps 2 MiB or 1 GiB; the guest may write; the address in an entry. */
#define TDP_LARGE    BIT_ULL(7)
#define TDP_WRITABLE BIT_ULL(1)
#define TDP_ADDRESS  0x000ffffffffff000ull

/* Sizes of pages, and of the memory that an entry of a level covers. */
enum tdp_level { TDP_4K, TDP_2M, TDP_1G };
#define TDP_LEVEL_SHIFT(level) (PAGE_SHIFT + 9 * (level))
#define TDP_LEVEL_SIZE(level)  (1ull << TDP_LEVEL_SHIFT(level))

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
/* What maps ROM: pages of 4 KiB, which are never split, and which the guest cannot write. */
static inline struct tdp_format tdp_read_only(const struct tdp_format *format)
{
	return (struct tdp_format){
		.table_bits = format->table_bits, .page_bits = format->page_bits & ~TDP_WRITABLE, .largest = TDP_4K,
	};
}

/* Map [gpa, gpa + size) with the largest pages that fit. All 4 KiB aligned. -ENOMEM. */
int tdp_map(struct vm *vm, const struct tdp_format *format, gpa_t gpa, hpa_t hpa, u64 size);
/*
 * Have a page of 4 KiB map gpa, which is mapped, by splitting the larger pages there. It must be safe for any
 * CPU to use the old entries until it has a fault. Not by two CPUs at the same time for one VM. -ENOMEM;
 * -ENOENT: not mapped.
 */
int tdp_split(struct vm *vm, const struct tdp_format *format, gpa_t gpa);
/*
 * In *entry, of this level, which maps a larger page or nothing: have it point to new tables that map the same,
 * with an entry of 4 KiB for gpa. -ENOMEM: it is unchanged.
 */
int tdp_expand(struct vm *vm, const struct tdp_format *format, gpa_t gpa, int level, u64 *entry);
/* Where the walk for gpa, which is in the tables' range, ends, and what was read there. */
u64 *tdp_place(const struct vm *vm, gpa_t gpa, int *level, u64 *entry);
/* The entry where the walk for gpa ends, and its level. 0: nothing is mapped. */
u64 tdp_entry(const struct vm *vm, gpa_t gpa, int *level);
/* Where the byte at gpa is. -ENOENT: not in RAM. */
int tdp_translate(const struct vm *vm, gpa_t gpa, hpa_t *hpa);
