/* SPDX-License-Identifier: MIT */
/*
 * Shadow tables: what the hardware uses while L2 runs, from L2's physical addresses to the host's. They are
 * built on demand from L1's nested tables (core/mem/nested_walk.h) and the VM's own (core/mem/tdp.h), and are to L1
 * what the TLB of a processor is: they keep what they have seen until L1 invalidates it.
 *
 * A vCPU has its own; only its home CPU uses them, so there is no lock, and an INVEPT or a TLB flush by L1 concerns the
 * vCPU that executes it alone, as on a processor. Intel SDM, "Caching Translation Information", "INVEPT";
 * AMD APM vol. 2, "TLB Flush".
 *
 * Flushing: the hardware may have cached what is dropped. Before each entry of L2 the vendor asks shadow_flush_due().
 */
#pragma once

#include "core/mem/nested_walk.h"
#include "lib/types.h"

struct shadow;
struct vcpu;

#define SHADOW_ROOTS 8		/* of a vCPU; the one that was not used for the longest time is replaced */

/* The entries of the hardware's format. */
struct shadow_format {
	u64 table_bits;		/* of an entry that points to a table: all rights */
	u64 page_bits;		/* of an entry that maps RAM with all rights, without TDP_LARGE */
	u64 read, write, execute;	/* bits of page_bits that grant one; 0: none does */
	u64 no_execute;		/* a bit that denies execution; 0: none */
	bool flush_on_switch;	/* what the processor has cached does not bear the root: SVM */
};

/*
 * For one vCPU, with `pages` pages of the pool for tables (SHADOW_ROOTS of them for the roots, and some 32 more at
 * least): shadow_pages() is a good number. NULL: no memory. `format` has to stay.
 */
struct shadow *shadow_create(struct vcpu *vcpu, const struct shadow_format *format, unsigned pages);
void shadow_destroy(struct shadow *shadow);	/* NULL is allowed */
/* Pages that map all of a VM's RAM once, in pages of 4 KiB, within bounds. `memory`: bytes. */
unsigned shadow_pages(u64 memory);

/*
 * Make the shadow of these tables the current one, an empty one if there is none. Returns its root, of four levels,
 * which stays the same page until other tables take it. VMX: EPTP bit 6 has to be tables->accessed_dirty, so that L2's
 * accesses to its page tables count as L1 has chosen.
 */
hpa_t shadow_use(struct shadow *shadow, const struct nested_tables *tables);

enum shadow_result {
	SHADOW_FILLED,		/* enter L2 again; also when the entry was there, and when L1's tables keep changing */
	SHADOW_REFUSED,		/* by L1's tables: walk->cause says how. L1 gets the exit */
	SHADOW_DEVICE,		/* L1's tables allow it, but walk->gpa is not RAM, or it is ROM and this a write: emulate the access for L2 */
	SHADOW_FAILED,		/* L0 has no memory to make the page executable: the VM has to end */
};

/*
 * L2 had a fault at this address, with the current tables: L1's tables first, then the VM's own. Nothing is ever kept
 * about refusals. *walk is always filled in. Where the pages do not suffice, all shadows of the vCPU are dropped.
 */
enum shadow_result shadow_fill(struct shadow *shadow, gpa_t l2_gpa, u32 access, struct nested_walk *walk);

/*
 * Forget translations: those of all tables with this root (INVEPT, single-context; an EPTP's bits 51:12), of
 * all with this tag (SVM: TLB_CONTROL 3 and 7, INVLPGA of this ASID), or all (INVEPT, all contexts; TLB_CONTROL 1).
 */
void shadow_drop_root(struct shadow *shadow, gpa_t root);
void shadow_drop_tag(struct shadow *shadow, u32 tag);
void shadow_drop_all(struct shadow *shadow);

/*
 * Before an entry of L2, with interrupts off: has the processor to forget what it has cached from the current root
 * (VMX: INVEPT of its EPTP; SVM: flush L2's ASID)? The caller does it: the next call says no.
 */
bool shadow_flush_due(struct shadow *shadow);
/* The vCPU comes to another CPU, whose TLB may hold anything: each root is to be flushed before its next use. */
void shadow_flush_all(struct shadow *shadow);
