/* SPDX-License-Identifier: MIT */
/*
 * Guest address translation in software: segmentation and the guest's page tables in every paging
 * mode. Intel SDM, "Paging". Bounded: a walk reads at most five entries, and is tried at most eight
 * times while other CPUs change them. Interrupts off, on the CPU where the vCPU is loaded.
 */
#pragma once

#include "core/cpu/segment.h"
#include "lib/types.h"

struct vcpu;

/* Bits of struct segment's type. SDM, "Code- and Data-Segment Descriptor Types" */
#define TYPE_CODE	 BIT(3)
#define TYPE_EXPAND_DOWN BIT(2)	/* data */
#define TYPE_WRITABLE	 BIT(1)	/* data */

/* L1's tables for L2 forbid the access: vcpu_ops.nested_fault() instead of an exception. */
#define GUEST_FAULT_NESTED 0xff

struct guest_fault {
	u8 vector;		/* X86_GP, X86_SS, X86_PF, GUEST_FAULT_NESTED */
	u32 error_code;
	gva_t address;		/* #PF: for CR2 */
};

/* Up to a page of linear memory as one or two guest-physical pieces; size[1] is 0 if there is one. */
struct guest_span {
	gpa_t gpa[2];
	unsigned size[2];
};

/*
 * Translate a linear to a guest-physical address: while L2 runs, to L1's (core/nested.h). `access`: PF_WRITE, PF_USER and PF_FETCH of
 * arch/cpu/x86.h; without PF_USER it is a supervisor access. 0, or -EFAULT with *fault filled in. Sets
 * accessed and dirty flags as the processor does. Tables outside of RAM read as all ones.
 */
int gwalk_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa,
		    struct guest_fault *fault);

/* The same for `size` bytes, 1 to PAGE_SIZE, which may lie in two pages. */
int gwalk_span(struct vcpu *vcpu, gva_t gva, unsigned size, u32 access, struct guest_span *span,
	       struct guest_fault *fault);

/*
 * Translate a logical to a linear address, with the limit, type and canonical checks of the vCPU's mode.
 * The caller has truncated `offset` to the address size; size >= 1. 0, or -EFAULT with *fault filled in.
 */
int gwalk_linear(struct vcpu *vcpu, enum vcpu_segment segment, u64 offset, unsigned size,
		 u32 access, gva_t *gva, struct guest_fault *fault);

/* PF_USER at CPL 3, else 0: the privilege of explicit accesses by the guest's instructions. */
u32 gwalk_privilege(struct vcpu *vcpu);

/* Is the address canonical for the guest's CR4.LA57? */
bool gwalk_canonical(struct vcpu *vcpu, gva_t gva);
/* Wrap a linear address, computed by arithmetic, to the width of the guest's mode. */
gva_t gwalk_wrap(struct vcpu *vcpu, gva_t gva);

/*
 * Copy 1 to PAGE_SIZE bytes from or to guest-linear memory. 0; -EFAULT with *fault filled in, or -EIO if a page is not RAM,
 * nor, for a read, ROM. After an error the guest's memory is unchanged.
 */
int gwalk_read(struct vcpu *vcpu, gva_t gva, void *to, unsigned size, u32 access,
	       struct guest_fault *fault);
int gwalk_write(struct vcpu *vcpu, gva_t gva, const void *from, unsigned size, u32 access,
		struct guest_fault *fault);

/* Queue the fault for injection at the next VM entry. */
void guest_fault_raise(struct vcpu *vcpu, const struct guest_fault *fault);
