/* SPDX-License-Identifier: MIT */
/*
 * Floating-point and vector state. Lamina's own code uses none, so a guest's state stays in the
 * registers for as long as its vCPU is loaded.
 */
#pragma once

#include "lib/types.h"

/*
 * Put every state component into its initial configuration and XCR0 to 1, as after a reset, so
 * that no VM sees another one's data. Intel SDM, "Managing State Using the XSAVE Feature Set".
 * Leaves CR4.OSXSAVE set if the processor has XSAVE.
 */
void fpu_reset(void);

/* XCR0. CR4.OSXSAVE must be set, here and below. */
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
