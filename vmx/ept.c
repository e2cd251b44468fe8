/* SPDX-License-Identifier: MIT */
/* Extended page tables, four levels. Intel SDM, "The Extended Page Table Mechanism (EPT)". */
#include "arch/memory.h"
#include "arch/panic.h"
#include "vmx/vmx.h"

#define LEVELS 4
#define LEVEL_SHIFT(level) (PAGE_SHIFT + 9 * (level))	/* level 0 maps 4 KiB */
#define LEVEL_SIZE(level)  (1ull << LEVEL_SHIFT(level))

#define EPT_RWX	       7ull
#define EPT_TYPE_WB    (6ull << 3)
#define EPT_IGNORE_PAT BIT_ULL(6)
#define EPT_LARGE      BIT_ULL(7)
#define EPT_ADDRESS    0x000ffffffffff000ull

/*
 * RAM is write-back whatever the guest's PAT says: Lamina has it mapped so as well, and no device
 * looks at it past the caches.
 */
#define EPT_PAGE (EPT_RWX | EPT_TYPE_WB | EPT_IGNORE_PAT)

#define EPTP_TYPE_WB 6ull
#define EPTP_WALK_4  (3ull << 3)

static u64 *new_table(struct vm *vm)
{
	u64 *table = page_alloc();

	if (table)
		vm->nested_pages++;
	return table;
}

static u64 *entry_table(u64 entry)
{
	return phys_to_virt(entry & EPT_ADDRESS);
}

int ept_create(struct vm *vm)
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
		if (table[i] && !(table[i] & EPT_LARGE))
			free_table(entry_table(table[i]), level - 1);
	}
	page_free(table);
}

void ept_destroy(struct vm *vm)
{
	if (vm->nested_root)
		free_table(phys_to_virt(vm->nested_root), LEVELS - 1);
	vm->nested_root = 0;
	vm->nested_pages = 0;
}

static int largest_level(gpa_t gpa, hpa_t hpa, u64 size)
{
	int level = vmx_caps.ept_vpid & EPT_PAGES_1G ? 2 : vmx_caps.ept_vpid & EPT_PAGES_2M ? 1 : 0;

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
			*entry = virt_to_phys(next) | EPT_RWX;
		}
		table = entry_table(*entry);
	}
	*entry = hpa | EPT_PAGE | (level ? EPT_LARGE : 0);
	return 0;
}

int ept_map(struct vm *vm, gpa_t gpa, hpa_t hpa, u64 size)
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

u64 ept_pointer(const struct vm *vm)
{
	return vm->nested_root | EPTP_TYPE_WB | EPTP_WALK_4;
}

u64 ept_entry(const struct vm *vm, gpa_t gpa, int *level)
{
	const u64 *table = phys_to_virt(vm->nested_root);

	for (*level = LEVELS - 1;; --*level) {
		u64 entry = table[gpa >> LEVEL_SHIFT(*level) & 511];

		if (!*level || !entry || (entry & EPT_LARGE))
			return entry;
		table = entry_table(entry);
	}
}

/* SDM, "INVEPT - Invalidate Translations Derived from EPT" */
void ept_flush(const struct vm *vm)
{
	const struct {
		u64 eptp, reserved;
	} descriptor = { ept_pointer(vm), 0 };
	const u64 single = 1, all = 2;
	bool done;

	__asm__ volatile("invept %1, %2"
			 : "=@cca"(done)
			 : "m"(descriptor),
			   "r"(vmx_caps.ept_vpid & EPT_INVEPT_SINGLE ? single : all)
			 : "memory");
	BUG_ON(!done);
}
