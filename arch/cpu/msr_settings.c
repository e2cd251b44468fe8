/* SPDX-License-Identifier: MIT */
/*
 * The known state of MSRs, in one table.
 *
 * Intel SDM vol. 4, "Model-Specific Registers (MSRs)"; AMD, "Processor Programming Reference", "BIOS and Kernel
 * Developer's Guide" and "Revision Guide" of each family. A bit is changed only if it is not right already, so that
 * a reserved bit is never written with anything but what was read. Every access may raise #GP: a hypervisor below
 * need not have the MSR.
 *
 * Not here: XSS and XFD (arch/cpu/fpu.c), and what has no effect while its bit of CR4 is off (CET, PKS, UINTR).
 * VM entries and exits switch none of these but DEBUGCTL, which exits clear.
 */
#include "arch/cpu/msr_settings.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/identity.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "lib/log.h"

#define EVERY_BIT (~0ull)

enum setting_kind {
	LEFT_ON,	/* firmware, or the kernel that ran before, has left it on */
	RESET_VALUE,	/* likewise, but a reset has it on as well */
	ERRATUM,
};

struct msr_setting {
	const char *words;
	u64 set, clear;
	u32 msr;
	u8 kind;
	u8 vendor;			/* CPU_VENDOR_UNKNOWN: any */
	u8 families[2], models[2];	/* first and last; 0, 0: any */
	u8 reg;				/* one of `bits` in this word of CPUID announces it; leaf 0: nothing does */
	u32 leaf, bits;
	u32 capability_msr;		/* and one of these bits of this MSR; 0: none has to */
	u64 capability;
	u32 fixed_by;			/* the microcode revision that needs it no more; 0: none does */
};

#define BY_CPUID(leaf_, reg_, bits_) .leaf = leaf_, .reg = reg_, .bits = bits_
#define BY_MSR(msr_, bits_) .capability_msr = msr_, .capability = bits_
#define AMD_FAMILIES(first, last) .kind = ERRATUM, .vendor = CPU_VENDOR_AMD, .families = { first, last }
#define AMD_MODELS(family, first, last) AMD_FAMILIES(family, family), .models = { first, last }
/* A row for each range of models with the same cores. */
#define ZEN1(...) { __VA_ARGS__, AMD_MODELS(0x17, 0x00, 0x2f) }, { __VA_ARGS__, AMD_MODELS(0x17, 0x50, 0x5f) }
#define ZEN2(...) { __VA_ARGS__, AMD_MODELS(0x17, 0x30, 0x4f) }, { __VA_ARGS__, AMD_MODELS(0x17, 0x60, 0x7f) }, \
		  { __VA_ARGS__, AMD_MODELS(0x17, 0x90, 0x91) }, { __VA_ARGS__, AMD_MODELS(0x17, 0xa0, 0xaf) }
#define ZEN4(...) { __VA_ARGS__, AMD_MODELS(0x19, 0x10, 0x1f) }, { __VA_ARGS__, AMD_MODELS(0x19, 0x60, 0xaf) }
#define ZENBLEED(first, last, revision) \
	{ "registers of another program seen (Zenbleed)", .msr = MSR_AMD_DE_CFG, .set = BIT_ULL(9), \
	  .fixed_by = revision, AMD_MODELS(0x17, first, last) }

static const struct msr_setting settings[] = {
	/* In any VM a locked access across cache lines, or to uncached memory, would raise an exception. */
	{ "exceptions for split and uncached locks", .msr = 0x33, .clear = BIT_ULL(29) | BIT_ULL(28),
	  BY_CPUID(7, EDX, BIT(30)), BY_MSR(0xcf, BIT_ULL(5) | BIT_ULL(4)) },
	{ "speculation control", .msr = MSR_SPEC_CTRL, .clear = EVERY_BIT, BY_CPUID(7, EDX, BIT(26) | BIT(27) | BIT(31)) },
	{ "speculation control", .msr = MSR_SPEC_CTRL, .clear = EVERY_BIT, .vendor = CPU_VENDOR_AMD,
	  BY_CPUID(0x80000008, EBX, BIT(14) | BIT(15) | BIT(24)) },
	{ "limits of UMWAIT", .msr = 0xe1, .clear = EVERY_BIT, BY_CPUID(7, ECX, BIT(5)) },
	/* CPUID faulting comes before the exit: a guest's programs would get #GP. */
	{ "CPUID faulting or MWAIT in ring 3", .msr = 0x140, .clear = BIT_ULL(0) | BIT_ULL(1),
	  .vendor = CPU_VENDOR_INTEL, BY_MSR(0xce, BIT_ULL(31)) },
	{ "CPUID faulting or no address wrap at 4 GiB", .msr = MSR_HWCR, .clear = BIT_ULL(35) | BIT_ULL(17),
	  .vendor = CPU_VENDOR_AMD },
	/* Traces go to memory that is a guest's by then. */
	{ "processor trace", .msr = 0x570, .clear = EVERY_BIT, BY_CPUID(7, EBX, BIT(25)) },
	{ "branch traces or records", .msr = MSR_DEBUGCTL, .clear = EVERY_BIT },
	{ "last branch records", .msr = 0x14ce, .clear = EVERY_BIT, BY_CPUID(7, EDX, BIT(19)) },
	{ "last branch records", .msr = 0xc000010f, .clear = BIT_ULL(6), .vendor = CPU_VENDOR_AMD,
	  BY_CPUID(0x80000022, EAX, BIT(1)) },
	{ "event-based sampling (PEBS)", .msr = 0x3f1, .clear = EVERY_BIT, .vendor = CPU_VENDOR_INTEL,
	  BY_CPUID(1, EDX, BIT(21)) },
	{ "fetch sampling (IBS)", .msr = 0xc0011030, .clear = BIT_ULL(48), .vendor = CPU_VENDOR_AMD,
	  BY_CPUID(0x80000001, ECX, BIT(10)) },
	{ "operation sampling (IBS)", .msr = 0xc0011033, .clear = BIT_ULL(17), .vendor = CPU_VENDOR_AMD,
	  BY_CPUID(0x80000001, ECX, BIT(10)) },
	/* Version 2 and later. */
	{ "performance counters", .msr = 0x38f, .clear = EVERY_BIT, .kind = RESET_VALUE, .vendor = CPU_VENDOR_INTEL,
	  BY_CPUID(0xa, EAX, 0xfe) },
	{ "performance counters", .msr = 0xc0000301, .clear = EVERY_BIT, .kind = RESET_VALUE, .vendor = CPU_VENDOR_AMD,
	  BY_CPUID(0x80000022, EAX, BIT(0)) },
	/* ENQCMD, which CPUID hides but nothing intercepts, then raises #GP. */
	{ "process address space id", .msr = 0xd93, .clear = BIT_ULL(31), BY_CPUID(7, ECX, BIT(29)) },

	/* Guests take LFENCE as a barrier against speculation and before RDTSC, and read that it is one: core/cpu/msr.c. */
	{ "LFENCE serializes", .msr = MSR_AMD_DE_CFG, .set = DE_CFG_LFENCE_SERIALIZES, AMD_FAMILIES(0x10, 0x10) },
	{ "LFENCE serializes", .msr = MSR_AMD_DE_CFG, .set = DE_CFG_LFENCE_SERIALIZES, AMD_FAMILIES(0x12, 0xff) },
	/* The local APIC's timer stops in C1E. The processor enters it when all its cores halt. */
	{ "C1E off (erratum 400)", .msr = 0xc0010055, .clear = BIT_ULL(27) | BIT_ULL(28), AMD_FAMILIES(0x10, 0x12) },
	{ "no machine check for two matches in the TLB (erratum 383)", .msr = 0xc0011022, .set = BIT_ULL(47),
	  AMD_FAMILIES(0x10, 0x10) },
	{ "write-combining memory of guests stays cached by WC+", .msr = 0xc001102a, .clear = BIT_ULL(24),
	  AMD_FAMILIES(0x10, 0x10) },
	{ "stack pointer after many pushes or pops (erratum 721)", .msr = MSR_AMD_DE_CFG, .set = BIT_ULL(0),
	  AMD_FAMILIES(0x10, 0x10) },
	{ "stack pointer after many pushes or pops (erratum 721)", .msr = MSR_AMD_DE_CFG, .set = BIT_ULL(0),
	  AMD_FAMILIES(0x12, 0x12) },
	{ "wrong quotient of a division (erratum 665)", .msr = MSR_AMD_DE_CFG, .set = BIT_ULL(31),
	  AMD_FAMILIES(0x12, 0x12) },
	{ "core hangs at locked instructions near write-combining stores (erratum 793)", .msr = 0xc0011020,
	  .set = BIT_ULL(15), AMD_MODELS(0x16, 0x00, 0x0f) },
	{ "erratum 1021", .msr = MSR_AMD_DE_CFG, .set = BIT_ULL(13), AMD_MODELS(0x17, 0x01, 0x01) },
	{ "errata 1033 and 1095", .msr = 0xc0011020, .set = BIT_ULL(4) | BIT_ULL(57), AMD_MODELS(0x17, 0x01, 0x01) },
	{ "erratum 1049", .msr = 0xc0011028, .set = BIT_ULL(4), AMD_MODELS(0x17, 0x01, 0x01) },
	ZEN1("the divider keeps another program's results", .msr = 0xc0011028, .set = BIT_ULL(9)),
	ZENBLEED(0x30, 0x3f, 0x0830107b), ZENBLEED(0x40, 0x4f, 0), ZENBLEED(0x60, 0x67, 0x0860010c),
	ZENBLEED(0x68, 0x6f, 0x08608107), ZENBLEED(0x70, 0x7f, 0x08701033), ZENBLEED(0x90, 0x91, 0),
	ZENBLEED(0xa0, 0xaf, 0x08a00009),
	ZEN2("branch type confusion", .msr = 0xc00110e3, .set = BIT_ULL(1)),
	ZEN2("operation cache shared without isolation", .msr = 0xc001102e, .set = BIT_ULL(33)),
	ZEN4("invalid opcodes after a change of STIBP (erratum 1485)", .msr = 0xc001102e, .set = BIT_ULL(5)),
};
_Static_assert(ARRAY_SIZE(settings) <= 64, "a bit for each in struct percpu");

static bool in_range(const u8 range[2], u32 value)
{
	return !range[1] || (value >= range[0] && value <= range[1]);
}

static bool is_announced(const struct msr_setting *s)
{
	struct cpuid_regs r;
	u64 capability = 0;

	if (s->leaf) {
		if (s->leaf > (s->leaf & BIT(31) ? cpu_features.max_extended_leaf : cpu_features.max_leaf))
			return false;
		r = cpuid(s->leaf);
		if (!((const u32[]){ r.eax, r.ebx, r.ecx, r.edx }[s->reg] & s->bits))
			return false;
	}
	return !s->capability_msr || (!rdmsr_safe(s->capability_msr, &capability) && (capability & s->capability));
}

static bool concerns(const struct msr_setting *s, u32 microcode)
{
	const struct cpu_features *f = &cpu_features;

	if (s->vendor != CPU_VENDOR_UNKNOWN && s->vendor != f->vendor)
		return false;
	if (!in_range(s->families, f->family) || !in_range(s->models, f->model))
		return false;
	return (!s->fixed_by || microcode < s->fixed_by) && is_announced(s);
}

static bool is_right(const struct msr_setting *s, u64 value)
{
	return (value & s->set) == s->set && !(value & s->clear);
}

void msr_settings_apply(struct percpu *cpu)
{
	u32 microcode = cpu_microcode_read();
	u64 value;

	cpu->msrs_refused = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++) {
		const struct msr_setting *s = &settings[i];

		if (!concerns(s, microcode) || rdmsr_safe(s->msr, &value) || is_right(s, value))
			continue;
		if (wrmsr_safe(s->msr, (value | s->set) & ~s->clear) || rdmsr_safe(s->msr, &value) || !is_right(s, value))
			cpu->msrs_refused |= BIT_ULL(i);
		else
			cpu->msrs_changed |= BIT_ULL(i);
	}
}

void msr_settings_report(const struct percpu *cpu)
{
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++) {
		const struct msr_setting *s = &settings[i];
		bool loud = cpu->index == 0 && !cpu_features.hypervisor;

		if (cpu->msrs_refused & BIT_ULL(i))
			log_line(loud ? LOG_WARN : LOG_DEBUG, NULL, "CPU %u: MSR 0x%x refuses a setting: %s%s", cpu->index,
				 s->msr, s->words, s->kind == ERRATUM ? "" : " off");
		else if (cpu->msrs_changed & BIT_ULL(i))
			log_line(loud && s->kind != RESET_VALUE ? LOG_INFO : LOG_DEBUG, NULL, "CPU %u: %s%s (MSR 0x%x)",
				 cpu->index, s->kind == ERRATUM ? "set for its errata: " : "was on, is off: ", s->words, s->msr);
	}
}
