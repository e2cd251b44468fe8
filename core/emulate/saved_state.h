/* SPDX-License-Identifier: MIT */
/*
 * What FXSAVE, XSAVE, XSAVEOPT, FXRSTOR and XRSTOR do for a guest less than they do in Lamina's mode: outside of 64-bit
 * mode nobody saves or restores the registers that only 64-bit mode has, nor does "fast" FXSAVE in ring 0 any vector
 * register. Standard format. Intel SDM, "Managing State Using the XSAVE Feature Set"; AMD APM vol. 2, "FXSAVE and
 * FXRSTOR Instructions", "Fast FXSAVE/FXRSTOR".
 */
#pragma once

#include "lib/types.h"

#define STATE_LEGACY_BYTES 512u		/* what FXSAVE and FXRSTOR access */
#define STATE_HEADER	   512u		/* where XSAVE's header is */
#define STATE_HEADER_BYTES 64u

/* What the guest's instruction leaves alone. */
enum state_kept {
	STATE_KEEPS_NONE,
	STATE_KEEPS_HIGH,	/* outside of 64-bit mode: XMM8, YMM8 and ZMM8 and all above them */
	STATE_KEEPS_XMM,	/* FXSAVE and FXRSTOR with EFER.FFXSR, in 64-bit mode with CPL 0: XMM0 to XMM15 */
};

/* The kept registers of an image of fpu_copy(): how many bytes they may have. */
#define STATE_KEPT_BYTES 1536u

/* Of an area of `size` bytes, whole components: clear mask[] where the guest's instruction does not write. */
void saved_state_spare(enum state_kept kept, u8 *mask, unsigned size);
/*
 * What XSTATE_BV becomes in memory. `zeros` and `ones`: after the instruction, where it was all zeros and all ones
 * before; `old`: what the guest's memory holds.
 */
u64 saved_state_bitmap(enum state_kept kept, u64 zeros, u64 ones, u64 old);

/* Copy the kept registers out of an image of fpu_copy(), and into one for fpu_put_back(). */
void saved_state_take(enum state_kept kept, const void *image, u8 *registers);
void saved_state_put(enum state_kept kept, void *image, const u8 *registers);
