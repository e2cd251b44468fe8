/* SPDX-License-Identifier: MIT */
/*
 * Exceptions, interrupts, NMIs, timers: what exits, what L2 gets, and what exits report of a delivery that they cut
 * off.
 */
#include "l2.h"

#define VECTOR	   0x61
#define LAPIC_EOI  (*(volatile u32 *)0xfee000b0)
#define LAPIC_SVR  (*(volatile u32 *)0xfee000f0)
#define LAPIC_ICR  (*(volatile u32 *)0xfee00300)
#define SELF	   0x40000
#define NMI_IPI	   0x400
#define IF	   BIT(9)
#define TYPE(type) ((type) << 8)

/* L2's own IDT. Its handlers exit; RDI says which one ran. */
static struct gate l2_idt[256];

NAKED on_ud(void) { asm volatile("mov $6, %rdi; vmcall"); }
NAKED on_gp(void) { asm volatile("mov $13, %rdi; vmcall"); }
NAKED on_nmi(void) { asm volatile("mov $2, %rdi; vmcall; iretq"); }
NAKED on_interrupt(void) { asm volatile("mov $0x61, %rdi; vmcall; iretq"); }

static void l2_gate(u32 vector, void (*handler)(void))
{
	ulong entry = (ulong)handler;

	l2_idt[vector] = (struct gate){ .offset0 = (u16)entry, .selector = CODE64, .type = 0x8e, .offset16 = (u16)(entry >> 16),
					.offset32 = (u32)(entry >> 32) };
}

static void fresh_with_idt(void (*code)(void))
{
	fresh(code);
	for (u32 i = 0; i < ARRAY_SIZE(l2_idt); i++)
		l2_idt[i].type = 0;
	l2_gate(UD, on_ud);
	l2_gate(GP, on_gp);
	l2_gate(NMI, on_nmi);
	l2_gate(VECTOR, on_interrupt);
	vmwrite(GUEST_IDTR, (ulong)l2_idt);
}

/* --- exceptions --- */

NAKED l2_ud2(void) { asm volatile("ud2"); }
NAKED l2_page_fault(void) { asm volatile("mov %al, (%rbx); vmcall"); }
NAKED l2_int(void) { asm volatile("int $0x70; vmcall"); }
NAKED l2_nops(void) { asm volatile("nop; nop; nop; nop; vmcall"); }
NAKED l2_spin(void) { asm volatile("1: pause; jmp 1b"); }
NAKED l2_lower_cr8(void) { asm volatile("mov %rbx, %cr8; 1: pause; jmp 1b"); }

static void page_fault(u32 bit, u32 mask, u32 match, bool expected, const char *name)
{
	fresh_with_idt(l2_page_fault);
	l2[RBX] = BIT(40);
	vmwrite(EXCEPTIONS, bit | BIT(GP));
	vmwrite(PF_MASK, mask);
	vmwrite(PF_MATCH, match);
	l2_gate(PF, on_gp);
	exits(expected ? EXIT_EXCEPTION : EXIT_VMCALL, name);
	if (!expected)
		return;
	check_eq(vmread(INT_INFO), VALID | ERROR_CODE | TYPE(3) | PF, "... what it reports");
	check_eq(vmread(INT_ERROR), 2, "... error code");
	check_eq(vmread(QUALIFICATION), BIT(40), "... address");
}

static void exceptions(void)
{
	fresh_with_idt(l2_ud2);
	exits(EXIT_VMCALL, "#UD goes to the guest");
	check_eq(l2[RDI], UD, "... to its handler");
	fresh_with_idt(l2_ud2);
	vmwrite(EXCEPTIONS, BIT(UD));
	exits(EXIT_EXCEPTION, "#UD exits");
	check_eq(vmread(INT_INFO), VALID | TYPE(3) | UD, "... what it reports");
	check_eq(vmread(IDT_INFO) & VALID, 0, "... no delivery was cut off");
	check_eq(vmread(GUEST_RIP), (ulong)l2_ud2, "... at its RIP");
	page_fault(BIT(PF), 0, 0, true, "#PF: bit 1, mask and match 0");
	page_fault(0, 0, 0, false, "#PF: bit 0, mask and match 0");
	page_fault(BIT(PF), 1, 1, false, "#PF: bit 1, the error code does not match");
	page_fault(0, 1, 1, true, "#PF: bit 0, the error code does not match");
	fresh_with_idt(l2_int);
	vmwrite(EXCEPTIONS, BIT(GP) | BIT(NP));
	l2_idt[0x70].type = 0x0e;
	exits(EXIT_EXCEPTION, "INT to an absent gate");
	check_eq(vmread(INT_INFO), VALID | ERROR_CODE | TYPE(3) | NP, "... #NP exits");
	check_eq(vmread(INT_ERROR), 0x70 * 8 + 2, "... error code");
	check_eq(vmread(IDT_INFO), VALID | TYPE(4) | 0x70, "... and reports what it cut off");
	check_eq(vmread(LENGTH), 2, "... with its length");
	fresh_with_idt(l2_ud2);
	vmwrite(IDTR_LIMIT, 0);
	exits(EXIT_TRIPLE_FAULT, "without an IDT: a triple fault");
}

/* --- injection --- */

static void injection(void)
{
	fresh_with_idt(l2_nops);
	vmwrite(EVENT, VALID | ERROR_CODE | TYPE(3) | GP);
	vmwrite(EVENT_ERROR, 0x1234);
	exits(EXIT_VMCALL, "an exception is injected");
	check_eq(l2[RDI], GP, "... its handler runs");
	check_eq(*(u64 *)vmread(GUEST_RSP), 0x1234, "... with its error code");
	check_eq(vmread(EVENT), ERROR_CODE | TYPE(3) | GP, "... and the event is no longer valid");
	fresh_with_idt(l2_nops);
	vmwrite(GUEST_RFLAGS, 2 | IF);
	vmwrite(EVENT, VALID | VECTOR);
	exits(EXIT_VMCALL, "an interrupt is injected");
	check_eq(l2[RDI], VECTOR, "... its handler runs");
	fresh_with_idt(l2_nops);
	vmwrite(EVENT, VALID | TYPE(4) | VECTOR);
	vmwrite(EVENT_LENGTH, 2);
	exits(EXIT_VMCALL, "INT n is injected");
	check_eq(*(u64 *)vmread(GUEST_RSP), (ulong)l2_nops + 2, "... and returns behind it");
	fresh_with_idt(l2_nops);
	vmwrite(GUEST_RFLAGS, 2 | IF);
	vmwrite(EVENT, VALID | 0x70);
	vmwrite(EXCEPTIONS, BIT(NP));
	l2_idt[0x70].type = 0x0e;
	exits(EXIT_EXCEPTION, "an interrupt whose gate is absent");
	check_eq(vmread(INT_INFO), VALID | ERROR_CODE | TYPE(3) | NP, "... #NP exits");
	check_eq(vmread(INT_ERROR), 0x70 * 8 + 3, "... error code");
	check_eq(vmread(IDT_INFO), VALID | 0x70, "... and reports what it cut off");
}

/* --- interrupts --- */

static volatile u32 taken;

static void on_vector(struct regs *regs __attribute__((unused)))
{
	taken++;
	LAPIC_EOI = 0;
}

static void take_it(void)
{
	taken = 0;
	asm volatile("sti; nop; cli" : : : "memory");
}

/* Bochs holds interrupts back while L2's RFLAGS.IF is 0, though they exit: so it is 1. */
static void interrupts(void)
{
	LAPIC_SVR = 0x1ff;
	trap_on(VECTOR, on_vector);

	fresh_with_idt(l2_spin);
	set(PIN, PIN_INTERRUPTS);
	vmwrite(GUEST_RFLAGS, 2 | IF);
	LAPIC_ICR = SELF | VECTOR;
	exits(EXIT_INTERRUPT, "a pending interrupt exits");
	check_eq(vmread(GUEST_RIP), (ulong)l2_spin, "... before L2's first instruction");
	check_eq(vmread(INT_INFO) & VALID, 0, "... without its vector");
	take_it();
	check_eq(taken, 1, "... and is pending then");

	fresh_with_idt(l2_spin);
	set(PIN, PIN_INTERRUPTS);
	set(EXIT_CONTROLS, ACKNOWLEDGE);
	vmwrite(GUEST_RFLAGS, 2 | IF);
	LAPIC_ICR = SELF | VECTOR;
	exits(EXIT_INTERRUPT, "... acknowledged");
	check_eq(vmread(INT_INFO), VALID | VECTOR, "... with its vector");
	take_it();
	check_eq(taken, 0, "... which is no longer pending");
	LAPIC_EOI = 0;

	fresh_with_idt(l2_nops);
	vmwrite(GUEST_RFLAGS, 2 | IF);
	LAPIC_ICR = SELF | VECTOR;
	exits(EXIT_VMCALL, "an interrupt that does not exit");
	check_eq(l2[RDI], VECTOR, "... goes to L2");
	LAPIC_EOI = 0;

	fresh_with_idt(l2_nops);
	set(PIN, PIN_INTERRUPTS);
	vmwrite(GUEST_RFLAGS, 2 | IF);
	vmwrite(EVENT, VALID | VECTOR);
	LAPIC_ICR = SELF | VECTOR;
	exits(EXIT_INTERRUPT, "an interrupt that is pending while another is injected");
	check_eq(vmread(GUEST_RIP), (ulong)on_interrupt, "... exits after that has been delivered");
	check_eq(vmread(IDT_INFO) & VALID, 0, "... as a whole");
	take_it();

	asm volatile("mov %0, %%cr8" : : "r"(7ul));
	fresh_with_idt(l2_lower_cr8);
	set(PIN, PIN_INTERRUPTS);
	vmwrite(GUEST_RFLAGS, 2 | IF);
	l2[RBX] = 0;
	LAPIC_ICR = SELF | VECTOR;
	exits(EXIT_INTERRUPT, "an interrupt that L2 lets pass by MOV to CR8 exits");
	check_eq(vmread(GUEST_RIP), AT(l2_lower_cr8, 4), "... behind it");
	take_it();
	check_eq(taken, 1, "... and is pending then");
}

NAKED l2_sti(void) { asm volatile("sti; nop; nop; vmcall"); }

static void windows(void)
{
	fresh_with_idt(l2_nops);
	set(PRIMARY, WINDOW);
	vmwrite(GUEST_RFLAGS, 2 | IF);
	exits(EXIT_WINDOW, "an open window exits");
	check_eq(vmread(GUEST_RIP), (ulong)l2_nops, "... before L2's first instruction");
	fresh_with_idt(l2_sti);
	set(PRIMARY, WINDOW);
	exits(EXIT_WINDOW, "a window that STI opens");
	check_eq(vmread(GUEST_RIP), AT(l2_sti, 2), "... after the next instruction");
	fresh_with_idt(l2_nops);
	set(PRIMARY, WINDOW);
	exits(EXIT_VMCALL, "a window that stays closed");
}

/* --- NMIs --- */

static void iret(void)
{
	asm volatile("mov %%rsp, %%rax; push %0; push %%rax; pushfq; push %1; push $1f; iretq; 1:"
		     : : "i"(DATA), "i"(CODE64) : "rax", "memory", "cc");
}

static volatile u32 nmis;

static void on_own_nmi(struct regs *regs __attribute__((unused)))
{
	nmis++;
}

static void nmi(void)
{
	trap_on(NMI, on_own_nmi);
	lapic_write(0x310, lapic_read(0x20));
	fresh_with_idt(l2_nops);
	set(PIN, PIN_NMIS);
	vmwrite(EVENT, 0);
	LAPIC_ICR = NMI_IPI;
	check_eq(nmis, 1, "an NMI outside of L2");
	if (!offers(0x48d, PIN_VIRTUAL_NMIS)) {
		skip("virtual NMIs", "this processor does not offer them");
		return;
	}
	fresh_with_idt(l2_nops);
	set(PIN, PIN_NMIS | PIN_VIRTUAL_NMIS);
	vmwrite(EVENT, VALID | TYPE(2) | NMI);
	exits(EXIT_VMCALL, "an NMI is injected");
	check_eq(l2[RDI], NMI, "... its handler runs");
	check_eq(vmread(INTERRUPTIBILITY), 8, "... and blocks others");
	set(PRIMARY, NMI_WINDOW);
	step_over();
	exits(EXIT_NMI_WINDOW, "the NMI window opens");
	check_eq(vmread(GUEST_RIP), (ulong)l2_nops, "... after IRET");
	check_eq(vmread(INTERRUPTIBILITY), 0, "... when none is blocked");
	iret();
}

NAKED l2_send_nmi(void) { asm volatile("movl $0x400, (%rbx); nop; nop; nop; nop; nop; nop; vmcall"); }

/* While the host's NMIs exit, one that L2 has the local APIC send is the host's. */
static void nmi_exits(void)
{
	fresh_with_idt(l2_send_nmi);
	l2[RBX] = LAPIC + 0x300;
	set(PIN, PIN_NMIS);
	exits(EXIT_EXCEPTION, "an NMI exits");
	check_eq(vmread(INT_INFO), VALID | TYPE(2) | NMI, "... what it reports");
	nmis = 0;
	LAPIC_ICR = NMI_IPI;
	for (u32 i = 0; i < 10; i++)
		asm volatile("nop");
	check_eq(nmis, 0, "... it blocks NMIs in the host");
	iret();
	for (u32 i = 0; i < 10; i++)
		asm volatile("nop");
	check_eq(nmis, 1, "... until IRET");
}

/* --- timer, trap flag, HLT --- */

static void timer(void)
{
	u32 shift = rdmsr(0x485) & 31;

	if (!offers(0x48d, PIN_TIMER)) {
		skip("preemption timer", "this processor has none");
		return;
	}
	fresh_with_idt(l2_spin);
	set(PIN, PIN_TIMER);
	vmwrite(TIMER, 0);
	exits(EXIT_TIMER, "the preemption timer at 0 exits");
	check_eq(vmread(GUEST_RIP), (ulong)l2_spin, "... before L2's first instruction");
	fresh_with_idt(l2_spin);
	set(PIN, PIN_TIMER);
	set(EXIT_CONTROLS, SAVE_TIMER);
	vmwrite(TIMER, 20000 >> shift);
	exits(EXIT_TIMER, "the preemption timer runs");
	check_eq(vmread(TIMER), 0, "... and is saved as 0");
	fresh_with_idt(l2_nops);
	set(PIN, PIN_TIMER);
	set(EXIT_CONTROLS, SAVE_TIMER);
	vmwrite(TIMER, 100000000);
	exits(EXIT_VMCALL, "an exit before the timer expires");
	check_range(vmread(TIMER), 90000000, 100000000, "... saves what is left");
	fresh_with_idt(l2_nops);
	set(PIN, PIN_TIMER);
	vmwrite(TIMER, 100000000);
	exits(EXIT_VMCALL, "without \"save\"");
	check_eq(vmread(TIMER), 100000000, "... it stays as it was");
	fresh_with_idt(l2_nops);
	set(PIN, PIN_TIMER);
	vmwrite(TIMER, 0);
	vmwrite(EVENT, VALID | TYPE(3) | UD);
	exits(EXIT_TIMER, "the timer at 0 and an event");
	check_eq(vmread(GUEST_RIP), (ulong)on_ud, "... which is delivered first");
}

NAKED l2_out(void) { asm volatile("out %al, $0x80; nop; vmcall"); }
NAKED l2_outs(void) { asm volatile("rep outsb; nop; vmcall"); }
NAKED l2_lmsw(void) { asm volatile("lmsw %ax; nop; vmcall"); }
NAKED l2_hlt(void) { asm volatile("hlt; vmcall"); }
NAKED l2_bad_msr(void) { asm volatile("wrmsr; nop; vmcall"); }

static void trap_behind(void (*code)(void), ulong rip, const char *name)
{
	fresh_with_idt(code);
	set(PRIMARY, MONITOR_TRAP | MSR_BITMAPS);
	l2[RAX] = 0x33;			/* MP, ET, and PE as it is */
	l2[RDX] = 0x80;
	l2[RCX] = 3;
	l2[RSI] = (ulong)l2_stack;
	exits(EXIT_TRAP_FLAG, name);
	check_eq(vmread(GUEST_RIP), rip, "... behind it");
}

/* What L1 does not intercept L0 may have to execute. */
static void traps_behind_exits(void)
{
	trap_behind(l2_out, AT(l2_out, 2), "the monitor trap flag and OUT");
	trap_behind(l2_lmsw, AT(l2_lmsw, 3), "... LMSW");
	trap_behind(l2_outs, (ulong)l2_outs, "... REP OUTSB, in its first iteration");
	check_eq(l2[RCX], 2, "... of three");
	trap_behind(l2_bad_msr, (ulong)on_gp, "... WRMSR with a #GP");
	trap_behind(l2_hlt, AT(l2_hlt, 1), "... HLT");
	if (vmread(ACTIVITY) || hypervisor_present())
		check_eq(vmread(ACTIVITY), 1, "... in the activity state HLT");
	else
		skip("... in the activity state HLT", "Bochs traps before that");
	fresh_with_idt(l2_out);
	set(PRIMARY, MONITOR_TRAP);
	vmwrite(GUEST_RFLAGS, 2 | BIT(8));
	exits(EXIT_TRAP_FLAG, "... OUT in single steps");
	check_eq(vmread(PENDING_DEBUG), BIT(14), "... whose #DB is pending");
}

static void trap_flag(void)
{
	if (!offers(0x48e, MONITOR_TRAP)) {
		skip("monitor trap flag", "this processor has none");
		return;
	}
	fresh_with_idt(l2_nops);
	set(PRIMARY, MONITOR_TRAP);
	exits(EXIT_TRAP_FLAG, "the monitor trap flag exits");
	check_eq(vmread(GUEST_RIP), AT(l2_nops, 1), "... after one instruction");
	exits(EXIT_TRAP_FLAG, "... and again");
	check_eq(vmread(GUEST_RIP), AT(l2_nops, 2), "... after the next");
	traps_behind_exits();
}

static void halt(void)
{
	if (!(rdmsr(0x485) & BIT(6)) || !offers(0x48d, PIN_TIMER)) {
		skip("activity state HLT", "this processor does not have it");
		return;
	}
	fresh_with_idt(l2_hlt);
	set(PIN, PIN_TIMER);
	vmwrite(TIMER, 100000 >> (rdmsr(0x485) & 31));
	exits(EXIT_TIMER, "L2 halts until the timer exits");
	check_eq(vmread(ACTIVITY), 1, "... in the activity state HLT");
	check_eq(vmread(GUEST_RIP), AT(l2_hlt, 1), "... behind HLT");
	vmwrite(TIMER, 100000 >> (rdmsr(0x485) & 31));
	exits(EXIT_TIMER, "... and is entered in it");
	check_eq(vmread(GUEST_RIP), AT(l2_hlt, 1), "... and stays halted");
	vmwrite(GUEST_RFLAGS, 2 | IF);
	vmwrite(EVENT, VALID | VECTOR);
	exits(EXIT_VMCALL, "... until an event is injected");
	check_eq(l2[RDI], VECTOR, "... whose handler runs");
	check_eq(vmread(ACTIVITY), 0, "... in the active state");
}

void events(void)
{
	exceptions();
	injection();
	interrupts();
	windows();
	nmi();
	nmi_exits();
	timer();
	trap_flag();
	halt();
}
