/* SPDX-License-Identifier: MIT */
/*
 * Guest address translation in software: segmentation and the guest's page tables in every paging
 * mode. Intel SDM, "Paging"; bounded: a walk reads at most five entries, and starts anew at most
 * eight times where they change meanwhile. Interrupts off, on the CPU where the vCPU is loaded.
 */
#pragma once

#include "core/cpu/segment.h"
#include "lib/types.h"

struct vcpu;

struct guest_fault {
	u8 vector;		/* X86_GP, X86_SS, X86_PF */
	u32 error_code;
	gva_t address;		/* #PF: for CR2 */
};

/* Up to a page of linear memory in guest-physical pieces; size[1] is 0 where one holds all. */
struct guest_span {
	gpa_t gpa[2];
	unsigned size[2];
};

/*
 * Linear to guest-physical. `access` says which access is meant: PF_WRITE, PF_USER and PF_FETCH of
 * arch/cpu/x86.h; without PF_USER it is a supervisor's. 0, or -EFAULT with *fault filled in. Sets
 * accessed and dirty bits as the processor would. Tables outside of RAM read as all ones.
 */
int gwalk_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa,
		    struct guest_fault *fault);

/* As above for size bytes, 1 to PAGE_SIZE. */
int gwalk_span(struct vcpu *vcpu, gva_t gva, unsigned size, u32 access, struct guest_span *span,
	       struct guest_fault *fault);

/*
 * Logical to linear, with the limit, type and canonical checks of the vCPU's mode. `offset` is cut
 * to the address size already; size >= 1. 0, or -EFAULT with *fault filled in.
 */
int gwalk_linear(struct vcpu *vcpu, enum vcpu_segment segment, u64 offset, unsigned size,
		 u32 access, gva_t *gva, struct guest_fault *fault);

/* PF_USER at CPL 3, else 0: the privilege of what the guest's instructions access. */
u32 gwalk_privilege(struct vcpu *vcpu);

bool gwalk_canonical(struct vcpu *vcpu, gva_t gva);
/* A linear address that arithmetic may have carried beyond the mode's width. */
gva_t gwalk_wrap(struct vcpu *vcpu, gva_t gva);

/*
 * Copy from/to guest-linear memory, up to PAGE_SIZE bytes. -EFAULT with *fault; -EIO where a page
 * is not RAM. Nothing is copied then.
 */
int gwalk_read(struct vcpu *vcpu, gva_t gva, void *to, unsigned size, u32 access,
	       struct guest_fault *fault);
int gwalk_write(struct vcpu *vcpu, gva_t gva, const void *from, unsigned size, u32 access,
		struct guest_fault *fault);

void guest_fault_raise(struct vcpu *vcpu, const struct guest_fault *fault);
