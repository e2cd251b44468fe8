/* SPDX-License-Identifier: MIT */
/*
 * Fast path: find the instruction that the vCPU has just executed in guest RAM, without side effects.
 * It knows code without paging and 4-level paging; core/emulate/gwalk.c handles everything else.
 * Intel SDM, "4-Level Paging and 5-Level Paging".
 */
#pragma once

#include "arch/cpu/x86.h"
#include "core/vm.h"
#include "lib/insn.h"
#include "lib/types.h"

enum code_paging { CODE_UNPAGED, CODE_4_LEVEL, CODE_OTHER_PAGING };

/* All that code_at() needs of the vCPU, filled in by one call of vcpu_ops.code_view(). */
struct code_view {
	u8 mode;	/* enum insn_mode */
	u8 paging;	/* enum code_paging */
	u64 cr3;	/* for CODE_4_LEVEL; else it means nothing, but has a value */
	u64 cs_base;	/* 0 in 64-bit mode */
};

/* The way to an instruction: the guest's entries that lead to it, and its bytes. */
#define CODE_LEVELS    4
#define CODE_TOP_LEVEL 39	/* the lowest bit of its index */
struct code_path {
	const u64 *tables[CODE_LEVELS];	/* in the guest window; levels that there are not point to entries[] */
	u64 entries[CODE_LEVELS];	/* what they contained */
	u64 cr3;		/* with which they were found */
	const u8 *code;			/* INSN_MAX_LENGTH bytes, in the guest window */
};

/* The instruction's linear address, by which its page is found. */
static inline gva_t code_address(const struct code_view *view, u64 rip)
{
	gva_t gva = view->cs_base + rip;

	return view->mode == INSN_MODE_64 ? gva : (u32)gva;
}

/* code_at() with the way to it, in *path. False: as NULL. */
bool code_find(const struct vm *vm, const struct code_view *view, u64 rip, struct code_path *path);

/* Only RAM between the VGA hole and the hole below 4 GiB, where nearly all tables and code are. */
static inline bool code_is_plain_ram(const struct vm *vm, gpa_t gpa, u64 size)
{
	return likely(gpa - GUEST_VGA_HOLE_END <= vm->mem.low_size - GUEST_VGA_HOLE_END - size);
}

/* A pointer to it. NULL: elsewhere. */
static inline const void *code_in_plain_ram(const struct vm *vm, gpa_t gpa, u64 size)
{
	return code_is_plain_ram(vm, gpa, size) ? guest_window(gpa) : NULL;
}

/*
 * With the same mode, paging and linear address as at code_find(): would it find the same again? CR3 may be another one:
 * many tables of a guest lead to its kernel by the same entries.
 */
static inline bool code_path_holds(const struct vm *vm, const struct code_view *view, gva_t gva,
				   const struct code_path *path)
{
	const u64 *top = path->tables[0];
	u64 changed;

	if (unlikely(vm->mem.damaged_count))
		return false;
	if (view->paging != CODE_4_LEVEL)
		return true;
	if (unlikely(view->cr3 != path->cr3)) {
		top = code_in_plain_ram(vm, view->cr3 & PTE_ADDRESS, PAGE_SIZE);
		if (unlikely(!top))
			return false;
		top += gva >> CODE_TOP_LEVEL & 511;
	}
	changed = __atomic_load_n(top, __ATOMIC_RELAXED) ^ path->entries[0];
#pragma GCC unroll 3
	for (unsigned i = 1; i < CODE_LEVELS; i++)
		changed |= __atomic_load_n(path->tables[i], __ATOMIC_RELAXED) ^ path->entries[i];
	return likely(!changed);
}

/*
 * Pointer to the instruction at `rip` in the guest window of the VM's address space, which must be the
 * one in use. NULL: the INSN_MAX_LENGTH bytes from it are not in one page of RAM, or the slow path
 * has to find them. The processor has just fetched the instruction, so access rights and limits are not
 * checked again, and no accessed flags are set. The guest may change the bytes at any time: read them once.
 */
const u8 *code_at(const struct vm *vm, const struct code_view *view, u64 rip);
