/* SPDX-License-Identifier: MIT */
/* Flushes between VMs against attacks by speculative execution. */
#include "core/cpu/speculation.h"

#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/gdt.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "lib/log.h"
#include "lib/printf.h"
#include "lib/string.h"

#define FLUSH_CMD_L1D		 BIT_ULL(0)

/* IA32_ARCH_CAPABILITIES */
#define ARCH_RDCL_NO		 BIT_ULL(0)	/* no rogue data cache load, and so no L1 terminal fault */
#define ARCH_SKIP_L1DFL_VMENTRY	 BIT_ULL(3)	/* the hypervisor below flushes, or there is no need */
#define ARCH_SSB_NO		 BIT_ULL(4)
#define ARCH_MDS_NO		 BIT_ULL(5)
#define ARCH_TAA_NO		 BIT_ULL(8)
/*
 * What guests see: all bits that describe the processor. Not those that announce an MSR which guests do not get: 7
 * (TSX_CTRL), 9 (MCU_CONTROL), 10, 11, 12 (UARCH_MISC_CTL), 18 (FB_CLEAR_CTRL), 21, 22, 23, 25 (GDS_CTRL).
 */
#define ARCH_GUEST		 (0x17full | 7ull << 13 | BIT_ULL(17) | BIT_ULL(19) | BIT_ULL(20) | BIT_ULL(24) | \
				  7ull << 26 | BIT_ULL(62))

static u32 off;		/* 1: mitigations=off */
static struct {
	bool branches;		/* IBPB: branch predictions of the last VM steer the next one's speculation */
	bool returns;		/* the same of RET, where IBPB does not cover it */
	bool l1d;		/* L1 terminal fault: a guest reads what the L1 data cache holds */
	bool buffers;		/* VERW: a guest samples the core's buffers */
} flushes;

DEFINE_CHOICE(mitigations, "mitigations", "auto|off",
	      "flush branch predictions and caches between VMs where the processor needs it", off);

bool speculation_off(void)
{
	return off;
}

/* 0 where there is none: then the processor rules nothing out. */
static u64 arch_capabilities(void)
{
	u64 value = 0;

	return cpu_features.arch_capabilities && !rdmsr_safe(MSR_ARCH_CAPABILITIES, &value) ? value : 0;
}

u64 speculation_guest_capabilities(void)
{
	return arch_capabilities() & ARCH_GUEST;
}

/* "a, b, c", or `none`. */
static void print_list(const char *title, const char *const names[], unsigned count, const char *none)
{
	char text[128] = "";

	for (unsigned i = 0; i < count; i++) {
		size_t n = strlen(text);

		if (names[i])
			snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "", names[i]);
	}
	log_info("  %-34s %s", title, *text ? text : none);
}

/* What this processor may leak, unless it says otherwise; predictions of branches always. */
static void print_leaks(u32 seven_ebx, u32 amd_ebx)
{
	u64 no = arch_capabilities();
	bool intel = cpu_features.vendor == CPU_VENDOR_INTEL, amd = cpu_features.vendor == CPU_VENDOR_AMD;
	bool buffers = !(no & ARCH_MDS_NO) || ((seven_ebx & BIT(11)) /* RTM */ && !(no & ARCH_TAA_NO));
	const char *const names[] = {
		"branch predictions",
		amd && (amd_ebx & BIT(26)) ? NULL : no & ARCH_SSB_NO ? NULL : "store bypass",
		intel && !(no & ARCH_RDCL_NO) ? "Meltdown, L1 terminal fault" : NULL,
		intel && buffers ? "CPU buffers" : NULL,
	};

	print_list("may leak by speculation", names, ARRAY_SIZE(names), "");
}

static void print_choice(void)
{
	const char *const flushed[] = {
		flushes.branches ? "branch predictions" : NULL,
		flushes.l1d ? "L1 data cache" : NULL,
		flushes.buffers ? "CPU buffers" : NULL,
	};
	const char *const offered[] = {
		cpu_features.spec_ctrl ? "SPEC_CTRL" : NULL,
		cpu_features.pred_cmd ? "PRED_CMD" : NULL,
		cpu_features.flush_cmd ? "FLUSH_CMD" : NULL,
		cpu_features.arch_capabilities ? "ARCH_CAPABILITIES" : NULL,
	};

	print_list("flushed between VMs", flushed, ARRAY_SIZE(flushed),
		   off ? "nothing (mitigations=off)" : "nothing: the processor offers nothing for it");
	print_list("guests' own means against it", offered, ARRAY_SIZE(offered), "none: the processor has none");
}

void speculation_init(void)
{
	u32 seven_ebx = 0, seven_edx = 0, amd_ebx = 0;

	if (cpu_features.max_leaf >= 7) {
		seven_ebx = cpuid(7).ebx;
		seven_edx = cpuid(7).edx;
	}
	if (cpu_features.vendor == CPU_VENDOR_AMD && cpu_features.max_extended_leaf >= 0x80000008)
		amd_ebx = cpuid(0x80000008).ebx;
	flushes.branches = !off && cpu_features.pred_cmd;
	flushes.returns = flushes.branches && !(amd_ebx & BIT(30));
	flushes.l1d = !off && cpu_features.vendor == CPU_VENDOR_INTEL && cpu_features.flush_cmd &&
		      !(arch_capabilities() & (ARCH_RDCL_NO | ARCH_SKIP_L1DFL_VMENTRY));
	flushes.buffers = !off && (seven_edx & BIT(10));
	print_leaks(seven_ebx, amd_ebx);
	print_choice();
}

/*
 * Fill the return stack buffer, whose entries are 32 at most, with an address at which speculation ends. The red zone
 * is for builds that have one.
 */
static void flush_return_predictions(void)
{
	__asm__ volatile("sub $128, %%rsp\n\t"
			 ".rept 32\n\t"
			 "call 1f\n\t"
			 "int3\n"
			 "1:\n\t"
			 ".endr\n\t"
			 "add $128 + 32 * 8, %%rsp"
			 : : : "memory", "cc");
}

/*
 * Each flush takes thousands of cycles. It can be left out only if no other VM has run on this CPU since this
 * one did; that this vCPU was the last of its VM here says nothing.
 */
void speculation_switch_vm(struct percpu *cpu, u32 vm_id)
{
	const u16 selector = GDT_DATA;

	if (likely(cpu->last_vm == vm_id))
		return;
	cpu->last_vm = vm_id;
	if (flushes.branches)
		wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
	if (flushes.returns)
		flush_return_predictions();
	if (flushes.l1d)
		wrmsr(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
	if (flushes.buffers)
		__asm__ volatile("verw %0" : : "m"(selector) : "cc");
}
