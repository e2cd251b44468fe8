/* SPDX-License-Identifier: MIT */
/*
 * Checks 64-bit mode: four-level paging by the guest's own tables, a compatibility-mode
 * segment, SYSCALL and SYSRET, and exceptions with error codes and CR2, through the IDT and IST.
 */
#include "guest.h"

#define MSR_EFER	0xc0000080
#define MSR_STAR	0xc0000081
#define MSR_LSTAR	0xc0000082
#define MSR_CSTAR	0xc0000083
#define MSR_SFMASK	0xc0000084
#define MSR_FS_BASE	0xc0000100
#define MSR_GS_BASE	0xc0000101
#define MSR_KERNEL_GS	0xc0000102
#define FAR		0x8000000000ul		/* PML4 slot 1: one page of our own */

static u64 far_pdpt[512] __attribute__((aligned(4096))), far_pd[512] __attribute__((aligned(4096)));
static u64 far_pt[512] __attribute__((aligned(4096))), page[512] __attribute__((aligned(4096)));
static u8 ist_stack[4096] __attribute__((aligned(16)));

static void mode(void)
{
	u16 cs, ss;

	asm volatile("mov %%cs, %0; mov %%ss, %1" : "=r"(cs), "=r"(ss));
	check_eq(cs, CODE64, "CS is the 64-bit segment");
	check_eq(ss, DATA, "SS is as loaded");
	check_eq(rdmsr(MSR_EFER) & 0x500, 0x500, "EFER has LME and LMA");
	check_eq(READ_CR(0) & 0x80000001, 0x80000001, "CR0 has PG and PE");
	check_eq(READ_CR(3), (ulong)pml4, "CR3 reads as written");
	WRITE_CR(8, 5);
	check_eq(READ_CR(8), 5, "CR8 keeps a priority");
	WRITE_CR(8, 0);
}

static void fault(const char *name, u32 vector, u32 expected, u32 error)
{
	u32 got_error = trap.error;

	check_eq(vector, expected, name);
	if (expected == GP || expected == PF)
		check_eq(got_error, error, "... with its error code");
}

static void exceptions(void)
{
	fault("DIV by zero raises #DE", TRY("div %0", : : "r"(0), "a"(1), "d"(0)), DE, 0);
	fault("UD2 raises #UD", TRY("ud2"), UD, 0);
	fault("a bad selector raises #GP", TRY("mov %0, %%ds", : : "r"(0x7f8)), GP, 0x7f8);
	fault("a non-canonical address raises #GP",
	      TRY("movb $0, (%0)", : : "r"(BIT(63))), GP, 0);
	if (qemu_tcg()) {
		skip("a reserved bit in CR4", "QEMU repeats the instruction for ever");
	} else {
		fault("a reserved bit in CR4 raises #GP",
		      TRY("mov %0, %%cr4", : : "r"(READ_CR(4) | BIT(63))), GP, 0);
		fault("clearing PAE in long mode raises #GP",
		      TRY("mov %0, %%cr4", : : "r"(READ_CR(4) & ~BIT(5))), GP, 0);
	}
	fault("INT 3 traps", TRY("int3"), BP, 0);
	check_eq(READ_CR(3), (ulong)pml4, "CR3 survives the faults");
}

static u32 touch(ulong address, bool write)
{
	return write ? TRY("movb $1, (%0)", : : "r"(address) : "memory") :
		       TRY("movb (%0), %%al", : : "r"(address) : "rax");
}

static u32 run(ulong address)
{
	return TRY("lea 99f(%%rip), %%rbx; jmp *%0", : : "r"(address) : "rbx", "memory");
}

static void flush(ulong address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static void paging(void)
{
	pml4[1] = (ulong)far_pdpt | 7;
	far_pdpt[0] = (ulong)far_pd | 7;
	far_pd[0] = (ulong)far_pt | 7;
	far_pt[3] = (ulong)page | 3;
	page[1] = 0x1122334455667788;
	check_eq(*(volatile u64 *)(FAR + 0x3008), page[1], "a 4 KiB page maps its frame");
	check_eq(far_pt[3] & 0x60, 0x20, "a read sets accessed, not dirty");
	*(volatile u64 *)(FAR + 0x3010) = 42;
	check_eq(page[2], 42, "a store reaches the frame");
	check_eq(far_pt[3] & 0x60, 0x60, "a write sets dirty");

	fault("a missing page raises #PF", touch(FAR + 0x4123, true), PF, 2);
	check_eq(trap.cr2, FAR + 0x4123, "CR2 is the address");
	fault("a missing page, read", touch(FAR + 0x200000, false), PF, 0);
	check_eq(trap.cr2, FAR + 0x200000, "CR2 is the second address");

	far_pt[3] = (ulong)page | 1;
	flush(FAR + 0x3000);
	check_eq(touch(FAR + 0x3000, true), NO_TRAP, "ring 0 may write read-only pages, WP clear");
	WRITE_CR(0, READ_CR(0) | BIT(16));
	fault("... and not with WP set", touch(FAR + 0x3000, true), PF, 3);
	WRITE_CR(0, READ_CR(0) & ~BIT(16));

	far_pt[3] = (ulong)page | BIT(51) | 3;
	flush(FAR + 0x3000);
	check_eq(touch(FAR + 0x3000, false), PF, "a reserved bit raises #PF");
	check_eq(trap.error | 1, 9, "... with RSVD set");	/* QEMU leaves P clear */

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | BIT(11));
	far_pt[3] = (ulong)page | BIT(63) | 3;
	flush(FAR + 0x3000);
	page[0] = 0xe3ff;		/* jmp *%rbx */
	fault("fetching from an NX page raises #PF", run(FAR + 0x3000), PF, 0x11);
	far_pt[3] = (ulong)page | 3;
	flush(FAR + 0x3000);
	check_eq(run(FAR + 0x3000), NO_TRAP, "... and not without NX");
}

/* A far return into the 32-bit segment, where REX prefixes are INC and DEC, and back. */
static void compatibility(void)
{
	u32 eax;

	asm volatile("push %[code32]; lea 1f(%%rip), %%rax; push %%rax; lretq\n"
		     ".code32\n"
		     "1: mov $0x10, %%eax; .byte 0x48; nop\n"	/* dec eax; nop */
		     "push %[code64]; push $2f; lret\n"
		     ".code64\n2:"
		     : "=&a"(eax) : [code32] "i"(CODE32), [code64] "i"(CODE64) : "memory");
	check_eq(eax, 0x0f, "compatibility mode decodes 0x48 as DEC EAX");
}

/* To ring 3 by SYSRET, and back to ring 0 by SYSCALL. */
static void system_calls(void)
{
	u64 return_ip, return_flags;
	u32 user_cs, kernel_cs, kernel_flags;

	pd[0] |= 4;			/* ring 3 executes this page */
	WRITE_CR(3, pml4);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
	wrmsr(MSR_STAR, (u64)(USER_CODE32) << 48 | (u64)CODE64 << 32);
	wrmsr(MSR_SFMASK, 0x400);
	asm volatile("movl $0xc0000082, %%ecx; lea 2f(%%rip), %%rax; xor %%edx, %%edx; wrmsr\n\t"
		     "lea 1f(%%rip), %%rcx; mov $0x402, %%r11d; mov %%rsp, %%r8; sysretq\n"
		     "1: mov %%cs, %%esi; syscall\n"
		     "3: ud2\n"
		     "2: mov %%r8, %%rsp; mov %%cs, %%edi; mov %%rcx, %%r9; mov %%r11, %%r10\n\t"
		     "pushf; pop %%rax; cld; lea 3b(%%rip), %%rdx; sub %%rdx, %%r9\n\t"
		     "mov %%r9, %%rcx; mov %%r10, %%rdx; mov $0x10, %%r9d; mov %%r9d, %%ss"
		     : "=&S"(user_cs), "=&D"(kernel_cs), "=c"(return_ip), "=d"(return_flags),
		       "=a"(kernel_flags)
		     : : "r8", "r9", "r10", "r11", "memory", "cc");
	check_eq(user_cs, USER_CODE64, "SYSRET goes to ring 3");
	check_eq(kernel_cs, CODE64, "SYSCALL comes back to ring 0");
	check_eq(return_ip, 0, "RCX is the address behind SYSCALL");
	check_eq(return_flags & 0x400, 0x400, "R11 holds the caller's flags");
	check_eq(kernel_flags & 0x400, 0, "SFMASK clears flags");
}

static ulong ist_sp;

static void note_sp(struct regs *regs)
{
	ist_sp = (ulong)regs;
	regs->ip = trap_resume;
	trap_resume = 0;
}

static void interrupt_stack(void)
{
	*(u64 *)(tss + 36) = (ulong)ist_stack + sizeof(ist_stack);
	idt[UD].ist = 1;
	trap_on(UD, note_sp);
	TRY("ud2");
	check(ist_sp > (ulong)ist_stack && ist_sp < (ulong)ist_stack + sizeof(ist_stack),
	      "an IST gate switches the stack");
	trap_on(UD, NULL);
	idt[UD].ist = 0;
}

static void segments(void)
{
	u64 value;

	page[7] = 0xfeed;
	wrmsr(MSR_GS_BASE, (ulong)page);
	wrmsr(MSR_KERNEL_GS, (ulong)page + 8);
	page[8] = 0xbeef;
	asm volatile("mov %%gs:56, %0" : "=r"(value));
	check_eq(value, 0xfeed, "GS base from its MSR");
	asm volatile("swapgs; mov %%gs:56, %0; swapgs" : "=r"(value));
	check_eq(value, 0xbeef, "SWAPGS takes the other base");
	wrmsr(MSR_FS_BASE, (ulong)page - 8);
	asm volatile("mov %%fs:64, %0" : "=r"(value));
	check_eq(value, 0xfeed, "FS base from its MSR");
}

int main(void)
{
	mode();
	exceptions();
	paging();
	compatibility();
	system_calls();
	interrupt_stack();
	segments();
	return 0;
}
