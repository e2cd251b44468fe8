/* SPDX-License-Identifier: MIT */
/* The tables that the hardware uses while L2 runs. */
#include "core/mem/shadow.h"

#include "arch/fault/panic.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/mem/tdp.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vm_alloc.h"
#include "lib/errno.h"
#include "lib/string.h"

#define NO_PAGE	   (~0u)
#define SPARE	   32u	/* pages besides the roots: one walk takes 3 */
#define PAGES_MAX  2048u

/* A page for a table, in the list of the root that uses it, or in that of the free ones. */
struct page {
	u64 *table;
	u32 next;
};

struct root {
	struct nested_tables tables;
	bool used;
	bool flush;		/* the processor may have cached what is no longer there */
	u32 first, last;	/* pages, besides the root's own */
	u64 *table;		/* the root's own page, always the same */
	u64 last_use;
};

struct shadow {
	struct vcpu *vcpu;
	const struct shadow_format *format;
	struct root roots[SHADOW_ROOTS];
	struct root *current;
	u64 uses;
	u32 free;		/* the first free page */
	u32 page_count;
	struct page pages[];
};

/* --- pages --- */

unsigned shadow_pages(u64 memory)
{
	return (unsigned)MIN(memory / MIB(2) + SHADOW_ROOTS + SPARE, (u64)PAGES_MAX);
}

static bool take_pages(struct shadow *shadow, unsigned count)
{
	for (unsigned i = 0; i < SHADOW_ROOTS; i++) {
		struct root *root = &shadow->roots[i];

		root->table = page_alloc();
		if (!root->table)
			return false;
		root->first = NO_PAGE;
		/* The page may have been a table of another VM. */
		root->flush = true;
	}
	shadow->free = NO_PAGE;
	for (u32 i = 0; i < count; i++) {
		struct page *page = &shadow->pages[i];

		page->table = page_alloc();
		if (!page->table)
			return false;
		shadow->page_count++;
		page->next = shadow->free;
		shadow->free = i;
	}
	return true;
}

struct shadow *shadow_create(struct vcpu *vcpu, const struct shadow_format *format, unsigned pages)
{
	unsigned count = pages - SHADOW_ROOTS;
	struct shadow *shadow;

	BUG_ON(pages < SHADOW_ROOTS + SPARE);
	shadow = vm_alloc(vcpu->vm, sizeof(*shadow) + count * sizeof(shadow->pages[0]));
	if (!shadow)
		return NULL;
	shadow->vcpu = vcpu;
	shadow->format = format;
	if (take_pages(shadow, count))
		return shadow;
	shadow_destroy(shadow);
	return NULL;
}

void shadow_destroy(struct shadow *shadow)
{
	if (!shadow)
		return;
	for (unsigned i = 0; i < SHADOW_ROOTS && shadow->roots[i].table; i++)
		page_free(shadow->roots[i].table);
	for (u32 i = 0; i < shadow->page_count; i++)
		page_free(shadow->pages[i].table);
}

/* NULL: none is free. */
static u64 *new_table(struct shadow *shadow, struct root *root)
{
	u32 i = shadow->free;
	struct page *page = &shadow->pages[i];

	if (i == NO_PAGE)
		return NULL;
	shadow->free = page->next;
	if (root->first == NO_PAGE)
		root->last = i;
	page->next = root->first;
	root->first = i;
	memset(page->table, 0, PAGE_SIZE);
	return page->table;
}

/* Empty it. Others may use its pages before it is flushed: the processor reads no table of a root not in use. */
static void drop(struct shadow *shadow, struct root *root)
{
	if (root->first == NO_PAGE)
		return;
	shadow->pages[root->last].next = shadow->free;
	shadow->free = root->first;
	root->first = NO_PAGE;
	memset(root->table, 0, PAGE_SIZE);
	root->flush = true;
}

/* --- roots --- */

/* Eight bytes a step. */
static bool same_tables(const struct nested_tables *a, const struct nested_tables *b)
{
	const u64 *words_a = (const u64 *)a, *words_b = (const u64 *)b;
	u64 differ = 0;

	for (unsigned i = 0; i < sizeof(*a) / sizeof(u64); i++)
		differ |= words_a[i] ^ words_b[i];
	return !differ;
}

static struct root *find(struct shadow *shadow, const struct nested_tables *tables)
{
	struct root *oldest = &shadow->roots[0];

	for (unsigned i = 0; i < SHADOW_ROOTS; i++) {
		struct root *root = &shadow->roots[i];

		if (root->used && same_tables(&root->tables, tables))
			return root;
		if (root->last_use < oldest->last_use)
			oldest = root;
	}
	drop(shadow, oldest);
	oldest->tables = *tables;
	oldest->used = true;
	return oldest;
}

hpa_t shadow_use(struct shadow *shadow, const struct nested_tables *tables)
{
	struct root *root = find(shadow, tables);

	if (root != shadow->current && shadow->format->flush_on_switch)
		root->flush = true;
	root->last_use = ++shadow->uses;
	shadow->current = root;
	return virt_to_phys(root->table);
}

void shadow_drop_root(struct shadow *shadow, gpa_t root)
{
	for (unsigned i = 0; i < SHADOW_ROOTS; i++)
		if (shadow->roots[i].tables.root == root)
			drop(shadow, &shadow->roots[i]);
}

void shadow_drop_tag(struct shadow *shadow, u32 tag)
{
	for (unsigned i = 0; i < SHADOW_ROOTS; i++)
		if (shadow->roots[i].tables.tag == tag)
			drop(shadow, &shadow->roots[i]);
}

void shadow_drop_all(struct shadow *shadow)
{
	for (unsigned i = 0; i < SHADOW_ROOTS; i++)
		drop(shadow, &shadow->roots[i]);
}

bool shadow_flush_due(struct shadow *shadow)
{
	bool due = shadow->current->flush;

	shadow->current->flush = false;
	return due;
}

void shadow_flush_all(struct shadow *shadow)
{
	for (unsigned i = 0; i < SHADOW_ROOTS; i++)
		shadow->roots[i].flush = true;
}

/* --- entries --- */

static bool is_table(u64 entry)
{
	return entry && !(entry & TDP_LARGE);
}

/* Rights that an entry grants, the VM's own or one of a shadow: the formats are the same. */
static u8 rights(const struct shadow_format *format, u64 entry)
{
	u8 granted = 0;

	if (!format->read || (entry & format->read))
		granted |= NESTED_READ;
	if (!format->write || (entry & format->write))
		granted |= NESTED_WRITE;
	if ((!format->execute || (entry & format->execute)) && !(entry & format->no_execute))
		granted |= NESTED_EXECUTE;
	return granted;
}

static u64 page_entry(const struct shadow_format *format, hpa_t hpa, int level, u8 granted)
{
	u64 entry = hpa | format->page_bits | (level ? TDP_LARGE : 0);

	if (!(granted & NESTED_READ))
		entry &= ~format->read;
	if (!(granted & NESTED_WRITE))
		entry &= ~format->write;
	if (!(granted & NESTED_EXECUTE))
		entry = (entry & ~format->execute) | format->no_execute;
	return entry;
}

/*
 * The entry for a page of `level`, or of a smaller one where there is a table already. A larger page makes room
 * for a table: what the processor has cached of it stays correct until it is flushed, but the same address must not
 * be cached in two sizes. NULL: no page is free.
 */
static u64 *make_room(struct shadow *shadow, struct root *root, gpa_t gpa, int *level)
{
	u64 *table = root->table, *entry;

	for (int at = TDP_LEVELS - 1;; at--) {
		entry = &table[gpa >> TDP_LEVEL_SHIFT(at) & 511];
		if (at == 0 || (at <= *level && !is_table(*entry))) {
			*level = at;
			return entry;
		}
		if (!is_table(*entry)) {
			table = new_table(shadow, root);
			if (!table)
				return NULL;
			root->flush |= *entry != 0;
			*entry = virt_to_phys(table) | shadow->format->table_bits;
		}
		table = phys_to_virt(*entry & TDP_ADDRESS);
	}
}

static int map(struct shadow *shadow, struct root *root, gpa_t gpa, hpa_t hpa, int level, u8 granted)
{
	const struct shadow_format *format = shadow->format;
	u64 *entry = make_room(shadow, root, gpa, &level);

	if (!entry)
		return -ENOMEM;
	hpa &= ~(TDP_LEVEL_SIZE(level) - 1);
	/* Rights that are added need no flush: the processor has forgotten the entry at its fault, or looks again. */
	if (*entry && ((*entry & TDP_ADDRESS) != hpa || (rights(format, *entry) & ~granted)))
		root->flush = true;
	*entry = page_entry(format, hpa, level, granted);
	return 0;
}

static int level_of(unsigned page_shift)
{
	return page_shift >= TDP_LEVEL_SHIFT(TDP_1G) ? TDP_1G : page_shift >= TDP_LEVEL_SHIFT(TDP_2M) ? TDP_2M : TDP_4K;
}

/* The VM's own entry for the page; 0: not RAM. -ENOMEM if it cannot be made executable. */
static int own_entry(struct vm *vm, const struct shadow_format *format, gpa_t gpa, u32 access, u64 *entry, int *level)
{
	int error;

	*entry = tdp_entry(vm, gpa, level);
	if (!*entry || !(access & NESTED_EXECUTE) || (rights(format, *entry) & NESTED_EXECUTE))
		return 0;
	error = vm->ops->vm_make_executable ? vm->ops->vm_make_executable(vm, gpa) : -ENOENT;
	*entry = tdp_entry(vm, gpa, level);
	return error;
}

enum shadow_result shadow_fill(struct shadow *shadow, gpa_t l2_gpa, u32 access, struct nested_walk *walk)
{
	struct vm *vm = shadow->vcpu->vm;
	struct root *root = shadow->current;
	int own_level, level;
	u64 own;
	hpa_t hpa;
	u8 granted;
	bool to_rom;	/* a firmware's */

	nested_walk(vm, &root->tables, l2_gpa, access, walk);
	if (walk->cause == NESTED_CHANGING)
		return SHADOW_FILLED;
	if (walk->cause != NESTED_ALLOWED)
		return SHADOW_REFUSED;
	if (own_entry(vm, shadow->format, walk->gpa, access, &own, &own_level))
		return SHADOW_FAILED;
	to_rom = (walk->access & NESTED_WRITE) && !(rights(shadow->format, own) & NESTED_WRITE);
	/* Addresses beyond what the hardware's four levels translate are only possible with five of NPT. */
	if (!own || to_rom || l2_gpa >> TDP_LEVEL_SHIFT(TDP_LEVELS))
		return SHADOW_DEVICE;

	level = MIN(own_level, level_of(walk->page_shift));
	hpa = (own & TDP_ADDRESS & ~(TDP_LEVEL_SIZE(own_level) - 1)) | (walk->gpa & (TDP_LEVEL_SIZE(own_level) - 1));
	granted = walk->cached & rights(shadow->format, own);
	if (map(shadow, root, l2_gpa, hpa, level, granted)) {
		shadow_drop_all(shadow);
		BUG_ON(map(shadow, root, l2_gpa, hpa, level, granted));
	}
	return SHADOW_FILLED;
}
