/* SPDX-License-Identifier: MIT */
/* Nested page tables, built before the guest runs. Afterwards core/mem/tdp_change.c changes them. */
#include "core/mem/tdp.h"

#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/vm.h"
#include "lib/errno.h"

static u64 *new_table(struct vm *vm)
{
	u64 *table = page_alloc();

	if (table)
		vm->tdp_pages++;
	return table;
}

static u64 *entry_table(u64 entry)
{
	return phys_to_virt(entry & TDP_ADDRESS);
}

int tdp_create(struct vm *vm)
{
	u64 *root = new_table(vm);

	if (!root)
		return -ENOMEM;
	vm->tdp_root = virt_to_phys(root);
	return 0;
}

static void free_table(struct vm *vm, u64 *table, int level)
{
	for (int i = 0; level > 0 && i < 512; i++) {
		if (table[i] && !(table[i] & TDP_LARGE))
			free_table(vm, entry_table(table[i]), level - 1);
	}
	page_free(table);
	vm->tdp_pages--;
}

void tdp_destroy(struct vm *vm)
{
	if (vm->tdp_root)
		free_table(vm, phys_to_virt(vm->tdp_root), TDP_LEVELS - 1);
	vm->tdp_root = 0;
}

static int largest_level(const struct tdp_format *format, gpa_t gpa, hpa_t hpa, u64 size)
{
	int level = format->largest;

	while (level > 0 && (((gpa | hpa) & (TDP_LEVEL_SIZE(level) - 1)) || size < TDP_LEVEL_SIZE(level)))
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
		entry = &table[gpa >> TDP_LEVEL_SHIFT(at) & 511];
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

/* A table of the next level, which maps what the entry maps: a larger page, or nothing. */
static u64 *table_below(struct vm *vm, const struct tdp_format *format, u64 entry, int level)
{
	hpa_t hpa = entry & TDP_ADDRESS & ~(TDP_LEVEL_SIZE(level) - 1);
	u64 *table = new_table(vm);

	for (u64 i = 0; table && entry && i < 512; i++)
		table[i] = page_entry(format, hpa + i * TDP_LEVEL_SIZE(level - 1), level - 1);
	return table;
}

int tdp_expand(struct vm *vm, const struct tdp_format *format, gpa_t gpa, int level, u64 *entry)
{
	u64 top = *entry, *at = &top;

	for (int below = level; below > 0; below--) {
		u64 *table = table_below(vm, format, *at, below);

		if (!table) {
			if (below < level)
				free_table(vm, entry_table(top), level - 1);
			return -ENOMEM;
		}
		*at = virt_to_phys(table) | format->table_bits;
		at = &table[gpa >> TDP_LEVEL_SHIFT(below - 1) & 511];
	}
	*entry = top;
	return 0;
}

int tdp_split(struct vm *vm, const struct tdp_format *format, gpa_t gpa)
{
	u64 *place, entry;
	int level, error;

	if (gpa >> TDP_LEVEL_SHIFT(TDP_LEVELS))
		return -ENOENT;
	place = tdp_place(vm, gpa, &level, &entry);
	if (!entry)
		return -ENOENT;
	error = tdp_expand(vm, format, gpa, level, &entry);
	/* Processors walk the tables at any time: never let them find one that is not filled. */
	if (!error && level)
		__atomic_store_n(place, entry, __ATOMIC_RELEASE);
	return error;
}

int tdp_map(struct vm *vm, const struct tdp_format *format, gpa_t gpa, hpa_t hpa, u64 size)
{
	while (size) {
		int level = largest_level(format, gpa, hpa, size);
		int error = map_page(vm, format, gpa, hpa, level);

		if (error)
			return error;
		gpa += TDP_LEVEL_SIZE(level);
		hpa += TDP_LEVEL_SIZE(level);
		size -= TDP_LEVEL_SIZE(level);
	}
	return 0;
}

/* The tables may change meanwhile, by another CPU. No table is freed while the VM runs. */
u64 *tdp_place(const struct vm *vm, gpa_t gpa, int *level, u64 *entry)
{
	u64 *place, *table = phys_to_virt(vm->tdp_root);

	for (*level = TDP_LEVELS - 1;; --*level) {
		place = &table[gpa >> TDP_LEVEL_SHIFT(*level) & 511];
		*entry = __atomic_load_n(place, __ATOMIC_ACQUIRE);
		if (!*level || !*entry || (*entry & TDP_LARGE))
			return place;
		table = entry_table(*entry);
	}
}

u64 tdp_entry(const struct vm *vm, gpa_t gpa, int *level)
{
	u64 entry;

	*level = TDP_LEVELS - 1;
	if (gpa >> TDP_LEVEL_SHIFT(TDP_LEVELS))
		return 0;
	tdp_place(vm, gpa, level, &entry);
	return entry;
}

int tdp_translate(const struct vm *vm, gpa_t gpa, hpa_t *hpa)
{
	int level;
	u64 entry = tdp_entry(vm, gpa, &level), offset = TDP_LEVEL_SIZE(level) - 1;

	if (!entry)
		return -ENOENT;
	*hpa = (entry & TDP_ADDRESS & ~offset) | (gpa & offset);
	return 0;
}
