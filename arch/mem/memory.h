/* SPDX-License-Identifier: MIT */
/*
 * Physical memory: the host's RAM from the boot loader's map, cut into the hypervisor's own pool
 * (mapped, page by page) and the rest (unmapped, handed out to guests in large pieces).
 */
#pragma once

#include "arch/mem/paging.h"
#include "lib/types.h"

struct phys_range {
	hpa_t start;
	u64 size;	/* bytes */
};

/*
 * Register usable RAM and take ranges out of it. Any order, overlap or alignment. memory_reserve()
 * before memory_init() only; memory_add() later too, for memory that becomes the guests'.
 */
void memory_add(hpa_t start, u64 size);
void memory_reserve(hpa_t start, u64 size);
/* Is all of it registered, and none of it taken out? Before memory_init() only. */
bool memory_usable(hpa_t start, u64 size);
/* Cut the hypervisor's pool out of what there is. Stops with words if there is not enough. */
void memory_init(void);

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
 * What the boot page tables show until paging_init(): the memory below 4 GiB. NULL where
 * [pa, pa + size) goes beyond it.
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
void guest_ram_free(const struct phys_range *range);
/*
 * Pages that are damaged: no guest gets them from here on. The guest that has them keeps them. Any
 * context, that of a machine check too: takes no lock.
 */
void memory_retire(const struct phys_range *range);
