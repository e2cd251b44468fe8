/* SPDX-License-Identifier: MIT */
/* Guest page tables: every paging mode, every right, every reserved bit. */
/* link: core/emulate/gwalk.c core/cpu/control.c core/vcpu.c tests/unit/fake_vcpu.c */
#include "fake_vcpu.h"

#include <string.h>

#include "arch/cpu/cpufeature.h"

#define TABLES 0x10000ull	/* the table of level n is at TABLES + n * 0x1000 */
#define CR3_PAE_OFFSET 0x60	/* PAE's four pointers are aligned to 32 bytes only */

#define LONG_MODE (EFER_LME | EFER_LMA | EFER_NXE)

struct paging_mode {
	const char *name;
	unsigned levels;
	u64 cr4, efer;
	unsigned entry_size;
	unsigned shifts[6], index_bits[6];	/* by level, from 1 */
	u64 page_sizes[4];			/* by level, from 1; 0: no page there */
	gva_t gva;
};

/* SDM, "Hierarchical Paging Structures: an Overview", the table of structures of each mode. */
static const struct paging_mode modes[] = {
	{ "32-bit", 2, CR4_PSE, 0, 4, { 0, 12, 22 }, { 0, 10, 10 },
	  { 0, KIB(4), MIB(4) }, 0x8765abcd },
	{ "PAE", 3, CR4_PAE, EFER_NXE, 8, { 0, 12, 21, 30 }, { 0, 9, 9, 2 },
	  { 0, KIB(4), MIB(2) }, 0x8765abcd },
	{ "4-level", 4, CR4_PAE, LONG_MODE, 8, { 0, 12, 21, 30, 39 }, { 0, 9, 9, 9, 9 },
	  { 0, KIB(4), MIB(2), GIB(1) }, 0xffffb97531abcdefull },
	{ "5-level", 5, CR4_PAE | CR4_LA57, LONG_MODE, 8, { 0, 12, 21, 30, 39, 48 },
	  { 0, 9, 9, 9, 9, 9 }, { 0, KIB(4), MIB(2), GIB(1) }, 0xff12b97531abcdefull },
};

enum { MODE_32, MODE_PAE, MODE_4, MODE_5, MODES };

static u64 top_of(const struct paging_mode *mode)
{
	return TABLES + mode->levels * 0x1000 + (mode->levels == 3 ? CR3_PAE_OFFSET : 0);
}

static void *entry_at(const struct paging_mode *mode, gva_t gva, unsigned level)
{
	u64 table = level == mode->levels ? top_of(mode) : TABLES + level * 0x1000;
	u64 index = gva >> mode->shifts[level] & ((1u << mode->index_bits[level]) - 1);

	return fake.ram + table + index * mode->entry_size;
}

static u64 entry_get(const struct paging_mode *mode, gva_t gva, unsigned level)
{
	u64 value = 0;

	memcpy(&value, entry_at(mode, gva, level), mode->entry_size);
	return value;
}

static void entry_set(const struct paging_mode *mode, gva_t gva, unsigned level, u64 value)
{
	memcpy(entry_at(mode, gva, level), &value, mode->entry_size);
}

static void entry_add(const struct paging_mode *mode, gva_t gva, unsigned level, u64 bits)
{
	entry_set(mode, gva, level, entry_get(mode, gva, level) | bits);
}

static bool is_pointer_level(const struct paging_mode *mode, unsigned level)
{
	return mode->levels == 3 && level == 3;
}

/* Map with entries that allow everything, down to a leaf of this level. */
static void map(const struct paging_mode *mode, gva_t gva, gpa_t page, unsigned leaf)
{
	const u64 all = PTE_PRESENT | PTE_WRITE | PTE_USER;

	for (unsigned level = mode->levels; level > leaf; level--) {
		u64 rights = is_pointer_level(mode, level) ? PTE_PRESENT : all;

		entry_set(mode, gva, level, (TABLES + (level - 1) * 0x1000) | rights);
	}
	entry_set(mode, gva, leaf, page | all | (leaf > 1 ? PTE_LARGE : 0));
}

static void enter(const struct paging_mode *mode)
{
	memset(fake.ram, 0, FAKE_RAM_SIZE);
	fake_long_mode();
	fake.segments[SEG_CS].l = mode->levels > 3;
	fake.controls[CTL_CR0] = CR0_PE | CR0_PG;
	fake.controls[CTL_CR4] = mode->cr4;
	fake.controls[CTL_EFER] = mode->efer;
	fake.controls[CTL_CR3] = top_of(mode);
}

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

#define FOR_EACH_MODE(mode) \
	for (const struct paging_mode *mode = modes; mode < modes + MODES; mode++)
#define FOR_EACH_LEAF(mode, leaf) \
	for (unsigned leaf = 1; leaf <= 3; leaf++) if ((mode)->page_sizes[leaf])

static int translate(gva_t gva, u32 access, gpa_t *gpa, struct guest_fault *fault)
{
	memset(fault, 0xa5, sizeof(*fault));
	*gpa = 0x5a5a5a5a5a5a5a5aull;
	return gwalk_translate(&fake.vcpu, gva, access, gpa, fault);
}

static void expect_page_fault(gva_t gva, u32 access, u32 error_code)
{
	struct guest_fault fault;
	gpa_t gpa;

	assert_int_equal(translate(gva, access, &gpa, &fault), -EFAULT);
	expect_fault(&fault, X86_PF, error_code, gva);
}

static void expect_address(gva_t gva, u32 access, gpa_t expected)
{
	struct guest_fault fault;
	gpa_t gpa;

	assert_int_equal(translate(gva, access, &gpa, &fault), 0);
	assert_int_equal(gpa, expected);
}

/* --- translation --- */

static void test_no_paging(void **state)
{
	fake_protected_mode(true);
	expect_address(0x12345678, PF_WRITE, 0x12345678);
	expect_address(0x112345678ull, 0, 0x12345678);	/* linear addresses have 32 bits there */
}

static void test_every_page_size(void **state)
{
	FOR_EACH_MODE(mode) {
		FOR_EACH_LEAF(mode, leaf) {
			u64 size = mode->page_sizes[leaf];
			gpa_t page = mode->entry_size == 4 ? 0x40000000 : 0x1240000000ull;

			enter(mode);
			map(mode, mode->gva, page, leaf);
			expect_address(mode->gva, 0, page | (mode->gva & (size - 1)));
			expect_address(mode->gva & ~(size - 1), PF_USER, page);
			expect_address(mode->gva | (size - 1), PF_WRITE, page | (size - 1));
			expect_address(mode->gva, PF_FETCH, page | (mode->gva & (size - 1)));
			/* The pages beside it have other entries. */
			expect_page_fault((mode->gva & ~(size - 1)) - 1, 0, 0);
			expect_page_fault((mode->gva | (size - 1)) + 1, 0, 0);
		}
	}
}

/* SDM, "Accessed and Dirty Flags" */
static void test_accessed_and_dirty(void **state)
{
	FOR_EACH_MODE(mode) {
		FOR_EACH_LEAF(mode, leaf) {
			enter(mode);
			map(mode, mode->gva, 0, leaf);
			for (unsigned write = 0; write < 2; write++) {
				gpa_t gpa;
				struct guest_fault fault;

				translate(mode->gva, write ? PF_WRITE : 0, &gpa, &fault);
				for (unsigned level = mode->levels; level >= leaf; level--) {
					u64 entry = entry_get(mode, mode->gva, level);
					u64 expected = PTE_ACCESSED;

					if (is_pointer_level(mode, level))
						expected = 0;
					else if (write && level == leaf)
						expected |= PTE_DIRTY;
					entry &= PTE_ACCESSED | PTE_DIRTY;
					assert_int_equal(entry, expected);
				}
			}
		}
	}
}

static void test_faults_leave_no_dirty_flag(void **state)
{
	const struct paging_mode *mode = &modes[MODE_4];

	enter(mode);
	map(mode, mode->gva, 0x5000, 1);
	entry_set(mode, mode->gva, 1, 0x5000 | PTE_PRESENT | PTE_USER);
	expect_page_fault(mode->gva, PF_USER | PF_WRITE, PF_PRESENT | PF_USER | PF_WRITE);
	assert_int_equal(entry_get(mode, mode->gva, 1), 0x5000 | PTE_PRESENT | PTE_USER);
}

static void test_not_present_at_each_level(void **state)
{
	FOR_EACH_MODE(mode) {
		for (unsigned level = 1; level <= mode->levels; level++) {
			enter(mode);
			map(mode, mode->gva, 0x5000, 1);
			entry_set(mode, mode->gva, level, ~(u64)PTE_PRESENT);
			expect_page_fault(mode->gva, PF_USER | PF_WRITE, PF_USER | PF_WRITE);
		}
	}
}

static void test_pse_36(void **state)
{
	const struct paging_mode *mode = &modes[MODE_32];

	enter(mode);
	map(mode, mode->gva, 0, 2);
	/* Address bits 39:32 are bits 20:13 of the entry. */
	entry_set(mode, mode->gva, 2, 0x40000000 | 0xa5 << 13 | PTE_PRESENT | PTE_LARGE);
	expect_address(mode->gva, 0, 0xa540000000ull | (mode->gva & 0x3fffff));
	/* With 36 address bits, 17 to 20 are reserved. */
	fake.physical_bits = 36;
	expect_page_fault(mode->gva, 0, PF_PRESENT | PF_RESERVED);
	entry_set(mode, mode->gva, 2, 0x40000000 | 0x5 << 13 | PTE_PRESENT | PTE_LARGE);
	expect_address(mode->gva, 0, 0x540000000ull | (mode->gva & 0x3fffff));
}

/* Without CR4.PSE bit 7 is ignored: the entry points to a table. */
static void test_large_pages_need_pse(void **state)
{
	const struct paging_mode *mode = &modes[MODE_32];

	enter(mode);
	map(mode, mode->gva, 0x5000, 1);
	entry_set(mode, mode->gva, 2, (TABLES + 0x1000) | PTE_PRESENT | PTE_LARGE);
	fake.controls[CTL_CR4] = 0;
	expect_address(mode->gva, 0, 0x5000 | (mode->gva & 0xfff));
}

static void test_canonical(void **state)
{
	static const struct {
		gva_t gva;
		bool with_4, with_5;
	} cases[] = {
		{ 0x00007fffffffffffull, true, true },
		{ 0x0000800000000000ull, false, true },
		{ 0x00ffffffffffffffull, false, true },
		{ 0x0100000000000000ull, false, false },
		{ 0xfeffffffffffffffull, false, false },
		{ 0xff00000000000000ull, false, true },
		{ 0xffff7fffffffffffull, false, true },
		{ 0xffff800000000000ull, true, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned m = MODE_4; m <= MODE_5; m++) {
			bool canonical = m == MODE_4 ? cases[i].with_4 : cases[i].with_5;
			struct guest_fault fault;
			gpa_t gpa;

			enter(&modes[m]);
			assert_int_equal(translate(cases[i].gva, 0, &gpa, &fault), -EFAULT);
			assert_int_equal(fault.vector, canonical ? X86_PF : X86_GP);
			assert_int_equal(fault.error_code, 0);
		}
	}
}

/* Tables outside of RAM read as all ones: present, with reserved bits set. */
static void test_tables_outside_of_ram(void **state)
{
	for (unsigned m = MODE_PAE; m < MODES; m++) {
		const struct paging_mode *mode = &modes[m];

		for (unsigned level = 1; level <= mode->levels; level++) {
			enter(mode);
			map(mode, mode->gva, 0x5000, 1);
			if (level == mode->levels)
				fake.controls[CTL_CR3] = 0x7fff0000;
			else
				entry_set(mode, mode->gva, level + 1, 0x7fff0000 | PTE_PRESENT);
			expect_page_fault(mode->gva, PF_WRITE, PF_PRESENT | PF_RESERVED | PF_WRITE);
		}
	}
	enter(&modes[MODE_32]);
	fake.controls[CTL_CR3] = 0x7fff0000;
	fake.controls[CTL_CR4] = 0;
	expect_address(0x1234, PF_WRITE, 0xfffff234);
}

/* A walk of tables that point to themselves ends. */
static void test_recursive_tables(void **state)
{
	FOR_EACH_MODE(mode) {
		enter(mode);
		for (unsigned level = 1; level <= mode->levels; level++) {
			u64 self = (top_of(mode) & PAGE_MASK) | PTE_PRESENT;

			entry_set(mode, mode->gva, level, self);
		}
		struct guest_fault fault;
		gpa_t gpa;

		translate(mode->gva, 0, &gpa, &fault);
	}
}

/* --- reserved bits --- */

/* SDM, "Formats of CR3 and Paging-Structure Entries" of each mode, with 40 address bits. */
static const struct {
	unsigned mode, level;
	bool large;
	u64 reserved;
} reserved_cases[] = {
	{ MODE_32, 1, false, 0 },
	{ MODE_32, 2, false, 0 },
	{ MODE_32, 2, true, 0x00200000 },
	{ MODE_PAE, 1, false, 0x7fffff0000000000ull },
	{ MODE_PAE, 2, false, 0x7fffff0000000000ull },
	{ MODE_PAE, 2, true, 0x7fffff00001fe000ull },
	{ MODE_PAE, 3, false, 0xffffff0000000000ull },	/* the low bits when CR3 is loaded */
	{ MODE_4, 1, false, 0x000fff0000000000ull },
	{ MODE_4, 2, false, 0x000fff0000000000ull },
	{ MODE_4, 2, true, 0x000fff00001fe000ull },
	{ MODE_4, 3, false, 0x000fff0000000000ull },
	{ MODE_4, 3, true, 0x000fff003fffe000ull },
	{ MODE_4, 4, false, 0x000fff0000000080ull },
	{ MODE_5, 4, false, 0x000fff0000000080ull },
	{ MODE_5, 5, false, 0x000fff0000000080ull },
};

static bool faults_as_reserved(const struct paging_mode *mode)
{
	struct guest_fault fault;
	gpa_t gpa;

	if (!translate(mode->gva, 0, &gpa, &fault))
		return false;
	assert_int_equal(fault.vector, X86_PF);
	return fault.error_code & PF_RESERVED;
}

static void test_each_reserved_bit(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(reserved_cases); i++) {
		const struct paging_mode *mode = &modes[reserved_cases[i].mode];
		unsigned level = reserved_cases[i].level;
		bool large = reserved_cases[i].large;

		for (unsigned bit = 1; bit < mode->entry_size * 8; bit++) {
			bool reserved = reserved_cases[i].reserved >> bit & 1;
			bool leads_elsewhere = bit == 7 || (bit >= 12 && bit < 40);

			/* Do not change what selects a large page or the next table. */
			if (level > 1 && !large && !reserved && leads_elsewhere)
				continue;
			enter(mode);
			map(mode, mode->gva, 0, large ? level : 1);
			entry_add(mode, mode->gva, level, 1ull << bit);
			if (faults_as_reserved(mode) != reserved)
				fail_msg("%s level %u%s bit %u: reserved %d", mode->name, level,
					 large ? " page" : "", bit, reserved);
		}
	}
}

static void test_nx_is_reserved_without_nxe(void **state)
{
	for (unsigned m = MODE_PAE; m < MODES; m++) {
		const struct paging_mode *mode = &modes[m];

		for (unsigned level = 1; level <= mode->levels; level++) {
			if (is_pointer_level(mode, level))
				continue;
			enter(mode);
			map(mode, mode->gva, 0x5000, 1);
			entry_add(mode, mode->gva, level, PTE_NX);
			assert_false(faults_as_reserved(mode));
			fake.controls[CTL_EFER] &= ~EFER_NXE;
			assert_true(faults_as_reserved(mode));
		}
	}
}

static void test_1g_pages_may_be_missing(void **state)
{
	const struct paging_mode *mode = &modes[MODE_4];

	enter(mode);
	map(mode, mode->gva, 0, 3);
	cpu_features.pages_1g = false;
	expect_page_fault(mode->gva, 0, PF_PRESENT | PF_RESERVED);
	cpu_features.pages_1g = true;
	expect_address(mode->gva, 0, mode->gva & (GIB(1) - 1));
}

static void test_52_address_bits(void **state)
{
	const struct paging_mode *mode = &modes[MODE_4];

	enter(mode);
	fake.physical_bits = 52;
	map(mode, mode->gva, 0x000f123456789000ull, 1);
	expect_address(mode->gva, 0, 0x000f123456789000ull | (mode->gva & 0xfff));
}

/* --- rights --- */

struct rights {
	bool user, writable, no_execute;	/* of the translation */
	bool wp, smep, smap, ac;
	u32 access;
};

/* SDM, "Determination of Access Rights", rule by rule in its order. */
static bool manual_allows(const struct rights *r)
{
	bool supervisor_address = !r->user;

	if (!(r->access & PF_USER)) {
		if (r->access & PF_FETCH) {
			if (supervisor_address)
				return !r->no_execute;
			return r->smep ? false : !r->no_execute;
		}
		if (r->access & PF_WRITE) {
			if (supervisor_address)
				return r->wp ? r->writable : true;
			if (!r->wp)
				return !r->smap || r->ac;
			if (!r->smap)
				return r->writable;
			return r->ac && r->writable;
		}
		if (supervisor_address)
			return true;
		return !r->smap || r->ac;
	}
	if (supervisor_address)
		return false;
	if (r->access & PF_FETCH)
		return !r->no_execute;
	if (r->access & PF_WRITE)
		return r->writable;
	return true;
}

static void check_rights(const struct paging_mode *mode, unsigned level, const struct rights *r)
{
	u64 entry;

	enter(mode);
	map(mode, mode->gva, 0x5000, 1);
	entry = entry_get(mode, mode->gva, level) & ~(PTE_USER | PTE_WRITE);
	entry |= r->user ? PTE_USER : 0;
	entry |= r->writable ? PTE_WRITE : 0;
	entry |= r->no_execute ? PTE_NX : 0;
	entry_set(mode, mode->gva, level, entry);

	fake.controls[CTL_CR0] |= r->wp ? CR0_WP : 0;
	fake.controls[CTL_CR4] |= (r->smep ? CR4_SMEP : 0) | (r->smap ? CR4_SMAP : 0);
	vcpu_reg_write(&fake.vcpu, REG_RFLAGS, RFLAGS_FIXED | (r->ac ? RFLAGS_AC : 0));
	fake_set_cpl(r->access & PF_USER ? 3 : 0);

	if (manual_allows(r)) {
		expect_address(mode->gva, r->access, 0x5000 | (mode->gva & 0xfff));
	} else {
		u32 code = PF_PRESENT | r->access;

		/* The fetch bit is reported only with NX or SMEP. */
		if (!r->smep && mode->entry_size == 4)
			code &= ~PF_FETCH;
		expect_page_fault(mode->gva, r->access, code);
	}
}

static void test_rights(void **state)
{
	static const u32 accesses[] = {
		0, PF_WRITE, PF_FETCH, PF_USER, PF_USER | PF_WRITE, PF_USER | PF_FETCH,
	};

	FOR_EACH_MODE(mode) {
		for (unsigned level = 1; level <= mode->levels; level++) {
			if (is_pointer_level(mode, level))
				continue;
			for (unsigned i = 0; i < 128 * ARRAY_SIZE(accesses); i++) {
				const struct rights r = {
					.user = i & 1, .writable = i & 2,
					.no_execute = mode->entry_size == 8 && (i & 4),
					.wp = i & 8, .smep = i & 16, .smap = i & 32, .ac = i & 64,
					.access = accesses[i / 128],
				};

				check_rights(mode, level, &r);
			}
		}
	}
}

/* SDM, "Access Rights": RFLAGS.AC does not allow implicit supervisor accesses at CPL 3. */
static void test_implicit_supervisor_access(void **state)
{
	const struct paging_mode *mode = &modes[MODE_4];

	enter(mode);
	map(mode, mode->gva, 0x5000, 1);
	fake.controls[CTL_CR4] |= CR4_SMAP;
	vcpu_reg_write(&fake.vcpu, REG_RFLAGS, RFLAGS_FIXED | RFLAGS_AC);
	fake_set_cpl(0);
	expect_address(mode->gva, 0, 0x5000 | (mode->gva & 0xfff));
	fake_set_cpl(3);
	expect_page_fault(mode->gva, 0, PF_PRESENT);
}

static void test_fetch_bit_of_the_error_code(void **state)
{
	const struct paging_mode *mode = &modes[MODE_4];

	enter(mode);
	expect_page_fault(mode->gva, PF_FETCH, PF_FETCH);
	fake.controls[CTL_EFER] &= ~EFER_NXE;
	expect_page_fault(mode->gva, PF_FETCH, 0);
	fake.controls[CTL_CR4] |= CR4_SMEP;
	expect_page_fault(mode->gva, PF_FETCH, PF_FETCH);
}

/* --- copies --- */

static void map_two_pages(const struct paging_mode *mode, gva_t gva, gpa_t first, gpa_t second)
{
	const u64 all = PTE_PRESENT | PTE_WRITE | PTE_USER;

	enter(mode);
	map(mode, gva, first, 1);
	if (second)
		entry_set(mode, gva + PAGE_SIZE, 1, second | all);
}

static void test_copies_cross_pages(void **state)
{
	const struct paging_mode *mode = &modes[MODE_4];
	gva_t gva = 0x400000000ffdull;
	struct guest_fault fault;
	char text[9] = "";

	map_two_pages(mode, gva, 0x5000, 0x3000);
	assert_int_equal(gwalk_write(&fake.vcpu, gva, "abcdefgh", 8, 0, &fault), 0);
	assert_memory_equal(fake.ram + 0x5ffc, "\0abc\0", 5);
	assert_memory_equal(fake.ram + 0x3000, "defgh\0", 6);
	assert_int_equal(gwalk_read(&fake.vcpu, gva, text, 8, 0, &fault), 0);
	assert_string_equal(text, "abcdefgh");
	assert_int_equal(gwalk_write(&fake.vcpu, gva - 2, "ABCDEF", 6, 0, &fault), 0);
	memset(text, 0, sizeof(text));
	assert_int_equal(gwalk_read(&fake.vcpu, gva - 2, text, 6, 0, &fault), 0);
	assert_string_equal(text, "ABCDEF");
	/* Up to the end of the page, and not a byte beyond. */
	assert_int_equal(gwalk_write(&fake.vcpu, gva, "xyz", 3, 0, &fault), 0);
	assert_memory_equal(fake.ram + 0x5ffc, "Bxyz", 4);
	assert_memory_equal(fake.ram + 0x3000, "Fefgh", 5);
	assert_true(entry_get(mode, gva, 1) & PTE_DIRTY);
	assert_true(entry_get(mode, gva + PAGE_SIZE, 1) & PTE_DIRTY);
}

static void test_fault_in_the_second_page(void **state)
{
	const struct paging_mode *mode = &modes[MODE_4];
	gva_t gva = 0x400000000ffcull;
	struct guest_fault fault;

	map_two_pages(mode, gva, 0x5000, 0);
	assert_int_equal(gwalk_write(&fake.vcpu, gva, "abcdefgh", 8, PF_USER, &fault), -EFAULT);
	expect_fault(&fault, X86_PF, PF_WRITE | PF_USER, 0x400000001000ull);
	assert_memory_equal(fake.ram + 0x5ffc, "\0\0\0\0", 4);
}

static void test_copies_outside_of_ram(void **state)
{
	const struct paging_mode *mode = &modes[MODE_4];
	gva_t gva = 0x400000000ffcull;
	struct guest_fault fault;
	char text[8];

	map_two_pages(mode, gva, 0x5000, FAKE_MMIO);
	assert_int_equal(gwalk_read(&fake.vcpu, gva, text, 8, 0, &fault), -EIO);
	assert_int_equal(gwalk_write(&fake.vcpu, gva, "abcdefgh", 8, 0, &fault), -EIO);
	assert_memory_equal(fake.ram + 0x5ffc, "\0\0\0\0", 4);
	assert_int_equal(gwalk_read(&fake.vcpu, gva, text, 4, 0, &fault), 0);
}

/* Outside of 64-bit code linear addresses wrap at 4 GiB. */
static void test_linear_addresses_wrap(void **state)
{
	struct guest_span span;
	struct guest_fault fault;

	fake_protected_mode(true);
	assert_int_equal(gwalk_span(&fake.vcpu, 0xfffffffe, 4, 0, &span, &fault), 0);
	assert_int_equal(span.gpa[0], 0xfffffffe);
	assert_int_equal(span.size[0], 2);
	assert_int_equal(span.gpa[1], 0);
	assert_int_equal(span.size[1], 2);
}

/* --- garbage --- */

/* Random tables: every walk ends, and nothing outside of RAM is accessed. */
static void test_random_tables(void **state)
{
	u64 seed = 0x9e3779b97f4a7c15ull;

	for (unsigned round = 0; round < 64; round++) {
		enter(&modes[round % MODES]);
		fake.physical_bits = 36 + round % 17;
		for (u64 i = 0; i < FAKE_RAM_SIZE; i += 8) {
			u64 value = fake_random(&seed);

			/* Mostly entries that point to another table. */
			if (i & 0x38)
				value = (value & (FAKE_RAM_SIZE - 1)) | PTE_PRESENT;
			memcpy(fake.ram + i, &value, 8);
		}
		for (unsigned i = 0; i < 2000; i++) {
			u32 access = (u32)fake_random(&seed) & (PF_WRITE | PF_USER | PF_FETCH);
			struct guest_fault fault;
			gpa_t gpa;
			int error = translate(fake_random(&seed), access, &gpa, &fault);

			assert_true(error == 0 || error == -EFAULT);
			assert_true(error || gpa >> fake.physical_bits == 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_paging, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_page_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_accessed_and_dirty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_faults_leave_no_dirty_flag, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_present_at_each_level, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pse_36, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_pages_need_pse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_canonical, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tables_outside_of_ram, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recursive_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_reserved_bit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nx_is_reserved_without_nxe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_1g_pages_may_be_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_52_address_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rights, setup, teardown),
		cmocka_unit_test_setup_teardown(test_implicit_supervisor_access, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fetch_bit_of_the_error_code, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copies_cross_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fault_in_the_second_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copies_outside_of_ram, setup, teardown),
		cmocka_unit_test_setup_teardown(test_linear_addresses_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_tables, setup, teardown),
	};

	return cmocka_run_group_tests_name("gwalk", tests, NULL, NULL);
}
