/* SPDX-License-Identifier: MIT */
/* Walks of the tables with which a hypervisor in a guest translates its own guest's physical addresses. */
#include "core/mem/nested_walk.h"

#include "arch/cpu/x86.h"
#include "core/mem/guest_mem.h"

#define NESTED_LEVELS_MAX 5
#define NESTED_RETRIES	  8	/* how often a walk is tried while other CPUs change its entries */

#define EPT_LARGE    BIT_ULL(7)
#define EPT_ACCESSED BIT_ULL(8)
#define EPT_DIRTY    BIT_ULL(9)
#define EPT_TYPE(entry) ((entry) >> 3 & 7)

struct state {
	const struct vm *vm;
	const struct nested_tables *tables;
	gpa_t l2_gpa;
	void *where[NESTED_LEVELS_MAX + 1];	/* by level, from 1 */
	u64 value[NESTED_LEVELS_MAX + 1];
};

/* A mask of bits `first` to `last`; 0 if last < first. */
static u64 bits(unsigned first, unsigned last)
{
	return last < first ? 0 : (~0ull >> (63 - last)) & (~0ull << first);
}

static bool wide_entries(const struct nested_tables *t)
{
	return t->format != NESTED_LEGACY;
}

static unsigned index_bits(const struct nested_tables *t)
{
	return wide_entries(t) ? 9 : 10;
}

static unsigned page_shift(const struct nested_tables *t, unsigned level)
{
	return PAGE_SHIFT + (level - 1) * index_bits(t);
}

/* PAE's top level has four pointers, without rights and without an accessed flag. */
static bool is_pae_pointer(const struct nested_tables *t, unsigned level)
{
	return t->format == NESTED_PAE && level == 3;
}

/* The width of the addresses that the tables translate. */
static unsigned input_bits(const struct nested_tables *t)
{
	return wide_entries(t) && t->levels > 3 ? page_shift(t, t->levels + 1u) : 32;
}

/* May an entry of this level map a page, if its bit 7 is set? */
static bool may_be_large(const struct nested_tables *t, unsigned level)
{
	if (level == 2)
		return wide_entries(t) || t->page_size;
	return level == 3 && t->format != NESTED_PAE && t->pages_1g;
}

static bool is_leaf(const struct nested_tables *t, unsigned level, u64 entry)
{
	return level == 1 || ((entry & PTE_LARGE) && may_be_large(t, level));
}

/* --- what entries mean --- */

static bool present(const struct nested_tables *t, u64 entry)
{
	return t->format == NESTED_EPT ? entry & NESTED_RIGHTS : entry & PTE_PRESENT;
}

static u8 rights(const struct nested_tables *t, unsigned level, u64 entry)
{
	u8 granted = NESTED_READ;

	if (t->format == NESTED_EPT)
		return entry & NESTED_RIGHTS;
	if (!(entry & PTE_PRESENT))
		return 0;
	if (is_pae_pointer(t, level))
		return NESTED_RIGHTS;
	/* The processor walks nested tables with the rights of user mode. */
	if (!(entry & PTE_USER))
		return 0;
	if (entry & PTE_WRITE)
		granted |= NESTED_WRITE;
	if (!wide_entries(t) || !(entry & PTE_NX))
		granted |= NESTED_EXECUTE;
	return granted;
}

/* SDM, "EPT Misconfigurations" */
static bool malformed_ept(const struct nested_tables *t, unsigned level, u64 entry)
{
	bool leaf = is_leaf(t, level, entry);
	u64 reserved = bits(t->physical_bits, 51);
	unsigned type = EPT_TYPE(entry);

	if ((entry & NESTED_WRITE) && !(entry & NESTED_READ))
		return true;
	if ((entry & NESTED_RIGHTS) == NESTED_EXECUTE && !t->execute_only)
		return true;
	if (leaf && level > 1)
		reserved |= bits(PAGE_SHIFT, page_shift(t, level) - 1);
	else if (!leaf)
		reserved |= bits(3, 6) | EPT_LARGE;
	return (entry & reserved) || (leaf && (type == 2 || type == 3 || type == 7));
}

/* A page of 4 MiB has its address bits 39:32 in bits 20:13. */
static u64 reserved_legacy(const struct nested_tables *t, unsigned level, u64 entry)
{
	if (level == 1 || !is_leaf(t, level, entry))
		return 0;
	return bits((t->physical_bits < 40 ? t->physical_bits : 40u) - 19, 21);
}

/* APM vol. 2, "Page-Translation-Table Entry Fields", and the figures of the entries of each mode. */
static u64 reserved_bits(const struct nested_tables *t, unsigned level, u64 entry)
{
	bool leaf = is_leaf(t, level, entry);
	u64 reserved;

	if (t->format == NESTED_LEGACY)
		return reserved_legacy(t, level, entry);
	if (is_pae_pointer(t, level))
		return bits(t->physical_bits, 63) | bits(5, 8) | bits(1, 2);

	reserved = bits(t->physical_bits, t->format == NESTED_PAE ? 62 : 51);
	if (!t->no_execute)
		reserved |= PTE_NX;
	if (leaf && level > 1)
		reserved |= bits(13, page_shift(t, level) - 1);
	if (!leaf && level > 2)
		reserved |= PTE_LARGE | PTE_GLOBAL;
	return reserved;
}

static bool malformed(const struct nested_tables *t, unsigned level, u64 entry)
{
	if (t->format == NESTED_EPT)
		return malformed_ept(t, level, entry);
	return entry & reserved_bits(t, level, entry);
}

static gpa_t entry_address(const struct nested_tables *t, unsigned level, u64 entry)
{
	unsigned shift = is_leaf(t, level, entry) ? page_shift(t, level) : PAGE_SHIFT;
	gpa_t address = entry & bits(shift, wide_entries(t) ? t->physical_bits - 1 : 31);

	if (!wide_entries(t) && is_leaf(t, level, entry) && level == 2)
		address |= (entry & bits(13, 20)) << 19;
	return address;
}

/* --- the walk --- */

/* False: it is not in RAM. */
static bool read_entry(struct state *s, unsigned level, gpa_t table)
{
	const struct nested_tables *t = s->tables;
	unsigned size = wide_entries(t) ? 8 : 4;
	u64 index = s->l2_gpa >> page_shift(t, level) & bits(0, index_bits(t) - 1);
	void *where = guest_ptr(s->vm, table + index * size, size);

	s->where[level] = where;
	if (!where)
		return false;
	s->value[level] = size == 8 ? __atomic_load_n((u64 *)where, __ATOMIC_RELAXED) :
			  __atomic_load_n((u32 *)where, __ATOMIC_RELAXED);
	return true;
}

static gpa_t top_table(const struct nested_tables *t)
{
	switch (t->format) {
	case NESTED_LEGACY:
		return t->root & bits(12, 31);
	case NESTED_PAE:
		return t->root & bits(5, 31);
	default:
		return t->root & bits(12, t->physical_bits - 1);
	}
}

static enum nested_cause walk_entries(struct state *s, struct nested_walk *walk)
{
	const struct nested_tables *t = s->tables;
	gpa_t table = top_table(t);
	u64 entry;

	walk->rights = NESTED_RIGHTS;
	for (walk->level = t->levels;; walk->level--) {
		if (!read_entry(s, walk->level, table)) {
			walk->rights = 0;
			return NESTED_NOT_PRESENT;
		}
		entry = s->value[walk->level];
		walk->rights &= rights(t, walk->level, entry);
		if (!present(t, entry))
			return NESTED_NOT_PRESENT;
		if (malformed(t, walk->level, entry))
			return NESTED_MALFORMED;
		table = entry_address(t, walk->level, entry);
		if (is_leaf(t, walk->level, entry))
			break;
	}
	walk->page_shift = (u8)page_shift(t, walk->level);
	walk->gpa = table | (s->l2_gpa & bits(0, walk->page_shift - 1));
	return walk->access & ~walk->rights & NESTED_RIGHTS ? NESTED_FORBIDDEN : NESTED_ALLOWED;
}

/* --- accessed and dirty flags --- */

static bool replace(void *where, bool wide, u64 old, u64 new)
{
	u32 narrow = (u32)old;

	if (wide)
		return __atomic_compare_exchange_n((u64 *)where, &old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((u32 *)where, &narrow, (u32)new, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* False if an entry has changed since the walk read it. */
static bool mark_entries(struct state *s, const struct nested_walk *walk)
{
	const struct nested_tables *t = s->tables;
	u64 accessed = t->format == NESTED_EPT ? EPT_ACCESSED : PTE_ACCESSED;
	u64 dirty = t->format == NESTED_EPT ? EPT_DIRTY : PTE_DIRTY;

	for (unsigned level = t->levels; level >= walk->level; level--) {
		u64 old = s->value[level], new = old | accessed;

		if (is_pae_pointer(t, level))
			continue;
		if (level == walk->level && (walk->access & NESTED_WRITE))
			new |= dirty;
		if (new != old && !replace(s->where[level], wide_entries(t), old, new))
			return false;
		s->value[level] = new;
	}
	return true;
}

static bool is_dirty(const struct state *s, const struct nested_walk *walk)
{
	u64 dirty = s->tables->format == NESTED_EPT ? EPT_DIRTY : PTE_DIRTY;

	return s->value[walk->level] & dirty;
}

static bool marks_entries(const struct nested_tables *t)
{
	return t->format != NESTED_EPT || t->accessed_dirty;
}

void nested_walk(const struct vm *vm, const struct nested_tables *tables, gpa_t l2_gpa, u32 access,
		 struct nested_walk *walk)
{
	struct state s = { .vm = vm, .tables = tables, .l2_gpa = l2_gpa };

	*walk = (struct nested_walk){ .access = access & NESTED_RIGHTS, .level = tables->levels };
	if (!walk->access)
		walk->access = NESTED_READ;
	if ((access & NESTED_TABLE) && marks_entries(tables))
		walk->access |= NESTED_WRITE;
	/* More levels than there are: the checks of L1's state let none pass, but this array would not survive it. */
	if (tables->levels > NESTED_LEVELS_MAX || l2_gpa >> input_bits(tables)) {
		walk->cause = NESTED_NOT_PRESENT;
		return;
	}
	for (unsigned i = 0; i < NESTED_RETRIES; i++) {
		walk->cause = walk_entries(&s, walk);
		if (walk->cause != NESTED_ALLOWED)
			return;
		walk->cached = walk->rights;
		if (!marks_entries(tables))
			return;
		if (mark_entries(&s, walk)) {
			if (!is_dirty(&s, walk))
				walk->cached &= ~NESTED_WRITE;
			return;
		}
	}
	walk->cause = NESTED_CHANGING;
}
