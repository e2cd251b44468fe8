/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor that gives what it should not: addresses without memory behind them, structures that overlap, values that
 * are reserved. Expected: AMD APM vol. 2, "VMRUN Instruction", "Event Injection", "SVM Related MSRs", "Nested Paging".
 * Where the manual leaves it open, or the bare emulators do otherwise, only a hypervisor below is asked.
 */
#include "l2.h"
#include "svm.h"

#define APIC	 0xfee00000ul
#define MEMORY	 0x1000000ul		/* what the VM has */
#define LAST	 (MEMORY - 0x1000)
#define TOO_HIGH (1ul << 52)
#define SVM_KEY	 0xc0010118

static u64 page[512] __attribute__((aligned(4096)));
static bool below;			/* there is a hypervisor below */

static void address(ulong at, u32 vector, const char *name)
{
	check_eq(TRY("vmsave", : : "a"(at) : "memory"), vector, name);
	check_eq(TRY("vmload", : : "a"(at) : "memory"), vector, "... for VMLOAD");
	if (vector != NO_TRAP)
		check_eq(TRY("vmrun", : : "a"(at) : "memory"), vector, "... for VMRUN");
}

static void addresses(void)
{
	address((ulong)vmcb + 0x800, GP, "#GP for a VMCB in the middle of a page");
	address((ulong)vmcb + 1, GP, "#GP for one at an odd address");
	address(TOO_HIGH, GP, "#GP for one beyond the physical addresses");
	address(-4096ul, GP, "#GP for one at the very end");
	if (!below)
		return;
	address(APIC, GP, "#GP for a VMCB in a device");
	address(MEMORY, GP, "#GP for one right behind the memory");
	address(0xc0000000, GP, "#GP for one where nothing is");
	address(LAST, NO_TRAP, "the memory's last page");
	check_eq(TRY("skinit", : : "a"(page) : "memory"), UD, "SKINIT, which CPUID does not announce");
}

static void refused_write(u32 msr, u64 value, const char *name)
{
	u64 before = rdmsr(msr);

	check_eq(try_wrmsr(msr, value), GP, name);
	check_eq(rdmsr(msr), before, "... keeps its value");
}

/* "Enabling SVM", "SVM Related MSRs": without SVM lock in CPUID there is neither LOCK nor a key. */
static void msrs(void)
{
	u64 value;

	if (!below)
		return;
	refused_write(VM_HSAVE_PA, (ulong)page + 8, "VM_HSAVE_PA within a page");
	refused_write(VM_HSAVE_PA, TOO_HIGH, "VM_HSAVE_PA beyond the physical addresses");
	refused_write(VM_CR, BIT(3), "VM_CR.LOCK");
	refused_write(VM_CR, BIT(5), "a reserved bit of VM_CR");
	refused_write(VM_CR, BIT(4), "VM_CR.SVMDIS while SVM is on");
	check_eq(try_wrmsr(VM_CR, BIT(0) | BIT(1) | BIT(2)), NO_TRAP, "DPD, R_INIT and DIS_A20M");
	check_eq(rdmsr(VM_CR), 0, "... which are not offered");
	check_eq(try_rdmsr(SVM_KEY, &value), GP, "SVM_KEY");
}

/* The VMCB as the state-save area, as its own map, and as nested tables. */
static void overlaps(bool npt)
{
	u64 hsave = rdmsr(VM_HSAVE_PA);

	begin(l2_rdmsr);
	C32(INTERCEPT_1) |= I_MSR;
	C64(MSRPM_BASE) = (ulong)vmcb;
	check_eq(run(), EXIT_VMMCALL, "the VMCB as its own MSR map: EFER's bits are 0 there");
	vmcb[0x820] = 1;
	check_eq(run_from(l2_rdmsr), EXIT_MSR, "... and 1");
	vmcb[0x820] = 0;
	if (below) {
		begin(l2_nothing);
		wrmsr(VM_HSAVE_PA, (ulong)vmcb);
		check_eq(run(), EXIT_VMMCALL, "the VMCB as the host's save area");
		check_eq(S64(RIP), (ulong)l2_nothing, "... and it is the guest's");
		wrmsr(VM_HSAVE_PA, hsave);
	}
	if (!npt)
		return;
	begin(l2_nothing);
	npt_on();
	C64(NCR3) = (ulong)vmcb;
	check_eq(run(), EXIT_NPF, "the VMCB as nested tables");
	check_eq(C64(EXIT_INFO1) & 1, 0, "... in which nothing is present");

	/* The guest writes to its own VMCB: what counts is what VMRUN has read. */
	begin(l2_write);
	l2.rbx = (ulong)vmcb + RIP + 0x400;
	S64(RAX) = 0x1234;
	check_eq(run(), EXIT_VMMCALL, "a guest that writes to its VMCB");
	check_eq(S64(RIP), (ulong)l2_write + 3, "... which #VMEXIT overwrites");
	begin(l2_write);
	l2.rbx = (ulong)vmcb + TSC_OFFSET;
	S64(RAX) = 0x1234;
	check_eq(run(), EXIT_VMMCALL, "... or writes to a field that #VMEXIT leaves alone");
	check_eq(C64(TSC_OFFSET), 0x1234, "... and that holds it");
}

static void maps(void)
{
	begin(l2_rdmsr);
	C32(INTERCEPT_1) |= I_MSR;
	C64(MSRPM_BASE) = TOO_HIGH;
	check_eq((u32)run(), (u32)EXIT_INVALID, "an MSR map beyond the physical addresses");
	begin(l2_out);
	C32(INTERCEPT_1) |= I_IOIO;
	C64(IOPM_BASE) = -4096ul;
	check_eq((u32)run(), (u32)EXIT_INVALID, "an I/O map at the very end");
	if (!below)
		return;
	begin(l2_rdmsr);
	C32(INTERCEPT_1) |= I_MSR;
	C64(MSRPM_BASE) = APIC;
	check_eq(run(), EXIT_MSR, "an MSR map in a device intercepts all");
	begin(l2_out);
	C32(INTERCEPT_1) |= I_IOIO;
	C64(IOPM_BASE) = MEMORY;
	check_eq(run(), EXIT_IOIO, "an I/O map behind the memory, too");
}

static void reserved_values(void)
{
	static const u8 wrong[] = { 1, 5, 6, 7 };

	for (u32 i = 0; i < ARRAY_SIZE(wrong); i++) {
		begin(l2_nothing);
		C64(EVENT_INJECTION) = EVENT(wrong[i], 0x20);
		check_eq((u32)run(), (u32)EXIT_INVALID, "EVENTINJ with a reserved type");
	}
	begin(l2_nothing);
	C64(EVENT_INJECTION) = EVENT(3, 2);
	check_eq((u32)run(), (u32)EXIT_INVALID, "an NMI as an exception");
	begin(l2_nothing);
	C64(EVENT_INJECTION) = EVENT(3, 32);
	check_eq((u32)run(), (u32)EXIT_INVALID, "an interrupt as an exception");
	begin(l2_nothing);
	C64(EVENT_INJECTION) = EVENT(1, 0x20) & ~BIT(31);
	check_eq(run(), EXIT_VMMCALL, "EVENTINJ without V means nothing");
	if (!below)
		return;
	for (u32 i = 0; i < 256; i = i < 8 ? i + 1 : i * 2 - 1) {
		begin(l2_nothing);
		C8(TLB_CONTROL) = (u8)i;
		if (run() != EXIT_VMMCALL)
			check_eq(i, 256, "TLB_CONTROL, with values that mean nothing");
	}
	begin(l2_nothing);
	C32(ASID) = 0xffffffff;
	check_eq(run(), EXIT_VMMCALL, "an ASID that CPUID does not announce");
	begin(l2_nothing);
	C64(VINTR) = V_INTR_MASKING | BIT(9) | BIT(25) | BIT(26) | BIT(30) | BIT(31);
	C64(0xb8) = 3;
	C64(0x98) = C64(0xa0) = C64(0xe0) = C64(0xf0) = C64(0xf8) = ~0ull;
	C32(0xc0) = ~0u;
	C64(NP_ENABLE) = ~1ull;
	check_eq(run(), EXIT_VMMCALL, "virtual GIF, virtual NMIs, AVIC, LBRs, SEV: without a word in CPUID they are nothing");
	check_eq(S64(RIP), (ulong)l2_nothing, "... and the guest has run");
}

/* Nested paging, one to one but for `page`. */
static void map_page(u64 entry)
{
	ulong large = (ulong)page >> 21;

	npt_on();
	for (u64 i = 0; i < 512; i++)
		npt_pt[i] = large << 21 | i << 12 | 7;
	npt_pt[(ulong)page >> 12 & 511] = entry;
	npt_pd[large] = (ulong)npt_pt | 7;
}

static void tables(void)
{
	begin(l2_nothing);
	npt_on();
	npt_pml4[0] = (ulong)npt_pml4 | 7;
	check_eq(run(), EXIT_NPF, "nested tables that are their own tables");
	check_eq(C64(EXIT_INFO1) & 1, 0, "... have no page there");
	if (!below)
		return;
	begin(l2_nothing);
	npt_on();
	C64(NCR3) = APIC;
	check_eq(run(), EXIT_NPF, "nested tables in a device");
	begin(l2_nothing);
	npt_on();
	npt_pml4[0] = MEMORY | 7;
	check_eq(run(), EXIT_NPF, "... or behind the memory");
	check_eq(C64(EXIT_INFO1) & 1, 0, "... which count as not present");

	begin(l2_read);
	map_page(APIC | 7);
	l2.rbx = (ulong)page + 0x30;
	check_eq(run(), EXIT_VMMCALL, "a device of the hypervisor's as the guest's memory");
	check_eq((u32)S64(RAX), lapic_read(0x30), "... is that device");

	/* VMSAVE's address is the hypervisor's, whatever the guest's tables say. "Virtualizing VMLOAD and VMSAVE" */
	begin(l2_vmsave);
	map_page(0);
	S64(LSTAR) = 0x1234;
	S64(RAX) = (ulong)page;
	check_eq(run(), EXIT_VMMCALL, "VMSAVE in the guest, where it is not intercepted");
	check_eq(page[(0x400 + LSTAR) / 8], 0x1234, "... writes to the hypervisor's page");
}

/* Protected mode without paging, where all memory can be reached from any ring. */
static void unpaged(void (*code)(void), u8 cpl)
{
	begin(code);
	S64(CR0) &= ~BIT(31);
	S64(EFER) = EFER_SVME;
	S16(CS) = cpl ? USER_CODE32 : CODE32;
	S16(CS + 2) = 0xc9b | cpl << 5;
	S16(SSEG) = cpl ? USER_DATA : DATA;
	S16(SSEG + 2) = 0xc93 | cpl << 5;
	C8(0x400 + CPL) = cpl;
	C32(INTERCEPT_EXCEPTIONS) = BIT(GP) | BIT(UD);
}

/* "STGI", "VMSAVE": #UD outside of protected mode, then #GP by the privilege. */
static void privilege(void)
{
	static void (*const pieces[])(void) = { l2_stgi, l2_vmsave };

	for (u32 i = 0; i < ARRAY_SIZE(pieces); i++) {
		unpaged(pieces[i], 0);
		S64(RAX) = (ulong)page;
		/* In QEMU alone VMSAVE exits outside of long mode, intercepted or not. */
		if (run() != EXIT_VMSAVE || below)
			check_eq(C64(EXIT_CODE), EXIT_VMMCALL, "an instruction of SVM in protected mode");
		unpaged(pieces[i], 3);
		check_eq(run(), EXIT_EXCEPTION + GP, "... in ring 3");
		check_eq(C64(EXIT_INFO1), 0, "... with its error code");
		unpaged(pieces[i], 3);
		S64(CR0) &= ~BIT(0);
		S16(CS + 2) = 0x9b;
		C8(0x400 + CPL) = 0;
		S64(CS + 8) = (ulong)pieces[i] & ~15ul;
		S64(RIP) = (ulong)pieces[i] & 15;
		check_eq(run(), EXIT_EXCEPTION + UD, "... in real mode");
	}
}

void hostile(bool npt)
{
	below = hypervisor_present();
	addresses();
	msrs();
	overlaps(npt);
	maps();
	privilege();
	reserved_values();
	if (npt)
		tables();
	begin(l2_nothing);
	check_eq(run(), EXIT_VMMCALL, "after all that a guest still runs");
}
