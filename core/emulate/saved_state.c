/* SPDX-License-Identifier: MIT */
/* Saved states of x87 and vector registers: see the header. */
#include "core/emulate/saved_state.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "lib/string.h"

#define LEAF_XSTATE 0xd
#define SSE	    1
#define HI16_ZMM    7

/* A part of a state component: which bytes, from the component's start. SSE's are from the area's start. */
struct part {
	u8 component;
	u16 from, size;
};

/* SDM, "SSE State", "AVX State", "AVX-512 State" */
static const struct part high[] = {
	{ SSE, 288, 128 }, { 2, 128, 128 }, { 6, 256, 256 }, { HI16_ZMM, 0, 1024 }, { 0, 0, 0 },
};
static const struct part xmm[] = { { SSE, 160, 256 }, { 0, 0, 0 } };
static const struct part none[] = { { 0, 0, 0 } };

_Static_assert(STATE_KEPT_BYTES == 128 + 128 + 256 + 1024, "what `high` lists");

static const struct part *parts(enum state_kept kept)
{
	return kept == STATE_KEEPS_HIGH ? high : kept == STATE_KEEPS_XMM ? xmm : none;
}

/* SDM, "Standard Format of the Extended Region". False: the processor does not have the component. */
static bool locate(const struct part *part, unsigned *at)
{
	*at = part->from;
	if (part->component == SSE)
		return true;
	if (!(cpu_features.xstate & BIT_ULL(part->component)))
		return false;
	*at += cpuid_count(LEAF_XSTATE, part->component).ebx;
	return true;
}

void saved_state_spare(enum state_kept kept, u8 *mask, unsigned size)
{
	for (const struct part *part = parts(kept); part->size; part++) {
		unsigned at;

		if (locate(part, &at) && at + part->size <= size)
			memset(mask + at, 0, part->size);
	}
}

/*
 * SDM, "XSAVE": the bits of the components that it was asked for are written, the others keep what memory holds;
 * "Processor Tracking of XSAVE-Managed State": outside of 64-bit mode ZMM16 to ZMM31 are always in their initial
 * configuration.
 */
u64 saved_state_bitmap(enum state_kept kept, u64 zeros, u64 ones, u64 old)
{
	u64 written = ~(zeros ^ ones), bits = zeros & written;

	if (kept == STATE_KEEPS_HIGH)
		bits &= ~BIT_ULL(HI16_ZMM);
	return bits | (old & ~written);
}

void saved_state_take(enum state_kept kept, const void *image, u8 *registers)
{
	for (const struct part *part = parts(kept); part->size; registers += part->size, part++) {
		unsigned at;

		if (locate(part, &at))
			memcpy(registers, (const u8 *)image + at, part->size);
	}
}

static bool any(const u8 *bytes, unsigned size)
{
	while (size && !bytes[size - 1])
		size--;
	return size;
}

/* fpu_copy() has written all components, those in their initial configuration as zeros. */
void saved_state_put(enum state_kept kept, void *image, const u8 *registers)
{
	u64 bitmap;

	memcpy(&bitmap, (u8 *)image + STATE_HEADER, sizeof(bitmap));
	for (const struct part *part = parts(kept); part->size; registers += part->size, part++) {
		unsigned at;

		if (!locate(part, &at))
			continue;
		memcpy((u8 *)image + at, registers, part->size);
		bitmap |= any(registers, part->size) ? BIT_ULL(part->component) : 0;
	}
	if (cpu_features.xsave)
		memcpy((u8 *)image + STATE_HEADER, &bitmap, sizeof(bitmap));
}
