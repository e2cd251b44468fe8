/* SPDX-License-Identifier: MIT */
/* Comparison of CPUs. Intel SDM, "CPUID - CPU Identification"; AMD APM vol. 3, "CPUID Function Numbers". */
#include "arch/cpu/identity.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "lib/printf.h"

/* `own`: bits that differ between the CPUs of one machine, or follow from CR4. */
static const struct word {
	u32 leaf, subleaf;
	u8 reg;
	bool equal;		/* must be the same; else it may have more bits */
	u32 own;
} words[] = {
	{ 0, 0, EBX, true, 0 },		/* vendor */
	{ 0, 0, ECX, true, 0 },
	{ 0, 0, EDX, true, 0 },
	{ 1, 0, ECX, false, BIT(27) },	/* OSXSAVE */
	{ 1, 0, EDX, false, BIT(9) },	/* APIC */
	{ 7, 0, EBX, false, 0 },
	{ 7, 0, ECX, false, BIT(4) },	/* OSPKE */
	{ 7, 0, EDX, false, 0 },
	{ 7, 1, EAX, false, 0 },
	{ 7, 1, EDX, false, 0 },
	{ 0xd, 0, EAX, false, 0 },	/* state components */
	{ 0xd, 0, ECX, true, 0 },	/* size of all of them */
	{ 0xd, 0, EDX, false, 0 },
	{ 0xd, 1, EAX, false, 0 },
	{ 0xd, 1, ECX, false, 0 },
	{ 0xd, 1, EDX, false, 0 },
	{ 0x80000001, 0, ECX, false, 0 },
	{ 0x80000001, 0, EDX, false, 0 },
	{ 0x80000007, 0, EDX, false, 0 },
	{ 0x80000008, 0, EAX, true, 0 },	/* address widths */
	{ 0x80000008, 0, EBX, false, 0 },
	{ 0x8000000a, 0, EBX, true, 0 },	/* number of ASIDs */
	{ 0x8000000a, 0, EDX, false, 0 },	/* SVM */
};
_Static_assert(ARRAY_SIZE(words) <= IDENTITY_WORDS, "room in struct cpu_identity");

enum kind { MTRR, VMX };

/* Each must be the same. MTRR pairs beyond what the processor has, and MSRs it does not have, read as 0. */
static const struct msr_range {
	u32 first, last;
	enum kind kind;
} ranges[] = {
	{ MSR_MTRR_CAP, MSR_MTRR_CAP, MTRR },
	{ MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, MTRR },
	{ MSR_MTRR_FIX64K, MSR_MTRR_FIX64K, MTRR },
	{ MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_A0000, MTRR },
	{ MSR_MTRR_FIX4K(0), MSR_MTRR_FIX4K(7), MTRR },
	{ MSR_MTRR_PHYSBASE(0), MSR_MTRR_PHYSMASK(9), MTRR },
	{ MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL, VMX },
	{ 0x480, 0x493, VMX },		/* the capability MSRs, vmx/vmx.h */
};

static u32 read_word(const struct word *word)
{
	u32 limit = cpuid(word->leaf & 0x80000000).eax;
	struct cpuid_regs r;

	if (word->leaf > limit)
		return 0;
	r = cpuid_count(word->leaf, word->subleaf);
	return (const u32[]){ r.eax, r.ebx, r.ecx, r.edx }[word->reg] & ~word->own;
}

static bool has(enum kind kind)
{
	struct cpuid_regs r = cpuid(1);

	return kind == MTRR ? r.edx & BIT(12) : r.ecx & BIT(5);
}

static u64 read_msr(u32 msr, enum kind kind)
{
	u64 value = 0;

	if (!has(kind) || rdmsr_safe(msr, &value))
		return 0;
	/* Where it is not locked, switching VMX on (vmx/enable.c) does both. */
	if (msr == MSR_FEATURE_CONTROL && !(value & FEATURE_CONTROL_LOCKED))
		value |= FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX;
	return value;
}

/* Intel SDM, "Microcode Update Signature and Verification": CPUID puts it there. AMD's is always there. */
u32 cpu_microcode_read(void)
{
	u64 value = 0;
	bool intel = cpuid(0).ecx == 0x6c65746e;	/* "ntel" */

	if (intel && !wrmsr_safe(MSR_BIOS_SIGN_ID, 0))
		cpuid(1);
	if (rdmsr_safe(MSR_BIOS_SIGN_ID, &value))
		return 0;
	return (u32)(intel ? value >> 32 : value);
}

void cpu_identity_read(struct cpu_identity *identity)
{
	unsigned n = 0;

	*identity = (struct cpu_identity){ .microcode = cpu_microcode_read() };
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		identity->words[i] = read_word(&words[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (u32 msr = ranges[i].first; msr <= ranges[i].last; msr++)
			identity->msrs[n++] = read_msr(msr, ranges[i].kind);
	}
}

static bool word_matches(const struct word *word, u32 boot, u32 other, char *why, size_t size)
{
	static const char names[][4] = { "EAX", "EBX", "ECX", "EDX" };

	if (word->equal ? boot == other : !(boot & ~other))
		return true;
	snprintf(why, size, "CPUID leaf 0x%x.%u %s is 0x%08x, and 0x%08x on the boot CPU", word->leaf, word->subleaf,
		 names[word->reg], other, boot);
	return false;
}

bool cpu_identity_matches(const struct cpu_identity *boot, const struct cpu_identity *other, char *why, size_t size)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (!word_matches(&words[i], boot->words[i], other->words[i], why, size))
			return false;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (u32 msr = ranges[i].first; msr <= ranges[i].last; msr++, n++) {
			if (boot->msrs[n] == other->msrs[n])
				continue;
			snprintf(why, size, "%s MSR 0x%x is 0x%llx, and 0x%llx on the boot CPU",
				 ranges[i].kind == MTRR ? "memory type" : "VMX capability", msr,
				 (ull)other->msrs[n], (ull)boot->msrs[n]);
			return false;
		}
	}
	return true;
}
