/* SPDX-License-Identifier: MIT */
/*
 * Host address spaces. One layout for all of them, lower half unused:
 *
 *   HOST_GUEST_WINDOW   a VM's RAM, in that VM's own address space only: address = window + gpa
 *   HOST_DISK_WINDOW    a VM's disks, in that VM's own address space only: core/disks.c. Images are R NX, the rest is RW NX
 *   HOST_DIRECT_MAP     memory that the hypervisor owns (page_alloc()): address = base + pa, RW NX
 *   HOST_MMIO           device registers (RW NX, uncached) and firmware tables (R NX), permanent
 *   HOST_WINDOWS        phys_window(), one top-level entry for each slot, RW NX
 *   HOST_STACKS         per-CPU stacks, each with an unmapped guard page below
 *   HOST_NATIVE         per-CPU pages of arch/fault/native.c: code RX, an operand RW NX
 *   HOST_IMAGE          the image: text RX, rodata R, data RW NX
 *
 * All address spaces share every top-level entry except those of HOST_GUEST_WINDOW and HOST_DISK_WINDOW, so a later
 * mapping in a shared area appears in all of them. Intel SDM, "4-Level Paging and 5-Level Paging".
 */
#pragma once

#include "lib/types.h"

#define HOST_GUEST_WINDOW 0xffff900000000000ull	/* one top-level entry: 512 GiB */
#define HOST_GUEST_WINDOW_SIZE (512ull << 30)
#define HOST_DISK_WINDOW  0xffff980000000000ull	/* one top-level entry, too */
#define HOST_DISK_WINDOW_SIZE (512ull << 30)
#define HOST_DIRECT_MAP	  0xffffa00000000000ull
#define HOST_MMIO	  0xffffc00000000000ull
#define HOST_WINDOWS	  0xffffc80000000000ull
#define HOST_WINDOW_SIZE  (512ull << 30) /* of each slot */
#define HOST_STACKS	  0xffffd00000000000ull
#define HOST_NATIVE	  0xffffd80000000000ull
#define HOST_IMAGE	  0xffffffff80000000ull

#define EARLY_MEMORY	  GIB(4) /* physical memory that the boot page tables map */

enum {
	MAP_READ = 0,
	MAP_WRITE = BIT(0),
	MAP_EXEC = BIT(1),
	MAP_UNCACHED = BIT(2),
	MAP_WRITE_COMBINING = BIT(3),
};

struct address_space {
	hpa_t root;	/* what CR3 holds */
	u64 pages;	/* page-table pages owned, for the accounting */
};

extern struct address_space kernel_space; /* no window of a VM: the boot CPU between VMs */

/* Build page tables of the image (W^X) and the pool, and switch to them from the boot page tables. */
void paging_init(void);
bool paging_is_final(void);	/* paging_init() has switched */

/* Allocates the top-level table, which the space then owns: end with address_space_destroy(). -ENOMEM. */
int address_space_create(struct address_space *space);
/* Frees the tables, not what they map. Does nothing to a zeroed space. It must not be the current one. */
void address_space_destroy(struct address_space *space);
void address_space_switch(const struct address_space *space);	/* loads CR3, which flushes the TLB */

/*
 * Map [pa, pa+size) at va with the largest pages that fit. All page aligned. -ENOMEM without page tables,
 * -EEXIST if something is mapped there; what was mapped before the error stays.
 */
int paging_map(struct address_space *space, u64 va, hpa_t pa, u64 size, unsigned flags);

/* Unmap all that a top-level entry covers and free its tables, except the second-level one. No TLB flush. */
void paging_clear_top(struct address_space *space, u64 va);
