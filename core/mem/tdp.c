/* SPDX-License-Identifier: MIT */
/* Nested page tables, built before the guest runs. Afterwards only large pages are split. */
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

static u64 page_entry(const struct tdp_format *format, hpa_t hpa, int level)
{
	return hpa | (level ? format->large_bits | TDP_LARGE : format->page_bits);
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
	*entry = page_entry(format, hpa, level);
	return 0;
}

/* Replace an entry of `level` by a table of entries of the next one, which map the same. */
static int split_entry(struct vm *vm, const struct tdp_format *format, u64 *entry, int level)
{
	hpa_t hpa = *entry & ENTRY_ADDRESS & ~(LEVEL_SIZE(level) - 1);
	u64 *table = new_table(vm);

	if (!table)
		return -ENOMEM;
	for (u64 i = 0; i < 512; i++)
		table[i] = page_entry(format, hpa + i * LEVEL_SIZE(level - 1), level - 1);
	/* Processors walk the tables at any time: never let them find one that is not filled. */
	__atomic_store_n(entry, virt_to_phys(table) | format->table_bits, __ATOMIC_RELEASE);
	return 0;
}

int tdp_split(struct vm *vm, const struct tdp_format *format, gpa_t gpa)
{
	u64 *table = phys_to_virt(vm->tdp_root);

	if (gpa >> LEVEL_SHIFT(TDP_LEVELS))
		return -ENOENT;
	for (int level = TDP_LEVELS - 1; level > 0; level--) {
		u64 *entry = &table[gpa >> LEVEL_SHIFT(level) & 511];
		int error = *entry & TDP_LARGE ? split_entry(vm, format, entry, level) : 0;

		if (error)
			return error;
		if (!*entry)
			return -ENOENT;
		table = entry_table(*entry);
	}
	return table[gpa >> PAGE_SHIFT & 511] ? 0 : -ENOENT;
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
