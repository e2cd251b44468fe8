/* SPDX-License-Identifier: MIT */
/* Changing the nested page tables of a VM that runs. */
#include "core/mem/tdp_change.h"

#include "arch/cpu/cpu.h"
#include "arch/mem/memory.h"
#include "core/mem/tdp_flush.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/errno.h"

struct change {
	enum { UNMAP, PROTECT, REMAP } kind;
	bool writable;
	hpa_t hpa;	/* REMAP: of the first page of the range that is still to be changed */
};

/* What the entry of the page with this number, counted from there, is to become. */
static u64 changed(const struct tdp_format *format, const struct change *change, u64 old, u64 page)
{
	u64 entry = change->kind == REMAP ? (change->hpa + page * PAGE_SIZE) | format->page_bits :
		    change->kind == PROTECT ? old : 0;

	return !entry || change->writable ? entry | (entry ? TDP_WRITABLE : 0) : entry & ~TDP_WRITABLE;
}

/* --- one at a time --- */

/* Whoever waits may be what the other waits for. */
static void begin(struct vm *vm)
{
	while (__atomic_exchange_n(&vm->tdp_changing, true, __ATOMIC_ACQUIRE)) {
		tdp_flush_answer();
		cpu_relax();
	}
}

static void end(struct vm *vm)
{
	__atomic_store_n(&vm->tdp_changing, false, __ATOMIC_RELEASE);
}

/* --- the entries --- */

/* Entries of 4 KiB, in one table. */
struct piece {
	gpa_t gpa;
	unsigned count;
	/* Where the tables end: at the first of these entries, or at one that maps them all, or nothing. */
	u64 *place;
	u64 entry;	/* what that has to hold in the end; of a table, if the tables ended too early */
	int level;
};

static u64 *first_entry(const struct piece *piece)
{
	u64 entry = piece->entry, *at = piece->place;

	for (int level = piece->level; level-- > 0; entry = *at)
		at = (u64 *)phys_to_virt(entry & TDP_ADDRESS) + (piece->gpa >> TDP_LEVEL_SHIFT(level) & 511);
	return at;
}

/* Does a processor that still has `old` do anything that `new` forbids? */
static bool is_stale(u64 old, u64 new)
{
	return old && (((old ^ new) & TDP_ADDRESS) || (old & ~new));
}

/*
 * Take away what is to go, and all else in tables that nothing refers to yet. True: there may be stale
 * translations, and only after a flush finish_piece() may store what replaces them.
 */
static bool change_piece(const struct tdp_format *format, const struct change *change, const struct piece *piece)
{
	u64 *entries = first_entry(piece);
	bool stale = piece->level && *piece->place;

	for (unsigned i = 0; i < piece->count; i++) {
		u64 new = changed(format, change, entries[i], i);

		if (!piece->level && is_stale(entries[i], new)) {
			stale = true;
			if (change->kind == REMAP)
				new = 0;
		}
		__atomic_store_n(&entries[i], new, __ATOMIC_RELEASE);
	}
	if (piece->level)
		__atomic_store_n(piece->place, 0, __ATOMIC_RELEASE);
	return stale;
}

static void finish_piece(const struct tdp_format *format, const struct change *change, const struct piece *piece)
{
	u64 *entries = first_entry(piece);

	if (piece->level)
		__atomic_store_n(piece->place, piece->entry, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < piece->count && change->kind == REMAP && !piece->level; i++)
		__atomic_store_n(&entries[i], changed(format, change, 0, i), __ATOMIC_RELEASE);
}

/* The VM lock protects the tables; nobody else changes this piece until the end of the change. */
static int change_within_table(struct vm *vm, const struct tdp_format *format, const struct change *change,
			       struct piece *piece)
{
	int error = 0;
	bool stale;

	vm_lock(vm);
	piece->place = tdp_place(vm, piece->gpa, &piece->level, &piece->entry);
	if (piece->level && !piece->entry && change->kind != REMAP) {
		vm_unlock(vm);
		return 0;
	}
	if (piece->level)
		error = tdp_expand(vm, format, piece->gpa, piece->level, &piece->entry);
	stale = !error && change_piece(format, change, piece);
	vm_unlock(vm);
	if (error)
		return error;
	if (stale)
		error = tdp_flush(vm);
	vm_lock(vm);
	finish_piece(format, change, piece);
	vm_unlock(vm);
	return error;
}

static int change_range(struct vm *vm, gpa_t gpa, u64 size, struct change change)
{
	struct tdp_format format;
	int error = 0;

	vm->ops->tdp_format(vm, &format);
	begin(vm);
	for (u64 done = 0, bytes; done < size && error != -ENOMEM; done += bytes) {
		struct piece piece = { .gpa = gpa + done };
		int result;

		bytes = MIN(size - done, TDP_LEVEL_SIZE(TDP_2M) - (piece.gpa & (TDP_LEVEL_SIZE(TDP_2M) - 1)));
		piece.count = (unsigned)(bytes / PAGE_SIZE);
		result = change_within_table(vm, &format, &change, &piece);
		if (result)
			error = result;
		change.hpa += bytes;
	}
	end(vm);
	return error;
}

int tdp_unmap(struct vm *vm, gpa_t gpa, u64 size)
{
	return change_range(vm, gpa, size, (struct change){ .kind = UNMAP });
}

int tdp_protect(struct vm *vm, gpa_t gpa, u64 size, bool writable)
{
	return change_range(vm, gpa, size, (struct change){ .kind = PROTECT, .writable = writable });
}

int tdp_remap(struct vm *vm, gpa_t gpa, hpa_t hpa, u64 size, bool writable)
{
	return change_range(vm, gpa, size, (struct change){ .kind = REMAP, .writable = writable, .hpa = hpa });
}

bool tdp_change_explains(const struct vm *vm, gpa_t gpa, bool write)
{
	int level;
	u64 entry;

	/* In this order: what is no longer changing has been changed. */
	if (__atomic_load_n(&vm->tdp_changing, __ATOMIC_ACQUIRE))
		return true;
	entry = tdp_entry(vm, gpa, &level);
	return entry && (!write || (entry & TDP_WRITABLE));
}
