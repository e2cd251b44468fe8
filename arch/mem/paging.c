/* SPDX-License-Identifier: MIT */
/* Host page tables. Intel SDM, "4-Level Paging and 5-Level Paging". */
#include "arch/mem/paging.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/mem/mapping.h"
#include "arch/mem/memory.h"
#include "arch/mem/page_table.h"
#include "arch/mem/pool.h"
#include "lib/errno.h"
#include "lib/log.h"

extern char image_start[], text_end[], rodata_start[], data_start[], image_end[];

struct address_space kernel_space;

static bool final_tables;

/* Top-level entries that all address spaces share. */
static const u64 shared_areas[] = {
	HOST_DIRECT_MAP, HOST_MMIO, HOST_WINDOWS, HOST_WINDOWS + HOST_WINDOW_SIZE,
	HOST_WINDOWS + 2 * HOST_WINDOW_SIZE, HOST_STACKS, HOST_NATIVE, HOST_IMAGE,
};
_Static_assert(PHYS_WINDOWS == 3, "a top-level entry for each slot");

/* Page-attribute table entries, by the PWT and PCD bits: WB, WC, UC-, UC. */
#define PTE_UNCACHED	    (PTE_PWT | PTE_PCD)
#define PTE_WRITE_COMBINING PTE_PWT

static u64 leaf_bits(unsigned flags, unsigned level)
{
	u64 bits = PTE_PRESENT;

	if (level > 0)
		bits |= PTE_LARGE;
	if (flags & MAP_WRITE)
		bits |= PTE_WRITE;
	if (!(flags & MAP_EXEC))
		bits |= PTE_NX;
	if (flags & MAP_UNCACHED)
		bits |= PTE_UNCACHED;
	else if (flags & MAP_WRITE_COMBINING)
		bits |= cpu_features.pat ? PTE_WRITE_COMBINING : PTE_UNCACHED;
	return bits;
}

static u64 *next_table(struct address_space *space, u64 *entry)
{
	void *table;

	if (*entry & PTE_PRESENT)
		return *entry & PTE_LARGE ? NULL : phys_to_virt(*entry & PTE_ADDRESS);
	table = page_alloc();
	if (!table)
		return NULL;
	space->pages++;
	*entry = virt_to_phys(table) | PTE_PRESENT | PTE_WRITE;
	return table;
}

static int map_leaf(struct address_space *space, u64 va, hpa_t pa, unsigned level, unsigned flags)
{
	u64 *table = phys_to_virt(space->root);
	u64 *entry = &table[pt_index(va, PT_LEVELS - 1)];

	for (unsigned l = PT_LEVELS - 1; l > level; l--) {
		bool present = *entry & PTE_PRESENT;

		table = next_table(space, entry);
		if (!table)
			return present ? -EEXIST : -ENOMEM;
		entry = &table[pt_index(va, l - 1)];
	}
	if (*entry & PTE_PRESENT)
		return -EEXIST;
	*entry = pa | leaf_bits(flags, level);
	return 0;
}

static unsigned largest_level(u64 va, hpa_t pa, u64 size)
{
	unsigned level = cpu_features.pages_1g ? 2 : 1;

	while (!IS_ALIGNED(va | pa, pt_page_size(level)) || size < pt_page_size(level))
		level--;
	return level;
}

int paging_map(struct address_space *space, u64 va, hpa_t pa, u64 size, unsigned flags)
{
	BUG_ON(!IS_ALIGNED(va | pa | size, PAGE_SIZE));
	BUG_ON((flags & MAP_WRITE) && (flags & MAP_EXEC));
	while (size) {
		unsigned level = largest_level(va, pa, size);
		int err = map_leaf(space, va, pa, level, flags);

		if (err)
			return err;
		va += pt_page_size(level);
		pa += pt_page_size(level);
		size -= pt_page_size(level);
	}
	return 0;
}

/* Free the tables below an entry of a table at `level`, not what they map. */
static void free_tables(struct address_space *space, u64 entry, unsigned level)
{
	u64 *table;

	if (!(entry & PTE_PRESENT) || level == 0 || entry & PTE_LARGE)
		return;
	table = phys_to_virt(entry & PTE_ADDRESS);
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		free_tables(space, table[i], level - 1);
	page_free(table);
	space->pages--;
}

void paging_clear_top(struct address_space *space, u64 va)
{
	u64 *root = phys_to_virt(space->root);
	u64 *top = &root[pt_index(va, PT_LEVELS - 1)];
	u64 *table;

	if (!(*top & PTE_PRESENT))
		return;
	table = phys_to_virt(*top & PTE_ADDRESS);
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		free_tables(space, table[i], PT_LEVELS - 2);
		table[i] = 0;
	}
}

int address_space_create(struct address_space *space)
{
	const u64 *kernel = phys_to_virt(kernel_space.root);
	u64 *root = page_alloc();

	if (!root)
		return -ENOMEM;
	for (unsigned i = 0; i < ARRAY_SIZE(shared_areas); i++) {
		unsigned index = pt_index(shared_areas[i], PT_LEVELS - 1);

		root[index] = kernel[index];
	}
	*space = (struct address_space) { .root = virt_to_phys(root), .pages = 1 };
	return 0;
}

void address_space_destroy(struct address_space *space)
{
	u64 *root = phys_to_virt(space->root);

	if (!space->root)
		return;
	free_tables(space, root[pt_index(HOST_GUEST_WINDOW, PT_LEVELS - 1)], PT_LEVELS - 1);
	free_tables(space, root[pt_index(HOST_DISK_WINDOW, PT_LEVELS - 1)], PT_LEVELS - 1);
	page_free(root);
	*space = (struct address_space) { 0 };
}

void address_space_switch(const struct address_space *space)
{
	write_cr3(space->root);
}

/* Shared areas get their second-level table now: later mappings in it appear in all spaces. */
static void create_kernel_space(void)
{
	u64 *root = page_alloc();

	BUG_ON(!root);
	kernel_space = (struct address_space) { .root = virt_to_phys(root), .pages = 1 };
	for (unsigned i = 0; i < ARRAY_SIZE(shared_areas); i++)
		BUG_ON(!next_table(&kernel_space, &root[pt_index(shared_areas[i], PT_LEVELS - 1)]));
}

static void map_image(const char *start, const char *end, unsigned flags)
{
	u64 size = ALIGN_UP((u64)(end - start), PAGE_SIZE);

	BUG_ON(paging_map(&kernel_space, (u64)start, image_to_phys(start), size, flags));
}

void paging_init(void)
{
	create_kernel_space();
	map_image(image_start, text_end, MAP_EXEC);
	map_image(rodata_start, data_start, MAP_READ);
	map_image(data_start, image_end, MAP_WRITE);
	BUG_ON(paging_map(&kernel_space, HOST_DIRECT_MAP + pool_start(), pool_start(), pool_bytes(),
			  MAP_WRITE));
	log_debug("paging: %llu page tables, no page both writable and executable",
		  (unsigned long long)kernel_space.pages);
	address_space_switch(&kernel_space);
	final_tables = true;
}

bool paging_is_final(void)
{
	return final_tables;
}
