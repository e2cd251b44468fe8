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

#define PRED_CMD_IBPB		 BIT_ULL(0)
#define FLUSH_CMD_L1D		 BIT_ULL(0)
#define ARCH_RDCL_NO		 BIT_ULL(0)	/* no rogue data cache load, and so no L1 terminal fault */
#define ARCH_SKIP_L1DFL_VMENTRY	 BIT_ULL(3)	/* the hypervisor below flushes, or there is no need */

static bool off;		/* mitigations=off */
static struct {
	bool branches;		/* IBPB: branch predictions of the last VM steer the next one's speculation */
	bool l1d;		/* L1 terminal fault: a guest reads what the L1 data cache holds */
	bool buffers;		/* VERW: a guest samples the core's buffers */
} flushes;

static int set_mitigations(struct str_view value)
{
	static const char *const words[] = { "auto", "off" };
	int choice = option_choice(value, words, ARRAY_SIZE(words));

	if (choice < 0)
		return choice;
	off = choice == 1;
	return 0;
}
DEFINE_OPTION(mitigations, "mitigations", "auto|off",
	      "flush branch predictions and caches between VMs where the processor needs it", set_mitigations);

bool speculation_off(void)
{
	return off;
}

static bool needs_l1d_flush(u32 seven_edx)
{
	u64 capabilities = 0;

	if (cpu_features.vendor != CPU_VENDOR_INTEL || !(seven_edx & BIT(28)))
		return false;
	if ((seven_edx & BIT(29)) && rdmsr_safe(MSR_ARCH_CAPABILITIES, &capabilities))
		return true;
	return !(capabilities & (ARCH_RDCL_NO | ARCH_SKIP_L1DFL_VMENTRY));
}

static void print_choice(void)
{
	char text[96] = "";
	const char *const names[] = {
		flushes.branches ? "branch predictions" : NULL,
		flushes.l1d ? "L1 data cache" : NULL,
		flushes.buffers ? "CPU buffers" : NULL,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(text);

		if (names[i])
			snprintf(text + n, sizeof(text) - n, "%s%s", n ? ", " : "", names[i]);
	}
	log_info("  %-34s %s", "flushed between VMs",
		 off ? "nothing (mitigations=off)" : *text ? text : "nothing: the processor offers nothing for it");
}

void speculation_init(void)
{
	u32 seven_edx = cpu_features.max_leaf >= 7 ? cpuid(7).edx : 0, amd_ebx = 0;

	if (cpu_features.vendor == CPU_VENDOR_AMD && cpu_features.max_extended_leaf >= 0x80000008)
		amd_ebx = cpuid(0x80000008).ebx;
	flushes.branches = !off && ((seven_edx & BIT(26)) || (amd_ebx & BIT(12)));
	flushes.l1d = !off && needs_l1d_flush(seven_edx);
	flushes.buffers = !off && (seven_edx & BIT(10));
	print_choice();
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
	if (flushes.l1d)
		wrmsr(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
	if (flushes.buffers)
		__asm__ volatile("verw %0" : : "m"(selector) : "cc");
}
