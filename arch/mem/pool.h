/* SPDX-License-Identifier: MIT */
/* The page allocator: the hypervisor's own memory. Takes a lock: not for exception handlers. */
#pragma once

#include "lib/types.h"

/* One zeroed 4 KiB page of the pool, in the direct map; NULL when the pool is empty. */
void *page_alloc(void);
/* 2^order contiguous zeroed pages, naturally aligned; NULL if there is no such run. */
void *pages_alloc(unsigned order);
/* With the order of the allocation. Panics on pages that are not allocated. */
void page_free(void *page);
void pages_free(void *pages, unsigned order);

/* --- set-up and accounting, for arch/mem/memory.c --- */

#define POOL_MAX MIB(256)

/* Set the pool's memory, once: `size` bytes, at most POOL_MAX, from a 2 MiB boundary. */
void pool_init(hpa_t start, u64 size);
hpa_t pool_start(void);
u64 pool_bytes(void);
u64 pool_bytes_used(void);
