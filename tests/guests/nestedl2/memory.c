/* SPDX-License-Identifier: MIT */
/* L2's memory by EPT and VPIDs, modes that only an unrestricted guest has, and the TPR shadow. */
#include "l2.h"

#define READ	  1
#define WRITE	  2
#define EXECUTE	  4
#define RWX	  7
#define LARGE	  BIT(7)
#define WB	  (6 << 3)
#define MIB2	  0x200000ul
#define WINDOW_PD 100		/* of pd: 200 MiB, in RAM that the guest does not have; mapped elsewhere by EPT */
#define LINEAR	  (WINDOW_PD * MIB2)

static u64 ept[3][512] __attribute__((aligned(4096)));	/* PML4, PDPT, directory of the first GiB */
static u64 leaves[512] __attribute__((aligned(4096)));
static u64 data[512] __attribute__((aligned(4096))), other[512] __attribute__((aligned(4096)));
static u64 fourth[512] __attribute__((aligned(4096)));	/* directory of 3 to 4 GiB */

static void invept(u64 type)
{
	u64 descriptor[2] = { vmread(EPTP), 0 };

	asm volatile("invept (%0), %1" : : "r"(descriptor), "r"(type) : "cc", "memory");
}

/* The first GiB and the last 4 KiB-page devices map to themselves, but for 2 MiB at LINEAR: pages by `leaves`. */
static void fresh_with_ept(void (*code)(void))
{
	fresh(code);
	for (u32 i = 0; i < 512; i++) {
		ept[2][i] = i * MIB2 | LARGE | WB | RWX;
		fourth[i] = (0xc0000000 + i * MIB2) | LARGE | RWX;
		leaves[i] = 0;
		ept[0][i] = ept[1][i] = 0;
	}
	ept[0][0] = (ulong)ept[1] | RWX;
	ept[1][0] = (ulong)ept[2] | RWX;
	ept[1][3] = (ulong)fourth | RWX;
	ept[2][WINDOW_PD] = (ulong)leaves | RWX;
	leaves[0] = (ulong)data | WB | RWX;
	data[0] = 0x1234;
	other[0] = 0x5678;
	set(PRIMARY, USE_SECONDARY);
	vmwrite(SECONDARY, USE_EPT);
	vmwrite(EPTP, (ulong)ept[0] | 3 << 3 | 6);
	l2[RBX] = LINEAR;
	invept(2);
}

NAKED l2_read(void) { asm volatile("mov (%rbx), %rax; vmcall"); }
NAKED l2_write(void) { asm volatile("mov %rax, (%rbx); vmcall"); }
NAKED l2_execute(void) { asm volatile("call *%rbx; vmcall"); }
NAKED l2_device(void) { asm volatile("mov (%rbx), %eax; vmcall"); }
NAKED l2_read_twice(void) { asm volatile("mov (%rbx), %rax; cpuid; mov (%rbx), %rsi; vmcall"); }

static void violation(void (*code)(void), u64 entry, u64 qualification, const char *name)
{
	fresh_with_ept(code);
	leaves[0] = entry;
	exits(EXIT_EPT, name);
	check_eq(vmread(QUALIFICATION) & 0x1bf, qualification, "... its qualification");
	check_eq(vmread(PHYSICAL_ADDRESS), LINEAR, "... its physical address");
	check_eq(vmread(LINEAR_ADDRESS), LINEAR, "... its linear address");
}

static void violations(void)
{
	u64 page = (ulong)data | WB;

	fresh_with_ept(l2_read);
	exits(EXIT_VMCALL, "L2 reads by EPT");
	check_eq(l2[RAX], 0x1234, "... what is mapped");
	fresh_with_ept(l2_write);
	l2[RAX] = 0x4321;
	exits(EXIT_VMCALL, "L2 writes by EPT");
	check_eq(data[0], 0x4321, "... where it is mapped");
	violation(l2_read, 0, 0x181, "nothing is mapped: a read");
	violation(l2_write, page | READ | EXECUTE, 0x1aa, "no right to write");
	violation(l2_execute, page | READ | WRITE, 0x19c, "no right to execute");
	fresh_with_ept(l2_read);
	leaves[0] = page | WRITE;
	exits(EXIT_EPT_WRONG, "write without read is malformed");
	check_eq(vmread(PHYSICAL_ADDRESS), LINEAR, "... its physical address");
	fresh_with_ept(l2_read);
	leaves[0] = (ulong)data | 2 << 3 | RWX;
	exits(EXIT_EPT_WRONG, "memory type 2 is malformed");
	fresh_with_ept(l2_read);
	ept[1][0] = 0;
	exits(EXIT_EPT, "nothing is mapped: L2's page tables");
	check_eq(vmread(QUALIFICATION) & 0x100, 0, "... as the qualification says");
}

/* What L1 adds needs no INVEPT; what it changes does. */
static void changes(void)
{
	fresh_with_ept(l2_read);
	leaves[0] = 0;
	exits(EXIT_EPT, "nothing is mapped");
	leaves[0] = (ulong)other | WB | RWX;
	exits(EXIT_VMCALL, "... until it is, without INVEPT");
	check_eq(l2[RAX], 0x5678, "... and it is read");
	fresh_with_ept(l2_read_twice);
	exits(EXIT_CPUID, "L2 reads");
	step_over();
	leaves[0] = (ulong)other | WB | RWX;
	invept(1);
	l2[RBX] = LINEAR;
	exits(EXIT_VMCALL, "... and again after INVEPT of its tables");
	check_eq(l2[RSI], 0x5678, "... what is mapped then");
	fresh_with_ept(l2_read_twice);
	exits(EXIT_CPUID, "L2 reads");
	step_over();
	leaves[0] = 0;
	invept(2);
	l2[RBX] = LINEAR;
	exits(EXIT_EPT, "... and has a violation after INVEPT of all");
}

static void accessed_dirty(void)
{
	u64 old[2];

	if (!(rdmsr(0x48c) & BIT(21))) {
		skip("accessed and dirty flags for EPT", "this processor has none");
		return;
	}
	fresh_with_ept(l2_read);
	set(EPTP, BIT(6));
	exits(EXIT_VMCALL, "L2 reads with accessed and dirty flags");
	check_eq(leaves[0] & 0x300, 0x100, "... accessed, not dirty");
	check_eq(ept[0][0] & 0x100, 0x100, "... and the table above");
	old[0] = leaves[0];
	vmwrite(GUEST_RIP, (ulong)l2_write);
	exits(EXIT_VMCALL, "L2 writes");
	check_eq(leaves[0] & 0x300, 0x300, "... dirty");
	old[1] = leaves[0];
	check_eq(old[0] & ~0x300ul, old[1] & ~0x300ul, "... and nothing else");
}

static void devices(void)
{
	fresh_with_ept(l2_device);
	l2[RBX] = LAPIC + 0x30;
	exits(EXIT_VMCALL, "L2 reads a device of the host's");
	check_eq((u32)l2[RAX], lapic_read(0x30), "... its local APIC's version");
	fresh_with_ept(l2_device);
	fourth[(LAPIC - 0xc0000000) / MIB2] = 0;
	l2[RBX] = LAPIC + 0x30;
	exits(EXIT_EPT, "... which EPT can forbid");
}

/* --- VPIDs --- */

static void vpids(void)
{
	if (!offers(0x48b, USE_VPID)) {
		skip("VPIDs", "this processor has none");
		return;
	}
	fresh_with_ept(l2_read);
	set(SECONDARY, USE_VPID);
	vmwrite(VPID, 5);
	exits(EXIT_VMCALL, "L2 with a VPID");
	check_eq(l2[RAX], 0x1234, "... reads");
	fresh_with_ept(l2_read);
	set(SECONDARY, USE_VPID);
	check_eq(enter(), VMFAIL | 7, "VPID 0 is the host's");
}

/* --- real mode --- */

/* At address 0x7000: MOV AX, CS; INT 0x20, whose handler at 0x7010 does VMCALL. */
static void real_mode(void)
{
	static const u8 code[] = { 0x8c, 0xc8, 0xcd, 0x20 }, handler[] = { 0x0f, 0x01, 0xc1 };
	u8 *low = (u8 *)(ulong)0x7000;
	u16 *vector = (u16 *)(ulong)(0x20 * 4);

	if (!offers(0x48b, UNRESTRICTED)) {
		skip("unrestricted guest", "this processor has none");
		return;
	}
	asm volatile("" : "+r"(low), "+r"(vector));
	for (u32 i = 0; i < sizeof(code); i++)
		low[i] = code[i];
	for (u32 i = 0; i < sizeof(handler); i++)
		low[0x10 + i] = handler[i];
	vector[0] = 0x10;
	vector[1] = 0x700;
	fresh_with_ept(0);
	set(SECONDARY, UNRESTRICTED);
	clear(ENTRY_CONTROLS, GUEST_64);
	vmwrite(GUEST_EFER, 0);
	vmwrite(GUEST_CR0, BIT(5) | BIT(4));
	vmwrite(GUEST_CR4, BIT(13));
	for (u32 i = 0; i < 6; i++) {
		vmwrite(GUEST_ES + 2 * i, i == 1 ? 0x700 : 0);
		vmwrite(GUEST_ES_BASE + 2 * i, i == 1 ? 0x7000 : 0);
		vmwrite(GUEST_ES_LIMIT + 2 * i, 0xffff);
		vmwrite(GUEST_ES_RIGHTS + 2 * i, i == 1 ? 0x9b : 0x93);
	}
	vmwrite(GUEST_IDTR, 0);
	vmwrite(IDTR_LIMIT, 0x3ff);
	vmwrite(GUEST_RSP, 0x6ff0);
	exits(EXIT_VMCALL, "L2 in real mode");
	check_eq(l2[RAX] & 0xffff, 0x700, "... with its CS");
	check_eq(vmread(GUEST_RIP), 0x10, "... runs the handler of INT n");
	check_eq(*(volatile u16 *)(ulong)0x6fea, 4, "... which returns behind it");
}

/* --- TPR shadow --- */

static u8 virtual_apic[4096] __attribute__((aligned(4096)));

NAKED l2_write_cr8(void) { asm volatile("mov %rbx, %cr8; mov %cr8, %rsi; vmcall"); }

static void tpr(void)
{
	if (!offers(0x48e, TPR_SHADOW)) {
		skip("TPR shadow", "this processor has none");
		return;
	}
	asm volatile("mov %0, %%cr8" : : "r"(3ul));
	fresh(l2_write_cr8);
	set(PRIMARY, TPR_SHADOW);
	vmwrite(VIRTUAL_APIC, (ulong)virtual_apic);
	l2[RBX] = 7;
	exits(EXIT_VMCALL, "MOV to CR8 with a TPR shadow");
	check_eq(virtual_apic[0x80], 0x70, "... writes the virtual APIC's TPR");
	check_eq(l2[RSI], 7, "... and MOV from CR8 reads it");
	fresh(l2_write_cr8);
	set(PRIMARY, TPR_SHADOW);
	vmwrite(VIRTUAL_APIC, (ulong)virtual_apic);
	vmwrite(THRESHOLD, 5);
	l2[RBX] = 2;
	exits(EXIT_THRESHOLD, "a TPR below the threshold exits");
	check_eq(vmread(GUEST_RIP), AT(l2_write_cr8, 4), "... behind MOV to CR8");
	fresh(l2_write_cr8);
	set(PRIMARY, CR8_LOADS_EXIT);
	exits(EXIT_CR, "MOV to CR8 exits");
	check_eq(vmread(QUALIFICATION), 0x308, "... its qualification");
	fresh(l2_write_cr8);
	l2[RBX] = 4;
	exits(EXIT_VMCALL, "MOV to CR8 of the host's");
	check_eq(l2[RSI], 4, "... is done");
	asm volatile("mov %%cr8, %0" : "=r"(l2[RSI]));
	check_eq(l2[RSI], 4, "... and the host sees it");
	asm volatile("mov %0, %%cr8" : : "r"(0ul));
}

/* --- the APIC-access page --- */

/*
 * SDM, "Exit Qualification for APIC-Access VM Exits from Linear Accesses and Guest-Physical Accesses". Bochs does not
 * exit for fetches.
 */
#define ACCESS_READ	0
#define ACCESS_WRITE	(1 << 12)
#define ACCESS_DELIVERY (3 << 12)

NAKED l2_read_apic(void) { asm volatile("mov 0x20(%rbx), %eax; vmcall"); }
NAKED l2_write_apic(void) { asm volatile("mov %eax, 0xb0(%rbx); vmcall"); }
NAKED l2_ud(void) { asm volatile("ud2"); }
NAKED l2_tpr(void) { asm volatile("movl $0x60, 0x80(%rbx); mov 0x80(%rbx), %eax; mov %cr8, %rsi; movl $0x20, 0x80(%rbx); nop; vmcall"); }
/* From a device, whose accesses a hypervisor below this one carries out by itself. */
NAKED l2_from_device(void) { asm volatile("movsl; vmcall"); }

static void fresh_with_apic_page(void (*code)(void), bool ept)
{
	if (ept)
		fresh_with_ept(code);
	else
		fresh(code);
	set(PRIMARY, USE_SECONDARY | TPR_SHADOW);
	set(SECONDARY, APIC_ACCESSES);
	vmwrite(VIRTUAL_APIC, (ulong)virtual_apic);
	vmwrite(APIC_ACCESS, (ulong)data);
	for (u32 i = 0; i < sizeof(virtual_apic); i++)
		virtual_apic[i] = 0;
	l2[RBX] = ept ? LINEAR : (ulong)data;
}

static void apic_exit(void (*code)(void), bool ept, u64 qualification, const char *name)
{
	fresh_with_apic_page(code, ept);
	exits(EXIT_APIC_ACCESS, name);
	check_eq(vmread(QUALIFICATION), qualification, "... its qualification");
}

static void apic_accesses(bool ept)
{
	ulong address = ept ? LINEAR : (ulong)data;

	print(ept ? "APIC-access page, by EPT\n" : "APIC-access page, without EPT\n");
	apic_exit(l2_read_apic, ept, ACCESS_READ | 0x20, "a read of the APIC-access page");
	check_eq(vmread(GUEST_RIP), (ulong)l2_read_apic, "... at its RIP");
	apic_exit(l2_write_apic, ept, ACCESS_WRITE | 0xb0, "a write to it");
	fresh_with_apic_page(l2_ud, ept);
	vmwrite(GUEST_RSP, address + 0x208);
	exits(EXIT_APIC_ACCESS, "#UD is delivered with its stack there");
	check_eq(vmread(QUALIFICATION) & 0xf000, ACCESS_DELIVERY, "... its qualification");
	check_eq(vmread(IDT_INFO), VALID | 3 << 8 | UD, "... and what was delivered");
	fresh_with_apic_page(l2_tpr, ept);
	vmwrite(THRESHOLD, 3);
	virtual_apic[0x80] = 0x40;
	exits(EXIT_THRESHOLD, "a write to TPR there, below the threshold");
	check_eq(vmread(GUEST_RIP), AT(l2_tpr, 30), "... behind it");
	check_eq((u32)l2[RAX], 0x60, "... another one was read");
	check_eq(l2[RSI], 6, "... by CR8, too");
	check_eq(virtual_apic[0x80], 0x20, "... it is in the virtual-APIC page");
	fresh_with_apic_page(l2_read_apic, ept);
	vmwrite(THRESHOLD, 3);
	exits(EXIT_THRESHOLD, "a TPR that is below the threshold at the entry");
	check_eq(vmread(GUEST_RIP), (ulong)l2_read_apic, "... exits before L2's first instruction");
	if (rdmsr(0x485) & BIT(6)) {
		fresh_with_apic_page(l2_read_apic, ept);
		vmwrite(THRESHOLD, 3);
		vmwrite(ACTIVITY, 1);
		exits(EXIT_THRESHOLD, "... and ends HLT");
	}
	fresh_with_apic_page(l2_from_device, ept);
	l2[RSI] = LAPIC + 0x30;
	l2[RDI] = address + 0x300;
	exits(EXIT_APIC_ACCESS, "a string instruction from a device to it");
	check_eq(vmread(QUALIFICATION), ACCESS_WRITE | 0x300, "... its qualification");
	fresh_with_apic_page(l2_from_device, ept);
	l2[RSI] = address + 0x30;
	l2[RDI] = LAPIC + 0x300;
	exits(EXIT_APIC_ACCESS, "... and from it to a device");
	check_eq(vmread(QUALIFICATION), ACCESS_READ | 0x30, "... its qualification");
	fresh_with_apic_page(l2_read_apic, ept);
	vmwrite(APIC_ACCESS, (ulong)other);
	data[4] = 0x77;
	exits(EXIT_VMCALL, "the page while another one is the APIC-access page");
	check_eq((u32)l2[RAX], 0x77, "... is memory");
	fresh_with_apic_page(l2_read_apic, ept);
	exits(EXIT_APIC_ACCESS, "... until it is again");
	clear(SECONDARY, APIC_ACCESSES);
	exits(EXIT_VMCALL, "... and until the control is off");
}

static void apic_page(void)
{
	if (!offers(0x48b, APIC_ACCESSES) || !offers(0x48e, TPR_SHADOW)) {
		skip("APIC-access page", "this processor has none");
		return;
	}
	apic_accesses(true);
	apic_accesses(false);
	fresh_with_apic_page(l2_read_apic, false);
	vmwrite(APIC_ACCESS, (ulong)data + 8);
	check_eq(enter(), VMFAIL | 7, "an APIC-access address within a page");
	fresh_with_apic_page(l2_read_apic, false);
	vmwrite(APIC_ACCESS, BIT(60));
	check_eq(enter(), VMFAIL | 7, "an APIC-access address beyond the processor's width");
}

void memory(void)
{
	if (!offers(0x48b, USE_EPT)) {
		skip("EPT", "this processor has none");
		return;
	}
	violations();
	changes();
	accessed_dirty();
	devices();
	vpids();
	real_mode();
	tpr();
	apic_page();
}
