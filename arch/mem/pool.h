/* SPDX-License-Identifier: MIT */
/* The page allocator: the hypervisor's own memory. */
#pragma once

#include "lib/types.h"

/* One zeroed 4 KiB page of the pool, in the direct map; NULL when the pool is empty. */
void *page_alloc(void);
/* 2^order contiguous zeroed pages, naturally aligned. */
void *pages_alloc(unsigned order);
void page_free(void *page);
void pages_free(void *pages, unsigned order);

/* --- set-up and accounting, for arch/mem/memory.c --- */

#define POOL_MAX MIB(72)

/* Take over a piece of memory that the direct map shows. Once. */
void pool_init(hpa_t start, u64 size);
hpa_t pool_start(void);
u64 pool_bytes(void);
u64 pool_bytes_used(void);
