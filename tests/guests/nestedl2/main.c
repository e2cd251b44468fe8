/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor with a guest of its own (L2), of a few instructions at a time: which exits it gets, what they report,
 * and what L2 sees. Expected: Intel SDM, "VM Entries", "VMX Non-Root Operation", "VM Exits". Skips all where there is
 * no VMX.
 */
#include "l2.h"

/* --- the first exits --- */

NAKED cpuid_twice(void)
{
	asm volatile("cpuid; mov %rbx, %r8; cpuid; vmcall");
}

static void first(void)
{
	fresh(cpuid_twice);
	l2[RAX] = 0x1234;
	exits(EXIT_CPUID, "CPUID exits");
	check_eq(vmread(GUEST_RIP), (ulong)cpuid_twice, "... at its RIP");
	check_eq(vmread(LENGTH), 2, "... with its length");
	check_eq(l2[RAX], 0x1234, "... with the guest's registers");
	check_eq(vmread(EVENT) & VALID, 0, "... and no event is left");
	step_over();
	l2[RBX] = 0x5678;
	exits(EXIT_CPUID, "VMRESUME, and CPUID exits again");
	check_eq(l2[8], 0x5678, "... the guest got what its hypervisor gave");
	step_over();
	exits(EXIT_VMCALL, "VMCALL exits");
	check_eq(vmread(LENGTH), 3, "... with its length");
}

int main(void)
{
	u32 mutations = 0, seed = 1, count = 0;

	if (cmdline_number("inits", &count)) {
		inits(count);
		return 0;
	}
	if (cmdline_number("race", &count)) {
		race(count);
		return 0;
	}
	if (!vmx_start())
		return 0;
	if (cmdline_number("mutations", &mutations)) {
		cmdline_number("seed", &seed);
		mutate(mutations, seed);
		vmx_stop();
		return 0;
	}
	failing_entries();	/* before any that works */
	first();
	exits_by_controls();
	events();
	memory();
	evmcs_checks();
	vmx_stop();
	return 0;
}
