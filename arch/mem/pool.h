/* SPDX-License-Identifier: MIT */
/* The page allocator's set-up and accounting; page_alloc() and the like are in arch/mem/memory.h. */
#pragma once

#include "lib/types.h"

#define POOL_MAX MIB(72)

/* Take over a piece of memory that the direct map shows. Once. */
void pool_init(hpa_t start, u64 size);
hpa_t pool_start(void);
u64 pool_bytes(void);
u64 pool_bytes_used(void);
