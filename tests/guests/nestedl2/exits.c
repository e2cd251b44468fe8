/* SPDX-License-Identifier: MIT */
/* Which instructions exit, by which controls, and what L2 sees where they do not. */
#include "l2.h"

/* --- a control and its instruction --- */

NAKED l2_hlt(void) { asm volatile("hlt; vmcall"); }
NAKED l2_invlpg(void) { asm volatile("invlpg (%rsp); vmcall"); }
NAKED l2_rdtsc(void) { asm volatile("rdtsc; vmcall"); }
NAKED l2_mov_dr(void) { asm volatile("mov %dr3, %rax; vmcall"); }
NAKED l2_pause(void) { asm volatile("pause; vmcall"); }
NAKED l2_wbinvd(void) { asm volatile("wbinvd; vmcall"); }
NAKED l2_sgdt(void) { asm volatile("sgdt -16(%rsp); vmcall"); }
NAKED l2_read_cr3(void) { asm volatile("mov %cr3, %rax; vmcall"); }
NAKED l2_write_cr3(void) { asm volatile("mov %cr3, %rax; mov %rax, %cr3; vmcall"); }
NAKED l2_rdpmc(void) { asm volatile("rdpmc; vmcall"); }
NAKED l2_xsetbv(void) { asm volatile("xsetbv; vmcall"); }
NAKED l2_vmread(void) { asm volatile("vmread %rax, %rbx; vmcall"); }

static const struct {
	const char *name;
	void (*code)(void);
	u32 primary, secondary, reason, offset, length;
} instructions[] = {
	{ "INVLPG", l2_invlpg, INVLPG_EXITS, 0, EXIT_INVLPG, 0, 4 },
	{ "RDTSC", l2_rdtsc, RDTSC_EXITS, 0, EXIT_RDTSC, 0, 2 },
	{ "MOV DR", l2_mov_dr, MOV_DR_EXITS, 0, EXIT_DR, 0, 3 },
	{ "PAUSE", l2_pause, PAUSE_EXITS, 0, EXIT_PAUSE, 0, 2 },
	{ "WBINVD", l2_wbinvd, 0, WBINVD_EXITS, EXIT_WBINVD, 0, 2 },
	{ "SGDT", l2_sgdt, 0, DESCRIPTOR_EXITS, EXIT_GDTR_IDTR, 0, 5 },
	{ "MOV from CR3", l2_read_cr3, CR3_STORES_EXIT, 0, EXIT_CR, 0, 3 },
	{ "MOV to CR3", l2_write_cr3, CR3_LOADS_EXIT, 0, EXIT_CR, 3, 3 },
};

static void by_control(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(instructions); i++) {
		if (!offers(0x48e, instructions[i].primary) || !offers(0x48b, instructions[i].secondary)) {
			skip(instructions[i].name, "this processor does not offer the control");
			continue;
		}
		fresh(instructions[i].code);
		exits(EXIT_VMCALL, instructions[i].name);
		fresh(instructions[i].code);
		set(PRIMARY, instructions[i].primary);
		if (instructions[i].secondary) {
			set(PRIMARY, USE_SECONDARY);
			vmwrite(SECONDARY, instructions[i].secondary);
		}
		exits(instructions[i].reason, "... exits if its control says so");
		check_eq(vmread(GUEST_RIP), AT(instructions[i].code, instructions[i].offset), "... at its RIP");
		check_eq(vmread(LENGTH), instructions[i].length, "... with its length");
		step_over();
		exits(EXIT_VMCALL, "... and the next one after it");
	}
	fresh(l2_invlpg);
	set(PRIMARY, INVLPG_EXITS);
	exits(EXIT_INVLPG, "INVLPG");
	check_eq(vmread(QUALIFICATION), vmread(GUEST_RSP), "... its address");
	fresh(l2_hlt);
	set(PRIMARY, HLT_EXITS);
	exits(EXIT_HLT, "HLT");
	fresh(l2_rdpmc);
	set(PRIMARY, RDPMC_EXITS);
	exits(EXIT_RDPMC, "RDPMC");
}

static void always(void)
{
	fresh(l2_vmread);
	exits(EXIT_VMREAD, "VMREAD exits");
	fresh(l2_xsetbv);
	set(GUEST_CR4, vmread(GUEST_CR4));
	if (cpuid(1, 0).c & BIT(26)) {
		set(GUEST_CR4, BIT(18));
		exits(EXIT_XSETBV, "XSETBV exits");
	}
}

/* --- PAUSE loops --- */

NAKED l2_pauses(void) { asm volatile("1: pause; dec %ecx; jnz 1b; vmcall"); }

static void pause_loops(void)
{
	if (!offers(0x48b, PAUSE_LOOPS)) {
		skip("PAUSE-loop exiting", "this processor has none");
		return;
	}
	fresh(l2_pauses);
	set(PRIMARY, USE_SECONDARY);
	vmwrite(SECONDARY, PAUSE_LOOPS);
	vmwrite(PAUSE_GAP, 200);
	vmwrite(PAUSE_WINDOW, 2000);
	l2[RCX] = 1000000;
	exits(EXIT_PAUSE, "a loop of PAUSE exits");
	check_eq(vmread(GUEST_RIP), (ulong)l2_pauses, "... at a PAUSE");
	check_range((u32)l2[RCX], 990000, 999999, "... after the window");
	fresh(l2_pauses);
	set(PRIMARY, USE_SECONDARY);
	vmwrite(SECONDARY, PAUSE_LOOPS);
	vmwrite(PAUSE_GAP, 200);
	vmwrite(PAUSE_WINDOW, ~0u);
	l2[RCX] = 1000;
	exits(EXIT_VMCALL, "a loop within the window");
}

/* --- ports --- */

NAKED l2_in_byte(void) { asm volatile("in %dx, %al; vmcall"); }
NAKED l2_in_long(void) { asm volatile("in %dx, %eax; vmcall"); }
NAKED l2_out_imm(void) { asm volatile("out %al, $0x80; vmcall"); }
NAKED l2_outs(void) { asm volatile("rep outsb; vmcall"); }

static void one_port(u16 port, void (*code)(void), u32 reason, const char *name)
{
	fresh(code);
	l2[RDX] = port;
	if (reason == EXIT_IO)
		io_bitmaps[port >> 15][(port & 0x7fff) / 8] |= (u8)(1 << port % 8);
	exits(reason, name);
}

static void ports(void)
{
	one_port(0x80, l2_in_byte, EXIT_VMCALL, "a port whose bit is 0");
	one_port(0x81, l2_in_byte, EXIT_IO, "a port whose bit is 1");
	check_eq(vmread(QUALIFICATION), 0x00810008, "... its qualification");
	one_port(0xff00, l2_in_byte, EXIT_IO, "a port of bitmap B");
	fresh(l2_in_long);
	l2[RDX] = 0x7ffe;
	io_bitmaps[1][0] = 1;
	exits(EXIT_IO, "IN EAX whose third byte is in bitmap B");
	check_eq(vmread(QUALIFICATION), 0x7ffe000b, "... its qualification");
	fresh(l2_in_long);
	l2[RDX] = 0xfffe;
	exits(EXIT_IO, "IN EAX that wraps around");
	fresh(l2_in_long);
	l2[RDX] = 0x84;
	io_bitmaps[0][0x88 / 8] = 1;
	exits(EXIT_VMCALL, "IN EAX right below a port that exits");
	fresh(l2_out_imm);
	clear(PRIMARY, IO_BITMAPS);
	exits(EXIT_VMCALL, "no bitmaps: no exits");
	fresh(l2_out_imm);
	clear(PRIMARY, IO_BITMAPS);
	set(PRIMARY, IO_EXITS);
	exits(EXIT_IO, "unconditional exits");
	check_eq(vmread(QUALIFICATION), 0x00800040, "... qualification of an immediate operand");
	fresh(l2_outs);
	l2[RSI] = (ulong)l2_stack;
	l2[RCX] = 3;
	l2[RDX] = 0x80;
	io_bitmaps[0][0x80 / 8] = 1;
	exits(EXIT_IO, "REP OUTSB");
	check_eq(vmread(QUALIFICATION), 0x00800030, "... its qualification");
	check_eq(vmread(LINEAR_ADDRESS), (ulong)l2_stack, "... and linear address");
	fresh(l2_outs);
	l2[RSI] = (ulong)l2_stack;
	l2[RCX] = 3;
	l2[RDX] = 0x80;
	exits(EXIT_VMCALL, "REP OUTSB that does not exit");
	check_eq(l2[RSI], (ulong)l2_stack + 3, "... has done three bytes");
}

/* --- MSRs --- */

NAKED l2_rdmsr(void) { asm volatile("rdmsr; vmcall"); }
NAKED l2_wrmsr(void) { asm volatile("wrmsr; vmcall"); }

static void one_msr(void (*code)(void), u32 msr, long bit, u32 reason, const char *name)
{
	fresh(code);
	l2[RCX] = msr;
	l2[RAX] = l2[RDX] = 0;
	if (bit >= 0)
		msr_bitmap[bit / 8] |= (u8)(1 << bit % 8);
	exits(reason, name);
}

static void msrs(void)
{
	one_msr(l2_rdmsr, 0x174, -1, EXIT_VMCALL, "an MSR whose bit is 0");
	one_msr(l2_rdmsr, 0x174, 0x174, EXIT_RDMSR, "RDMSR, low bitmap");
	one_msr(l2_wrmsr, 0x174, 0x174, EXIT_VMCALL, "... which is not that of WRMSR");
	one_msr(l2_wrmsr, 0x174, 0x800 * 8 + 0x174, EXIT_WRMSR, "WRMSR, low bitmap");
	one_msr(l2_rdmsr, 0xc0000082, 0x400 * 8 + 0x82, EXIT_RDMSR, "RDMSR, high bitmap");
	one_msr(l2_wrmsr, 0xc0000082, 0xc00 * 8 + 0x82, EXIT_WRMSR, "WRMSR, high bitmap");
	one_msr(l2_rdmsr, 0x2000, -1, EXIT_RDMSR, "an MSR behind the low bitmap");
	one_msr(l2_rdmsr, 0xc0002000, -1, EXIT_RDMSR, "an MSR behind the high bitmap");
	one_msr(l2_wrmsr, 0x40000000, -1, EXIT_WRMSR, "an MSR between them");
	fresh(l2_rdmsr);
	clear(PRIMARY, MSR_BITMAPS);
	l2[RCX] = 0x174;
	exits(EXIT_RDMSR, "without bitmaps each MSR exits");
}

/* SYSENTER_CS, FS base: in vmcs fields; KERNEL_GS_BASE and STAR are L1's as well as L2's. */
NAKED l2_write_msrs(void)
{
	asm volatile("mov $0x174, %ecx; mov $0x1234, %eax; xor %edx, %edx; wrmsr;"
		     "mov $0xc0000102, %ecx; wrmsr; mov $0xc0000100, %ecx; wrmsr; vmcall");
}

static void msr_values(void)
{
	u64 cs = rdmsr(0x174), fs = rdmsr(0xc0000100);

	fresh(l2_write_msrs);
	exits(EXIT_VMCALL, "WRMSR without an exit");
	check_eq(vmread(GUEST_SYSENTER_CS), 0x1234, "SYSENTER_CS is saved");
	check_eq(vmread(GUEST_ES_BASE + 2 * 4), 0x1234, "FS base is saved");
	check_eq(rdmsr(0x174), 0, "SYSENTER_CS is the host's again");
	check_eq(rdmsr(0xc0000100), 0, "FS base is the host's again");
	check_eq(rdmsr(0xc0000102), 0x1234, "KERNEL_GS_BASE stays");
	wrmsr(0x174, cs);
	wrmsr(0xc0000100, fs);
	wrmsr(0xc0000102, 0);
}

/* --- control registers --- */

NAKED l2_toggle_ts(void) { asm volatile("mov %cr0, %rax; xor $8, %rax; mov %rax, %cr0; mov %cr0, %rbx; vmcall"); }
NAKED l2_clts(void) { asm volatile("clts; vmcall"); }
NAKED l2_lmsw(void) { asm volatile("lmsw %ax; vmcall"); }
NAKED l2_toggle_pge(void) { asm volatile("mov %cr4, %rax; xor $0x80, %rax; mov %rax, %cr4; mov %cr4, %rbx; vmcall"); }
NAKED l2_toggle_mce(void) { asm volatile("mov %cr4, %rax; xor $0x40, %rax; mov %rax, %cr4; mov %cr4, %rbx; vmcall"); }
NAKED l2_set_cd(void) { asm volatile("mov %cr0, %rax; bts $30, %rax; mov %rax, %cr0; mov %cr0, %rbx; vmcall"); }
NAKED l2_paging_off(void) { asm volatile("mov %cr0, %rax; btr $31, %rax; mov %rax, %cr0; vmcall"); }

static void control_registers(void)
{
	u64 cr0 = READ_CR(0), cr4 = READ_CR(4);

	fresh(l2_toggle_ts);
	exits(EXIT_VMCALL, "MOV to CR0, no bit is the host's");
	check_eq(l2[RBX], cr0 ^ 8, "... changes it");
	check_eq(vmread(GUEST_CR0), cr0 ^ 8, "... and it is saved");
	check_eq(READ_CR(0), cr0, "... the host has its own");
	fresh(l2_toggle_ts);
	vmwrite(CR0_MASK, 8);
	vmwrite(CR0_SHADOW, 8);
	exits(EXIT_CR, "MOV to CR0 that changes a bit of the host's");
	check_eq(vmread(QUALIFICATION), 0, "... its qualification");
	check_eq(l2[RAX] & 8, 0, "... the guest read the shadow");
	fresh(l2_toggle_mce);
	exits(EXIT_VMCALL, "MOV to CR4: MCE");
	check_eq(l2[RBX], cr4 ^ 0x40, "... changes");
	check_eq(vmread(GUEST_CR4), cr4 ^ 0x40, "... and is saved");
	fresh(l2_toggle_pge);
	vmwrite(CR4_MASK, 0x2000);
	exits(EXIT_VMCALL, "MOV to CR4: PGE, with VMXE hidden");
	check_eq(l2[RBX], (cr4 & ~0x2000) ^ 0x80, "... VMXE reads as the shadow, PGE as written");
	check_eq(vmread(GUEST_CR4), cr4 ^ 0x80, "... and both are saved as they are");
	fresh(l2_toggle_pge);
	vmwrite(CR4_MASK, 0x80);
	vmwrite(CR4_SHADOW, 0x80);
	exits(EXIT_CR, "MOV to CR4 that changes a bit of the host's");
	check_eq(vmread(QUALIFICATION), 4, "... its qualification");
	fresh(l2_set_cd);
	exits(EXIT_VMCALL, "MOV to CR0: CD");
	check_eq(l2[RBX], cr0 | BIT(30), "... changes");
	check_eq(vmread(GUEST_CR0), cr0 | BIT(30), "... and is saved");
	fresh(l2_clts);
	vmwrite(CR0_MASK, 8);
	vmwrite(CR0_SHADOW, 8);
	exits(EXIT_CR, "CLTS where the host has TS");
	check_eq(vmread(QUALIFICATION), 0x20, "... its qualification");
	fresh(l2_clts);
	vmwrite(CR0_MASK, 8);
	exits(EXIT_VMCALL, "CLTS where TS reads as 0");
	fresh(l2_lmsw);
	l2[RAX] = 0xf;
	vmwrite(CR0_MASK, 4);
	exits(EXIT_CR, "LMSW that changes a bit of the host's");
	check_eq(vmread(QUALIFICATION), 0xf0030, "... its qualification");
	fresh(l2_lmsw);
	l2[RAX] = 1;
	vmwrite(CR0_MASK, 1);
	vmwrite(CR0_SHADOW, 1);
	exits(EXIT_VMCALL, "LMSW that changes none");
	fresh(l2_write_cr3);
	set(PRIMARY, CR3_LOADS_EXIT);
	vmwrite(CR3_COUNT, 2);
	vmwrite(CR3_TARGET + 2, READ_CR(3));
	exits(EXIT_VMCALL, "MOV to CR3 of a CR3-target value");
	fresh(l2_paging_off);
	vmwrite(EXCEPTIONS, BIT(GP));
	exits(EXIT_EXCEPTION, "CR0.PG cannot be cleared in 64-bit mode");
	check_eq(vmread(INT_INFO), VALID | ERROR_CODE | 3 << 8 | GP, "... but raises #GP");
}

/* --- the time --- */

static void time_stamps(void)
{
	u64 before, after, seen;

	fresh(l2_rdtsc);
	set(PRIMARY, USE_TSC_OFFSET);
	vmwrite(TSC_OFFSET, BIT(40));
	before = rdtsc();
	exits(EXIT_VMCALL, "RDTSC with an offset");
	after = rdtsc();
	seen = l2[RDX] << 32 | (u32)l2[RAX];
	check_range(seen, before + BIT(40), after + BIT(40), "... adds it");
	fresh(l2_rdmsr);
	set(PRIMARY, USE_TSC_OFFSET);
	vmwrite(TSC_OFFSET, BIT(40));
	l2[RCX] = 0x10;
	before = rdtsc();
	exits(EXIT_VMCALL, "RDMSR of the TSC");
	after = rdtsc();
	seen = l2[RDX] << 32 | (u32)l2[RAX];
	check_range(seen, before + BIT(40), after + BIT(40), "... adds it, too");
	fresh(l2_rdtsc);
	vmwrite(TSC_OFFSET, BIT(40));
	exits(EXIT_VMCALL, "RDTSC without the control");
	check_eq(l2[RDX] >> 8, 0, "... has no offset");
}

void exits_by_controls(void)
{
	by_control();
	always();
	pause_loops();
	ports();
	msrs();
	msr_values();
	control_registers();
	time_stamps();
}
