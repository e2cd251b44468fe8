/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor without a guest: VMX instructions with good and bad operands. Expected: Intel SDM, "VMX Instruction
 * Reference". Where there is no VMX, its instructions are undefined.
 */
#include "nestedvmx.h"

u8 regions[REGIONS][4096] __attribute__((aligned(4096)));

void regions_reset(void)
{
	for (u32 i = 0; i < REGIONS; i++) {
		for (u32 j = 0; j < sizeof(regions[i]); j++)
			regions[i][j] = 0;
		*(u32 *)regions[i] = (u32)rdmsr(VMX_BASIC);
	}
}

/* Where VMREAD of the instruction error fails, the result is INVALID and ZF does not fit: 999. */
u32 vmx_result(u32 vector, ulong flags)
{
	u64 error = 0;
	ulong dummy = 0;

	if (vector != NO_TRAP)
		return FAULT + vector;
	if (!(flags & STATUS_FLAGS))
		return SUCCEEDED;
	if ((flags & STATUS_FLAGS) == CF)
		return INVALID;
	if ((flags & STATUS_FLAGS) != ZF ||
	    TRY("vmread %2, %1", : "+r"(dummy), "+r"(error) : "r"(0x4400ul) : "cc", "memory") != NO_TRAP)
		return 999;
	return (u32)error;
}

bool vmx_enable(void)
{
	if (!(cpuid(1, 0).c & BIT(5)))
		return false;
	if (!(rdmsr(FEATURE_CONTROL) & 1))	/* without firmware */
		wrmsr(FEATURE_CONTROL, rdmsr(FEATURE_CONTROL) | 5);
	WRITE_CR(0, READ_CR(0) | CR0_NE);
	WRITE_CR(4, READ_CR(4) | CR4_VMXE);
	return true;
}

int main(void)
{
	if (!(cpuid(1, 0).c & BIT(5))) {
		without_vmx();
		return 0;
	}
	root_operation();
	return 0;
}
