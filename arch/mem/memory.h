/* SPDX-License-Identifier: MIT */
/*
 * Physical memory: the host's RAM from the boot loader's map, divided into the hypervisor's own pool
 * (mapped, allocated in pages) and the rest (unmapped, handed out to guests in large pieces). Functions
 * may take a lock, so they are not for exception handlers, except memory_retire().
 */
#pragma once

#include "arch/mem/paging.h"
#include "lib/types.h"

struct phys_range {
	hpa_t start;
	u64 size;	/* bytes */
};

/*
 * Add usable RAM, and exclude ranges from it; sizes in bytes. Any order, overlap or alignment. stop()s or
 * warns if there are too many ranges. memory_reserve() before memory_init() only; memory_add() later, too,
 * for memory that becomes the guests'. What lies beyond memory_limit() is left out, and memory_init() says so.
 */
void memory_add(hpa_t start, u64 size);
void memory_reserve(hpa_t start, u64 size);
/* The first address that the processor cannot reach, by the width of addresses in bits. Set before all else. */
void memory_set_width(unsigned bits);
hpa_t memory_limit(void);
/* Whether all of the range was added and none of it reserved. Before memory_init() only. */
bool memory_usable(hpa_t start, u64 size);
/*
 * Take the hypervisor's pool out of the RAM: what grows with the RAM, and `more` bytes for what this boot's VMs need, but at
 * most an eighth of the RAM for that. stop()s if there is not enough.
 */
void memory_init(u64 more);

static inline hpa_t virt_to_phys(const void *p)	/* direct-map pointers only */
{
	return (u64)p - HOST_DIRECT_MAP;
}

static inline void *phys_to_virt(hpa_t pa)	/* pool memory only */
{
	return (void *)(pa + HOST_DIRECT_MAP);
}

hpa_t image_to_phys(const void *p);		/* symbols in the image */

/*
 * Memory below 4 GiB, which the boot page tables map until paging_init(). NULL if [pa, pa + size)
 * extends beyond it.
 */
const void *early_map(hpa_t pa, u64 size);

struct memory_stats {
	u64 total;		/* usable RAM, bytes */
	u64 pool, pool_used;	/* hypervisor's */
	u64 guest_free;		/* left for guests */
};
void memory_stats(struct memory_stats *stats);

/*
 * Take RAM for a guest: up to `size` bytes in one piece, 2 MiB aligned, size a multiple of 2 MiB,
 * 1 GiB aligned where the piece is that large. Returns the piece in *range (its size may be
 * smaller than asked for; call again for the rest), -ENOMEM when nothing is left. Not zeroed.
 */
int guest_ram_alloc(u64 size, struct phys_range *range);
/* Give a piece back; the caller must not use it any more. Its contents are passed on to the next owner. */
void guest_ram_free(const struct phys_range *range);
/*
 * Mark pages as damaged: they are not handed out again. A guest that has them keeps them. Any context,
 * the #MC handler, too: takes no lock.
 */
void memory_retire(const struct phys_range *range);
