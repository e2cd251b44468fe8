/* SPDX-License-Identifier: MIT */
/*
 * Walks of the guest's page tables in software, as the processor does them.
 * Intel SDM, "32-Bit Paging", "PAE Paging", "4-Level Paging and 5-Level Paging", "Access Rights".
 */
#include "core/emulate/gwalk.h"

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/string.h"

#define LEVELS_MAX 5
#define RETRIES	   8	/* how often a walk is tried while other CPUs change its entries */

struct walk {
	struct vcpu *vcpu;
	gva_t gva;
	u32 access;
	u64 cr0, cr4, efer;
	unsigned levels;	/* 2: 32-bit paging, 3: PAE, 4 and 5: long mode */
	unsigned physical_bits;
	u64 rights;		/* PTE_WRITE and PTE_USER where all levels grant them */
	bool no_execute;
	unsigned level;		/* of the current entry; after the walk, of the leaf */
	struct {
		void *where;	/* NULL: not in RAM */
		u64 value;
	} entries[LEVELS_MAX + 1];
};

static bool nx_enabled(const struct walk *w)
{
	return (w->cr4 & CR4_PAE) && (w->efer & EFER_NXE);
}

/* SDM, "Page-Fault Exceptions" */
static int page_fault(const struct walk *w, u32 cause, struct guest_fault *fault)
{
	u32 reported = PF_WRITE | PF_USER;

	if (nx_enabled(w) || (w->cr4 & CR4_SMEP))
		reported |= PF_FETCH;
	*fault = (struct guest_fault){
		.vector = X86_PF,
		.error_code = cause | (w->access & reported),
		.address = w->gva,
	};
	return -EFAULT;
}

static bool wide_entries(const struct walk *w)
{
	return w->levels > 2;
}

static unsigned page_shift(const struct walk *w, unsigned level)
{
	return PAGE_SHIFT + (level - 1) * (wide_entries(w) ? 9 : 10);
}

static bool is_leaf(const struct walk *w, unsigned level, u64 entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_LARGE))
		return false;
	if (level == 2)
		return wide_entries(w) || (w->cr4 & CR4_PSE);
	return level == 3 && w->levels > 3;
}

/* The four pointers of PAE's top level have no access rights and no accessed flag. */
static bool is_pae_pointer(const struct walk *w, unsigned level)
{
	return w->levels == 3 && level == 3;
}

/* A mask of bits `first` to `last`; 0 if last < first. */
static u64 bits(unsigned first, unsigned last)
{
	return last < first ? 0 : (~0ull >> (63 - last)) & (~0ull << first);
}

/* A 4 MiB page has its address bits 39:32 in bits 20:13 (PSE-36). */
static u64 reserved_bits_32(const struct walk *w, unsigned level, u64 entry)
{
	if (level == 1 || !is_leaf(w, level, entry))
		return 0;
	return bits(MIN(w->physical_bits, 40u) - 19, 21);
}

static u64 reserved_bits(const struct walk *w, unsigned level, u64 entry)
{
	u64 reserved;

	if (!wide_entries(w))
		return reserved_bits_32(w, level, entry);
	/* The reserved low bits were checked when CR3 was loaded; a processor may have set accessed flags since. */
	if (is_pae_pointer(w, level))
		return bits(w->physical_bits, 63);

	reserved = bits(w->physical_bits, w->levels == 3 ? 62 : 51);
	if (!nx_enabled(w))
		reserved |= PTE_NX;
	if (level > 1 && is_leaf(w, level, entry))
		reserved |= bits(13, page_shift(w, level) - 1);
	if (level > 3 || (level == 3 && !cpu_features.pages_1g))
		reserved |= PTE_LARGE;
	return reserved;
}

static gpa_t top_table(const struct walk *w)
{
	u64 cr3 = w->vcpu->ops->control_get(w->vcpu, CTL_CR3);

	switch (w->levels) {
	case 2:
		return cr3 & bits(12, 31);
	case 3:
		return cr3 & bits(5, 31);
	default:
		return cr3 & bits(12, w->physical_bits - 1);
	}
}

/* L2's physical address to L1's. */
static int to_l1(const struct walk *w, bool table, gpa_t *gpa, struct guest_fault *fault)
{
	if (!w->vcpu->ops->nested_gpa(w->vcpu, *gpa, w->gva, w->access, table, gpa))
		return 0;
	*fault = (struct guest_fault){ .vector = GUEST_FAULT_NESTED };
	return -EFAULT;
}

/* Tables outside of RAM read as all ones. */
static __always_inline int read_entry(struct walk *w, unsigned level, gpa_t table, bool nested, struct guest_fault *fault)
{
	unsigned size = wide_entries(w) ? 8 : 4;
	unsigned index_bits = is_pae_pointer(w, level) ? 2 : wide_entries(w) ? 9 : 10;
	u64 index = w->gva >> page_shift(w, level) & (BIT(index_bits) - 1);
	gpa_t gpa = table + index * size;
	void *where;
	u64 value;

	if (nested && to_l1(w, true, &gpa, fault))
		return -EFAULT;
	where = guest_ptr(w->vcpu->vm, gpa, size);
	if (size == 4)
		value = where ? __atomic_load_n((u32 *)where, __ATOMIC_RELAXED) : ~0u;
	else
		value = where ? __atomic_load_n((u64 *)where, __ATOMIC_RELAXED) : ~0ull;
	w->entries[level].where = where;
	w->entries[level].value = value;
	return 0;
}

static __always_inline int walk_tables(struct walk *w, bool nested, struct guest_fault *fault)
{
	gpa_t table = top_table(w);

	w->rights = PTE_WRITE | PTE_USER;
	w->no_execute = false;
	for (w->level = w->levels;; w->level--) {
		u64 entry;

		if (read_entry(w, w->level, table, nested, fault))
			return -EFAULT;
		entry = w->entries[w->level].value;
		if (!(entry & PTE_PRESENT))
			return page_fault(w, 0, fault);
		if (entry & reserved_bits(w, w->level, entry))
			return page_fault(w, PF_PRESENT | PF_RESERVED, fault);
		if (!is_pae_pointer(w, w->level)) {
			w->rights &= entry;
			w->no_execute |= entry & PTE_NX;
		}
		if (is_leaf(w, w->level, entry))
			return 0;
		table = entry & (wide_entries(w) ? bits(12, w->physical_bits - 1) : bits(12, 31));
	}
}

/* RFLAGS.AC allows explicit supervisor accesses to user pages, but not implicit ones at CPL 3. */
static bool smap_forbids(const struct walk *w)
{
	if (!(w->cr4 & CR4_SMAP))
		return false;
	return !(vcpu_rflags(w->vcpu) & RFLAGS_AC) || vcpu_cpl(w->vcpu) == 3;
}

/* SDM, "Determination of Access Rights" */
static bool allowed(const struct walk *w)
{
	bool user_page = w->rights & PTE_USER, fetch = w->access & PF_FETCH;

	if ((w->access & PF_USER) && !user_page)
		return false;
	if (fetch && w->no_execute)
		return false;
	if (!(w->access & PF_USER) && user_page) {
		if (fetch ? (w->cr4 & CR4_SMEP) != 0 : smap_forbids(w))
			return false;
	}
	if ((w->access & PF_WRITE) && !(w->rights & PTE_WRITE))
		return !(w->access & PF_USER) && !(w->cr0 & CR0_WP);
	return true;
}

static bool replace(void *where, bool wide, u64 old, u64 new)
{
	u32 narrow = (u32)old;

	if (wide)
		return __atomic_compare_exchange_n((u64 *)where, &old, new, false, __ATOMIC_ACQ_REL,
						   __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((u32 *)where, &narrow, (u32)new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/* Set accessed and dirty flags. False if an entry has changed since the walk read it. */
static bool mark_entries(const struct walk *w)
{
	for (unsigned level = w->levels; level >= w->level; level--) {
		u64 value = w->entries[level].value, marked = value | PTE_ACCESSED;

		if (level == w->level && (w->access & PF_WRITE))
			marked |= PTE_DIRTY;
		if (marked == value || is_pae_pointer(w, level) || !w->entries[level].where)
			continue;
		if (!replace(w->entries[level].where, wide_entries(w), value, marked))
			return false;
	}
	return true;
}

static gpa_t leaf_address(const struct walk *w)
{
	u64 entry = w->entries[w->level].value;
	unsigned shift = page_shift(w, w->level);
	u64 page = entry & bits(shift, wide_entries(w) ? w->physical_bits - 1 : 31);

	if (!wide_entries(w) && w->level == 2)
		page |= (entry & bits(13, 20)) << 19;
	return page | (w->gva & bits(0, shift - 1));
}

static unsigned paging_levels(const struct walk *w)
{
	if (!(w->cr4 & CR4_PAE))
		return 2;
	if (!(w->efer & EFER_LMA))
		return 3;
	return w->cr4 & CR4_LA57 ? 5 : 4;
}

static bool canonical(gva_t gva, unsigned linear_bits)
{
	unsigned unused = 64 - linear_bits;

	return (u64)((s64)(gva << unused) >> unused) == gva;
}

bool gwalk_canonical(struct vcpu *vcpu, gva_t gva)
{
	return canonical(gva, vcpu->ops->control_get(vcpu, CTL_CR4) & CR4_LA57 ? 57 : 48);
}

static __always_inline int translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa, bool nested,
				     struct guest_fault *fault)
{
	struct walk w = {
		.vcpu = vcpu,
		.gva = gva,
		.access = access,
		.cr0 = vcpu->ops->control_get(vcpu, CTL_CR0),
		.cr4 = vcpu->ops->control_get(vcpu, CTL_CR4),
		.efer = vcpu->ops->control_get(vcpu, CTL_EFER),
		.physical_bits = cpuid_physical_bits(vcpu),
	};

	if (!(w.efer & EFER_LMA))
		w.gva = (u32)gva;
	if (!(w.cr0 & CR0_PG)) {
		*gpa = w.gva;
		return nested ? to_l1(&w, false, gpa, fault) : 0;
	}
	w.levels = paging_levels(&w);
	if (w.levels > 3 && !gwalk_canonical(vcpu, gva)) {
		*fault = (struct guest_fault){ .vector = X86_GP };
		return -EFAULT;
	}
	for (unsigned i = 0; i < RETRIES; i++) {
		int error = walk_tables(&w, nested, fault);

		if (error)
			return error;
		if (!allowed(&w))
			return page_fault(&w, PF_PRESENT, fault);
		if (mark_entries(&w)) {
			*gpa = leaf_address(&w);
			return nested ? to_l1(&w, false, gpa, fault) : 0;
		}
	}
	/* The entries kept changing: the guest gets a fault, finds its tables correct and repeats the access. */
	return page_fault(&w, 0, fault);
}

/* Out of line, so that the walk of other guests does not get longer. */
static __noinline int translate_of_l2(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa, struct guest_fault *fault)
{
	return translate(vcpu, gva, access, gpa, true, fault);
}

int gwalk_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa, struct guest_fault *fault)
{
	if (unlikely(vcpu->l2_runs && vcpu->ops->nested_gpa))
		return translate_of_l2(vcpu, gva, access, gpa, fault);
	return translate(vcpu, gva, access, gpa, false, fault);
}

/* Outside of 64-bit code linear addresses wrap at 4 GiB. */
gva_t gwalk_wrap(struct vcpu *vcpu, gva_t gva)
{
	return vcpu_code_64(vcpu) ? gva : (u32)gva;
}

/* Both pages are translated before any byte is copied: a fault in the second leaves the first unchanged. */
int gwalk_span(struct vcpu *vcpu, gva_t gva, unsigned size, u32 access, struct guest_span *span,
	       struct guest_fault *fault)
{
	unsigned rest = PAGE_SIZE - (gva & ~PAGE_MASK);
	int error = gwalk_translate(vcpu, gva, access, &span->gpa[0], fault);

	span->size[0] = MIN(size, rest);
	span->size[1] = size - span->size[0];
	if (error || !span->size[1])
		return error;
	return gwalk_translate(vcpu, gwalk_wrap(vcpu, gva + rest), access, &span->gpa[1], fault);
}

static int span_in_ram(struct vcpu *vcpu, const struct guest_span *span)
{
	for (unsigned i = 0; i < ARRAY_SIZE(span->gpa) && span->size[i]; i++) {
		if (!guest_is_ram(vcpu->vm, span->gpa[i], span->size[i]))
			return -EIO;
	}
	return 0;
}

int gwalk_read(struct vcpu *vcpu, gva_t gva, void *to, unsigned size, u32 access,
	       struct guest_fault *fault)
{
	struct guest_span span;
	int error = gwalk_span(vcpu, gva, size, access, &span, fault);

	if (error)
		return error;
	if (guest_read(vcpu->vm, span.gpa[0], to, span.size[0]) ||
	    (span.size[1] && guest_read(vcpu->vm, span.gpa[1], (u8 *)to + span.size[0], span.size[1])))
		return -EIO;
	return 0;
}

int gwalk_write(struct vcpu *vcpu, gva_t gva, const void *from, unsigned size, u32 access,
		struct guest_fault *fault)
{
	struct guest_span span;
	int error = gwalk_span(vcpu, gva, size, access | PF_WRITE, &span, fault);

	if (error)
		return error;
	if (span_in_ram(vcpu, &span))
		return -EIO;
	guest_write(vcpu->vm, span.gpa[0], from, span.size[0]);
	if (span.size[1])
		guest_write(vcpu->vm, span.gpa[1], (const u8 *)from + span.size[0], span.size[1]);
	return 0;
}
