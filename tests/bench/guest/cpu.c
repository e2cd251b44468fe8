/* SPDX-License-Identifier: MIT */
/* Instructions that a hypervisor may intercept, and memory that it may map late. */
#include "bench.h"

#define FEATURE(bit)	(cpuid(1, 0).c & BIT(bit))

OPERATION(cpuid_0, "", "xor %%eax, %%eax", "cpuid", "")
OPERATION(cpuid_1, "", "mov $1, %%eax", "cpuid", "")
OPERATION(cpuid_4, "", "mov $4, %%eax\n\txor %%ecx, %%ecx", "cpuid", "")
OPERATION(cpuid_7, "", "mov $7, %%eax\n\txor %%ecx, %%ecx", "cpuid", "")
OPERATION(cpuid_d, "", "mov $0xd, %%eax\n\txor %%ecx, %%ecx", "cpuid", "")
OPERATION(cpuid_brand, "", "mov $0x80000004, %%eax", "cpuid", "")

/* A number that neither KVM nor Xen defines, so that both return an error immediately. */
#define HYPERCALL	"mov $0xfff, %%eax"
OPERATION(vmcall, "", HYPERCALL, "vmcall", "")
OPERATION(vmmcall, "", HYPERCALL, "vmmcall", "")

static bool intel(void) { return !vendor_amd(); }

#define RDMSR(name, msr) \
	OPERATION(name, "", "mov $" #msr ", %%ecx", "rdmsr", "")
#define WRMSR(name, msr) \
	OPERATION(name, "mov $" #msr ", %%ecx\n\trdmsr\n\tmov %%eax, %%esi\n\tmov %%edx, %%ebx", \
		  "mov $" #msr ", %%ecx\n\tmov %%esi, %%eax\n\tmov %%ebx, %%edx", "wrmsr", "")
RDMSR(rdmsr_apic_base, 0x1b)
RDMSR(rdmsr_mtrr_cap, 0xfe)
RDMSR(rdmsr_efer, 0xc0000080)
RDMSR(rdmsr_fs_base, 0xc0000100)
/* Each writes what it has read. */
WRMSR(wrmsr_mtrr_def_type, 0x2ff)
WRMSR(wrmsr_pat, 0x277)
WRMSR(wrmsr_efer, 0xc0000080)
WRMSR(wrmsr_fs_base, 0xc0000100)

OPERATION(mov_from_cr0, "", "", "mov %%cr0, " R(ax), "")
OPERATION(mov_to_cr0, "", "", "mov " R(si) ", %%cr0", "")
OPERATION(clts, "", "", "clts", "")
OPERATION(mov_from_cr3, "", "", "mov %%cr3, " R(ax), "")
OPERATION(mov_to_cr3, "", "", "mov " R(si) ", %%cr3", "")
OPERATION(mov_from_cr4, "", "", "mov %%cr4, " R(ax), "")
OPERATION(mov_to_cr4, "", "", "mov " R(si) ", %%cr4", "")
OPERATION(mov_to_cr4_pge, "", "", "mov " R(si) ", %%cr4", "")
OPERATION(mov_from_dr7, "", "", "mov %%dr7, " R(ax), "")
OPERATION(mov_to_dr7, "", "", "mov " R(si) ", %%dr7", "")

static ulong cr0(u32 i) { return READ_CR(0); }
static ulong cr3(u32 i) { return READ_CR(3); }
static ulong cr4(u32 i) { return READ_CR(4); }
/* As kernels flush the whole TLB. */
static ulong cr4_other_pge(u32 i) { return READ_CR(4) ^ BIT(7); }
static ulong dr7(u32 i) { return 0x400; }

#ifdef __x86_64__
OPERATION(mov_to_cr8, "", "", "mov %%rsi, %%cr8", "")
#endif

OPERATION(xsetbv, "xor %%ecx, %%ecx\n\txgetbv\n\tmov %%eax, %%esi\n\tmov %%edx, %%ebx",
	  "xor %%ecx, %%ecx\n\tmov %%esi, %%eax\n\tmov %%ebx, %%edx", "xsetbv", "")
OPERATION(wbinvd, "", "", "wbinvd", "")
OPERATION(invlpg, "", "", "invlpg (" R(si) ")", "")
OPERATION(spin_pause, "", "", "pause", "")

static bool xsave(void)
{
	if (FEATURE(26))
		WRITE_CR(4, READ_CR(4) | BIT(18));	/* OSXSAVE */
	return FEATURE(26);
}

/* RAM that was never accessed: 16 to 64 MiB, a part for each mode. */
#define FRESH		(sizeof(ulong) == 8 ? 40u << 20 : 16u << 20)
#define FRESH_2M	(FRESH + (4u << 20))
#define FRESH_COUNT	8

static ulong fresh_4k(u32 i) { return FRESH + 4096 * i; }
static ulong fresh_2m(u32 i) { return FRESH_2M + (2u << 20) * i; }
static ulong touched(u32 i) { return FRESH; }

OPERATION(touch_4k, "", "", "movb $1, (" R(si) ")", "")
OPERATION(touch_2m, "", "", "movb $1, (" R(si) ")", "")
OPERATION(page_walk, "invlpg (" R(si) ")", "", "movb $1, (" R(si) ")", "")

void bench_cpu(void)
{
	static const struct bench list[] = {
		{ OP(cpuid_0) },
		{ OP(cpuid_1) },
		{ OP(cpuid_4) },
		{ OP(cpuid_7) },
		{ OP(cpuid_d) },
		{ OP(cpuid_brand) },
		{ .name = "hypercall", .op = vmcall, .empty = vmcall_empty, .present = intel },
		{ .name = "hypercall", .op = vmmcall, .empty = vmmcall_empty, .present = vendor_amd },
		{ OP(rdmsr_apic_base) },
		{ OP(rdmsr_mtrr_cap) },
		{ OP(rdmsr_efer) },
		{ OP(rdmsr_fs_base) },
		{ OP(wrmsr_mtrr_def_type) },
		{ OP(wrmsr_pat) },
		{ OP(wrmsr_efer) },
		{ OP(wrmsr_fs_base) },
		{ OP(mov_from_cr0) },
		{ OP(mov_to_cr0), .arg = cr0 },
		{ OP(clts) },
		{ OP(mov_from_cr3) },
		{ OP(mov_to_cr3), .arg = cr3 },
		{ OP(mov_from_cr4) },
		{ OP(mov_to_cr4), .arg = cr4 },
		{ OP(mov_to_cr4_pge), .arg = cr4_other_pge },
#ifdef __x86_64__
		{ OP(mov_to_cr8) },
#endif
		{ OP(mov_from_dr7) },
		{ OP(mov_to_dr7), .arg = dr7 },
		{ OP(xsetbv), .present = xsave },
		{ OP(wbinvd), .count = 16 },
		{ OP(invlpg), .arg = touched },
		{ OP(spin_pause) },
		{ OP(touch_4k), .arg = fresh_4k },
		{ OP(touch_2m), .count = FRESH_COUNT, .arg = fresh_2m },
		{ OP(page_walk), .arg = touched },
	};

	RUN(list);
}
