/* SPDX-License-Identifier: MIT */
/* Pages of the pool from the heap: how many are in use, and how many there may be. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "arch/mem/pool.h"
#include "lib/types.h"

static unsigned pages, page_limit;

void *page_alloc(void)
{
	void *page;

	if (pages >= page_limit)
		return NULL;
	pages++;
	page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	memset(page, 0, PAGE_SIZE);
	return page;
}

void page_free(void *page)
{
	assert_non_null(page);
	pages--;
	free(page);
}
