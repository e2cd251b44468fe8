/* SPDX-License-Identifier: MIT */
/* Find code in guest RAM on the fast path. Intel SDM, "4-Level Paging and 5-Level Paging". */
#include "core/emulate/code.h"


#define LAST_LEVEL  12
#define PER_LEVEL   9

/* `path` gets the entries; NULL: they are not asked for. */
static __always_inline bool walk(const struct vm *vm, u64 entry, gva_t gva, gpa_t *gpa, struct code_path *path)
{
	const u64 *table;
	unsigned level = 0;

#pragma GCC unroll 4
	for (unsigned shift = CODE_TOP_LEVEL; shift >= LAST_LEVEL; shift -= PER_LEVEL, level++) {
		table = code_in_plain_ram(vm, entry & PTE_ADDRESS, PAGE_SIZE);
		if (unlikely(!table))
			return false;
		table += gva >> shift & 511;
		entry = __atomic_load_n(table, __ATOMIC_RELAXED);
		if (path) {
			path->tables[level] = table;
			path->entries[level] = entry;
		}
		if (unlikely(!(entry & PTE_PRESENT)))
			return false;
		if (shift == LAST_LEVEL || (shift != CODE_TOP_LEVEL && (entry & PTE_LARGE))) {
			u64 offset = (1ull << shift) - 1;

			*gpa = (entry & PTE_ADDRESS & ~offset) | (gva & offset);
			return true;
		}
	}
	return false;
}

static __always_inline const u8 *find(const struct vm *vm, const struct code_view *view, u64 rip, struct code_path *path)
{
	gva_t gva = code_address(view, rip);
	gpa_t gpa = gva;

	if (unlikely((gva & ~PAGE_MASK) > PAGE_SIZE - INSN_MAX_LENGTH || view->paging == CODE_OTHER_PAGING ||
		     vm->mem.damaged_count))
		return NULL;
	if (view->paging == CODE_4_LEVEL && !walk(vm, view->cr3, gva, &gpa, path))
		return NULL;
	return code_in_plain_ram(vm, gpa, INSN_MAX_LENGTH);
}

const u8 *code_at(const struct vm *vm, const struct code_view *view, u64 rip)
{
	return find(vm, view, rip, NULL);
}

bool code_find(const struct vm *vm, const struct code_view *view, u64 rip, struct code_path *path)
{
	for (unsigned i = 0; i < CODE_LEVELS; i++) {
		path->entries[i] = 0;
		path->tables[i] = &path->entries[i];
	}
	path->cr3 = view->cr3;
	path->code = find(vm, view, rip, path);
	return path->code;
}
