/* SPDX-License-Identifier: MIT */
/* Segment descriptors in the guest's GDT and LDT. Intel SDM, "Segment Descriptors", "Segment Selectors". */
#pragma once

#include "core/cpu/segment.h"
#include "core/emulate/gwalk.h"
#include "lib/types.h"

struct vcpu;

#define SELECTOR_LOCAL BIT(2)	/* in the LDT */

/* The type field of a system segment ... */
#define DESCRIPTOR_LDT	2
#define DESCRIPTOR_BUSY BIT(1)	/* of a TSS */
#define DESCRIPTOR_32	BIT(3)	/* of a TSS */
/* ... and of a code or data segment. */
#define DESCRIPTOR_CODE	      BIT(3)
#define DESCRIPTOR_CONFORMING BIT(2)
#define DESCRIPTOR_READABLE   BIT(1)
#define DESCRIPTOR_WRITABLE   BIT(1)
#define DESCRIPTOR_ACCESSED   BIT(0)

#define DESCRIPTOR_TYPE_BYTE  5	/* its low half is the type */

struct descriptor {
	gva_t gva;
	struct segment segment;	/* with the selector, as a register holds it */
};

/*
 * Outside of long mode. 0; -EINVAL: a null selector, or beyond the table's limit; -EFAULT with *fault filled in; -EIO:
 * the table is not in RAM. After the last two descriptor->gva says where.
 */
int descriptor_read(struct vcpu *vcpu, u16 selector, struct descriptor *descriptor, struct guest_fault *fault);

/* Set the accessed bit of a code or data segment in memory, where it is clear. 0, -EFAULT, -EIO. */
int descriptor_set_accessed(struct vcpu *vcpu, const struct descriptor *descriptor, struct guest_fault *fault);
