/* SPDX-License-Identifier: MIT */
/*
 * Checks the model-specific registers: each keeps what is written, acts on it, and refuses with
 * #GP what the manuals call reserved. Unknown MSRs raise #GP.
 */
#include "guest.h"

enum {
	TSC = 0x10, APIC_BASE = 0x1b, FEATURE_CONTROL = 0x3a, TSC_ADJUST = 0x3b, BIOS_SIGN = 0x8b,
	SPEC_CTRL = 0x48, PRED_CMD = 0x49, ARCH_CAPABILITIES = 0x10a, FLUSH_CMD = 0x10b,
	MTRR_CAP = 0xfe, SYSENTER_CS = 0x174, SYSENTER_ESP, SYSENTER_EIP, MCG_CAP = 0x179, MISC_ENABLE = 0x1a0,
	MTRR_BASE0 = 0x200, MTRR_MASK0, MTRR_FIX64K = 0x250, PAT = 0x277, MTRR_DEF_TYPE = 0x2ff,
};
#define EFER		0xc0000080
#define STAR		0xc0000081
#define LSTAR		0xc0000082
#define CSTAR		0xc0000083
#define SFMASK		0xc0000084
#define FS_BASE		0xc0000100
#define GS_BASE		0xc0000101
#define KERNEL_GS_BASE	0xc0000102
#define TSC_AUX		0xc0000103
#define PAT_RESET	0x0007040600070406

/* A hypervisor must check what it emulates; only QEMU without a hypervisor may accept it. */
static void refuses(u32 msr, u64 value, const char *name)
{
	u64 old = rdmsr(msr);

	if (qemu_tcg()) {
		skip(name, "QEMU does not check it");
		return;
	}
	check_eq(try_wrmsr(msr, value), GP, name);
	check_eq(rdmsr(msr), old, "... and the value stays");
}

/* Writes that a hypervisor leaves to the CPU: QEMU's CPU does not check them, with or without a hypervisor. */
static void cpu_refuses(u32 msr, u64 value, const char *name)
{
	u64 old = rdmsr(msr);
	u32 vector = try_wrmsr(msr, value);

	if (vector == NO_TRAP && vendor_amd())
		skip(name, "this CPU does not check it");
	else
		check_eq(vector, GP, name);
	wrmsr(msr, old);
}

static void keeps(u32 msr, u64 value, const char *name)
{
	u64 old = rdmsr(msr);

	check_eq(try_wrmsr(msr, value), NO_TRAP, name);
	check_eq(rdmsr(msr), value, "... reads back");
	wrmsr(msr, old);
}

static void apic_base(void)
{
	check_eq(rdmsr(APIC_BASE) & ~BIT(10), LAPIC | 0x900, "APIC_BASE: address, enabled, BSP");
	refuses(APIC_BASE, rdmsr(APIC_BASE) | 1, "APIC_BASE: a reserved bit");
	refuses(APIC_BASE, rdmsr(APIC_BASE) | BIT(52), "APIC_BASE: an address too high");
	keeps(APIC_BASE, rdmsr(APIC_BASE), "APIC_BASE: its own value");
}

/* SDM, "Local APIC Status and Location": CPUID's feature flag follows the enable bit. */
static void apic_feature(void)
{
	u64 base = rdmsr(APIC_BASE);
	bool mirrored = cpuid(0x80000001, 0).d & BIT(9);

	if (!hypervisor_present()) {
		skip("the APIC's feature flag", "QEMU and Bochs differ");
		return;
	}
	check_eq(cpuid(1, 0).d & BIT(9), BIT(9), "CPUID shows the APIC");
	wrmsr(APIC_BASE, base & ~(BIT(11) | BIT(10)));
	check_eq(cpuid(1, 0).d & BIT(9), 0, "... but not a disabled one");
	check_eq(cpuid(0x80000001, 0).d & BIT(9), 0, "... nor does AMD's copy of the flag");
	wrmsr(APIC_BASE, base & ~BIT(10));
	check_eq(cpuid(1, 0).d & BIT(9), BIT(9), "... and an enabled one again");
	check_eq(cpuid(0x80000001, 0).d & BIT(9), mirrored ? BIT(9) : 0, "... and the copy");
}

/* What small kernels and operating systems access without asking CPUID. */
static void touched(void)
{
	static const u32 intel[] = { 0x17, 0x8b, 0xc1, 0xce, 0x186, 0x198, 0x606 };
	static const u32 amd[] = {
		0x8b, 0xc0010000, 0xc0010003, 0xc0010004, 0xc0010007, 0xc0010010, 0xc0010015, 0xc001001d, 0xc0010064,
		0xc0011021,
	};
	bool is_amd = vendor_amd();
	u64 value = 0;

	if (!hypervisor_present()) {
		skip("MSRs that CPUID does not announce", "it is the processor's choice");
		return;
	}
	for (u32 i = 0; i < (is_amd ? ARRAY_SIZE(amd) : ARRAY_SIZE(intel)); i++)
		check_eq(try_rdmsr(is_amd ? amd[i] : intel[i], &value), NO_TRAP, "an MSR of every processor");
	for (u32 i = 0; is_amd && i < 8; i++)
		check_eq(try_wrmsr(0xc0010000 + i, 0), NO_TRAP, "clearing a performance counter");
	if (is_amd)
		return;
	value = rdmsr(MISC_ENABLE);
	check_eq(value & 0x1801, 0x1801, "MISC_ENABLE: fast strings, no BTS, no PEBS");
	check_eq(try_wrmsr(MISC_ENABLE, value ^ 1), NO_TRAP, "MISC_ENABLE can be written");
	check_eq(rdmsr(MISC_ENABLE), value ^ 1, "... and keeps it");
	wrmsr(MISC_ENABLE, value);
}

/* As far as CPUID announces them. The processor checks the bits. */
static void speculation(void)
{
	u32 edx = cpuid(0, 0).a >= 7 ? cpuid(7, 0).d : 0;
	u32 amd = vendor_amd() && cpuid(0x80000000, 0).a >= 0x80000008 ? cpuid(0x80000008, 0).b : 0;
	bool spec_ctrl = (edx & (BIT(26) | BIT(27) | BIT(31))) || (amd & (BIT(14) | BIT(15) | BIT(24)));
	bool pred_cmd = (edx & BIT(26)) || (amd & BIT(12));
	u64 value = 0;

	if (qemu_tcg() || !hypervisor_present()) {
		skip("speculation control", "QEMU and Bochs differ");
		return;
	}
	check_eq(try_rdmsr(SPEC_CTRL, &value), spec_ctrl ? NO_TRAP : GP, "SPEC_CTRL is there if CPUID says so");
	if (spec_ctrl) {
		check_eq(value, 0, "SPEC_CTRL after reset");
		if (edx & BIT(31))
			keeps(SPEC_CTRL, 4, "SPEC_CTRL.SSBD");
		refuses(SPEC_CTRL, BIT(63), "SPEC_CTRL: a reserved bit");
	}
	check_eq(try_wrmsr(PRED_CMD, 1), pred_cmd ? NO_TRAP : GP, "PRED_CMD is there if CPUID says so");
	check_eq(try_rdmsr(PRED_CMD, &value), GP, "... and cannot be read");
	check_eq(try_wrmsr(FLUSH_CMD, 1), edx & BIT(28) ? NO_TRAP : GP, "FLUSH_CMD is there if CPUID says so");
	check_eq(try_rdmsr(FLUSH_CMD, &value), GP, "... and cannot be read");
	check_eq(try_rdmsr(ARCH_CAPABILITIES, &value), edx & BIT(29) ? NO_TRAP : GP,
		 "ARCH_CAPABILITIES are there if CPUID says so");
	check_eq(try_wrmsr(ARCH_CAPABILITIES, 0), GP, "... and cannot be written");
}

static void efer(void)
{
	u64 old = rdmsr(EFER);

	keeps(EFER, old ^ 1, "EFER.SCE");
	keeps(EFER, old ^ BIT(11), "EFER.NXE");
	refuses(EFER, old | 2, "EFER: a reserved bit");
	refuses(EFER, old | BIT(63), "EFER: a high reserved bit");
	refuses(EFER, old & ~BIT(8), "EFER.LME cleared under paging");
	if (hypervisor_present())
		refuses(EFER, old | BIT(12), "EFER.SVME without SVM");
}

static void tsc(void)
{
	u64 now = rdtsc(), adjust;

	if (qemu_tcg()) {
		skip("the TSC as an MSR", "QEMU knows only the instruction");
	} else {
		check_range(rdmsr(TSC), now, now + BIT(32), "TSC reads as RDTSC does");
		wrmsr(TSC, now + BIT(50));
		check_range(rdtsc(), now + BIT(50), now + BIT(50) + BIT(32), "TSC moves up");
		wrmsr(TSC, 1000);
		check_range(rdtsc(), 1000, BIT(32), "TSC moves down");
	}
	if (!(cpuid(7, 0).b & BIT(1))) {
		skip("TSC_ADJUST", "not offered");
		return;
	}
	adjust = rdmsr(TSC_ADJUST);
	now = rdtsc();
	wrmsr(TSC_ADJUST, adjust + BIT(48));
	check_range(rdtsc(), now + BIT(48), now + BIT(48) + BIT(32), "TSC_ADJUST moves the TSC");
	wrmsr(TSC, now);
	check_range(adjust - rdmsr(TSC_ADJUST), 0, BIT(32), "TSC_ADJUST follows the TSC");
}

static void memory_types(void)
{
	u64 cap = rdmsr(MTRR_CAP), old = rdmsr(MTRR_DEF_TYPE), value;
	u32 count = cap & 0xff, width = cpuid(0x80000008, 0).a & 0xff;

	if (!(cpuid(1, 0).d & BIT(12))) {
		skip("MTRRs", "not offered");
	} else {
		check_range(count, 0, 16, "MTRR: a sane number of ranges");
		keeps(MTRR_DEF_TYPE, old ^ 0x800, "MTRR: the enable bit");
		refuses(MTRR_DEF_TYPE, (old & ~0xffull) | 2, "MTRR: default type 2");
		if (count) {
			keeps(MTRR_BASE0, 0xc0000006, "MTRR: a base");
			keeps(MTRR_MASK0, (BIT(width) - BIT(30)) | 0x800, "MTRR: a mask");
			refuses(MTRR_BASE0, 0xc0000002, "MTRR: range of type 2");
		}
		if (cap & 0x100)
			keeps(MTRR_FIX64K, 0x0606060606060606, "MTRR: a fixed range");
	}
	check_eq(rdmsr(PAT), PAT_RESET, "PAT after reset");
	keeps(PAT, 0x0007050600070106, "PAT");
	cpu_refuses(PAT, PAT_RESET ^ 4, "PAT: type 2");
	if (!hypervisor_present()) {
		skip("MCG_CAP and BIOS_SIGN_ID", "Bochs has neither");
		return;
	}
	if (cpuid(1, 0).d & BIT(14))
		check_eq(try_rdmsr(MCG_CAP, &value), NO_TRAP, "MCG_CAP is there when MCA is");
	check_eq(try_rdmsr(BIOS_SIGN, &value), NO_TRAP, "BIOS_SIGN_ID is there");
}

static void system_calls(void)
{
	keeps(SYSENTER_CS, 0x18, "SYSENTER_CS");
	keeps(SYSENTER_ESP, 0x12345678, "SYSENTER_ESP");
	keeps(SYSENTER_EIP, 0x23456789, "SYSENTER_EIP");
	keeps(STAR, 0x0023001812345678, "STAR");
	keeps(LSTAR, 0xffff800012345678, "LSTAR");
	keeps(CSTAR, 0xffff800023456789, "CSTAR");
	keeps(SFMASK, 0x47700, "SFMASK");
	cpu_refuses(LSTAR, BIT(63), "LSTAR not canonical");
	cpu_refuses(CSTAR, BIT(62), "CSTAR not canonical");
}

static void bases(void)
{
	static u64 there = 0x1234567890;
	u64 value;

	keeps(FS_BASE, 0xffff800000001000, "FS_BASE");
	keeps(GS_BASE, 0x7fffffffffff, "GS_BASE");
	keeps(KERNEL_GS_BASE, 0xffffffff80000000, "KERNEL_GS_BASE");
	cpu_refuses(FS_BASE, BIT(47), "FS_BASE not canonical");
	cpu_refuses(GS_BASE, BIT(63), "GS_BASE not canonical");
	cpu_refuses(KERNEL_GS_BASE, BIT(48), "KERNEL_GS_BASE not canonical");
	wrmsr(FS_BASE, (ulong)&there - 0x40);
	asm volatile("mov %%fs:0x40, %0" : "=r"(value));
	check_eq(value, there, "FS_BASE is used");
	if (cpuid(0x80000001, 0).d & BIT(27)) {
		wrmsr(TSC_AUX, 0xabcd);
		asm volatile("rdtscp" : "=c"(value) : : "eax", "edx");
		check_eq((u32)value, 0xabcd, "RDTSCP returns TSC_AUX");
	}
}

static void unknown(void)
{
	static const u32 msrs[] = {
		0x12345, 0x1fff, 0x40000fff, 0x80000000, 0xc0001fff, 0xc0010fff,
	};
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(msrs); i++) {
		if (qemu_tcg()) {
			skip("an unknown MSR", "QEMU reads it as 0");
			continue;
		}
		check_eq(try_rdmsr(msrs[i], &value), GP, "reading an unknown MSR");
		check_eq(try_wrmsr(msrs[i], 0), GP, "writing an unknown MSR");
	}
	if (hypervisor_present() && try_rdmsr(FEATURE_CONTROL, &value) == NO_TRAP)
		check_eq(value & 7, 1, "FEATURE_CONTROL is locked with VMX off");
}

int main(void)
{
	apic_base();
	apic_feature();
	touched();
	speculation();
	efer();
	tsc();
	memory_types();
	system_calls();
	bases();
	unknown();
	return 0;
}
