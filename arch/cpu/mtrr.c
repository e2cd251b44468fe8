/* SPDX-License-Identifier: MIT */
/* INIT keeps the MTRRs, but firmware may have set them on the boot CPU only, and emulators clear them. */
#include "arch/cpu/mtrr.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "lib/string.h"

#define MTRR_CAP_COUNT	 0xff
#define MTRR_CAP_FIXED	 BIT_ULL(8)
#define DEF_TYPE_ENABLED BIT_ULL(11)

static const u32 fixed_msrs[MTRR_FIXED_COUNT] = {
	MSR_MTRR_FIX64K, MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_A0000,
	MSR_MTRR_FIX4K(0), MSR_MTRR_FIX4K(1), MSR_MTRR_FIX4K(2), MSR_MTRR_FIX4K(3),
	MSR_MTRR_FIX4K(4), MSR_MTRR_FIX4K(5), MSR_MTRR_FIX4K(6), MSR_MTRR_FIX4K(7),
};

static unsigned variable_count(u64 capabilities)
{
	return MIN(2 * (unsigned)(capabilities & MTRR_CAP_COUNT), (unsigned)MTRR_VARIABLE_COUNT);
}

void mtrr_read(struct mtrr_state *state)
{
	*state = (struct mtrr_state){ 0 };
	if (!(cpuid(1).edx & BIT(12)) || rdmsr_safe(MSR_MTRR_CAP, &state->capabilities))
		return;
	state->default_type = rdmsr(MSR_MTRR_DEF_TYPE);
	for (unsigned i = 0; state->capabilities & MTRR_CAP_FIXED && i < MTRR_FIXED_COUNT; i++)
		state->fixed[i] = rdmsr(fixed_msrs[i]);
	for (unsigned i = 0; i < variable_count(state->capabilities); i++)
		state->variable[i] = rdmsr(MSR_MTRR_PHYSBASE(0) + i);
}

/* CR3's value is written again for the TLB: control_init() leaves global pages off. */
static void flush(void)
{
	__asm__ volatile("wbinvd" : : : "memory");
	write_cr3(read_cr3());
}

void mtrr_write(const struct mtrr_state *wanted)
{
	struct mtrr_state own;
	u64 cr0 = read_cr0();

	mtrr_read(&own);
	if (!own.capabilities || memcmp(&own, wanted, sizeof(own)) == 0)
		return;
	write_cr0(cr0 | CR0_CD);
	flush();
	wrmsr(MSR_MTRR_DEF_TYPE, wanted->default_type & ~DEF_TYPE_ENABLED);
	for (unsigned i = 0; own.capabilities & MTRR_CAP_FIXED && i < MTRR_FIXED_COUNT; i++)
		wrmsr_safe(fixed_msrs[i], wanted->fixed[i]);
	for (unsigned i = 0; i < variable_count(own.capabilities); i++)
		wrmsr_safe(MSR_MTRR_PHYSBASE(0) + i, wanted->variable[i]);
	wrmsr(MSR_MTRR_DEF_TYPE, wanted->default_type);
	flush();
	write_cr0(cr0);
}
