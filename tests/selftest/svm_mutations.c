/* SPDX-License-Identifier: MIT */
/*
 * Mutations that break one thing in a VMCB, and valid states that look broken. If QEMU (7.2 and 10.0) or
 * Bochs (2.7 and 3.0) deviate from the manual, the row says so.
 */
#include "tests/selftest/svm_mutations.h"

#include "arch/cpu/x86.h"

#define EVENT(type, vector) (EVENT_VALID | EVENT_TYPE_BITS(type) | (vector))
#define EXCEPTION(vector)   EVENT(VMCB_EVENT_EXCEPTION, vector)

#define NO_RESERVED_VECTOR "it takes a reserved vector below 31 for an exception"
#define NO_VECTOR_31	   "it takes vector 31 for an exception"
#define NO_MODE		   "it injects #BR and #OF in 64-bit mode as well"
#define NO_NESTED	   "it does not check what nested paging brings"
#define NO_MAP_END	   "it checks where a map begins, not where it ends"
#define NO_CR3		   "it does not check CR3"

const struct svm_mutation svm_mutations[] = {
	/* Canonicalization and Consistency Checks */
	{ "guest.efer.svme", SVM_REAL_MODE, { V_OFF(save.efer, EFER_SVME) } },
	{ "guest.efer.svme", SVM_LONG_MODE, { V_OFF(save.efer, EFER_SVME) } },
	{ "guest.cr0.nw-without-cd", SVM_REAL_MODE, { V_ON(save.cr0, CR0_NW) } },
	{ "guest.cr0.nw-without-cd", SVM_LONG_MODE, { V_ON(save.cr0, CR0_NW) } },
	{ "allowed.cr0.nw-with-cd", SVM_LONG_MODE, { V_ON(save.cr0, CR0_NW | CR0_CD) } },
	{ "guest.cr0.high", SVM_REAL_MODE, { V_ON(save.cr0, 1ull << 32) } },
	{ "guest.cr0.high", SVM_LONG_MODE, { V_ON(save.cr0, 1ull << 63) } },
	{ "guest.cr3.reserved", SVM_LONG_MODE, { V_TOO_FAR(save.cr3, 0) }, NULL, NO_CR3 },
	{ "guest.cr3.reserved", SVM_LONG_MODE, { V_ON(save.cr3, 1ull << 63) }, NULL, NO_CR3 },
	{ "guest.cr4.reserved", SVM_REAL_MODE, { V_ON(save.cr4, BIT(19)) } },
	{ "guest.cr4.reserved", SVM_LONG_MODE, { V_ON(save.cr4, 1ull << 32) } },
	{ "guest.cr4.reserved", SVM_LONG_MODE, { V_ON(save.cr4, 1ull << 63) } },
	{ "guest.dr6.high", SVM_REAL_MODE, { V_ON(save.dr6, 1ull << 32) } },
	{ "guest.dr6.high", SVM_LONG_MODE, { V_ON(save.dr6, 1ull << 63) } },
	{ "guest.dr7.high", SVM_REAL_MODE, { V_ON(save.dr7, 1ull << 32) } },
	{ "guest.dr7.high", SVM_LONG_MODE, { V_ON(save.dr7, 1ull << 63) } },
	{ "guest.efer.reserved", SVM_REAL_MODE, { V_ON(save.efer, BIT(1)) } },
	{ "guest.efer.reserved", SVM_LONG_MODE, { V_ON(save.efer, 1ull << 63) } },
	{ "guest.cr4.long-mode-pae", SVM_LONG_MODE, { V_OFF(save.cr4, CR4_PAE) } },
	{ "guest.cr0.long-mode-pe", SVM_LONG_MODE, { V_OFF(save.cr0, CR0_PE) }, NULL,
	  "it does not check CR0.PE" },
	{ "guest.cs.l-and-d", SVM_LONG_MODE, { V_ON(save.cs.attributes, ATTRIBUTE_DB) } },
	{ "guest.cs.l-and-d", SVM_COMPATIBILITY_MODE, { V_ON(save.cs.attributes, ATTRIBUTE_L) } },
	{ "allowed.cs.l-and-d-in-real-mode", SVM_REAL_MODE,
	  { V_ON(save.cs.attributes, ATTRIBUTE_DB | ATTRIBUTE_L) }, NULL,
	  "it refuses CS.L with CS.D in every mode" },
	{ "control.intercept.vmrun", SVM_REAL_MODE,
	  { V_OFF(control.intercept_misc2, INTERCEPT_VMRUN) } },
	{ "control.msrpm", SVM_REAL_MODE, { V_TOO_FAR(control.msrpm_base, 0) } },
	{ "control.msrpm", SVM_REAL_MODE, { V_TOO_FAR(control.msrpm_base, 0x1000) },
	  NULL, NO_MAP_END },
	{ "control.iopm", SVM_REAL_MODE, { V_TOO_FAR(control.iopm_base, 0) } },
	{ "control.iopm", SVM_REAL_MODE, { V_TOO_FAR(control.iopm_base, 0x2000) },
	  NULL, NO_MAP_END },
	{ "allowed.maps.low-bits", SVM_REAL_MODE,
	  { V_ON(control.iopm_base, 0xfff), V_ON(control.msrpm_base, 0xfff) } },
	{ "control.asid", SVM_REAL_MODE, { V_SET(control.asid, 0) } },

	/* Event Injection */
	{ "control.event.type", SVM_LONG_MODE, { V_SET(control.event_injection, EVENT(1, 0x20)) } },
	{ "control.event.type", SVM_LONG_MODE, { V_SET(control.event_injection, EVENT(5, 0x20)) } },
	{ "control.event.type", SVM_LONG_MODE, { V_SET(control.event_injection, EVENT(6, 3)) } },
	{ "control.event.type", SVM_REAL_MODE, { V_SET(control.event_injection, EVENT(7, 0)) } },
	{ "allowed.event.not-valid", SVM_REAL_MODE,
	  { V_SET(control.event_injection, EVENT(7, 0) & ~EVENT_VALID) } },
	{ "control.event.vector", SVM_REAL_MODE, { V_SET(control.event_injection, EXCEPTION(2)) } },
	{ "control.event.vector", SVM_LONG_MODE, { V_SET(control.event_injection, EXCEPTION(32)) } },
	{ "control.event.vector", SVM_LONG_MODE, { V_SET(control.event_injection, EXCEPTION(255)) } },
	{ "control.event.vector", SVM_REAL_MODE, { V_SET(control.event_injection, EXCEPTION(31)) },
	  NULL, NO_VECTOR_31 },
	{ "control.event.vector", SVM_REAL_MODE, { V_SET(control.event_injection, EXCEPTION(15)) },
	  NO_RESERVED_VECTOR, NO_RESERVED_VECTOR },
	{ "control.event.impossible", SVM_LONG_MODE,
	  { V_SET(control.event_injection, EXCEPTION(X86_BR)) }, NO_MODE, NO_MODE },
	{ "control.event.impossible", SVM_LONG_MODE,
	  { V_SET(control.event_injection, EXCEPTION(X86_OF)) }, NO_MODE, NO_MODE },
	{ "allowed.event.bound-in-real-mode", SVM_REAL_MODE,
	  { V_SET(control.event_injection, EXCEPTION(X86_BR)) } },

	/* Nested Paging and VMRUN/#VMEXIT */
	{ "control.nested.ncr3", SVM_REAL_MODE, { V_TOO_FAR(control.nested_cr3, 0) }, NO_NESTED },
	{ "control.nested.ncr3", SVM_REAL_MODE, { V_ON(control.nested_cr3, 1ull << 63) }, NO_NESTED },
	{ "control.nested.pat", SVM_REAL_MODE, { V_SET(save.pat, 2) }, NO_NESTED },
	{ "control.nested.pat", SVM_REAL_MODE, { V_SET(save.pat, 8ull << 56) }, NO_NESTED },
};
const unsigned svm_mutation_count = ARRAY_SIZE(svm_mutations);

#define NO_CET "neither emulator has shadow stacks in its AMD models"

const struct svm_not_judged svm_not_judged[] = {
	{ "guest.s-cet.reserved", NO_CET },
	{ "guest.cr4.cet-wp", NO_CET },
	{ "guest.cr4.cet-v8086", NO_CET },
	{ "control.nested.host-paging", "the self-test runs in long mode, which has paging" },
	{ "control.nmi-virtualization", "neither emulator has virtual NMIs" },
};
const unsigned svm_not_judged_count = ARRAY_SIZE(svm_not_judged);
