/* SPDX-License-Identifier: MIT */
/*
 * The enlightened VMCS, which a hypervisor reads and writes in memory: where Hyper-V's CPUID leaves recommend it.
 * Expected: Hyper-V Top Level Functional Specification, "Nested Virtualization", "HV_VMX_ENLIGHTENED_VMCS".
 */
#include "l2.h"

#define HYPERV_NAME   0x7263694du	/* "Micr" */
#define RECOMMENDED   BIT(14)		/* leaf 40000004h EAX */
#define GUEST_OS_ID   0x40000000
#define HYPERCALL     0x40000001
#define APIC_EOI_MSR  0x40000070
#define APIC_TPR_MSR  0x40000072
#define ASSIST	      0x40000073
#define CLEAN	      0x338
#define ALWAYS	      16

static u8 page[4096] __attribute__((aligned(4096)));
static u64 assist[512] __attribute__((aligned(4096)));
static u8 hypercall_page[4096] __attribute__((aligned(4096)));
u8 *evmcs;

/* Fields behind each other: where the first is, its encoding, how many, the number of their clean field. */
static const struct {
	u16 offset, encoding;
	u8 count, clean;
} runs[] = {
	{ 0x008, HOST_ES, 7, 14 }, { 0x018, HOST_PAT, 2, 14 }, { 0x028, HOST_CR0, 3, 14 }, { 0x040, HOST_SYSENTER_ESP, 2, 14 },
	{ 0x050, HOST_RIP, 1, 14 }, { 0x058, HOST_SYSENTER_CS, 1, 14 }, { 0x05c, PIN, 1, 3 }, { 0x060, EXIT_CONTROLS, 1, 3 },
	{ 0x064, SECONDARY, 1, 3 }, { 0x068, IO_BITMAP_A, 2, 0 }, { 0x078, MSR_BITMAP, 1, 1 }, { 0x080, GUEST_ES, 8, 12 },
	{ 0x090, GUEST_ES_LIMIT, 10, 12 }, { 0x0b8, GUEST_ES_RIGHTS, 8, 12 }, { 0x0d8, GUEST_ES_BASE, 10, 12 },
	{ 0x140, STORE_ADDRESS, 3, ALWAYS }, { 0x158, CR3_TARGET, 4, ALWAYS }, { 0x178, PF_MASK, 3, ALWAYS },
	{ 0x184, STORE_COUNT, 2, ALWAYS }, { 0x18c, ENTRY_COUNT, 1, ALWAYS }, { 0x190, TSC_OFFSET, 2, 2 },
	{ 0x1a0, LINK, 4, 11 }, { 0x1c0, 0x280a, 4, 11 }, { 0x1e0, PENDING_DEBUG, 3, 11 }, { 0x1f8, ACTIVITY, 1, 11 },
	{ 0x1fc, GUEST_SYSENTER_CS, 1, 11 }, { 0x200, CR0_MASK, 4, 8 }, { 0x220, GUEST_CR0, 3, 8 }, { 0x238, GUEST_DR7, 1, 8 },
	{ 0x240, HOST_FS_BASE, 5, 13 }, { 0x268, 0x6c14, 1, 13 }, { 0x270, EPTP, 1, 9 }, { 0x278, VPID, 1, 9 },
	{ 0x2a8, PHYSICAL_ADDRESS, 1, ALWAYS }, { 0x2b0, INSTRUCTION_ERROR, 8, ALWAYS }, { 0x2d0, QUALIFICATION, 6, ALWAYS },
	{ 0x300, GUEST_RSP, 1, 10 }, { 0x308, GUEST_RFLAGS, 1, 10 }, { 0x310, INTERRUPTIBILITY, 1, 10 }, { 0x314, PRIMARY, 1, 4 },
	{ 0x318, EXCEPTIONS, 1, 7 }, { 0x31c, ENTRY_CONTROLS, 1, 6 }, { 0x320, EVENT, 3, 5 }, { 0x32c, THRESHOLD, 1, ALWAYS },
	{ 0x330, GUEST_RIP, 1, ALWAYS },
};

/* NULL: there is no such field. */
static void *place(u64 field, u32 *width, u32 *clean)
{
	static const u8 widths[] = { 2, 8, 4, 8 };

	*width = widths[field >> 13 & 3];
	for (u32 i = 0; i < ARRAY_SIZE(runs); i++) {
		u64 index = (field - runs[i].encoding) / 2;

		if (field < runs[i].encoding || index >= runs[i].count)
			continue;
		*clean = runs[i].clean;
		return page + runs[i].offset + index * *width;
	}
	return 0;
}

u64 evmcs_read(u64 field)
{
	u32 width, clean;
	const void *at = place(field, &width, &clean);

	if (!at)
		return 0;
	return width == 2 ? *(const volatile u16 *)at : width == 4 ? *(const volatile u32 *)at : *(const volatile u64 *)at;
}

void evmcs_write(u64 field, u64 value)
{
	u32 width, clean;
	void *at = place(field, &width, &clean);

	if (!at)
		return;
	if (width == 2)
		*(volatile u16 *)at = (u16)value;
	else if (width == 4)
		*(volatile u32 *)at = (u32)value;
	else
		*(volatile u64 *)at = value;
	if (clean != ALWAYS)
		*(volatile u32 *)(page + CLEAN) &= ~BIT(clean);
}

bool evmcs_start(void)
{
	if (!(cpuid(1, 0).c & BIT(31)) || cpuid(0x40000000, 0).b != HYPERV_NAME || !(cpuid(0x40000004, 0).a & RECOMMENDED))
		return false;
	check_eq(cpuid(0x4000000a, 0).a & 0xffff, 0x101, "the enlightened VMCS has version 1");
	check_eq(try_wrmsr(ASSIST, 0xfee00001), GP, "a VP assist page that is not RAM");
	check_eq(try_wrmsr(ASSIST, (ulong)assist | 1), NO_TRAP, "the VP assist page");
	return true;
}

void evmcs_fresh(void)
{
	for (u32 i = 0; i < sizeof(page); i++)
		page[i] = 0;
	*(u32 *)page = 1;
	assist[0x28 / 8] = 1;
	assist[0x30 / 8] = (ulong)page;
	evmcs = page;
}

u64 *evmcs_host_rsp(void)
{
	*(volatile u32 *)(page + CLEAN) &= ~BIT(13);
	return (u64 *)(page + 0x268);
}

/* --- what is refused --- */

NAKED evmcs_l2(void) { asm volatile("vmcall"); }

static void refused(u64 address, u32 version, const char *name)
{
	fresh(evmcs_l2);
	assist[0x30 / 8] = address;
	*(u32 *)page = version;
	check_eq(enter(), VMFAIL | 0xffff, name);
}

static u64 hypercall(u64 code)
{
	u64 result, (*call)(void) = (u64 (*)(void))(ulong)hypercall_page;

	asm volatile("call *%2" : "=a"(result) : "c"(code), "r"(call), "a"(0) : "rdx", "r8", "memory");
	return result;
}

void evmcs_checks(void)
{
	u64 region = (ulong)page, value = 0;
	bool invalid;

	if (!evmcs)
		return;
	refused((ulong)page + 8, 1, "an enlightened VMCS that is not aligned");
	refused(0xfee00000, 1, "an enlightened VMCS that is not RAM");
	refused((ulong)page, 0, "version 0");
	refused((ulong)page, 2, "version 2");
	fresh(evmcs_l2);
	*(u32 *)page = (u32)rdmsr(0x480);
	exits(EXIT_VMCALL, "the revision of VMCS regions in place of the version");
	asm volatile("vmptrst %0" : "=m"(value) : : "cc", "memory");
	check_eq(value, region, "VMPTRST gives the enlightened VMCS");
	asm volatile("vmwrite %1, %2" : "=@ccc"(invalid) : "r"(1ul), "r"((ulong)GUEST_RIP) : "memory");
	check(invalid, "VMWRITE fails");
	check_eq(*(u32 *)(page + CLEAN), 0xffff, "the clean fields are set");
	value = *(u64 *)(page + 8);
	asm volatile("vmclear %0" : : "m"(region) : "cc", "memory");
	check_eq(*(u64 *)(page + 8), value, "VMCLEAR writes nothing into it");
	exits(EXIT_VMCALL, "... and an entry needs no VMPTRLD");
	check_eq(try_rdmsr(APIC_EOI_MSR, &value), GP, "Hyper-V's EOI cannot be read");
	wrmsr(APIC_TPR_MSR, 0x50);
	check_eq(READ_CR(8), 5, "Hyper-V's TPR is the local APIC's");
	check_eq(rdmsr(APIC_TPR_MSR), 0x50, "... and reads so");
	wrmsr(APIC_TPR_MSR, 0);
	assist[0x28 / 8] = 0;
	check_eq(enter(), VMFAIL | 0xffff, "no enlightened entry, and no current VMCS");

	wrmsr(GUEST_OS_ID, BIT(63));
	check_eq(try_wrmsr(HYPERCALL, (ulong)hypercall_page | 1), NO_TRAP, "the hypercall page");
	check_eq(hypercall(0x7777), 2, "there is no such hypercall");
	wrmsr(GUEST_OS_ID, 0);
	check_eq(rdmsr(HYPERCALL) & 1, 0, "without an identity there is no hypercall page");
}
