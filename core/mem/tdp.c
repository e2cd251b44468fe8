/* SPDX-License-Identifier: MIT */
/* Nested page tables, built before the guest runs and not changed after. */
#include "core/mem/tdp.h"

#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/vm.h"
#include "lib/errno.h"

#define LEVEL_SHIFT(level) (PAGE_SHIFT + 9 * (level))
#define LEVEL_SIZE(level)  (1ull << LEVEL_SHIFT(level))
#define ENTRY_ADDRESS	   0x000ffffffffff000ull

static u64 *new_table(struct vm *vm)
{
	u64 *table = page_alloc();

	if (table)
		vm->tdp_pages++;
	return table;
}

static u64 *entry_table(u64 entry)
{
	return phys_to_virt(entry & ENTRY_ADDRESS);
}

int tdp_create(struct vm *vm)
{
	u64 *root = new_table(vm);

	if (!root)
		return -ENOMEM;
	vm->tdp_root = virt_to_phys(root);
	return 0;
}

static void free_table(u64 *table, int level)
{
	for (int i = 0; level > 0 && i < 512; i++) {
		if (table[i] && !(table[i] & TDP_LARGE))
			free_table(entry_table(table[i]), level - 1);
	}
	page_free(table);
}

void tdp_destroy(struct vm *vm)
{
	if (vm->tdp_root)
		free_table(phys_to_virt(vm->tdp_root), TDP_LEVELS - 1);
	vm->tdp_root = 0;
	vm->tdp_pages = 0;
}

static int largest_level(const struct tdp_format *format, gpa_t gpa, hpa_t hpa, u64 size)
{
	int level = format->largest;

	while (level > 0 && (((gpa | hpa) & (LEVEL_SIZE(level) - 1)) || size < LEVEL_SIZE(level)))
		level--;
	return level;
}

static int map_page(struct vm *vm, const struct tdp_format *format, gpa_t gpa, hpa_t hpa, int level)
{
	u64 *table = phys_to_virt(vm->tdp_root);
	u64 *entry;

	for (int at = TDP_LEVELS - 1;; at--) {
		entry = &table[gpa >> LEVEL_SHIFT(at) & 511];
		if (at == level)
			break;
		if (!*entry) {
			u64 *next = new_table(vm);

			if (!next)
				return -ENOMEM;
			*entry = virt_to_phys(next) | format->table_bits;
		}
		table = entry_table(*entry);
	}
	*entry = hpa | format->page_bits | (level ? TDP_LARGE : 0);
	return 0;
}

int tdp_map(struct vm *vm, const struct tdp_format *format, gpa_t gpa, hpa_t hpa, u64 size)
{
	while (size) {
		int level = largest_level(format, gpa, hpa, size);
		int error = map_page(vm, format, gpa, hpa, level);

		if (error)
			return error;
		gpa += LEVEL_SIZE(level);
		hpa += LEVEL_SIZE(level);
		size -= LEVEL_SIZE(level);
	}
	return 0;
}

u64 tdp_entry(const struct vm *vm, gpa_t gpa, int *level)
{
	const u64 *table = phys_to_virt(vm->tdp_root);

	for (*level = TDP_LEVELS - 1;; --*level) {
		u64 entry = table[gpa >> LEVEL_SHIFT(*level) & 511];

		if (!*level || !entry || (entry & TDP_LARGE))
			return entry;
		table = entry_table(entry);
	}
}
