/* SPDX-License-Identifier: MIT */
/*
 * Shadow tables: what the hardware finds after a fault of L2 is what L1's tables and the VM's own say together, and
 * nothing that was dropped is used again before a flush. SDM, "EPT Translation Mechanism", "Caching
 * Translation Information"; APM vol. 2, "Nested Paging".
 */
/* link: core/mem/shadow.c core/mem/nested_walk.c core/mem/tdp.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "counted_pages.h"

#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/mem/shadow.h"
#include "core/mem/tdp.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vm_alloc.h"

#define R   NESTED_READ
#define W   NESTED_WRITE
#define X   NESTED_EXECUTE
#define RWX NESTED_RIGHTS

#define EPT_WB	   0x30ull
#define EPT_PAGE   (RWX | EPT_WB)
#define EPT_IPAT   BIT_ULL(6)
#define LARGE	   BIT_ULL(7)
#define NPT_ALL	   7ull
#define NX	   BIT_ULL(63)
#define ADDRESS	   0x000ffffffffff000ull

/* What the hardware is given: rwx, write-back, PAT ignored. */
#define HARDWARE_EPT (EPT_PAGE | EPT_IPAT)

static const struct shadow_format ept_shadow = {
	.table_bits = RWX, .page_bits = HARDWARE_EPT, .read = R, .write = W, .execute = X,
};
static const struct shadow_format npt_shadow = {
	.table_bits = NPT_ALL, .page_bits = NPT_ALL, .read = 1, .write = 2, .no_execute = NX, .flush_on_switch = true,
};
static const struct tdp_format own_ept = { RWX, HARDWARE_EPT, HARDWARE_EPT, TDP_1G };
static const struct tdp_format own_ept_split = { RWX, HARDWARE_EPT, HARDWARE_EPT & ~(u64)X, TDP_1G };
static const struct tdp_format own_npt = { NPT_ALL, NPT_ALL, NPT_ALL, TDP_1G };

#define RAM_SIZE  0x20000
#define RAM_AT	  GIB(8)	/* where the VM's address 0 is */
#define MIN_PAGES 40		/* core/mem/shadow.h */

/* L1's tables: the root, one for each further level, and another one's root. */
enum { TABLE4 = 0x1000, TABLE3 = 0x2000, TABLE2 = 0x3000, TABLE1 = 0x4000, OTHER = 0x5000 };

static _Alignas(16) u8 ram[RAM_SIZE];
static void *memory;
static struct vm vm;
static struct vcpu vcpu = { .vm = &vm };
static struct shadow *shadow;
static struct nested_tables tables;
static struct nested_walk walk;
static hpa_t root;

void panic(const char *format, ...)
{
	fail_msg("panic: %s", format);
	abort();
}

void *guest_ptr(const struct vm *v, gpa_t gpa, u64 size)
{
	return gpa > RAM_SIZE - size ? NULL : ram + gpa;
}

void *vm_alloc(struct vm *v, size_t size)
{
	free(memory);
	memory = calloc(1, size);
	return memory;
}

static int make_executable(struct vm *v, gpa_t gpa)
{
	return tdp_split(v, &own_ept_split, gpa);
}

static const struct vcpu_ops ops = { .vm_make_executable = make_executable };

static u64 *entry(gpa_t table, unsigned index)
{
	return (u64 *)(ram + table) + index;
}

static void create(const struct shadow_format *format, unsigned count)
{
	shadow = shadow_create(&vcpu, format, count);
	assert_non_null(shadow);
	root = shadow_use(shadow, &tables);
	assert_true(shadow_flush_due(shadow));
}

/* L1's address space is its RAM of 8 GiB, unless the test maps something else. */
static int start(void **state)
{
	memset(ram, 0, sizeof(ram));
	vm = (struct vm){ .ops = &ops };
	pages = 0;
	page_limit = 100000;
	shadow = NULL;
	assert_int_equal(tdp_create(&vm), 0);
	tables = (struct nested_tables){
		.root = TABLE4, .format = NESTED_EPT, .levels = 4, .physical_bits = 52, .pages_1g = true,
	};
	*entry(TABLE4, 0) = TABLE3 | RWX;
	*entry(TABLE3, 0) = TABLE2 | RWX;
	*entry(TABLE2, 0) = TABLE1 | RWX;
	return 0;
}

static int end(void **state)
{
	shadow_destroy(shadow);
	tdp_destroy(&vm);
	assert_int_equal(pages, 0);
	free(memory);
	memory = NULL;
	return 0;
}

static void map_own(const struct tdp_format *format, gpa_t gpa, u64 size)
{
	assert_int_equal(tdp_map(&vm, format, gpa, RAM_AT + gpa, size), 0);
}

static void use_ept(u64 size)
{
	map_own(&own_ept, 0, size);
	create(&ept_shadow, MIN_PAGES);
}

/* The hardware's walk. 0: nothing is mapped. */
static u64 lookup(hpa_t at, gpa_t gpa, int *level)
{
	for (*level = 3;; --*level) {
		u64 found = ((u64 *)phys_to_virt(at))[gpa >> (12 + 9 * *level) & 511];

		if (!found || *level == 0 || (found & LARGE))
			return found;
		at = found & ADDRESS;
	}
}

static void expect_entry(gpa_t gpa, u64 expected, int level)
{
	int found;

	assert_int_equal(lookup(root, gpa, &found), expected);
	assert_int_equal(found, level);
}

/* How many pages are mapped, of any size. */
static unsigned count_mapped(hpa_t table, int level)
{
	const u64 *entries = phys_to_virt(table);
	unsigned count = 0;

	for (unsigned i = 0; i < 512; i++) {
		if (entries[i])
			count += level == 0 || (entries[i] & LARGE) ? 1 : count_mapped(entries[i] & ADDRESS, level - 1);
	}
	return count;
}

static void expect_result(gpa_t gpa, u32 access, enum shadow_result result)
{
	assert_int_equal(shadow_fill(shadow, gpa, access, &walk), result);
}

static void fill(gpa_t gpa, u32 access)
{
	expect_result(gpa, access, SHADOW_FILLED);
}

static void expect_flush(bool due)
{
	assert_int_equal(shadow_flush_due(shadow), due);
	assert_false(shadow_flush_due(shadow));
}

/* --- what is mapped --- */

static void the_smaller_page_is_used(void **state)
{
	static const struct {
		u64 own_page, l1_page;
		int level;
	} cases[] = {
		{ PAGE_SIZE, PAGE_SIZE, 0 }, { PAGE_SIZE, MIB(2), 0 }, { PAGE_SIZE, GIB(1), 0 },
		{ MIB(2), PAGE_SIZE, 0 }, { MIB(2), MIB(2), 1 }, { MIB(2), GIB(1), 1 },
		{ GIB(1), PAGE_SIZE, 0 }, { GIB(1), MIB(2), 1 }, { GIB(1), GIB(1), 2 },
	};
	const gpa_t gpa = GIB(4) + MIB(6) + 0x5123;	/* L1's */
	const u64 sizes[] = { PAGE_SIZE, MIB(2), GIB(1) };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tdp_format format = own_ept;
		gpa_t l2 = gpa & (cases[i].l1_page - 1);
		u64 size = sizes[cases[i].level];

		end(NULL);
		start(NULL);
		format.largest = cases[i].own_page == GIB(1) ? TDP_1G : cases[i].own_page == MIB(2) ? TDP_2M : TDP_4K;
		map_own(&format, GIB(4), format.largest == TDP_1G ? GIB(1) : MIB(8));
		create(&ept_shadow, MIN_PAGES);
		/* L2's address is L1's offset in its page. */
		if (cases[i].l1_page == PAGE_SIZE)
			*entry(TABLE1, 0) = (gpa & ADDRESS) | EPT_PAGE;
		if (cases[i].l1_page == MIB(2))
			*entry(TABLE2, 0) = (GIB(4) + MIB(6)) | EPT_PAGE | LARGE;
		if (cases[i].l1_page == GIB(1))
			*entry(TABLE3, 0) = GIB(4) | EPT_PAGE | LARGE;
		fill(l2, R);
		assert_int_equal(walk.gpa, gpa);
		expect_entry(l2, ((RAM_AT + gpa) & ~(size - 1)) | HARDWARE_EPT | (size > PAGE_SIZE ? LARGE : 0),
			     cases[i].level);
		assert_int_equal(count_mapped(root, 3), 1);
		expect_flush(false);
	}
}

static void rights_are_those_of_both(void **state)
{
	use_ept(MIB(2));
	tables.execute_only = true;
	root = shadow_use(shadow, &tables);
	shadow_flush_due(shadow);
	for (unsigned i = 0; i < 8; i++) {
		gpa_t gpa = i * PAGE_SIZE;

		*entry(TABLE1, i) = 0x10000 | i | EPT_WB;
		if (i == 0 || (i & ~X) == W) {
			expect_result(gpa, R, SHADOW_REFUSED);
			expect_entry(gpa, 0, i == 0 ? 3 : 0);
		} else {
			fill(gpa, i & R ? R : X);
			expect_entry(gpa, (RAM_AT + 0x10000) | i | EPT_WB | EPT_IPAT, 0);
		}
	}
}

/* L0's memory type, not L1's. */
static void memory_type_is_the_hosts(void **state)
{
	use_ept(MIB(2));
	*entry(TABLE1, 0) = 0x7000 | RWX;	/* uncacheable */
	fill(0, W);
	expect_entry(0, (RAM_AT + 0x7000) | HARDWARE_EPT, 0);
}

static void writes_before_the_dirty_flag_have_a_fault(void **state)
{
	use_ept(MIB(2));
	tables.accessed_dirty = true;
	root = shadow_use(shadow, &tables);
	shadow_flush_due(shadow);
	*entry(TABLE1, 0) = 0x7000 | EPT_PAGE;
	fill(0, R);
	expect_entry(0, (RAM_AT + 0x7000) | (HARDWARE_EPT & ~(u64)W), 0);
	fill(0, W);
	expect_entry(0, (RAM_AT + 0x7000) | HARDWARE_EPT, 0);
	assert_true(*entry(TABLE1, 0) & BIT(9));
	expect_flush(false);	/* more rights need none */
}

static void npt_entries(void **state)
{
	tables = (struct nested_tables){
		.root = TABLE4, .format = NESTED_LONG, .levels = 4, .physical_bits = 48, .accessed_dirty = true,
		.no_execute = true, .tag = 1,
	};
	map_own(&own_npt, 0, MIB(4));
	create(&npt_shadow, MIN_PAGES);
	*entry(TABLE1, 0) = 0x7000 | NPT_ALL;
	*entry(TABLE1, 1) = 0x8000 | (NPT_ALL & ~2ull);
	*entry(TABLE1, 2) = 0x9000 | NPT_ALL | NX;
	*entry(TABLE2, 1) = MIB(2) | NPT_ALL | LARGE;
	fill(0, R);
	expect_entry(0, (RAM_AT + 0x7000) | 5, 0);
	fill(0, W);
	expect_entry(0, (RAM_AT + 0x7000) | 7, 0);
	fill(0x1000, X);
	expect_entry(0x1000, (RAM_AT + 0x8000) | 5, 0);
	expect_result(0x1000, W, SHADOW_REFUSED);
	fill(0x2000, W);
	expect_entry(0x2000, (RAM_AT + 0x9000) | 7 | NX, 0);
	expect_result(0x2000, X, SHADOW_REFUSED);
	fill(MIB(2) + 0x5000, W);
	expect_entry(MIB(2), (RAM_AT + MIB(2)) | 7 | LARGE, 1);
}

/* A table of L1 with pages of 4 MiB: two of 2 MiB. */
static void pages_of_4_mib(void **state)
{
	tables = (struct nested_tables){
		.root = TABLE4, .format = NESTED_LEGACY, .levels = 2, .physical_bits = 40, .accessed_dirty = true,
		.page_size = true,
	};
	map_own(&own_npt, 0, MIB(16));
	create(&npt_shadow, MIN_PAGES);
	*(u32 *)entry(TABLE4, 0) = MIB(8) | 7 | (u32)LARGE;
	fill(MIB(2) + 0x123456, W);
	expect_entry(MIB(2), (RAM_AT + MIB(10)) | 7 | LARGE, 1);
	expect_entry(0, 0, 1);
}

static void nothing_is_kept_of_a_refusal(void **state)
{
	use_ept(MIB(2));
	expect_result(0, R, SHADOW_REFUSED);
	assert_int_equal(walk.cause, NESTED_NOT_PRESENT);
	assert_int_equal(count_mapped(root, 3), 0);
	/* L1 needs no INVEPT after it has made an entry present. */
	*entry(TABLE1, 0) = 0x7000 | R | EPT_WB;
	fill(0, R);
	expect_result(0, W, SHADOW_REFUSED);
	assert_int_equal(walk.cause, NESTED_FORBIDDEN);
	*entry(TABLE1, 0) |= W;
	fill(0, W);
	expect_entry(0, (RAM_AT + 0x7000) | R | W | EPT_WB | EPT_IPAT, 0);
	expect_flush(false);
}

static void what_is_no_ram_is_a_device(void **state)
{
	use_ept(MIB(2));
	*entry(TABLE1, 0) = MIB(2) | EPT_PAGE;
	*entry(TABLE1, 1) = BIT_ULL(48) | EPT_PAGE;	/* beyond the VM's own tables; 0 in their 48 bits */
	*entry(TABLE2, 1) = MIB(2) | EPT_PAGE | LARGE;
	expect_result(0x123, R, SHADOW_DEVICE);
	assert_int_equal(walk.gpa, MIB(2) + 0x123);
	expect_result(0x1000, W, SHADOW_DEVICE);
	expect_result(MIB(2), X, SHADOW_DEVICE);
	assert_int_equal(count_mapped(root, 3), 0);
}

/* A firmware's ROM, which L1 lets L2 write. */
static void rom_is_read_and_not_written(void **state)
{
	const struct tdp_format rom = tdp_read_only(&own_ept);

	use_ept(MIB(2));
	assert_int_equal(tdp_map(&vm, &rom, GIB(4) - KIB(64), RAM_AT + MIB(16), KIB(64)), 0);
	*entry(TABLE1, 0) = (GIB(4) - 0x1000) | EPT_PAGE;
	expect_result(0, W, SHADOW_DEVICE);
	assert_int_equal(walk.gpa, GIB(4) - 0x1000);
	fill(0, R);
	expect_entry(0, (RAM_AT + MIB(16) + KIB(64) - 0x1000) | R | X | EPT_WB | EPT_IPAT, 0);
	expect_result(0, W, SHADOW_DEVICE);
	expect_result(0, X, SHADOW_FILLED);

	/* A page table there: the processor would write its accessed flags. */
	tables.accessed_dirty = true;
	shadow_use(shadow, &tables);
	expect_result(0, R | NESTED_TABLE, SHADOW_DEVICE);
}

/* L1 maps one large page over RAM and a hole in it: each part counts for itself. */
static void a_hole_in_a_large_page(void **state)
{
	map_own(&own_ept, 0, 0xa0000);
	map_own(&own_ept, 0xb8000, MIB(2) - 0xb8000);
	create(&ept_shadow, MIN_PAGES);
	*entry(TABLE2, 0) = EPT_PAGE | LARGE;
	fill(0x9f000, W);
	expect_result(0xa0000, W, SHADOW_DEVICE);
	expect_result(0xb7fff, W, SHADOW_DEVICE);
	fill(0xb8000, W);
	expect_entry(0x9f000, (RAM_AT + 0x9f000) | HARDWARE_EPT, 0);
	expect_entry(0xa0000, 0, 0);
	expect_entry(0xb8000, (RAM_AT + 0xb8000) | HARDWARE_EPT, 0);
}

/* Five levels of NPT translate more than the hardware's four. */
static void addresses_beyond_the_hardwares(void **state)
{
	tables = (struct nested_tables){
		.root = OTHER, .format = NESTED_LONG, .levels = 5, .physical_bits = 48, .accessed_dirty = true,
	};
	map_own(&own_npt, 0, MIB(2));
	create(&npt_shadow, MIN_PAGES);
	*entry(OTHER, 0) = *entry(OTHER, 1) = TABLE4 | NPT_ALL;
	*entry(TABLE1, 0) = 0x7000 | NPT_ALL;
	expect_result(BIT_ULL(48), R, SHADOW_DEVICE);
	assert_int_equal(walk.gpa, 0x7000);
	assert_int_equal(count_mapped(root, 3), 0);
	fill(0, R);
}

/* --- large pages without execute permission --- */

static void code_in_large_pages_is_split(void **state)
{
	map_own(&own_ept_split, 0, MIB(4));
	create(&ept_shadow, MIN_PAGES);
	*entry(TABLE2, 0) = EPT_PAGE | LARGE;
	*entry(TABLE2, 1) = MIB(2) | EPT_PAGE | LARGE;
	fill(0x5000, W);
	expect_entry(0x5000, RAM_AT | (HARDWARE_EPT & ~(u64)X) | LARGE, 1);
	expect_flush(false);
	fill(0x5000, X);
	expect_entry(0x5000, (RAM_AT + 0x5000) | HARDWARE_EPT, 0);
	expect_entry(0x6000, 0, 0);
	expect_flush(true);
	/* Data beside it: the VM's own table has small pages now. */
	fill(0x6000, W);
	expect_entry(0x6000, (RAM_AT + 0x6000) | HARDWARE_EPT, 0);
	/* L1 has no executable page there. */
	*entry(TABLE2, 1) &= ~(u64)X;
	expect_result(MIB(2), X, SHADOW_REFUSED);
	fill(MIB(2), W);
	expect_entry(MIB(2), (RAM_AT + MIB(2)) | (HARDWARE_EPT & ~(u64)X) | LARGE, 1);
}

static void code_that_cannot_be_split(void **state)
{
	map_own(&own_ept_split, 0, MIB(2));
	create(&ept_shadow, MIN_PAGES);
	*entry(TABLE2, 0) = EPT_PAGE | LARGE;
	page_limit = pages;
	expect_result(0x5000, X, SHADOW_FAILED);
	assert_int_equal(count_mapped(root, 3), 0);
}

/* --- changes of L1's tables --- */

static void a_small_page_where_a_large_one_was(void **state)
{
	use_ept(MIB(4));
	*entry(TABLE2, 0) = MIB(2) | R | EPT_WB | LARGE;
	fill(0x3000, R);
	expect_flush(false);
	*entry(TABLE2, 0) = TABLE1 | RWX;
	*entry(TABLE1, 3) = 0x7000 | EPT_PAGE;
	fill(0x3000, W);
	expect_entry(0x3000, (RAM_AT + 0x7000) | HARDWARE_EPT, 0);
	expect_entry(0x4000, 0, 0);
	expect_flush(true);
}

static void a_large_page_where_small_ones_were(void **state)
{
	use_ept(MIB(4));
	*entry(TABLE1, 3) = 0x7000 | EPT_PAGE;
	*entry(TABLE1, 4) = 0x8000 | EPT_PAGE;
	fill(0x3000, W);
	fill(0x4000, W);
	expect_flush(false);
	*entry(TABLE2, 0) = MIB(2) | EPT_PAGE | LARGE;
	fill(0x3000, W);
	expect_entry(0x3000, (RAM_AT + MIB(2) + 0x3000) | HARDWARE_EPT, 0);
	expect_flush(true);
	/* As a TLB: what is cached stays until L1 invalidates it. */
	expect_entry(0x4000, (RAM_AT + 0x8000) | HARDWARE_EPT, 0);
	shadow_drop_root(shadow, TABLE4);
	expect_flush(true);
	fill(0x3000, W);
	expect_entry(0x3000, (RAM_AT + MIB(2)) | HARDWARE_EPT | LARGE, 1);
}

static void fewer_rights_are_flushed(void **state)
{
	use_ept(MIB(2));
	*entry(TABLE1, 3) = 0x7000 | EPT_PAGE;
	fill(0x3000, W);
	*entry(TABLE1, 3) &= ~(u64)W;
	fill(0x3000, R);
	expect_entry(0x3000, (RAM_AT + 0x7000) | (HARDWARE_EPT & ~(u64)W), 0);
	expect_flush(true);
}

/* --- roots --- */

/* One page in each root. */
static hpa_t use(gpa_t l1_root, u32 tag, bool accessed_dirty)
{
	tables.root = l1_root;
	tables.tag = tag;
	tables.accessed_dirty = accessed_dirty;
	return shadow_use(shadow, &tables);
}

static void other_tables_other_root(void **state)
{
	hpa_t roots[4];

	use_ept(MIB(2));
	roots[0] = use(TABLE4, 1, false);
	roots[1] = use(TABLE4, 2, false);
	roots[2] = use(TABLE4, 1, true);
	roots[3] = use(OTHER, 1, false);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(roots[i], roots[j]);
	*entry(TABLE1, 0) = 0x7000 | EPT_PAGE;
	assert_int_equal(use(TABLE4, 1, false), roots[0]);
	fill(0, W);
	assert_int_equal(use(TABLE4, 2, false), roots[1]);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(count_mapped(roots[i], 3), i == 0);
}

static void fill_roots(hpa_t roots[4])
{
	*entry(OTHER, 0) = *entry(TABLE4, 0);
	*entry(TABLE1, 0) = 0x7000 | EPT_PAGE;
	for (unsigned i = 0; i < 4; i++) {
		roots[i] = use(i & 1 ? OTHER : TABLE4, i < 2 ? 1 : 2, false);
		shadow_flush_due(shadow);
		fill(0, W);
		assert_int_equal(count_mapped(roots[i], 3), 1);
	}
}

/* `left`: bit i: root i is as it was; the others are empty, and are flushed before their next use. */
static void expect_roots(const hpa_t roots[4], unsigned left)
{
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(count_mapped(roots[i], 3), left >> i & 1);
		assert_int_equal(use(i & 1 ? OTHER : TABLE4, i < 2 ? 1 : 2, false), roots[i]);
		expect_flush(!(left >> i & 1));
	}
}

static void invalidation_by_root(void **state)
{
	hpa_t roots[4];

	use_ept(MIB(2));
	fill_roots(roots);
	shadow_drop_root(shadow, OTHER);
	expect_roots(roots, 5);
	fill_roots(roots);
	shadow_drop_root(shadow, OTHER + 0x1000);
	expect_roots(roots, 15);
}

static void invalidation_by_tag(void **state)
{
	hpa_t roots[4];

	use_ept(MIB(2));
	fill_roots(roots);
	shadow_drop_tag(shadow, 1);
	expect_roots(roots, 12);
}

static void invalidation_of_all(void **state)
{
	hpa_t roots[4];

	use_ept(MIB(2));
	fill_roots(roots);
	shadow_drop_all(shadow);
	expect_roots(roots, 0);
}

static void the_root_not_used_for_longest_is_replaced(void **state)
{
	hpa_t first, second;

	use_ept(MIB(2));
	*entry(TABLE1, 0) = 0x7000 | EPT_PAGE;
	first = use(TABLE4, 100, false);
	expect_flush(true);
	fill(0, W);
	second = use(TABLE4, 101, false);
	expect_flush(true);
	fill(0, W);
	for (u32 i = 2; i < SHADOW_ROOTS; i++)
		use(TABLE4, 100 + i, false);
	assert_int_equal(use(TABLE4, 100, false), first);
	expect_flush(false);
	assert_int_equal(use(TABLE4, 200, false), second);
	assert_int_equal(count_mapped(second, 3), 0);
	expect_flush(true);
	assert_int_equal(use(TABLE4, 100, false), first);
	assert_int_equal(count_mapped(first, 3), 1);
}

static void a_switch_flushes_where_the_root_is_no_tag(void **state)
{
	map_own(&own_npt, 0, MIB(2));
	tables.format = NESTED_LONG;
	tables.tag = 1;
	tables.accessed_dirty = true;
	create(&npt_shadow, MIN_PAGES);
	shadow_use(shadow, &tables);
	expect_flush(false);
	tables.tag = 2;
	shadow_use(shadow, &tables);
	expect_flush(true);
	tables.tag = 1;
	shadow_use(shadow, &tables);
	expect_flush(true);
	shadow_use(shadow, &tables);
	expect_flush(false);
}

static void another_cpu_may_hold_anything(void **state)
{
	hpa_t roots[4];

	use_ept(MIB(2));
	fill_roots(roots);
	shadow_flush_all(shadow);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(use(i & 1 ? OTHER : TABLE4, i < 2 ? 1 : 2, false), roots[i]);
		assert_int_equal(count_mapped(roots[i], 3), 1);
		expect_flush(true);
	}
}

/* --- pages --- */

/* Each page of L2 in a table of its own. */
static void full_pool_drops_all(void **state)
{
	hpa_t roots[2];
	unsigned filled = 0;

	use_ept(MIB(2));
	*entry(OTHER, 0) = *entry(TABLE4, 0);
	roots[0] = use(OTHER, 0, false);
	expect_flush(true);
	*entry(TABLE1, 0) = 0x7000 | EPT_PAGE;
	fill(0, W);
	roots[1] = root = use(TABLE4, 0, false);
	for (unsigned i = 0; i < 512; i++)
		*entry(TABLE2, i) = TABLE1 | RWX;
	do {
		expect_flush(false);
		fill(filled++ * MIB(2), W);
	} while (count_mapped(roots[0], 3) && filled < 512);
	/* Three tables are the other root's; two of this root's are for levels 3 and 2. */
	assert_int_equal(filled, MIN_PAGES - SHADOW_ROOTS - 5 + 1);
	assert_int_equal(count_mapped(roots[1], 3), 1);
	expect_entry((filled - 1) * MIB(2), (RAM_AT + 0x7000) | HARDWARE_EPT, 0);
	expect_flush(true);
	use(OTHER, 0, false);
	expect_flush(true);
	/* Nothing of the former contents comes back with the pages. */
	use(TABLE4, 0, false);
	for (unsigned i = 0; i < 20; i++)
		fill(i * MIB(2), W);
	assert_int_equal(count_mapped(roots[1], 3), 21);
}

static void dropped_pages_are_used_again(void **state)
{
	unsigned before;

	use_ept(MIB(2));
	*entry(TABLE1, 0) = 0x7000 | EPT_PAGE;
	before = pages;
	for (unsigned i = 0; i < 1000; i++) {
		fill(0, W);
		assert_int_equal(count_mapped(root, 3), 1);
		expect_flush(false);
		shadow_drop_all(shadow);
		expect_flush(true);
	}
	assert_int_equal(pages, before);
	/* Nothing has been used since: nothing is to be flushed. */
	shadow_drop_all(shadow);
	shadow_drop_root(shadow, TABLE4);
	expect_flush(false);
}

static void no_memory(void **state)
{
	for (unsigned most = 1; most < 1 + MIN_PAGES; most++) {
		page_limit = most;
		assert_null(shadow_create(&vcpu, &ept_shadow, MIN_PAGES));
		assert_int_equal(pages, 1);
	}
	page_limit = 1 + MIN_PAGES;
	shadow = shadow_create(&vcpu, &ept_shadow, MIN_PAGES);
	assert_non_null(shadow);
}

static void number_of_pages(void **state)
{
	assert_in_range(shadow_pages(0), MIN_PAGES, MIN_PAGES);
	assert_in_range(shadow_pages(GIB(1)), 512 + SHADOW_ROOTS, 600);
	assert_in_range(shadow_pages(GIB(1000)), 512, 2048);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_smaller_page_is_used),
		TEST(rights_are_those_of_both),
		TEST(memory_type_is_the_hosts),
		TEST(writes_before_the_dirty_flag_have_a_fault),
		TEST(npt_entries),
		TEST(pages_of_4_mib),
		TEST(nothing_is_kept_of_a_refusal),
		TEST(what_is_no_ram_is_a_device),
		TEST(rom_is_read_and_not_written),
		TEST(a_hole_in_a_large_page),
		TEST(addresses_beyond_the_hardwares),
		TEST(code_in_large_pages_is_split),
		TEST(code_that_cannot_be_split),
		TEST(a_small_page_where_a_large_one_was),
		TEST(a_large_page_where_small_ones_were),
		TEST(fewer_rights_are_flushed),
		TEST(other_tables_other_root),
		TEST(invalidation_by_root),
		TEST(invalidation_by_tag),
		TEST(invalidation_of_all),
		TEST(the_root_not_used_for_longest_is_replaced),
		TEST(a_switch_flushes_where_the_root_is_no_tag),
		TEST(another_cpu_may_hold_anything),
		TEST(full_pool_drops_all),
		TEST(dropped_pages_are_used_again),
		TEST(no_memory),
		TEST(number_of_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
