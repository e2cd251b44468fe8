/* SPDX-License-Identifier: MIT */
/*
 * Nested page tables: from guest-physical to host-physical addresses, in four levels of 512 entries.
 * EPT's and AMD's differ in the bits of an entry only. Intel SDM, "The Extended Page Table
 * Mechanism (EPT)"; AMD APM vol. 2, "Nested Paging".
 */
#pragma once

#include "lib/types.h"

struct vm;

#define NESTED_LEVELS 4
#define NESTED_LARGE  BIT_ULL(7)	/* of both: the entry maps 2 MiB or 1 GiB */

/* Sizes of pages, and of the memory that an entry of a level covers. */
enum nested_level { NESTED_4K, NESTED_2M, NESTED_1G };

struct nested_format {
	u64 table_bits;		/* of an entry that points to a table */
	u64 page_bits;		/* of an entry that maps RAM */
	u8 largest;		/* enum nested_level */
};

/* Sets vm->nested_root. -ENOMEM. */
int nested_create(struct vm *vm);
/* Frees the tables, not what they map. */
void nested_destroy(struct vm *vm);
/* Map [gpa, gpa + size) with the largest pages that fit. All 4 KiB aligned. -ENOMEM. */
int nested_map(struct vm *vm, const struct nested_format *format, gpa_t gpa, hpa_t hpa, u64 size);
/* The entry that decides about gpa, for reports: 0 where nothing is mapped. */
u64 nested_entry(const struct vm *vm, gpa_t gpa, int *level);
