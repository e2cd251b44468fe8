/* SPDX-License-Identifier: MIT */
/* Entries of guest page tables: address bits, neighbours, and changes by another CPU during a walk. */
/* link: core/emulate/gwalk.c core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c tests/unit/fake_vcpu.c */
#include "fake_vcpu.h"

#include <string.h>

#define ALL   (PTE_PRESENT | PTE_WRITE | PTE_USER)
#define WALKS 8		/* core/emulate/gwalk.h: how often one is tried */

enum { PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000 };

#define GVA    0x00345678ull
#define GVA_32 0x4db45678ull	/* whose entries have neighbours on both sides */
#define PAGE   0x00010000ull

static int setup(void **state)
{
	fake_machine_create();
	return 0;
}

static int teardown(void **state)
{
	fake_machine_destroy();
	return 0;
}

static void expect_address(gva_t gva, u32 access, gpa_t expected)
{
	struct guest_fault fault;
	gpa_t gpa = 0;

	assert_int_equal(gwalk_translate(&fake.vcpu, gva, access, &gpa, &fault), 0);
	assert_int_equal(gpa, expected);
}

static void enter_pae(void)
{
	memset(fake.ram, 0, FAKE_RAM_SIZE);
	fake_protected_mode(true);
	fake.controls[CTL_CR0] |= CR0_PG;
	fake.controls[CTL_CR4] = CR4_PAE;
	fake.controls[CTL_CR3] = PDPT;
	*(u64 *)(fake.ram + PDPT) = PD | PTE_PRESENT;
	*(u64 *)(fake.ram + PD + 8) = PTE_LARGE | ALL;		/* 2 to 4 MiB of linear memory */
}

static u64 *entry_64(unsigned level)
{
	static const u64 tables[] = { 0, PT, PD, PDPT, PML4 };

	return (u64 *)(fake.ram + tables[level]) + (GVA >> (12 + 9 * (level - 1)) & 511);
}

static void enter_64(void)
{
	memset(fake.ram, 0, FAKE_RAM_SIZE);
	fake_long_mode();
	fake.controls[CTL_CR3] = PML4;
	*entry_64(4) = PDPT | ALL;
	*entry_64(3) = PD | ALL;
	*entry_64(2) = PT | ALL;
	*entry_64(1) = PAGE | ALL;
}

/* --- 32-bit paging --- */

static u32 *entry32(u64 table, gva_t gva, unsigned shift)
{
	return (u32 *)(fake.ram + table) + (gva >> shift & 1023);
}

/* Two entries map the page; all others have all bits set. */
static void enter_32(void)
{
	fake_protected_mode(true);
	fake.controls[CTL_CR0] |= CR0_PG;
	fake.controls[CTL_CR3] = PD;
	memset(fake.ram + PD, 0xff, PAGE_SIZE);
	memset(fake.ram + PT, 0xff, PAGE_SIZE);
	*entry32(PD, GVA_32, 22) = PT | ALL;
	*entry32(PT, GVA_32, 12) = PAGE | ALL;
}

static void entries_of_32_bits_have_neighbours(void **state)
{
	static const u32 accesses[] = { 0, PF_WRITE, PF_FETCH, PF_USER, PF_USER | PF_WRITE, PF_USER | PF_FETCH };

	for (unsigned i = 0; i < ARRAY_SIZE(accesses); i++) {
		bool write = accesses[i] & PF_WRITE;

		enter_32();
		fake.controls[CTL_EFER] = EFER_NXE;	/* no bit of these entries forbids execution */
		expect_address(GVA_32, accesses[i], PAGE | (GVA_32 & 0xfff));
		assert_int_equal(*entry32(PD, GVA_32, 22), PT | ALL | PTE_ACCESSED);
		assert_int_equal(*entry32(PT, GVA_32, 12), PAGE | ALL | PTE_ACCESSED | (write ? PTE_DIRTY : 0));
		for (int side = -1; side <= 1; side += 2) {
			assert_int_equal(entry32(PD, GVA_32, 22)[side], ~0u);
			assert_int_equal(entry32(PT, GVA_32, 12)[side], ~0u);
		}
	}
}

/* The last entry of a table that ends with RAM: reading eight bytes there would find none. */
static void the_last_entry_of_ram(void **state)
{
	const gva_t gva = GVA_32 | 0x3ff000;
	const u64 table = FAKE_RAM_SIZE - PAGE_SIZE;

	enter_32();
	*entry32(PD, gva, 22) = (u32)table | ALL;
	*entry32(table, gva, 12) = PAGE | ALL;
	expect_address(gva, 0, PAGE | (gva & 0xfff));
}

/* SDM, "Formats of CR3 and Paging-Structure Entries with 32-Bit Paging": addresses end with bit 31. */
static void addresses_of_32_bits(void **state)
{
	enter_32();
	*entry32(PD, GVA_32, 22) |= 0xe00;		/* ignored */
	*entry32(PT, GVA_32, 12) = 0x80000e00u | ALL;
	expect_address(GVA_32, 0, 0x80000000u | (GVA_32 & 0xfff));
	/* Tables at 2 GiB, where no RAM is: all ones. */
	*entry32(PD, GVA_32, 22) = 0x80000000u | PT | ALL;
	expect_address(GVA_32, 0, 0xfffff000u | (GVA_32 & 0xfff));
	enter_32();
	fake.controls[CTL_CR3] = 0x80000000u | PD;
	expect_address(GVA_32, 0, 0xfffff000u | (GVA_32 & 0xfff));
}

/* The fetch bit of the error code needs NXE and PAE, or SMEP. SDM, "Page-Fault Exceptions" */
static void fetch_bit_without_pae(void **state)
{
	struct guest_fault fault;
	gpa_t gpa;

	enter_32();
	fake.controls[CTL_EFER] = EFER_NXE;
	*entry32(PT, GVA_32, 12) = 0;
	assert_int_equal(gwalk_translate(&fake.vcpu, GVA_32, PF_FETCH, &gpa, &fault), -EFAULT);
	expect_fault(&fault, X86_PF, 0, GVA_32);
	fake.controls[CTL_CR4] = CR4_SMEP;
	assert_int_equal(gwalk_translate(&fake.vcpu, GVA_32, PF_FETCH, &gpa, &fault), -EFAULT);
	expect_fault(&fault, X86_PF, PF_FETCH, GVA_32);
}

/*
 * PSE-36: of a 4 MiB page's address, bits M-1 to 32 are bits M-20 to 13 of the entry, and bits 21 to
 * M-19 are reserved. M is the number of physical address bits, 40 at most.
 */
static void addresses_of_4_mib_pages(void **state)
{
	for (unsigned physical_bits = 32; physical_bits <= 52; physical_bits++) {
		unsigned m = MIN(physical_bits, 40u);

		for (unsigned bit = 13; bit <= 21; bit++) {
			struct guest_fault fault;
			gpa_t gpa = 0;
			int error;

			enter_32();
			fake.controls[CTL_CR4] = CR4_PSE;
			fake.physical_bits = (u8)physical_bits;
			*entry32(PD, GVA_32, 22) = 0x40000000u | 1u << bit | ALL | PTE_LARGE | 0x1000;	/* PAT */
			error = gwalk_translate(&fake.vcpu, GVA_32, 0, &gpa, &fault);
			if (bit <= m - 20) {
				assert_int_equal(error, 0);
				assert_int_equal(gpa, 1ull << (bit + 19) | 0x40000000u | (GVA_32 & 0x3fffff));
			} else {
				assert_int_equal(error, -EFAULT);
				expect_fault(&fault, X86_PF, PF_PRESENT | PF_RESERVED, GVA_32);
			}
		}
	}
}

/* --- CR3 --- */

/* SDM, "Use of CR3" in each mode: bits that are not part of the address are ignored. */
static void bits_of_cr3_that_are_ignored(void **state)
{
	enter_32();
	fake.controls[CTL_CR3] = PD | 0xfff | 1ull << 32 | 1ull << 35;
	expect_address(GVA_32, 0, PAGE | (GVA_32 & 0xfff));

	enter_pae();
	fake.controls[CTL_CR3] = PDPT | 0x1f | 1ull << 32 | 1ull << 35;
	expect_address(GVA, 0, GVA - MIB(2));

	enter_64();
	fake.controls[CTL_CR3] = PML4 | 0xfff;
	expect_address(GVA, 0, PAGE | (GVA & 0xfff));
}

/* Bit 31 is the highest that counts: there is no RAM at 2 GiB, and all ones have reserved bits. */
static void the_highest_bit_of_cr3_with_pae(void **state)
{
	struct guest_fault fault;
	gpa_t gpa;

	enter_pae();
	fake.controls[CTL_CR3] = 0x80000000u | PDPT;
	assert_int_equal(gwalk_translate(&fake.vcpu, GVA, 0, &gpa, &fault), -EFAULT);
	expect_fault(&fault, X86_PF, PF_PRESENT | PF_RESERVED, GVA);
}

/* --- entries of 64 bits --- */

/* SDM: with 52 physical address bits, bits 62 to 52 of an entry are ignored. */
static void bits_above_the_address_are_ignored(void **state)
{
	const u64 ignored = 0x07f0000000000000ull;

	for (unsigned level = 1; level <= 4; level++) {
		enter_64();
		fake.physical_bits = 52;
		*entry_64(level) |= ignored | 0xe00;
		expect_address(GVA, 0, PAGE | (GVA & 0xfff));
	}
	enter_64();
	fake.physical_bits = 52;
	*entry_64(1) |= 1ull << 51;
	expect_address(GVA, 0, 1ull << 51 | PAGE | (GVA & 0xfff));
}

/* Tables at the highest bit of a physical address, where no RAM is: all ones, with reserved bits. */
static void the_highest_bit_of_a_physical_address(void **state)
{
	struct guest_fault fault;
	gpa_t gpa;

	for (unsigned level = 2; level <= 5; level++) {
		enter_64();
		if (level == 5)
			fake.controls[CTL_CR3] |= 1ull << (fake.physical_bits - 1);
		else
			*entry_64(level) |= 1ull << (fake.physical_bits - 1);
		assert_int_equal(gwalk_translate(&fake.vcpu, GVA, 0, &gpa, &fault), -EFAULT);
		expect_fault(&fault, X86_PF, PF_PRESENT | PF_RESERVED, GVA);
	}
	enter_64();
	*entry_64(1) |= 1ull << (fake.physical_bits - 1);
	expect_address(GVA, 0, 1ull << (fake.physical_bits - 1) | PAGE | (GVA & 0xfff));
}

/* --- PAE --- */

/* Bits 8 to 5 of a pointer were checked when CR3 was loaded: none of them makes a page of it. */
static void a_pae_pointer_is_no_page(void **state)
{
	enter_pae();
	*(u64 *)(fake.ram + PDPT) |= 0x1e0;
	expect_address(GVA, 0, GVA - MIB(2));
}

/* Linear addresses have 32 bits: upper bits are cut off, not checked for being canonical. */
static void linear_addresses_of_pae_have_32_bits(void **state)
{
	static const gva_t high[] = { 0, 1ull << 32, 1ull << 47, 1ull << 63, 0xffffffffull << 32 };

	enter_pae();
	for (unsigned i = 0; i < ARRAY_SIZE(high); i++)
		expect_address(high[i] | GVA, 0, GVA - MIB(2));
}

/* --- changes during a walk --- */

static struct {
	unsigned walks;		/* so far */
	unsigned changes;	/* how many of the first walks meet a change */
	u64 *entry;
} other_cpu;

static void (*segment_get_before)(struct vcpu *vcpu, enum vcpu_segment index, struct segment *segment);

/* SMAP makes each walk ask for the CPL, between reading the entries and marking them. */
static void segment_get(struct vcpu *vcpu, enum vcpu_segment index, struct segment *segment)
{
	segment_get_before(vcpu, index, segment);
	if (index != SEG_SS)
		return;
	if (other_cpu.walks++ < other_cpu.changes)
		*other_cpu.entry += PAGE_SIZE;
}

static void enter_with_another_cpu(unsigned level, unsigned changes)
{
	static struct vcpu_ops ops;

	enter_64();
	fake.controls[CTL_CR4] |= CR4_SMAP;
	vcpu_reg_write(&fake.vcpu, REG_RFLAGS, RFLAGS_FIXED | RFLAGS_AC);
	if (fake.vcpu.ops->segment_get != segment_get) {
		ops = *fake.vcpu.ops;
		segment_get_before = ops.segment_get;
		ops.segment_get = segment_get;
		fake.vcpu.ops = &ops;
	}
	other_cpu.walks = 0;
	other_cpu.changes = changes;
	other_cpu.entry = entry_64(level);
}

static void a_changed_leaf_is_walked_again(void **state)
{
	for (unsigned changes = 0; changes < WALKS; changes++) {
		gpa_t page = PAGE + changes * PAGE_SIZE;

		enter_with_another_cpu(1, changes);
		expect_address(GVA, PF_WRITE, page | (GVA & 0xfff));
		assert_int_equal(other_cpu.walks, changes + 1);
		assert_int_equal(*entry_64(1), page | ALL | PTE_ACCESSED | PTE_DIRTY);
	}
}

/* Only the entries of the last walk get accessed flags and give the address. */
static void a_changed_table_is_walked_again(void **state)
{
	const struct {
		unsigned level;
		u64 table;
	} cases[] = { { 2, PT }, { 3, PD }, { 4, PDPT } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 moved = 0x20000;

		enter_with_another_cpu(cases[i].level, 1);
		*other_cpu.entry = (moved - PAGE_SIZE) | ALL;
		memcpy(fake.ram + moved - PAGE_SIZE, fake.ram + cases[i].table, PAGE_SIZE);
		memcpy(fake.ram + moved, fake.ram + cases[i].table, PAGE_SIZE);
		expect_address(GVA, 0, PAGE | (GVA & 0xfff));
		assert_int_equal(other_cpu.walks, 2);
		assert_int_equal(*other_cpu.entry, moved | ALL | PTE_ACCESSED);
	}
}

/* The guest gets a page fault, finds its tables correct and repeats the access. */
static void a_walk_gives_up_where_each_try_meets_a_change(void **state)
{
	struct guest_fault fault;
	gpa_t gpa;

	enter_with_another_cpu(1, WALKS);
	assert_int_equal(gwalk_translate(&fake.vcpu, GVA, PF_WRITE, &gpa, &fault), -EFAULT);
	expect_fault(&fault, X86_PF, PF_WRITE, GVA);
	assert_int_equal(other_cpu.walks, WALKS);
	assert_int_equal(*entry_64(1) & (PTE_ACCESSED | PTE_DIRTY), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(entries_of_32_bits_have_neighbours, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_entry_of_ram, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_of_32_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(fetch_bit_without_pae, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_of_4_mib_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(bits_of_cr3_that_are_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(the_highest_bit_of_cr3_with_pae, setup, teardown),
		cmocka_unit_test_setup_teardown(bits_above_the_address_are_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(the_highest_bit_of_a_physical_address, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pae_pointer_is_no_page, setup, teardown),
		cmocka_unit_test_setup_teardown(linear_addresses_of_pae_have_32_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(a_changed_leaf_is_walked_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_changed_table_is_walked_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_walk_gives_up_where_each_try_meets_a_change, setup, teardown),
	};

	return cmocka_run_group_tests_name("gwalk: entries", tests, NULL, NULL);
}
