/* SPDX-License-Identifier: MIT */
/*
 * The nested page tables of a guest that is a hypervisor: from the physical addresses of its guest (L2) to its own
 * (L1). Walked in software as a processor does. Intel SDM, "EPT Translation Mechanism", "EPT-Induced VM Exits",
 * "Accessed and Dirty Flags for EPT"; AMD APM vol. 2, "Nested Paging", "Page-Translation-Table Entry Fields".
 */
#pragma once

#include "lib/types.h"

struct vm;

/* Kinds of access, and rights to them; as bits 2:0 of an EPT entry and of an EPT violation's qualification. */
#define NESTED_READ    BIT(0)
#define NESTED_WRITE   BIT(1)
#define NESTED_EXECUTE BIT(2)
#define NESTED_RIGHTS  (NESTED_READ | NESTED_WRITE | NESTED_EXECUTE)
/*
 * With NESTED_READ: the access is to a page table of L2. It counts as a write too, except with EPT without accessed
 * and dirty flags.
 */
#define NESTED_TABLE   BIT(3)

enum nested_format {
	NESTED_EPT,
	NESTED_LONG,	/* the host's formats: NPT, by the mode that L1 was in at VMRUN */
	NESTED_PAE,
	NESTED_LEGACY,
};

/* All that decides what the tables mean. Compared as bytes, so zero it first. */
struct nested_tables {
	gpa_t root;		/* address bits alone: EPTP bits 51:12, or nCR3's */
	u32 tag;		/* L1's ASID; 0 with EPT */
	u8 format;		/* enum nested_format */
	u8 levels;		/* 4 or 5: EPT, long mode; 3: PAE; 2: legacy */
	u8 physical_bits;	/* width of L1's physical addresses */
	bool accessed_dirty;	/* EPTP bit 6; always set for NPT */
	bool no_execute;	/* NPT: L1's EFER.NXE */
	bool pages_1g;		/* L1 is offered pages of 1 GiB */
	bool page_size;		/* NESTED_LEGACY: L1's CR4.PSE */
	bool execute_only;	/* EPT: L1 is offered pages that can be executed and not read */
	u8 unused[4];
};

enum nested_cause {
	NESTED_ALLOWED,
	NESTED_NOT_PRESENT,	/* EPT violation; #NPF with P = 0. Also where a table is not in RAM */
	NESTED_FORBIDDEN,	/* EPT violation; #NPF with P = 1: the rights do not suffice */
	NESTED_MALFORMED,	/* EPT misconfiguration; #NPF with P = 1 and RSV = 1 */
	NESTED_CHANGING,	/* other CPUs kept changing the entries: have L2 try again */
};

/* What a walk has found. */
struct nested_walk {
	u8 cause;	/* enum nested_cause */
	u8 access;	/* that was checked: NESTED_READ ..., with NESTED_WRITE for tables where they count as written */
	u8 rights;	/* granted by all entries of the walk, the one where it ended among them: qualification bits 5:3 */
	u8 cached;	/* NESTED_ALLOWED: rights that a translation may be kept with; no write before the dirty flag is set */
	u8 level;	/* of the entry where it ended; 1: pages of 4 KiB */
	u8 page_shift;	/* NESTED_ALLOWED: the page's size */
	gpa_t gpa;	/* NESTED_ALLOWED: L1's physical address of the byte */
};

/*
 * Translate an L2-physical address for an access of `access`, and set accessed and dirty flags if it is allowed.
 * Each entry is read once; at most 5 entries, at most 8 times. On a CPU where the VM's address space is the current
 * one.
 */
void nested_walk(const struct vm *vm, const struct nested_tables *tables, gpa_t l2_gpa, u32 access,
		 struct nested_walk *walk);
