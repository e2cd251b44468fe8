/* SPDX-License-Identifier: MIT */
/* Floating-point and vector state: back to the initial configuration. */
#include "arch/cpu/fpu.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"

/* Legacy region and XSAVE header. XSTATE_BV = 0 asks for the initial configuration of everything. */
static const struct {
	u16 fcw, fsw, ftw, fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 rest[480];
	u8 header[64];
} __aligned(64) initial_state = { .fcw = 0x37f, .mxcsr = 0x1f80 };

_Static_assert(sizeof(initial_state) == 576, "legacy region and header");

void fpu_reset(void)
{
	write_cr0(read_cr0() & ~(CR0_EM | CR0_TS));
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);

	/* Clears the last x87 instruction's addresses, which AMD's processors restore only with an exception pending. */
	__asm__ volatile("fninit");

	if (cpu_features.xsave) {
		struct cpuid_regs leaf = cpuid_count(0xd, 0);

		write_cr4(read_cr4() | CR4_OSXSAVE);
		xsetbv0((u64)leaf.edx << 32 | leaf.eax);
		__asm__ volatile("xrstor64 %0" : : "m"(initial_state), "a"(~0u), "d"(~0u));
		xsetbv0(1);
	} else {
		__asm__ volatile("fxrstor64 %0" : : "m"(initial_state));
	}
}
