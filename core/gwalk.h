/* SPDX-License-Identifier: MIT */
/*
 * Guest address translation in software: segmentation and the guest's page tables in every paging
 * mode. Intel SDM, "Paging"; bounded: a walk reads at most five entries, each once.
 */
#pragma once

#include "core/segment.h"
#include "lib/types.h"

struct vcpu;

struct guest_fault {
	u8 vector;		/* X86_GP, X86_SS, X86_PF */
	u32 error_code;
	gva_t address;		/* #PF: for CR2 */
};

/* Which access is meant: PF_WRITE, PF_USER, PF_FETCH bits of arch/x86.h. */
/* Linear to guest-physical. 0, or -EFAULT with *fault filled in. Sets accessed and dirty bits as the processor would. */
int gwalk_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa, struct guest_fault *fault);

/* Logical to linear, with limit, type and canonical checks of the vCPU's mode. */
int gwalk_linear(struct vcpu *vcpu, enum vcpu_segment segment, u64 offset, unsigned size,
		 u32 access, gva_t *gva, struct guest_fault *fault);

/* Copy from/to guest-linear memory; may cross a page. -EFAULT with *fault; -EIO where a page is not RAM. */
int gwalk_read(struct vcpu *vcpu, gva_t gva, void *to, unsigned size, u32 access, struct guest_fault *fault);
int gwalk_write(struct vcpu *vcpu, gva_t gva, const void *from, unsigned size, u32 access, struct guest_fault *fault);

void guest_fault_raise(struct vcpu *vcpu, const struct guest_fault *fault);
