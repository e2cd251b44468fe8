/* SPDX-License-Identifier: MIT */
/*
 * Floating-point and vector state. Lamina's own code uses none, so a vCPU's state stays in the registers
 * for as long as it is loaded; it is saved and restored in full when another vCPU is loaded, never lazily.
 * Intel SDM, "Managing State Using the XSAVE Feature Set".
 *
 * While no vCPU is loaded, XCR0 enables all of cpu_features.xstate: the components are saved and restored by
 * that mask, and not by the guest's XCR0, which may hide components that still hold its data.
 */
#pragma once

#include "lib/types.h"

/* A vCPU's. Only Lamina writes the image: no guest can make one that XRSTOR refuses. */
struct fpu_state {
	void *image;		/* 2^fpu_image_order() pages; valid while the vCPU is not loaded */
	u64 xcr0;		/* the guest's, likewise. 1 without XSAVE */
};

/*
 * Set the unit of this CPU up: CR0 and CR4, XCR0, IA32_XSS and IA32_XFD 0, all components in their initial
 * configuration. Each CPU once, before it loads vCPUs (ops->cpu_enable()); later only while none is loaded.
 */
void fpu_reset(void);

/* log2 of the number of pages that an image takes. */
unsigned fpu_image_order(void);
/* The state of a new vCPU: initial configuration, XCR0 = 1. `image` is zeroed and stays the caller's. */
void fpu_state_init(struct fpu_state *state, void *image);

/* Registers to image, and back. On the CPU where the vCPU is loaded, and where it is to be loaded. */
void fpu_save(struct fpu_state *state);
void fpu_restore(const struct fpu_state *state);
/*
 * Registers to an image that is not kept; they stay as they are. SDM, "XSAVEOPT": fpu_save() may leave out what has not
 * changed since it was restored from the same address.
 */
void fpu_copy(struct fpu_state *state);
/*
 * The vCPU is loaded: the image of fpu_copy() back to the registers, also those that the guest's XCR0 hides. SDM,
 * "Standard Form of XRSTOR": it raises #GP for a component in the image that XCR0 does not enable.
 */
void fpu_put_back(struct fpu_state *state);
/* The vCPU is loaded: back to the initial configuration, and XCR0 to 1. */
void fpu_restore_initial(struct fpu_state *state);
/*
 * XCR0: while a vCPU is loaded its own. Read it there, because in QEMU XSETBV does not exit although the VMCB
 * asks for it. CR4.OSXSAVE must be set, here and below.
 */
static inline u64 xgetbv0(void)
{
	u32 low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (u64)high << 32 | low;
}

/* #GP for a value that the processor does not support. */
static inline void xsetbv0(u64 value)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
