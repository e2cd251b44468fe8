/* SPDX-License-Identifier: MIT */
/*
 * Walks of a guest hypervisor's nested tables. Expected values: Intel SDM, "EPT Translation Mechanism", the tables of
 * the formats of EPT entries, "EPT Misconfigurations", "EPT Violations", "Accessed and Dirty Flags for EPT"; AMD APM
 * vol. 2, "Nested Paging", and the figures of page-table entries of each mode.
 */
/* link: core/mem/nested_walk.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/mem/guest_mem.h"
#include "core/mem/nested_walk.h"
#include "lib/types.h"

#define R   NESTED_READ
#define W   NESTED_WRITE
#define X   NESTED_EXECUTE
#define RWX NESTED_RIGHTS

#define RAM_SIZE 0x10000
#define WALKS	 8	/* core/mem/nested_walk.h: how often one is tried */

/* The table of each level, and where they are not. */
enum { ROOT5 = 0x6000, TABLE4 = 0x5000, TABLE3 = 0x4000, TABLE2 = 0x3000, TABLE1 = 0x2000, OUTSIDE = 0x200000 };

/* Index 5 in level 5, 4 in level 4 and so on. */
#define L2_GPA	 (4ull << 39 | 3ull << 30 | 2ull << 21 | 1ull << 12 | 0x678)
#define L2_GPA_5 (5ull << 48 | L2_GPA)

#define EPT_A BIT_ULL(8)
#define EPT_D BIT_ULL(9)
#define EPT_WB 0x30ull
#define EPT_PAGE (RWX | EPT_WB)

/* P, W, U, A, D, PS, G, NX of the processor's own format. */
#define NPT_P	1ull
#define NPT_W	2ull
#define NPT_U	4ull
#define NPT_A	0x20ull
#define NPT_D	0x40ull
#define NPT_PS	0x80ull
#define NPT_G	0x100ull
#define NPT_NX	BIT_ULL(63)
#define NPT_ALL (NPT_P | NPT_W | NPT_U)

static _Alignas(16) u8 ram[RAM_SIZE];
static struct nested_tables tables;
static struct nested_walk walk;
static unsigned reads;
static void (*before_read)(unsigned read);

void *guest_ptr(const struct vm *vm, gpa_t gpa, u64 size)
{
	if (before_read)
		before_read(reads);
	reads++;
	if (gpa > RAM_SIZE - size)
		return NULL;
	return ram + gpa;
}

static u64 *entry(gpa_t table, unsigned index)
{
	return (u64 *)(ram + table) + index;
}

static u32 *narrow_entry(gpa_t table, unsigned index)
{
	return (u32 *)(ram + table) + index;
}

/* Where the entry of each level is. */
static u64 *at_level(unsigned level)
{
	static const gpa_t table[] = { 0, TABLE1, TABLE2, TABLE3, TABLE4, ROOT5 };

	return entry(table[level], level);
}

static int start(void **state)
{
	memset(ram, 0, sizeof(ram));
	before_read = NULL;
	reads = 0;
	return 0;
}

static void use_ept(void)
{
	start(NULL);
	tables = (struct nested_tables){
		.root = TABLE4, .format = NESTED_EPT, .levels = 4, .physical_bits = 40, .pages_1g = true,
	};
	*at_level(5) = TABLE4 | RWX;
	*at_level(4) = TABLE3 | RWX;
	*at_level(3) = TABLE2 | RWX;
	*at_level(2) = TABLE1 | RWX;
	*at_level(1) = 0x12345000 | EPT_PAGE;
}

static void use_long(void)
{
	start(NULL);
	tables = (struct nested_tables){
		.root = TABLE4, .format = NESTED_LONG, .levels = 4, .physical_bits = 40, .pages_1g = true,
		.accessed_dirty = true, .no_execute = true,
	};
	*at_level(5) = TABLE4 | NPT_ALL;
	*at_level(4) = TABLE3 | NPT_ALL;
	*at_level(3) = TABLE2 | NPT_ALL;
	*at_level(2) = TABLE1 | NPT_ALL;
	*at_level(1) = 0x12345000 | NPT_ALL;
}

static void do_walk(gpa_t gpa, u32 access)
{
	reads = 0;
	memset(&walk, 0xff, sizeof(walk));
	nested_walk(NULL, &tables, gpa, access, &walk);
}

static void expect_page(gpa_t gpa, u32 access, gpa_t expected, unsigned shift)
{
	do_walk(gpa, access);
	assert_int_equal(walk.cause, NESTED_ALLOWED);
	assert_int_equal(walk.gpa, expected);
	assert_int_equal(walk.page_shift, shift);
}

static void expect_cause(gpa_t gpa, u32 access, enum nested_cause cause, unsigned level)
{
	do_walk(gpa, access);
	assert_int_equal(walk.cause, cause);
	assert_int_equal(walk.level, level);
}

/* --- EPT --- */

static void ept_pages_of_each_size(void **state)
{
	use_ept();
	expect_page(L2_GPA, R, 0x12345678, 12);
	assert_int_equal(walk.level, 1);
	assert_int_equal(reads, 4);
	*at_level(2) = 0x12200000 | EPT_PAGE | BIT(7);
	expect_page(L2_GPA, R, 0x12200000 | (1 << 12) | 0x678, 21);
	assert_int_equal(walk.level, 2);
	assert_int_equal(reads, 3);
	*at_level(3) = 0x40000000 | EPT_PAGE | BIT(7);
	expect_page(L2_GPA, R, 0x40000000 | (2 << 21) | (1 << 12) | 0x678, 30);
	assert_int_equal(walk.level, 3);
	assert_int_equal(reads, 2);
}

static void ept_of_five_levels(void **state)
{
	use_ept();
	tables.root = ROOT5;
	tables.levels = 5;
	expect_page(L2_GPA_5, W, 0x12345678, 12);
	assert_int_equal(reads, 5);
	expect_cause(L2_GPA_5 | BIT_ULL(57), R, NESTED_NOT_PRESENT, 5);
}

/* The qualification's bits 5:3 are those of all entries together. */
static void ept_rights_of_all_levels_count(void **state)
{
	for (unsigned level = 1; level <= 4; level++) {
		for (u64 granted = 1; granted <= RWX; granted++) {
			use_ept();
			tables.execute_only = true;
			if (granted == W || granted == (W | X))
				continue;	/* misconfigurations */
			*at_level(level) = (*at_level(level) & ~(u64)RWX) | granted;
			for (u32 access = R; access <= X; access <<= 1) {
				do_walk(L2_GPA, access);
				assert_int_equal(walk.rights, granted);
				assert_int_equal(walk.cause, granted & access ? NESTED_ALLOWED : NESTED_FORBIDDEN);
				assert_int_equal(walk.access, access);
				assert_int_equal(walk.level, 1);
			}
			do_walk(L2_GPA, R | W);
			assert_int_equal(walk.cause, (granted & (R | W)) == (R | W) ? NESTED_ALLOWED : NESTED_FORBIDDEN);
		}
	}
}

static void ept_rights_are_anded(void **state)
{
	use_ept();
	*at_level(4) &= ~(u64)X;
	*at_level(2) &= ~(u64)W;
	expect_page(L2_GPA, R, 0x12345678, 12);
	assert_int_equal(walk.rights, R);
	assert_int_equal(walk.cached, R);
	expect_cause(L2_GPA, X, NESTED_FORBIDDEN, 1);
	assert_int_equal(walk.rights, R);
}

static void ept_entries_that_are_not_present(void **state)
{
	for (unsigned level = 1; level <= 4; level++) {
		use_ept();
		*at_level(level) &= ~(u64)RWX;
		*at_level(level) |= ~(u64)RWX;	/* nothing else of such an entry counts */
		expect_cause(L2_GPA, R, NESTED_NOT_PRESENT, level);
		assert_int_equal(walk.rights, 0);
	}
}

static void ept_tables_outside_of_ram(void **state)
{
	for (unsigned level = 1; level <= 3; level++) {
		use_ept();
		*at_level(level + 1) = OUTSIDE | RWX;
		expect_cause(L2_GPA, R, NESTED_NOT_PRESENT, level);
		assert_int_equal(walk.rights, 0);
	}
	use_ept();
	tables.root = OUTSIDE;
	expect_cause(L2_GPA, R, NESTED_NOT_PRESENT, 4);
	/* Less than a table of them. */
	tables.root = RAM_SIZE - 0x1000;
	expect_cause((511ull << 39), R, NESTED_NOT_PRESENT, 4);
}

static void ept_addresses_of_more_than_48_bits(void **state)
{
	use_ept();
	for (unsigned bit = 48; bit < 64; bit++) {
		expect_cause(L2_GPA | BIT_ULL(bit), R, NESTED_NOT_PRESENT, 4);
		assert_int_equal(walk.rights, 0);
		assert_int_equal(reads, 0);
	}
}

static void expect_malformed(unsigned level, u64 value, bool expected)
{
	*at_level(level) = value;
	do_walk(L2_GPA, R);
	if (expected) {
		assert_int_equal(walk.cause, NESTED_MALFORMED);
		assert_int_equal(walk.level, level);
	} else {
		assert_int_not_equal(walk.cause, NESTED_MALFORMED);
	}
	use_ept();
}

static void ept_misconfigured_rights(void **state)
{
	use_ept();
	for (unsigned level = 1; level <= 4; level++) {
		expect_malformed(level, 0x3000 | W | (level == 1 ? EPT_WB : 0), true);
		expect_malformed(level, 0x3000 | W | X | (level == 1 ? EPT_WB : 0), true);
		expect_malformed(level, 0x3000 | X | (level == 1 ? EPT_WB : 0), true);
		tables.execute_only = true;
		expect_malformed(level, 0x3000 | X | (level == 1 ? EPT_WB : 0), false);
		tables.execute_only = true;
		expect_malformed(level, 0x3000 | W | X | (level == 1 ? EPT_WB : 0), true);
	}
}

/* Bits 51:MAXPHYADDR; 6:3 of an entry for a table, and bit 7 where no page may be that large. */
static void ept_misconfigured_reserved_bits(void **state)
{
	for (unsigned level = 1; level <= 4; level++) {
		for (unsigned bit = 3; bit < 64; bit++) {
			bool reserved = bit >= 40 && bit <= 51;

			use_ept();
			if (level > 1)
				reserved |= (bit >= 3 && bit <= 6) || (bit == 7 && level == 4);
			if (level == 1 && bit <= 5)
				continue;	/* the memory type */
			if (level > 1 && level < 4 && bit == 7)
				continue;	/* a page */
			expect_malformed(level, *at_level(level) | BIT_ULL(bit), reserved);
		}
	}
	use_ept();
	tables.physical_bits = 46;
	expect_malformed(1, *at_level(1) | BIT_ULL(45), false);
	tables.physical_bits = 46;
	expect_malformed(1, *at_level(1) | BIT_ULL(46), true);
	tables.pages_1g = false;
	expect_malformed(3, 0x40000000 | EPT_PAGE | BIT(7), true);
}

static void ept_large_pages_are_aligned(void **state)
{
	use_ept();
	for (unsigned bit = 8; bit < 40; bit++) {
		expect_malformed(2, EPT_PAGE | BIT(7) | BIT_ULL(bit), bit >= 12 && bit <= 20);
		expect_malformed(3, EPT_PAGE | BIT(7) | BIT_ULL(bit), bit >= 12 && bit <= 29);
	}
}

static void ept_memory_types(void **state)
{
	for (unsigned type = 0; type < 8; type++) {
		bool reserved = type == 2 || type == 3 || type == 7;

		use_ept();
		expect_malformed(1, 0x3000 | RWX | type << 3, reserved);
		expect_malformed(2, BIT(7) | RWX | type << 3, reserved);
		expect_malformed(3, BIT(7) | RWX | type << 3, reserved);
	}
}

static void ept_without_flags_changes_nothing(void **state)
{
	u8 before[RAM_SIZE];

	use_ept();
	memcpy(before, ram, sizeof(ram));
	expect_page(L2_GPA, R | W, 0x12345678, 12);
	assert_int_equal(walk.cached, RWX);
	assert_memory_equal(before, ram, sizeof(ram));
	/* Accesses to page tables are reads. */
	*at_level(1) &= ~(u64)W;
	expect_page(L2_GPA, R | NESTED_TABLE, 0x12345678, 12);
	assert_int_equal(walk.access, R);
}

static void ept_accessed_and_dirty_flags(void **state)
{
	use_ept();
	tables.accessed_dirty = true;
	expect_page(L2_GPA, R, 0x12345678, 12);
	for (unsigned level = 1; level <= 4; level++)
		assert_int_equal(*at_level(level) & (EPT_A | EPT_D), EPT_A);
	assert_int_equal(walk.rights, RWX);
	assert_int_equal(walk.cached, R | X);
	expect_page(L2_GPA, W, 0x12345678, 12);
	assert_int_equal(*at_level(1), 0x12345000 | EPT_PAGE | EPT_A | EPT_D);
	assert_int_equal(*at_level(2), TABLE1 | RWX | EPT_A);
	assert_int_equal(walk.cached, RWX);
	/* It is dirty already: a read may be kept with the right to write. */
	expect_page(L2_GPA, R, 0x12345678, 12);
	assert_int_equal(walk.cached, RWX);
}

static void ept_dirty_large_page(void **state)
{
	use_ept();
	tables.accessed_dirty = true;
	*at_level(2) = 0x200000 | EPT_PAGE | BIT(7);
	expect_page(L2_GPA, W, 0x201678, 21);
	assert_int_equal(*at_level(2), 0x200000 | EPT_PAGE | BIT(7) | EPT_A | EPT_D);
	assert_int_equal(*at_level(3), TABLE2 | RWX | EPT_A);
	assert_int_equal(*at_level(1), 0x12345000 | EPT_PAGE);
}

static void ept_page_tables_are_written_with_flags(void **state)
{
	use_ept();
	tables.accessed_dirty = true;
	expect_page(L2_GPA, R | NESTED_TABLE, 0x12345678, 12);
	assert_int_equal(walk.access, R | W);
	assert_true(*at_level(1) & EPT_D);
	*at_level(3) &= ~(u64)W;
	expect_cause(L2_GPA, R | NESTED_TABLE, NESTED_FORBIDDEN, 1);
	assert_int_equal(walk.access, R | W);
	assert_int_equal(walk.rights, R | X);
}

static void refused_accesses_set_no_flags(void **state)
{
	u8 before[RAM_SIZE];

	use_ept();
	tables.accessed_dirty = true;
	*at_level(1) &= ~(u64)W;
	memcpy(before, ram, sizeof(ram));
	expect_cause(L2_GPA, W, NESTED_FORBIDDEN, 1);
	assert_memory_equal(before, ram, sizeof(ram));
	use_long();
	*at_level(1) &= ~NPT_P;
	memcpy(before, ram, sizeof(ram));
	expect_cause(L2_GPA, W, NESTED_NOT_PRESENT, 1);
	assert_memory_equal(before, ram, sizeof(ram));
}

/* --- the processor's own formats --- */

static void long_pages_of_each_size(void **state)
{
	use_long();
	expect_page(L2_GPA, R, 0x12345678, 12);
	*at_level(2) = 0x12200000 | NPT_ALL | NPT_PS;
	expect_page(L2_GPA, R, 0x12201678, 21);
	*at_level(3) = 0x40000000 | NPT_ALL | NPT_PS;
	expect_page(L2_GPA, R, 0x40401678, 30);
	use_long();
	tables.root = ROOT5;
	tables.levels = 5;
	expect_page(L2_GPA_5, R, 0x12345678, 12);
	expect_cause(L2_GPA_5 | BIT_ULL(57), R, NESTED_NOT_PRESENT, 5);
}

static void long_rights(void **state)
{
	for (unsigned level = 1; level <= 4; level++) {
		use_long();
		*at_level(level) &= ~NPT_W;
		expect_page(L2_GPA, R, 0x12345678, 12);
		assert_int_equal(walk.rights, R | X);
		expect_cause(L2_GPA, W, NESTED_FORBIDDEN, 1);
		expect_page(L2_GPA, X, 0x12345678, 12);

		use_long();
		*at_level(level) |= NPT_NX;
		expect_page(L2_GPA, R, 0x12345678, 12);
		assert_int_equal(walk.rights, R | W);
		expect_cause(L2_GPA, X, NESTED_FORBIDDEN, 1);
		tables.no_execute = false;
		expect_cause(L2_GPA, R, NESTED_MALFORMED, level);

		use_long();
		*at_level(level) &= ~NPT_U;	/* each access is one of user mode */
		for (u32 access = R; access <= X; access <<= 1)
			expect_cause(L2_GPA, access, NESTED_FORBIDDEN, 1);

		use_long();
		*at_level(level) &= ~NPT_P;
		*at_level(level) |= BIT_ULL(51);
		expect_cause(L2_GPA, R, NESTED_NOT_PRESENT, level);
	}
}

/* Bits 51:MAXPHYADDR; bits 8 and 7 of entries above page directories that point to tables. */
static void long_reserved_bits(void **state)
{
	for (unsigned level = 1; level <= 5; level++) {
		for (unsigned bit = 3; bit < 63; bit++) {
			bool reserved = bit >= 40 && bit <= 51;

			use_long();
			tables.root = ROOT5;
			tables.levels = 5;
			if (level > 2)
				reserved |= bit == 8 || (bit == 7 && level > 3);
			if (bit == 7 && (level == 2 || level == 3))
				continue;	/* a page */
			*at_level(level) |= BIT_ULL(bit);
			do_walk(L2_GPA_5, R);
			assert_int_equal(walk.cause == NESTED_MALFORMED, reserved);
		}
	}
	for (unsigned bit = 8; bit < 40; bit++) {
		use_long();
		*at_level(2) = NPT_ALL | NPT_PS | BIT_ULL(bit);
		do_walk(L2_GPA, R);
		assert_int_equal(walk.cause == NESTED_MALFORMED, bit >= 13 && bit <= 20);
		*at_level(3) = NPT_ALL | NPT_PS | BIT_ULL(bit);
		do_walk(L2_GPA, R);
		assert_int_equal(walk.cause == NESTED_MALFORMED, bit >= 13 && bit <= 29);
	}
	use_long();
	tables.pages_1g = false;
	*at_level(3) = NPT_ALL | NPT_PS;
	expect_cause(L2_GPA, R, NESTED_MALFORMED, 3);
}

static void long_flags(void **state)
{
	use_long();
	expect_page(L2_GPA, R, 0x12345678, 12);
	for (unsigned level = 1; level <= 4; level++)
		assert_int_equal(*at_level(level) & (NPT_A | NPT_D), NPT_A);
	assert_int_equal(walk.cached, R | X);
	expect_page(L2_GPA, R | NESTED_TABLE, 0x12345678, 12);
	assert_int_equal(walk.access, R | W);
	assert_int_equal(walk.cached, RWX);
	assert_int_equal(*at_level(1), 0x12345000 | NPT_ALL | NPT_A | NPT_D);
	assert_int_equal(*at_level(4), TABLE3 | NPT_ALL | NPT_A);
}

static void use_pae(void)
{
	start(NULL);
	tables = (struct nested_tables){
		.root = TABLE3 | 0x40, .format = NESTED_PAE, .levels = 3, .physical_bits = 40,
		.accessed_dirty = true, .no_execute = true,
	};
	/* The pointers are 32-byte aligned: the third is for 2 GiB to 3 GiB. */
	*entry(TABLE3 + 0x40, 2) = TABLE2 | NPT_P;
	*entry(TABLE2, 0x1a0) = TABLE1 | NPT_ALL;
	*entry(TABLE1, 0x45) = 0x9912345000 | NPT_ALL;
}

#define PAE_GPA (2u << 30 | 0x1a0u << 21 | 0x45u << 12 | 0x678)

static void pae(void **state)
{
	use_pae();
	expect_page(PAE_GPA, W, 0x9912345678, 12);
	assert_int_equal(reads, 3);
	assert_int_equal(walk.rights, RWX);
	assert_int_equal(*entry(TABLE3 + 0x40, 2), TABLE2 | NPT_P);	/* it has no accessed flag */
	assert_int_equal(*entry(TABLE2, 0x1a0), TABLE1 | NPT_ALL | NPT_A);
	assert_int_equal(*entry(TABLE1, 0x45), 0x9912345000 | NPT_ALL | NPT_A | NPT_D);
	expect_cause(PAE_GPA | BIT_ULL(32), R, NESTED_NOT_PRESENT, 3);
	*entry(TABLE2, 0x1a0) = 0x600000 | NPT_ALL | NPT_PS;
	expect_page(PAE_GPA, R, 0x645678, 21);
	expect_cause(PAE_GPA & ~BIT(31), R, NESTED_NOT_PRESENT, 3);
}

static void pae_reserved_bits(void **state)
{
	for (unsigned bit = 1; bit < 64; bit++) {
		use_pae();
		*entry(TABLE3 + 0x40, 2) |= BIT_ULL(bit);
		do_walk(PAE_GPA, R);
		assert_int_equal(walk.cause == NESTED_MALFORMED, bit <= 2 || (bit >= 5 && bit <= 8) || bit >= 40);
		use_pae();
		*entry(TABLE1, 0x45) |= BIT_ULL(bit);
		do_walk(PAE_GPA, R);
		assert_int_equal(walk.cause == NESTED_MALFORMED, bit >= 40 && bit <= 62);
	}
	use_pae();
	tables.no_execute = false;
	*entry(TABLE1, 0x45) |= NPT_NX;
	expect_cause(PAE_GPA, R, NESTED_MALFORMED, 1);
}

static void use_legacy(void)
{
	start(NULL);
	tables = (struct nested_tables){
		.root = TABLE2, .format = NESTED_LEGACY, .levels = 2, .physical_bits = 40, .accessed_dirty = true,
	};
	*narrow_entry(TABLE2, 0x2a5) = TABLE1 | NPT_ALL;
	*narrow_entry(TABLE2, 0x2a4) = *narrow_entry(TABLE2, 0x2a6) = 0xffffffff;
	*narrow_entry(TABLE1, 0x145) = 0xf2345000 | NPT_ALL;
	*narrow_entry(TABLE1, 0x144) = *narrow_entry(TABLE1, 0x146) = 0xffffffff;
}

#define LEGACY_GPA (0x2a5u << 22 | 0x145u << 12 | 0x678)

static void legacy(void **state)
{
	use_legacy();
	expect_page(LEGACY_GPA, R | W, 0xf2345678, 12);
	assert_int_equal(reads, 2);
	assert_int_equal(walk.rights, RWX);	/* no NX */
	assert_int_equal(*narrow_entry(TABLE2, 0x2a5), TABLE1 | NPT_ALL | NPT_A);
	assert_int_equal(*narrow_entry(TABLE1, 0x145), 0xf2345000 | NPT_ALL | NPT_A | NPT_D);
	expect_cause(LEGACY_GPA | BIT_ULL(32), R, NESTED_NOT_PRESENT, 2);
	*narrow_entry(TABLE2, 0x2a5) &= ~(u32)NPT_W;
	expect_cause(LEGACY_GPA, W, NESTED_FORBIDDEN, 1);
	*narrow_entry(TABLE2, 0x2a5) &= ~(u32)NPT_P;
	expect_cause(LEGACY_GPA, R, NESTED_NOT_PRESENT, 2);
	assert_int_equal(*narrow_entry(TABLE2, 0x2a4), 0xffffffff);
	assert_int_equal(*narrow_entry(TABLE2, 0x2a6), 0xffffffff);
	assert_int_equal(*narrow_entry(TABLE1, 0x146), 0xffffffff);
}

/* Bits 20:13 are bits 39:32 of the address. Without CR4.PSE bit 7 says nothing. */
static void legacy_pages_of_4_mib(void **state)
{
	use_legacy();
	*narrow_entry(TABLE2, 0x2a5) = 0xc0000000 | 0xa5 << 13 | NPT_ALL | NPT_PS;
	tables.page_size = true;
	expect_page(LEGACY_GPA, R, 0xa5c0145678, 22);
	assert_int_equal(walk.level, 2);
	tables.physical_bits = 39;	/* bit 20 is bit 39 */
	expect_cause(LEGACY_GPA, R, NESTED_MALFORMED, 2);
	tables.physical_bits = 40;
	*narrow_entry(TABLE2, 0x2a5) |= BIT(21);
	expect_cause(LEGACY_GPA, R, NESTED_MALFORMED, 2);
	use_legacy();
	*narrow_entry(TABLE2, 0x2a5) |= NPT_PS;
	expect_page(LEGACY_GPA, R, 0xf2345678, 12);
}

/* --- other CPUs --- */

/* When the last entry is read, the first has changed. */
static void change_first_entry(unsigned read)
{
	if (read == 3)
		*at_level(4) = 0x7000 | NPT_ALL;
	if (read == 7)
		assert_int_equal(*entry(TABLE1, 1), 0x12345000 | NPT_ALL);	/* of the first attempt */
}

static void a_changed_entry_is_read_again(void **state)
{
	use_long();
	*entry(0x7000, 3) = TABLE2 | NPT_ALL;
	*entry(TABLE2, 2) = 0x8000 | NPT_ALL;
	*entry(0x8000, 1) = 0x77777000 | NPT_ALL;
	before_read = change_first_entry;
	/* The first attempt ends in another page, which is not what the tables say any more. */
	expect_page(L2_GPA, W, 0x77777678, 12);
	assert_int_equal(reads, 8);
	assert_int_equal(*at_level(4), 0x7000 | NPT_ALL | NPT_A);
	assert_int_equal(*at_level(3), TABLE2 | NPT_ALL);
}

static void keep_changing(unsigned read)
{
	if (read % 4 == 3)
		*at_level(2) = (*at_level(2) & ~NPT_A) ^ BIT_ULL(52);
}

static void walks_end_where_entries_keep_changing(void **state)
{
	use_long();
	before_read = keep_changing;
	do_walk(L2_GPA, R);
	assert_int_equal(walk.cause, NESTED_CHANGING);
	assert_int_equal(reads, 4 * WALKS);
}

/* What is checked is what is used: an entry that changes behind its read counts as it was. */
static void redirect_leaf(unsigned read)
{
	if (read == 4)
		*at_level(1) = OUTSIDE | EPT_PAGE;
}

static void each_entry_is_read_once(void **state)
{
	use_ept();
	before_read = redirect_leaf;
	expect_page(L2_GPA, R, 0x12345678, 12);
	assert_int_equal(reads, 4);
}

static void tables_of_too_many_levels(void **state)
{
	for (unsigned levels = 6; levels < 256; levels++) {
		use_ept();
		tables.levels = (u8)levels;
		do_walk(L2_GPA, R);
		assert_int_equal(walk.cause, NESTED_NOT_PRESENT);
		assert_int_equal(reads, 0);
	}
}

static void no_access_is_a_read(void **state)
{
	use_ept();
	tables.execute_only = true;
	*at_level(1) = 0x12345000 | X | EPT_WB;
	expect_cause(L2_GPA, 0, NESTED_FORBIDDEN, 1);
	assert_int_equal(walk.access, R);
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ept_pages_of_each_size),
		TEST(ept_of_five_levels),
		TEST(ept_rights_of_all_levels_count),
		TEST(ept_rights_are_anded),
		TEST(ept_entries_that_are_not_present),
		TEST(ept_tables_outside_of_ram),
		TEST(ept_addresses_of_more_than_48_bits),
		TEST(ept_misconfigured_rights),
		TEST(ept_misconfigured_reserved_bits),
		TEST(ept_large_pages_are_aligned),
		TEST(ept_memory_types),
		TEST(ept_without_flags_changes_nothing),
		TEST(ept_accessed_and_dirty_flags),
		TEST(ept_dirty_large_page),
		TEST(ept_page_tables_are_written_with_flags),
		TEST(refused_accesses_set_no_flags),
		TEST(long_pages_of_each_size),
		TEST(long_rights),
		TEST(long_reserved_bits),
		TEST(long_flags),
		TEST(pae),
		TEST(pae_reserved_bits),
		TEST(legacy),
		TEST(legacy_pages_of_4_mib),
		TEST(a_changed_entry_is_read_again),
		TEST(walks_end_where_entries_keep_changing),
		TEST(each_entry_is_read_once),
		TEST(tables_of_too_many_levels),
		TEST(no_access_is_a_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
