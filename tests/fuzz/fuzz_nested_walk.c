/* SPDX-License-Identifier: MIT */
/*
 * A guest hypervisor's nested tables, random ones, that change between any two loads of the walk: clang calls this
 * before each. And the shadow tables that are built from them. The oracle is a walk for each format written from the
 * manuals' figures, over the values that were loaded, each once. Of the shadow tables: each page in them is one of the
 * VM's RAM, where a walk since the last invalidation found it, with no right that this walk or the VM's tables deny.
 */
/* cflags: -fsanitize-coverage=trace-loads */
/* link: core/mem/nested_walk.c core/mem/shadow.c core/mem/tdp.c */
#include "tests/fuzz/fuzz.h"

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

#define RAM_PAGES  16		/* with L1's tables in them, and a hole */
#define HOLE	   10
#define LARGE_AT   MIB(2)	/* two pages of 2 MiB, one of which is not executable before it is split */
#define LARGE_SIZE MIB(4)
#define RAM_AT	   GIB(16)
#define ATTEMPTS   8
#define PAGES	   40
#define FILLS	   4096
#define ADDRESS	   0x000ffffffffff000ull
#define LARGE	   BIT_ULL(7)
#define NX	   BIT_ULL(63)

static const struct shadow_format formats[] = {
	{ .table_bits = RWX, .page_bits = 0x77, .read = R, .write = W, .execute = X },
	{ .table_bits = 7, .page_bits = 7, .read = 1, .write = 2, .no_execute = NX, .flush_on_switch = true },
};
static const struct tdp_format own[] = { { RWX, 0x77, 0x73, TDP_2M }, { 7, 7, 7, TDP_2M } };

static _Alignas(4096) u8 ram[RAM_PAGES * PAGE_SIZE];
static struct vm vm;
static struct vcpu vcpu = { .vm = &vm };
static struct shadow *shadow;
static void *shadow_memory;
static bool npt;
static struct nested_tables tables;

/* Entries that are written when the n-th one is read. */
static struct change {
	u8 read;
	gpa_t at;
	u64 value;
} changes[8];
static unsigned change_count;

/* What a walk has read. */
static struct {
	gpa_t at;
	u64 value;
	bool in_ram;
} log[64];
static unsigned reads;
static bool walking;

/* What was found since the last invalidation. */
static struct found {
	hpa_t root, hpa;
	gpa_t l2_gpa;
	u64 size;
	u8 rights;
} found[FILLS];
static unsigned found_count;

void panic(const char *format, ...)
{
	fprintf(stderr, "panic: %s\n", format);
	abort();
}

void *page_alloc(void)
{
	void *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);

	memset(page, 0, PAGE_SIZE);
	return page;
}

void page_free(void *page)
{
	free(page);
}

void *vm_alloc(struct vm *v, size_t size)
{
	shadow_memory = calloc(1, size);
	return shadow_memory;
}

/* --- the VM's RAM --- */

static bool in_ram(gpa_t gpa)
{
	return gpa < RAM_PAGES * PAGE_SIZE && gpa / PAGE_SIZE != HOLE;
}

/* The pages are not in order. */
static hpa_t host_address(gpa_t gpa)
{
	return gpa < LARGE_AT ? RAM_AT + (gpa / PAGE_SIZE * 7 % 64 * PAGE_SIZE) + gpa % PAGE_SIZE : RAM_AT + gpa;
}

static bool is_host_ram(hpa_t hpa)
{
	for (gpa_t gpa = 0; gpa < RAM_PAGES * PAGE_SIZE; gpa += PAGE_SIZE)
		if (in_ram(gpa) && host_address(gpa) == hpa)
			return true;
	return hpa >= RAM_AT + LARGE_AT && hpa < RAM_AT + LARGE_AT + LARGE_SIZE;
}

void *guest_ptr(const struct vm *v, gpa_t gpa, u64 size)
{
	if (in_ram(gpa) && gpa % size == 0)
		return ram + gpa;
	fuzz_assert(reads < ARRAY_SIZE(log));
	log[reads].at = gpa;
	log[reads++].in_ram = false;
	return NULL;
}

#define NOT_TRACED __attribute__((no_sanitize("coverage")))

/* A load of the walk is about to happen: change entries, and remember what it finds. */
NOT_TRACED static void load(const void *at, unsigned size)
{
	gpa_t gpa = (u64)at - (u64)ram;

	fuzz_assert(size <= sizeof(log[0].value) || !walking);	/* an entry has at most 8 bytes */
	if (!walking || gpa >= sizeof(ram))
		return;
	fuzz_assert(reads < ARRAY_SIZE(log));
	for (unsigned i = 0; i < change_count; i++)
		if (changes[i].read == reads)
			__builtin_memcpy(ram + changes[i].at, &changes[i].value, 8);
	log[reads].at = gpa;
	log[reads].in_ram = true;
	log[reads].value = 0;
	__builtin_memcpy(&log[reads++].value, at, size);
}

#include "loads.h"

static int make_executable(struct vm *v, gpa_t gpa)
{
	return tdp_split(v, &own[npt], gpa);
}

static const struct vcpu_ops ops = { .vm_make_executable = make_executable };

/* --- the reference --- */

struct result {
	enum nested_cause cause;
	u8 rights;
	unsigned level, used;	/* entries of the log */
	gpa_t gpa;
	u64 size;
};

static u64 mask(unsigned from, unsigned to)
{
	u64 m = 0;

	for (unsigned i = from; i <= to && i < 64; i++)
		m |= BIT_ULL(i);
	return m;
}

/* SDM, the figure "Formats of EPTP and EPT Paging-Structure Entries". */
static bool ept_entry(u64 e, unsigned level, bool *leaf, u8 *rights)
{
	u64 must_be_0 = mask(tables.physical_bits, 51);
	unsigned type = e >> 3 & 7;

	*rights &= e & 7;
	*leaf = level == 1 || (level == 2 && (e & LARGE)) || (level == 3 && tables.pages_1g && (e & LARGE));
	if (!*leaf)
		must_be_0 |= mask(3, 7);
	else if (level > 1)
		must_be_0 |= level == 2 ? mask(12, 20) : mask(12, 29);
	if ((e & 3) == 2 || ((e & 7) == 4 && !tables.execute_only))
		return false;
	return !(e & must_be_0) && !(*leaf && (type == 2 || type == 3 || type == 7));
}

/* APM vol. 2, the figures "4-Kbyte PML4E - Long Mode" to "4-Mbyte PDE - Non-PAE Paging Legacy Mode". */
static bool npt_entry(u64 e, unsigned level, bool *leaf, u8 *rights)
{
	u64 must_be_0 = 0;

	*leaf = level == 1;
	if (tables.format == NESTED_LEGACY) {
		*leaf |= level == 2 && tables.page_size && (e & LARGE);
		if (*leaf && level == 2)
			must_be_0 = BIT(21) | (mask(tables.physical_bits, 39) >> 19);
	} else if (tables.format == NESTED_PAE && level == 3) {
		return !(e & (mask(1, 2) | mask(5, 8) | mask(tables.physical_bits, 63)));
	} else {
		*leaf |= (level == 2 || (level == 3 && tables.pages_1g)) && (e & LARGE);
		must_be_0 = mask(tables.physical_bits, tables.format == NESTED_PAE ? 62 : 51);
		must_be_0 |= tables.no_execute ? 0 : NX;
		if (*leaf && level > 1)
			must_be_0 |= level == 2 ? mask(13, 20) : mask(13, 29);
		if (!*leaf && level >= 3)
			must_be_0 |= mask(7, 8);
		if (e & NX)
			*rights &= ~X;
	}
	if (!(e & 2))
		*rights &= ~W;
	if (!(e & 4))
		*rights = 0;
	return !(e & must_be_0);
}

static struct result reference(unsigned first, gpa_t l2_gpa, u32 access)
{
	struct result r = { .rights = RWX, .level = tables.levels };
	bool ept = tables.format == NESTED_EPT, legacy = tables.format == NESTED_LEGACY;
	unsigned shift = legacy ? 10 : 9, width = legacy ? 4 : 8;
	gpa_t table = tables.format == NESTED_PAE ? tables.root & mask(5, 31) : legacy ? tables.root & mask(12, 31) :
		      tables.root & mask(12, tables.physical_bits - 1u);
	bool leaf = false;

	if (l2_gpa & ~mask(0, tables.levels <= 3 ? 31 : 11 + 9 * tables.levels)) {
		r.cause = NESTED_NOT_PRESENT;
		r.rights = 0;
		return r;
	}
	for (;; r.level--) {
		unsigned low = 12 + (r.level - 1) * shift;
		u64 e = log[first + r.used].value;

		fuzz_assert(first + r.used < reads);
		fuzz_assert(log[first + r.used].at == table + (l2_gpa >> low & mask(0, shift - 1)) * width);
		if (!log[first + r.used++].in_ram || !(e & (ept ? 7 : 1))) {
			r.cause = NESTED_NOT_PRESENT;
			r.rights = 0;
			return r;
		}
		if (!(ept ? ept_entry(e, r.level, &leaf, &r.rights) : npt_entry(e, r.level, &leaf, &r.rights))) {
			r.cause = NESTED_MALFORMED;
			return r;
		}
		table = e & (legacy ? mask(12, 31) : mask(12, tables.physical_bits - 1u));
		if (leaf) {
			r.size = BIT_ULL(low);
			r.gpa = (e & mask(low, legacy ? 31 : tables.physical_bits - 1u)) | (l2_gpa & (r.size - 1));
			if (legacy && r.level == 2)
				r.gpa |= (e >> 13 & 0xff) << 32;
			r.cause = access & ~r.rights ? NESTED_FORBIDDEN : NESTED_ALLOWED;
			return r;
		}
	}
}

static bool has_flags(void)
{
	return tables.format != NESTED_EPT || tables.accessed_dirty;
}

/*
 * An entry whose flags were set has not changed since it was read. One entry may serve several levels; those that had
 * their flags may have changed, and PAE's pointers have none.
 */
static void check_flags(const struct result *r, unsigned first, u32 access)
{
	unsigned size = tables.format == NESTED_LEGACY ? 4 : 8, last = first + r->used - 1;
	u64 accessed = tables.format == NESTED_EPT ? 0x100 : 0x20;

	for (unsigned i = first; i <= last; i++) {
		u64 value = 0, expected = log[i].value;

		expected |= accessed;
		if (log[i].at == log[last].at && (access & W))
			expected |= accessed << 1;
		if (expected == log[i].value || (tables.format == NESTED_PAE && i == first))
			continue;
		memcpy(&value, ram + log[i].at, size);
		fuzz_assert(value == expected);
	}
}

/* Find the attempt that decided. */
static struct result check_walk(gpa_t l2_gpa, u32 access, const struct nested_walk *walk)
{
	struct result r;
	unsigned first = 0, attempts = 1;
	u32 checked = access & RWX ? access & RWX : R;

	if ((access & NESTED_TABLE) && has_flags())
		checked |= W;
	fuzz_assert(walk->access == checked);
	for (;; attempts++) {
		r = reference(first, l2_gpa, checked);
		if (first + r.used == reads)
			break;
		/* Only an access that is allowed is tried again. */
		fuzz_assert(r.cause == NESTED_ALLOWED && has_flags());
		first += r.used;
	}
	fuzz_assert(attempts <= ATTEMPTS);
	if (walk->cause == NESTED_CHANGING) {
		fuzz_assert(attempts == ATTEMPTS && r.cause == NESTED_ALLOWED);
		r.cause = NESTED_CHANGING;
		return r;
	}
	fuzz_assert(walk->cause == r.cause && walk->level == r.level);
	if (r.cause != NESTED_MALFORMED)
		fuzz_assert(walk->rights == r.rights);
	if (r.cause != NESTED_ALLOWED)
		return r;
	fuzz_assert(walk->gpa == r.gpa && 1ull << walk->page_shift == r.size);
	fuzz_assert((walk->cached | W) == (r.rights | W) && (walk->cached & checked) == checked);
	if (has_flags())
		check_flags(&r, first, checked);
	if (has_flags() && !(checked & W) && !(log[reads - 1].value & (tables.format == NESTED_EPT ? 0x200 : 0x40)))
		fuzz_assert(!(walk->cached & W));
	return r;
}

/* --- the shadow tables --- */

static u8 leaf_rights(u64 e)
{
	return npt ? R | (e & 2) | (e & NX ? 0 : X) : e & 7;
}

static bool was_found(hpa_t root, gpa_t l2_gpa, hpa_t hpa, u64 size, u8 rights)
{
	for (unsigned i = 0; i < found_count; i++) {
		const struct found *f = &found[i];

		if (f->root == root && l2_gpa >= f->l2_gpa && l2_gpa + size <= f->l2_gpa + f->size &&
		    hpa - f->hpa == l2_gpa - f->l2_gpa && !(rights & ~f->rights))
			return true;
	}
	return false;
}

static void check_table(hpa_t root, hpa_t at, int level, gpa_t l2_gpa)
{
	const u64 *entries = phys_to_virt(at);
	u64 size = 1ull << (12 + 9 * level);

	for (unsigned i = 0; i < 512; i++, l2_gpa += size) {
		u64 e = entries[i], bits = e & ~ADDRESS;
		hpa_t hpa = e & ADDRESS;

		if (!e)
			continue;
		if (level && !(e & LARGE)) {
			fuzz_assert(bits == 7);
			check_table(root, hpa, level - 1, l2_gpa);
			continue;
		}
		fuzz_assert(level < 2 && hpa % size == 0 && is_host_ram(hpa) && is_host_ram(hpa + size - PAGE_SIZE));
		fuzz_assert((bits & ~(NX | RWX | (level ? LARGE : 0))) == (npt ? 0 : 0x70));
		fuzz_assert(npt ? (bits & 5) == 5 : (bits & RWX) != 0 && !(bits & NX));
		fuzz_assert(npt || !level || !(bits & X));
		fuzz_assert(was_found(root, l2_gpa, hpa, size, leaf_rights(e)));
	}
}

/* What the hardware would find. */
static bool maps(hpa_t root, gpa_t l2_gpa, hpa_t hpa, u32 access)
{
	hpa_t at = root;

	for (int level = 3;; level--) {
		u64 size = 1ull << (12 + 9 * level), e = ((u64 *)phys_to_virt(at))[l2_gpa / size & 511];

		if (!e)
			return false;
		if (level == 0 || (e & LARGE))
			return (e & ADDRESS) + (l2_gpa & (size - 1)) == hpa && !(access & ~leaf_rights(e));
		at = e & ADDRESS;
	}
}

static void fill(gpa_t l2_gpa, u32 access)
{
	hpa_t root = shadow_use(shadow, &tables);
	struct nested_walk walk;
	enum shadow_result result;
	struct result r;

	shadow_flush_due(shadow);
	reads = 0;
	walking = true;
	result = shadow_fill(shadow, l2_gpa, access, &walk);
	walking = false;
	r = check_walk(l2_gpa, access, &walk);
	change_count = 0;
	if (r.cause == NESTED_ALLOWED && result == SHADOW_FILLED && found_count < FILLS) {
		bool small = r.gpa < LARGE_AT;
		u64 size = MIN(r.size, small ? PAGE_SIZE : MIB(2));

		found[found_count++] = (struct found){
			.root = root, .l2_gpa = l2_gpa & ~(size - 1), .hpa = host_address(r.gpa & ~(size - 1)),
			.size = size, .rights = walk.cached,
		};
		fuzz_assert(maps(root, l2_gpa, host_address(r.gpa), walk.access));
	}
	if (r.cause == NESTED_ALLOWED) {
		bool is_ram = in_ram(r.gpa) || (r.gpa >= LARGE_AT && r.gpa < LARGE_AT + LARGE_SIZE);

		fuzz_assert(result == (is_ram && l2_gpa < BIT_ULL(48) ? SHADOW_FILLED : SHADOW_DEVICE));
	} else {
		fuzz_assert(result == (r.cause == NESTED_CHANGING ? SHADOW_FILLED : SHADOW_REFUSED));
	}
	check_table(root, root, 3, 0);
}

/* --- the input --- */

/* Few pages, indices and flags, so that tables lead to each other. */
static u64 take_entry(struct fuzz_input *input)
{
	u64 page = fuzz_take(input, 1), flags = fuzz_take(input, 1), rest = fuzz_take(input, 1);
	u64 value = flags | (page & 31) << 12;

	if (page & 32)
		value = flags | LARGE_AT | (page & 1) << 21;
	if (page & 64)
		value = flags;
	if (rest & 64)
		value |= (rest & 7) << 8;
	if (rest & 128)
		value |= BIT_ULL(12 + rest % 52);
	return value;
}

static gpa_t take_entry_address(struct fuzz_input *input)
{
	u8 where = (u8)fuzz_take(input, 1);
	static const u16 indices[] = { 0, 1, 2, 511 };

	return (where >> 4) * PAGE_SIZE + indices[where & 3] * 8;
}

static gpa_t take_l2_gpa(struct fuzz_input *input)
{
	u64 choice = fuzz_take(input, 2);
	gpa_t gpa = 0x123;
	static const u16 indices[] = { 0, 1, 2, 511 };

	for (unsigned level = 0; level < 5; level++)
		gpa |= (u64)indices[choice >> 2 * level & 3] << (12 + 9 * level);
	if (tables.levels < 4)
		gpa &= 0xffffffff;
	else if (tables.levels == 4)
		gpa &= mask(0, 47);
	return choice >> 12 == 15 ? gpa | BIT_ULL(60) : gpa;
}

static void take_tables(struct fuzz_input *input)
{
	static const u8 levels[] = { 4, 4, 3, 2 };
	u8 flags = (u8)fuzz_take(input, 1), more = (u8)fuzz_take(input, 1);

	memset(&tables, 0, sizeof(tables));
	tables.format = npt ? NESTED_LONG + more % 3 : NESTED_EPT;
	tables.levels = levels[tables.format];
	if (tables.levels == 4 && (flags & 1))
		tables.levels = 5;
	tables.physical_bits = (u8[]){ 36, 40, 48, 52 }[flags >> 1 & 3];
	tables.accessed_dirty = npt || (flags & 8);
	tables.no_execute = flags & 16;
	tables.pages_1g = flags & 32;
	tables.page_size = flags & 64;
	tables.execute_only = flags & 128;
	tables.root = (more >> 4) * PAGE_SIZE;
	tables.tag = more >> 2 & 3;
}

static void set_up(void)
{
	vm = (struct vm){ .ops = &ops };
	fuzz_assert(tdp_create(&vm) == 0);
	for (gpa_t gpa = 0; gpa < RAM_PAGES * PAGE_SIZE; gpa += PAGE_SIZE)
		if (in_ram(gpa))
			fuzz_assert(tdp_map(&vm, &own[npt], gpa, host_address(gpa), PAGE_SIZE) == 0);
	fuzz_assert(tdp_map(&vm, &own[npt], LARGE_AT, host_address(LARGE_AT), LARGE_SIZE) == 0);
	shadow = shadow_create(&vcpu, &formats[npt], PAGES);
	fuzz_assert(shadow);
	memset(ram, 0, sizeof(ram));
	change_count = found_count = 0;
}

static void run_step(struct fuzz_input *input)
{
	gpa_t at;

	switch (fuzz_take(input, 1) % 8) {
	case 0:
		take_tables(input);
		break;
	case 1: case 2:
		at = take_entry_address(input);
		*(u64 *)(ram + at) = take_entry(input);
		break;
	case 3:
		if (change_count == ARRAY_SIZE(changes))
			break;
		changes[change_count].read = (u8)fuzz_take(input, 1) % (5 * ATTEMPTS);
		changes[change_count].at = take_entry_address(input);
		changes[change_count++].value = take_entry(input);
		break;
	case 4:
		shadow_drop_all(shadow);
		found_count = 0;
		break;
	case 5:
		/* The model keeps too much: that a wrong root is dropped is the unit test's business. */
		shadow_drop_root(shadow, tables.root);
		shadow_drop_tag(shadow, tables.tag);
		break;
	default:
		at = take_l2_gpa(input);
		fill(at, fuzz_take(input, 1) & 15);
	}
}

void fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, data + size };

	npt = fuzz_take(&input, 1) & 1;
	set_up();
	take_tables(&input);
	while (input.at < input.end)
		run_step(&input);
	shadow_destroy(shadow);
	free(shadow_memory);
	tdp_destroy(&vm);
}

/* Tables in pages 1 to 5, index 0, with all rights, then pages of each kind. */
size_t fuzz_seed(u8 *data, size_t max, unsigned which)
{
	static const u8 levels[] = { 4, 4, 3, 2 };
	bool of_npt = which & 1;
	u8 format = of_npt ? (u8)(1 + which / 2 % 3) : 0, flags = 0xfa, rights = format == 2 ? 1 : 7;
	size_t n = 0;

	if (max < 64)
		return 0;
	data[n++] = of_npt;
	data[n++] = flags;
	data[n++] = (u8)(1 << 4 | (format ? format - 1 : 0) | ((which >> 3 & 3) << 2));
	for (unsigned level = levels[format], page = 1; level > 0; level--, page++) {
		bool leaf = level == 1 || (which & 32 && level == 2);
		u8 entry[] = { 1, (u8)(page << 4), (u8)(leaf ? (level == 2 ? 32 : 7) : page + 1),
			       (u8)((leaf ? (of_npt ? 7 : 0x37) : level == levels[format] ? rights : 7) |
				    (leaf && level == 2 ? 0x80 : 0)), 0 };

		memcpy(data + n, entry, sizeof(entry));
		n += sizeof(entry);
		if (leaf)
			break;
	}
	for (unsigned access = 1; access <= 4; access <<= 1) {
		u8 step[] = { 6, 0, 0, (u8)access };

		memcpy(data + n, step, sizeof(step));
		n += sizeof(step);
	}
	return n;
}

void fuzz_repair(u8 *data, size_t size)
{
}
