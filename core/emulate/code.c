/* SPDX-License-Identifier: MIT */
/* Find code in guest RAM on the fast path. Intel SDM, "4-Level Paging and 5-Level Paging". */
#include "core/emulate/code.h"

#include "arch/cpu/x86.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define TOP_LEVEL   39		/* the lowest bit of its index */
#define LAST_LEVEL  12
#define PER_LEVEL   9

/* Only RAM between the VGA hole and the hole below 4 GiB, where nearly all tables and code are. NULL: elsewhere. */
static inline const void *in_plain_ram(const struct vm *vm, gpa_t gpa, u64 size)
{
	if (unlikely(gpa - GUEST_VGA_HOLE_END > vm->mem.low_size - GUEST_VGA_HOLE_END - size))
		return NULL;
	return guest_window(gpa);
}

static inline bool walk(const struct vm *vm, u64 entry, gva_t gva, gpa_t *gpa)
{
	const u64 *table;

#pragma GCC unroll 4
	for (unsigned shift = TOP_LEVEL; shift >= LAST_LEVEL; shift -= PER_LEVEL) {
		table = in_plain_ram(vm, entry & PTE_ADDRESS, PAGE_SIZE);
		if (unlikely(!table))
			return false;
		entry = __atomic_load_n(&table[gva >> shift & 511], __ATOMIC_RELAXED);
		if (unlikely(!(entry & PTE_PRESENT)))
			return false;
		if (shift == LAST_LEVEL || (shift != TOP_LEVEL && (entry & PTE_LARGE))) {
			u64 offset = (1ull << shift) - 1;

			*gpa = (entry & PTE_ADDRESS & ~offset) | (gva & offset);
			return true;
		}
	}
	return false;
}

const u8 *code_at(const struct vm *vm, const struct code_view *view, u64 rip)
{
	gva_t gva = view->cs_base + rip;
	gpa_t gpa;

	if (view->mode != INSN_MODE_64)
		gva = (u32)gva;
	gpa = gva;
	if (unlikely((gva & ~PAGE_MASK) > PAGE_SIZE - INSN_MAX_LENGTH || view->paging == CODE_OTHER_PAGING ||
		     vm->mem.damaged_count))
		return NULL;
	if (view->paging == CODE_4_LEVEL && !walk(vm, view->cr3, gva, &gpa))
		return NULL;
	return in_plain_ram(vm, gpa, INSN_MAX_LENGTH);
}
