/* SPDX-License-Identifier: MIT */
/* The hypervisor's own pages: one contiguous pool and a bitmap of what is taken. */
#include "arch/mem/pool.h"

#include "arch/fault/panic.h"
#include "arch/mem/memory.h"
#include "lib/spinlock.h"
#include "lib/string.h"

static struct {
	struct spinlock lock;
	hpa_t start;
	u64 pages;
	u64 used;
	u64 hint;	/* no free page lies below */
} pool = { .lock = SPINLOCK_INIT(LOCK_POOL) };

/* A bit for each page; pool.lock. Begins as zero, so that it takes no room in the image. */
static u64 taken_pages[POOL_MAX / PAGE_SIZE / 64];

void pool_init(hpa_t start, u64 size)
{
	BUG_ON(size > POOL_MAX);
	pool.start = start;
	pool.pages = size / PAGE_SIZE;
}

hpa_t pool_start(void)
{
	return pool.start;
}

u64 pool_bytes(void)
{
	return pool.pages * PAGE_SIZE;
}

u64 pool_bytes_used(void)
{
	return pool.used * PAGE_SIZE;
}

static bool is_taken(u64 page)
{
	return taken_pages[page / 64] & BIT_ULL(page % 64);
}

static bool all_free(u64 first, u64 count)
{
	for (u64 i = first; i < first + count; i++)
		if (is_taken(i))
			return false;
	return true;
}

/* The pool begins on a 2 MiB boundary, so alignment within it is alignment in memory. */
static u64 find_free(u64 count)
{
	for (u64 i = ALIGN_UP(pool.hint, count); i + count <= pool.pages; i += count)
		if (all_free(i, count))
			return i;
	return pool.pages;
}

static void mark(u64 first, u64 count, bool taken)
{
	for (u64 i = first; i < first + count; i++) {
		if (taken)
			taken_pages[i / 64] |= BIT_ULL(i % 64);
		else
			taken_pages[i / 64] &= ~BIT_ULL(i % 64);
	}
	pool.used += taken ? count : -count;
}

void *pages_alloc(unsigned order)
{
	u64 count = BIT_ULL(order);
	void *pages = NULL;
	u64 first;

	spin_lock(&pool.lock);
	first = find_free(count);
	if (first < pool.pages) {
		mark(first, count, true);
		if (count == 1)
			pool.hint = first + 1;
		pages = phys_to_virt(pool.start + first * PAGE_SIZE);
	}
	spin_unlock(&pool.lock);
	if (pages)
		memset(pages, 0, count * PAGE_SIZE);
	return pages;
}

void pages_free(void *pages, unsigned order)
{
	u64 count = BIT_ULL(order);
	u64 first = (virt_to_phys(pages) - pool.start) / PAGE_SIZE;

	spin_lock(&pool.lock);
	BUG_ON(first + count > pool.pages);
	for (u64 i = first; i < first + count; i++)
		BUG_ON(!is_taken(i));
	mark(first, count, false);
	pool.hint = MIN(pool.hint, first);
	spin_unlock(&pool.lock);
}

void *page_alloc(void)
{
	return pages_alloc(0);
}

void page_free(void *page)
{
	pages_free(page, 0);
}
