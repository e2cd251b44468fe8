/* SPDX-License-Identifier: MIT */
/* The state that the rules of VMRUN depend on besides the VMCB, read from this processor. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "svm/svm.h"

/* A bit of a control register and the CPUID bit that announces it. */
struct announced {
	u32 leaf;
	u8 reg, bit;
	u8 value;
};

/* AMD APM vol. 2, "CR4 Register". Each processor with long mode has bits 10:0. */
#define CR4_ALWAYS 0x7ffull
static const struct announced cr4_bits[] = {
	{ 7, ECX, 2, 11 },		/* UMIP */
	{ 7, ECX, 16, 12 },		/* LA57 */
	{ 7, EBX, 0, 16 },		/* FSGSBASE */
	{ 1, ECX, 17, 17 },		/* PCIDE */
	{ 1, ECX, 26, 18 },		/* OSXSAVE */
	{ 7, EBX, 7, 20 },		/* SMEP */
	{ 7, EBX, 20, 21 },		/* SMAP */
	{ 7, ECX, 3, 22 },		/* PKE */
	{ 7, ECX, 7, 23 },		/* CET */
};

/* "Extended Feature Enable Register (EFER)". The CPUID bit of LMSLE is inverted: it says that LMSLE is missing. */
#define EFER_ALWAYS (EFER_SCE | EFER_LME | EFER_LMA | EFER_SVME)
static const struct announced efer_bits[] = {
	{ 0x80000001, EDX, 20, 11 },	/* NXE */
	{ 0x80000001, EDX, 25, 14 },	/* FFXSR */
	{ 0x80000001, ECX, 17, 15 },	/* TCE */
	{ 0x80000008, EBX, 8, 17 },	/* MCOMMIT */
	{ 0x80000008, EBX, 13, 18 },	/* INTWB */
	{ 0x80000021, EAX, 7, 20 },	/* UAIE */
	{ 0x80000021, EAX, 8, 21 },	/* AIBRSE */
};
#define EFER_LMSLE	     BIT_ULL(13)
#define NO_LMSLE	     BIT(20)	/* CPUID.80000008h:EBX */
#define VNMI		     BIT(25)	/* CPUID.8000000Ah:EDX */

static struct cpuid_regs leaf(u32 number)
{
	u32 max = number >> 31 ? cpu_features.max_extended_leaf : cpu_features.max_leaf;

	return number <= max ? cpuid(number) : (struct cpuid_regs){ 0 };
}

static bool is_announced(const struct announced *a)
{
	struct cpuid_regs regs = leaf(a->leaf);
	const u32 values[] = { [EAX] = regs.eax, [EBX] = regs.ebx, [ECX] = regs.ecx, [EDX] = regs.edx };

	return values[a->reg] & BIT(a->bit);
}

static u64 announced_bits(const struct announced *a, unsigned count)
{
	u64 bits = 0;

	for (; count--; a++)
		bits |= is_announced(a) ? BIT_ULL(a->value) : 0;
	return bits;
}

void svm_entry_state_read(struct vcpu *vcpu, struct svm_entry_state *state)
{
	*state = (struct svm_entry_state){
		.vmcb = to_svm(vcpu)->vmcb,
		.processor = {
			.physical_bits = cpu_features.physical_address_bits,
			.efer_valid = EFER_ALWAYS | announced_bits(efer_bits, ARRAY_SIZE(efer_bits)),
			.cr4_valid = CR4_ALWAYS | announced_bits(cr4_bits, ARRAY_SIZE(cr4_bits)),
			.host_cr0 = read_cr0(),
			.nmi_virtualization = leaf(0x8000000a).edx & VNMI,
		},
	};
	if (!(leaf(0x80000008).ebx & NO_LMSLE))
		state->processor.efer_valid |= EFER_LMSLE;
}
