/* SPDX-License-Identifier: MIT */
/* Floating-point and vector state: save, restore, and the initial configuration. */
#include "arch/cpu/fpu.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "lib/string.h"

/* Legacy region and XSAVE header. XSTATE_BV = 0 asks for the initial configuration of everything. */
struct fpu_image {
	u16 fcw, fsw, ftw, fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 rest[480];
	u8 header[64];
} __aligned(64);

_Static_assert(sizeof(struct fpu_image) == XSTATE_LEGACY_SIZE, "legacy region and header");

static const struct fpu_image initial_image = { .fcw = 0x37f, .mxcsr = 0x1f80 };

static inline u32 mask_low(void)
{
	return (u32)cpu_features.xstate;
}

static inline u32 mask_high(void)
{
	return (u32)(cpu_features.xstate >> 32);
}

/* XCR0 must enable all of cpu_features.xstate. */
static void restore(const void *image)
{
	/* Clears the last x87 instruction's addresses, which AMD's processors restore only with an exception pending. */
	__asm__ volatile("fninit");

	if (cpu_features.xsave)
		__asm__ volatile("xrstor64 (%0)" : : "r"(image), "a"(mask_low()), "d"(mask_high()) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(image) : "memory");
}

void fpu_reset(void)
{
	write_cr0(read_cr0() & ~(CR0_EM | CR0_TS));
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	if (cpu_features.xsave) {
		write_cr4(read_cr4() | CR4_OSXSAVE);
		xsetbv0(cpu_features.xstate);
	}
	/* No guest may set these: supervisor components stay off, and no component is disarmed. */
	if (cpu_features.xsaves)
		wrmsr(MSR_XSS, 0);
	if (cpu_features.xfd)
		wrmsr(MSR_XFD, 0);
	restore(&initial_image);
}

unsigned fpu_image_order(void)
{
	unsigned order = 0;

	while (cpu_features.xsave && PAGE_SIZE << order < cpu_features.xstate_size)
		order++;
	return order;
}

void fpu_state_init(struct fpu_state *state, void *image)
{
	memcpy(image, &initial_image, sizeof(initial_image));
	*state = (struct fpu_state){ .image = image, .xcr0 = 1 };
}

/* From the guest's XCR0 to the host's, and back. It is written only where they differ. */
static void enable_all(struct fpu_state *state)
{
	if (!cpu_features.xsave)
		return;
	state->xcr0 = xgetbv0();
	if (state->xcr0 != cpu_features.xstate)
		xsetbv0(cpu_features.xstate);
}

static void enable_guests(const struct fpu_state *state)
{
	if (cpu_features.xsave && state->xcr0 != cpu_features.xstate)
		xsetbv0(state->xcr0);
}

void fpu_save(struct fpu_state *state)
{
	enable_all(state);
	if (cpu_features.xsaveopt)
		__asm__ volatile("xsaveopt64 (%0)" : : "r"(state->image), "a"(mask_low()), "d"(mask_high()) : "memory");
	else if (cpu_features.xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(state->image), "a"(mask_low()), "d"(mask_high()) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(state->image) : "memory");
}

void fpu_copy(struct fpu_state *state)
{
	enable_all(state);
	if (cpu_features.xsave)
		__asm__ volatile("xsave64 (%0)" : : "r"(state->image), "a"(mask_low()), "d"(mask_high()) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(state->image) : "memory");
	enable_guests(state);
}

void fpu_restore(const struct fpu_state *state)
{
	restore(state->image);
	enable_guests(state);
}

void fpu_put_back(struct fpu_state *state)
{
	enable_all(state);
	restore(state->image);
	enable_guests(state);
}

void fpu_restore_initial(struct fpu_state *state)
{
	enable_all(state);
	restore(&initial_image);
	state->xcr0 = 1;
	enable_guests(state);
}
