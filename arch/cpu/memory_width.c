/* SPDX-License-Identifier: MIT */
/* The bits that AMD's and Intel's memory encryption take from physical addresses. */
#include "arch/cpu/memory_width.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"

#define LEAST_WIDTH 32u		/* less is a mistake of whoever says so */

/* AMD APM vol. 3, "Encrypted Memory Capabilities": EBX[11:6], while SYSCFG[23] is set. */
static unsigned taken_by_sme(void)
{
	u64 syscfg;

	if (cpu_features.max_extended_leaf < 0x8000001f || rdmsr_safe(MSR_SYSCFG, &syscfg) ||
	    !(syscfg & SYSCFG_MEMORY_ENCRYPTION))
		return 0;
	return cpuid(0x8000001f).ebx >> 6 & 0x3f;
}

/* Intel SDM, "IA32_TME_ACTIVATE MSR": the bits of key identifiers, once it is locked and encryption is on. */
static unsigned taken_by_tme(void)
{
	u64 activate;

	if (cpu_features.max_leaf < 7 || !(cpuid(7).ecx & BIT(13)) || rdmsr_safe(MSR_TME_ACTIVATE, &activate) ||
	    (activate & TME_ACTIVE) != TME_ACTIVE)
		return 0;
	return activate >> 32 & 0xf;
}

unsigned cpu_memory_width(void)
{
	unsigned width = cpu_features.physical_address_bits, taken = 0;

	if (cpu_features.vendor == CPU_VENDOR_AMD)
		taken = taken_by_sme();
	else if (cpu_features.vendor == CPU_VENDOR_INTEL)
		taken = taken_by_tme();
	return taken + LEAST_WIDTH <= width ? width - taken : width;
}
