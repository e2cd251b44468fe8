/* SPDX-License-Identifier: MIT */
/* Entries that fail, and the lists of MSRs. Intel SDM, "VM-Entry Failures During or After Loading Guest State". */
#include "l2.h"

#define PAT	     0x277
#define EFER	     0xc0000080
#define STAR	     0xc0000081
#define LSTAR	     0xc0000082
#define FS_BASE	     0xc0000100
#define KERNEL_GS    0xc0000102
#define SYSENTER_ESP 0x175

NAKED l2_vmcall(void) { asm volatile("vmcall"); }

/* A failed entry writes its reason and its qualification, and goes on at the host state. */
static void fails(u32 reason, u64 qualification, const char *name)
{
	vmwrite(REASON, 0);
	vmwrite(EVENT, vmread(EVENT));
	check_eq(enter(), reason, name);
	check_eq(vmread(QUALIFICATION), qualification, "... its qualification");
}

static void guest_state(void)
{
	fresh(l2_vmcall);
	vmwrite(GUEST_RFLAGS, 0);
	fails(FAILED_STATE, 0, "RFLAGS[1] is 0");
	check_eq(vmread(GUEST_RIP), (ulong)l2_vmcall, "... no guest state was saved");
	vmwrite(GUEST_RFLAGS, 2);
	exits(EXIT_VMCALL, "... the launch state is still clear");
	fresh(l2_vmcall);
	vmwrite(LINK, 0x1234);
	fails(FAILED_STATE, 4, "a link pointer that is not aligned");
	fresh(l2_vmcall);
	vmwrite(EVENT, BIT(31) | 0x61);
	fails(FAILED_STATE, 0, "an interrupt is injected while RFLAGS.IF is 0");
	check_eq(vmread(EVENT), BIT(31) | 0x61, "... and is still there");
	fresh(l2_vmcall);
	vmwrite(GUEST_CR0, vmread(GUEST_CR0) & ~BIT(5));
	fails(FAILED_STATE, 0, "CR0.NE is 0");
}

static void controls_and_host(void)
{
	fresh(l2_vmcall);
	clear(PIN, 2);
	check_eq(enter(), VMFAIL | 7, "a control that must be 1");
	fresh(l2_vmcall);
	vmwrite(MSR_BITMAP, 0x123);
	check_eq(enter(), VMFAIL | 7, "an MSR bitmap that is not aligned");
	fresh(l2_vmcall);
	vmwrite(HOST_CR4, 0);
	check_eq(enter(), VMFAIL | 8, "a host CR4 of 0");
	fresh(l2_vmcall);
	vmwrite(HOST_CR4, 0);
	clear(PIN, 2);
	check_eq(enter(), VMFAIL | 7, "both: controls come first");
}

/* --- lists --- */

static struct msr_entry list[4] __attribute__((aligned(16)));

NAKED l2_read_msrs(void)
{
	asm volatile("mov $0xc0000082, %ecx; rdmsr; mov %eax, %ebx; mov $0xc0000102, %ecx; rdmsr; mov %eax, %esi;"
		     "xor %edx, %edx; mov $0x4444, %eax; wrmsr; vmcall");
}

static void msr_lists(void)
{
	u64 star = rdmsr(STAR), lstar = rdmsr(LSTAR);

	fresh(l2_read_msrs);
	list[0] = (struct msr_entry){ LSTAR, 0, 0x1111 };
	list[1] = (struct msr_entry){ KERNEL_GS, 0, 0x2222 };
	vmwrite(ENTRY_ADDRESS, (ulong)list);
	vmwrite(ENTRY_COUNT, 2);
	exits(EXIT_VMCALL, "an entry with a list of MSRs");
	check_eq(l2[RBX], 0x1111, "... L2 has the first");
	check_eq(l2[RSI], 0x2222, "... and the second");
	check_eq(rdmsr(KERNEL_GS), 0x4444, "... and what it wrote stays");

	fresh(l2_read_msrs);
	list[0] = (struct msr_entry){ KERNEL_GS, 0, 0 };
	list[1] = (struct msr_entry){ LSTAR, 0, 0 };
	list[2] = (struct msr_entry){ KERNEL_GS, 0, 0x5555 };
	list[3] = (struct msr_entry){ STAR, 0, 0x6666 };
	vmwrite(STORE_ADDRESS, (ulong)list);
	vmwrite(STORE_COUNT, 2);
	vmwrite(LOAD_ADDRESS, (ulong)&list[2]);
	vmwrite(LOAD_COUNT, 2);
	exits(EXIT_VMCALL, "an exit with lists of MSRs");
	check_eq(list[0].value, 0x4444, "... L2's value is stored");
	check_eq(list[1].value, 0x1111, "... and the second");
	check_eq(rdmsr(KERNEL_GS), 0x5555, "... and the host's is loaded");
	check_eq(rdmsr(STAR), 0x6666, "... and the second");

	fresh(l2_vmcall);
	list[0] = (struct msr_entry){ LSTAR, 0, 0x7777 };
	list[1] = (struct msr_entry){ FS_BASE, 0, 0 };
	list[2] = (struct msr_entry){ KERNEL_GS, 0, 0x8888 };
	vmwrite(ENTRY_ADDRESS, (ulong)list);
	vmwrite(ENTRY_COUNT, 2);
	vmwrite(LOAD_ADDRESS, (ulong)&list[2]);
	vmwrite(LOAD_COUNT, 1);
	fails(FAILED_MSR, 2, "an entry for IA32_FS_BASE");
	check_eq(rdmsr(LSTAR), 0x7777, "... the one before it has been loaded");
	check_eq(rdmsr(KERNEL_GS), 0x8888, "... and the list of exits");
	vmwrite(ENTRY_COUNT, 1);
	exits(EXIT_VMCALL, "... the launch state is still clear");
	fresh(l2_vmcall);
	list[0] = (struct msr_entry){ SYSENTER_ESP, 0, BIT(47) };
	vmwrite(ENTRY_ADDRESS, (ulong)list);
	vmwrite(ENTRY_COUNT, 1);
	fails(FAILED_MSR, 1, "a value that is not canonical");
	fresh(l2_vmcall);
	list[0] = (struct msr_entry){ LSTAR, 1, 0 };
	vmwrite(ENTRY_ADDRESS, (ulong)list);
	vmwrite(ENTRY_COUNT, 1);
	fails(FAILED_MSR, 1, "a reserved bit of an entry");
	wrmsr(STAR, star);
	wrmsr(LSTAR, lstar);
	wrmsr(KERNEL_GS, 0);
}

/* --- MSRs that an exit does not load --- */

static void msrs_that_stay(void)
{
	u64 pat = rdmsr(PAT), efer = rdmsr(EFER);

	fresh(l2_vmcall);
	set(ENTRY_CONTROLS, ENTRY_PAT);
	vmwrite(GUEST_PAT, pat ^ 1ull << 32);
	clear(EXIT_CONTROLS, LOAD_EFER);
	vmwrite(GUEST_EFER, efer ^ 1);
	exits(EXIT_VMCALL, "an exit that loads neither PAT nor EFER");
	check_eq(rdmsr(PAT), pat ^ 1ull << 32, "... PAT stays as L2 had it");
	check_eq(rdmsr(EFER), efer ^ 1, "... and EFER");
	wrmsr(PAT, pat);
	wrmsr(EFER, efer);
}

void failing_entries(void)
{
	guest_state();
	controls_and_host();
	msr_lists();
	msrs_that_stay();
}
