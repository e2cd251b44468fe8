/* SPDX-License-Identifier: MIT */
/* Nested page tables: four levels in the host's own format. AMD APM vol. 2, "Nested Paging". */
#include "arch/cpufeature.h"
#include "arch/x86.h"
#include "svm/svm.h"

#define LEVELS 4
#define LEVEL_SHIFT(level) (PAGE_SHIFT + 9 * (level))	/* level 0 maps 4 KiB */
#define LEVEL_SIZE(level)  (1ull << LEVEL_SHIFT(level))

/* Nested walks are user accesses, and A/D bits are the processor's to set. */
#define TABLE_BITS (PTE_PRESENT | PTE_WRITE | PTE_USER)

static u64 *new_table(struct vm *vm)
{
	u64 *table = page_alloc();

	if (table)
		vm->nested_pages++;
	return table;
}

static u64 *entry_table(u64 entry)
{
	return phys_to_virt(entry & PTE_ADDRESS);
}

int npt_create(struct vm *vm)
{
	u64 *root = new_table(vm);

	if (!root)
		return -ENOMEM;
	vm->nested_root = virt_to_phys(root);
	return 0;
}

static void free_table(u64 *table, int level)
{
	for (int i = 0; level > 0 && i < 512; i++) {
		if ((table[i] & PTE_PRESENT) && !(table[i] & PTE_LARGE))
			free_table(entry_table(table[i]), level - 1);
	}
	page_free(table);
}

void npt_destroy(struct vm *vm)
{
	if (vm->nested_root)
		free_table(phys_to_virt(vm->nested_root), LEVELS - 1);
	vm->nested_root = 0;
	vm->nested_pages = 0;
}

static int largest_level(gpa_t gpa, hpa_t hpa, u64 size)
{
	int level = cpu_features.pages_1g ? 2 : 1;

	while (level > 0 && (((gpa | hpa) & (LEVEL_SIZE(level) - 1)) || size < LEVEL_SIZE(level)))
		level--;
	return level;
}

static int map_page(struct vm *vm, gpa_t gpa, hpa_t hpa, int level)
{
	u64 *table = phys_to_virt(vm->nested_root);
	u64 *entry;

	for (int at = LEVELS - 1;; at--) {
		entry = &table[gpa >> LEVEL_SHIFT(at) & 511];
		if (at == level)
			break;
		if (!*entry) {
			u64 *next = new_table(vm);

			if (!next)
				return -ENOMEM;
			*entry = virt_to_phys(next) | TABLE_BITS;
		}
		table = entry_table(*entry);
	}
	*entry = hpa | TABLE_BITS | (level ? PTE_LARGE : 0);
	return 0;
}

int npt_map(struct vm *vm, gpa_t gpa, hpa_t hpa, u64 size)
{
	while (size) {
		int level = largest_level(gpa, hpa, size);
		int error = map_page(vm, gpa, hpa, level);

		if (error)
			return error;
		gpa += LEVEL_SIZE(level);
		hpa += LEVEL_SIZE(level);
		size -= LEVEL_SIZE(level);
	}
	return 0;
}
