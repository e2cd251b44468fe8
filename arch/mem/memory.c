/* SPDX-License-Identifier: MIT */
/* Physical memory: what the machine has, the hypervisor's pool, and the pieces for guests. */
#include "arch/mem/memory.h"

#include "arch/fault/panic.h"
#include "arch/mem/pool.h"
#include "arch/mem/ranges.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/spinlock.h"

#define HUGE_PAGE  MIB(2)
#define GIANT_PAGE GIB(1)

static struct ranges free_ram, reserved;
static u64 total_ram;
static struct spinlock lock = SPINLOCK_INIT(LOCK_MEMORY);

extern const char image_start[];
extern hpa_t boot_image;	/* boot/entry.asm: where image_start was loaded to */

hpa_t image_to_phys(const void *p)
{
	return (hpa_t)((const char *)p - image_start) + boot_image;
}

const void *early_map(hpa_t pa, u64 size)
{
	if (pa > EARLY_MEMORY || size > EARLY_MEMORY - pa)
		return NULL;
	return phys_to_virt(pa);
}

/* The limit of physical addresses: ignore what a memory map has above it. Sums below it do not overflow. */
#define MOST_BITS 52u

static hpa_t limit = BIT_ULL(MOST_BITS);
static u64 beyond;		/* bytes of RAM that the map has above it */

void memory_set_width(unsigned bits)
{
	limit = BIT_ULL(MIN(bits, MOST_BITS));
}

hpa_t memory_limit(void)
{
	return limit;
}

static hpa_t end_of(hpa_t start, u64 size)
{
	return size < limit - start ? start + size : limit;
}

void memory_add(hpa_t start, u64 size)
{
	hpa_t first, end;

	if (size && (start >= limit || size > limit - start))
		beyond += start >= limit ? size : size - (limit - start);
	if (start >= limit)
		return;
	first = ALIGN_UP(start, PAGE_SIZE);
	end = ALIGN_DOWN(end_of(start, size), PAGE_SIZE);

	if (end <= first)
		return;
	spin_lock(&lock);
	if (ranges_add(&free_ram, first, end - first))
		log_warn("memory: too many pieces, 0x%llx + 0x%llx stays unused",
			 (ull)start, (ull)size);
	spin_unlock(&lock);
}

void memory_reserve(hpa_t start, u64 size)
{
	hpa_t first, end;

	if (start >= limit)
		return;
	first = ALIGN_DOWN(start, PAGE_SIZE);
	end = ALIGN_UP(end_of(start, size), PAGE_SIZE);
	if (end > first && ranges_add(&reserved, first, end - first))
		stop("the memory map has more than %d reserved pieces", RANGES_MAX);
}

bool memory_usable(hpa_t start, u64 size)
{
	return ranges_cover(&free_ram, start, size) && !ranges_touch(&reserved, start, size);
}

/* The lowest aligned place for `size` bytes below 4 GiB, where the boot page tables reach it. */
static hpa_t find_pool(u64 size)
{
	for (unsigned i = 0; i < free_ram.count; i++) {
		const struct phys_range *range = &free_ram.range[i];
		hpa_t start = ALIGN_UP(range->start, HUGE_PAGE);

		if (start + size <= range->start + range->size && start + size <= EARLY_MEMORY)
			return start;
	}
	stop("too little memory: no %llu MiB in one piece below 4 GiB for the hypervisor; the machine "
	     "has %llu MiB in all", (ull)size >> 20, (ull)total_ram >> 20);
}

/*
 * With 2 MiB pages, the nested tables and those of the guest window take 8 KiB for each GiB; 1/256 of the RAM suffices even if
 * all pages are 4 KiB.
 */
static u64 pool_size(u64 more)
{
	u64 size = MIB(6) + MIN(total_ram / 256, MIB(64)) + MIN(more, total_ram / 8);

	return ALIGN_UP(MIN(size, POOL_MAX), HUGE_PAGE);
}

void memory_init(u64 more)
{
	u64 size;
	hpa_t start;

	if (beyond)
		log_warn("memory: %llu MiB lie at 0x%llx or above, which this processor does not reach: they stay unused",
			 (ull)beyond >> 20, (ull)limit);
	total_ram = ranges_total(&free_ram);
	for (unsigned i = 0; i < reserved.count; i++)
		if (ranges_remove(&free_ram, reserved.range[i].start, reserved.range[i].size))
			stop("the memory map has more than %d pieces", RANGES_MAX);
	size = pool_size(more);
	start = find_pool(size);
	if (ranges_remove(&free_ram, start, size))
		stop("the memory map has more than %d pieces", RANGES_MAX);
	pool_init(start, size);
	log_info("memory: %llu MiB usable: %llu MiB at 0x%llx for the hypervisor, %llu MiB for guests",
		 (ull)total_ram >> 20, (ull)size >> 20, (ull)start,
		 (ull)ranges_total(&free_ram) >> 20);
}

void memory_stats(struct memory_stats *stats)
{
	spin_lock(&lock);
	*stats = (struct memory_stats) {
		.total = total_ram,
		.pool = pool_bytes(),
		.pool_used = pool_bytes_used(),
		.guest_free = ranges_total(&free_ram),
	};
	spin_unlock(&lock);
}

/* The largest part of a range that is aligned at both ends, up to `size` bytes. */
static struct phys_range aligned_part(const struct phys_range *range, u64 size, u64 align)
{
	hpa_t start = ALIGN_UP(range->start, align);
	hpa_t end = ALIGN_DOWN(range->start + range->size, align);

	if (end <= start)
		return (struct phys_range) { 0, 0 };
	return (struct phys_range) { start, MIN(end - start, ALIGN_DOWN(size, align)) };
}

/* The first piece that is large enough, else the largest one. */
static struct phys_range best_piece(u64 size, u64 align)
{
	struct phys_range best = { 0, 0 };

	for (unsigned i = 0; i < free_ram.count && best.size < ALIGN_DOWN(size, align); i++) {
		struct phys_range part = aligned_part(&free_ram.range[i], size, align);

		if (part.size > best.size)
			best = part;
	}
	return best;
}

/* --- damaged memory --- */

#define DAMAGED_MAX 64

static struct phys_range damaged[DAMAGED_MAX];
static u32 damaged_count, damaged_left_out;	/* damaged_left_out: how many the log has reported */

void memory_retire(const struct phys_range *range)
{
	u32 slot;

	for (u32 i = 0; i < MIN(damaged_count, (u32)DAMAGED_MAX); i++)
		if (range->start >= damaged[i].start &&
		    range->start + range->size <= damaged[i].start + damaged[i].size)
			return;
	slot = __atomic_fetch_add(&damaged_count, 1, __ATOMIC_RELAXED);
	if (slot < DAMAGED_MAX)
		damaged[slot] = *range;
}

/*
 * Remove damaged memory from the free memory, before any of that is handed out. False: not possible, so
 * nothing may be handed out.
 */
static bool leave_out_damaged(void)
{
	u32 count = __atomic_load_n(&damaged_count, __ATOMIC_RELAXED);

	if (count > DAMAGED_MAX) {
		log_error("memory: more than %u damaged pieces, no more of it is handed out", DAMAGED_MAX);
		return false;
	}
	for (u32 i = 0; i < count; i++) {
		if (ranges_remove(&free_ram, damaged[i].start, damaged[i].size)) {
			log_error("memory: 0x%llx is damaged and cannot be left out: too many pieces",
				  (ull)damaged[i].start);
			return false;
		}
	}
	for (; damaged_left_out < count; damaged_left_out++)
		log_warn("memory: 0x%llx + 0x%llx is damaged and stays unused from here on",
			 (ull)damaged[damaged_left_out].start, (ull)damaged[damaged_left_out].size);
	return true;
}

int guest_ram_alloc(u64 size, struct phys_range *range)
{
	int err = -ENOMEM;

	spin_lock(&lock);
	*range = (struct phys_range){ 0 };
	if (leave_out_damaged())
		*range = best_piece(size, GIANT_PAGE);
	else
		size = 0;
	if (range->size == 0)
		*range = best_piece(size, HUGE_PAGE);
	if (range->size)
		err = ranges_remove(&free_ram, range->start, range->size) ? -ENOMEM : 0;
	spin_unlock(&lock);
	return err;
}

void guest_ram_free(const struct phys_range *range)
{
	memory_add(range->start, range->size);
	spin_lock(&lock);
	leave_out_damaged();
	spin_unlock(&lock);
}
