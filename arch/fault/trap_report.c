/* SPDX-License-Identifier: MIT */
/*
 * The processor's part of a crash report. It must not crash again: it takes no lock, and reads only
 * memory that is known to be mapped.
 */
#include "arch/cpu/cpu.h"
#include "arch/cpu/gdt.h"
#include "arch/fault/trap.h"
#include "lib/log.h"
#include "lib/printf.h"

#define STACK_LINES  6
#define WORDS_A_LINE 4
#define MAX_CALLERS  24

extern char image_start[], text_end[], boot_stack[], boot_stack_top[];

static const char *const names[] = {
	[X86_DE] = "#DE divide error",
	[X86_DB] = "#DB debug exception",
	[X86_NMI] = "NMI",
	[X86_BP] = "#BP breakpoint",
	[X86_OF] = "#OF overflow",
	[X86_BR] = "#BR bound range exceeded",
	[X86_UD] = "#UD invalid opcode",
	[X86_NM] = "#NM device not available",
	[X86_DF] = "#DF double fault",
	[X86_TS] = "#TS invalid TSS",
	[X86_NP] = "#NP segment not present",
	[X86_SS] = "#SS stack fault",
	[X86_GP] = "#GP general protection",
	[X86_PF] = "#PF page fault",
	[X86_MF] = "#MF x87 floating point",
	[X86_AC] = "#AC alignment check",
	[X86_MC] = "#MC machine check",
	[X86_XM] = "#XM SIMD floating point",
	[X86_VE] = "#VE virtualization exception",
	[X86_CP] = "#CP control protection",
	[X86_SX] = "#SX security",
};

const char *trap_name(u64 vector)
{
	if (vector >= 32)
		return "interrupt";
	if (vector < ARRAY_SIZE(names) && names[vector])
		return names[vector];
	return "reserved exception";
}

struct stack {
	u64 bottom, top;	/* of the mapped part; both 0: no known stack */
};

/* The stack that the address belongs to; an address in the guard below a stack belongs to it, too. */
static struct stack stack_of(u64 address)
{
	u64 slot = (address - HOST_STACKS) / STACK_SLOT;
	enum cpu_stack stack = slot % CPU_STACKS;
	u64 top;

	if (address >= (u64)boot_stack && address < (u64)boot_stack_top)
		return (struct stack) { (u64)boot_stack, (u64)boot_stack_top };
	if (address < HOST_STACKS || slot / CPU_STACKS >= percpu_count())
		return (struct stack) { 0, 0 };
	top = cpu_stack_top((u32)(slot / CPU_STACKS), stack);
	return (struct stack) { top - cpu_stack_size(stack), top };
}

static bool is_code(u64 address)
{
	return address >= (u64)image_start && address < (u64)text_end;
}

static void report_error_code(const struct trap_frame *f)
{
	u32 code = (u32)f->error_code;

	if (f->vector == X86_PF)
		log_error("  page fault at 0x%016llx: %s of %s%s, error code 0x%x", (ull)read_cr2(),
			  code & PF_FETCH ? "fetch" : code & PF_WRITE ? "write" : "read",
			  code & PF_PRESENT ? "a protected page" : "an unmapped page",
			  code & PF_RESERVED ? " (reserved bit set in a table)" : "", code);
	else if (code)	/* Intel SDM, "Error Code" */
		log_error("  error code 0x%x: %s selector 0x%x%s", code,
			  code & BIT(1) ? "IDT" : code & BIT(2) ? "LDT" : "GDT", code & 0xfff8,
			  code & BIT(0) ? ", while delivering an external event" : "");
}

static void report_registers(const struct trap_frame *f)
{
	log_error("  rip %016llx  cs %04llx  rflags %08llx  rsp %016llx  ss %04llx", (ull)f->rip,
		  (ull)f->cs, (ull)f->rflags, (ull)f->rsp, (ull)f->ss);
	log_error("  rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx", (ull)f->rax, (ull)f->rbx,
		  (ull)f->rcx, (ull)f->rdx);
	log_error("  rsi %016llx  rdi %016llx  rbp %016llx  r8  %016llx", (ull)f->rsi, (ull)f->rdi,
		  (ull)f->rbp, (ull)f->r8);
	log_error("  r9  %016llx  r10 %016llx  r11 %016llx  r12 %016llx", (ull)f->r9, (ull)f->r10,
		  (ull)f->r11, (ull)f->r12);
	log_error("  r13 %016llx  r14 %016llx  r15 %016llx", (ull)f->r13, (ull)f->r14, (ull)f->r15);
	log_error("  cr0 %08llx  cr2 %016llx  cr3 %016llx  cr4 %08llx  efer %08llx",
		  (ull)read_cr0(), (ull)read_cr2(), (ull)read_cr3(), (ull)read_cr4(),
		  (ull)rdmsr(MSR_EFER));
}

static void report_stack(struct stack stack, u64 rsp)
{
	const u64 *word = (const u64 *)rsp;

	for (unsigned line = 0;
	     line < STACK_LINES && word + WORDS_A_LINE <= (const u64 *)stack.top;
	     line++, word += WORDS_A_LINE)
		log_error("  %s %016llx %016llx %016llx %016llx", line ? "     " : "stack",
			  (ull)word[0], (ull)word[1], (ull)word[2], (ull)word[3]);
}

/* Follow the chain of frame pointers while they are valid. Returns how many callers were found. */
static unsigned report_frames(struct stack stack, u64 rsp, u64 rbp)
{
	unsigned found = 0;

	while (found < MAX_CALLERS && IS_ALIGNED(rbp, 8) && rbp >= rsp && rbp <= stack.top - 16) {
		const u64 *frame = (const u64 *)rbp;

		if (!is_code(frame[1]))
			break;
		log_error("    %016llx", (ull)frame[1]);
		found++;
		rsp = rbp + 16;
		rbp = frame[0];
	}
	return found;
}

/* For an invalid frame pointer: print every word on the stack that looks like a return address. */
static void report_candidates(struct stack stack, u64 rsp)
{
	unsigned found = 0;

	for (const u64 *word = (const u64 *)rsp;
	     word < (const u64 *)stack.top && found < MAX_CALLERS; word++) {
		if (!is_code(*word))
			continue;
		log_error("    %016llx (perhaps)", (ull)*word);
		found++;
	}
}

static void report_callers(u64 rip, u64 rsp, u64 rbp)
{
	struct stack stack = stack_of(rsp);

	if (rsp < stack.bottom) {
		log_error("  stack overflow: its lower end is 0x%llx", (ull)stack.bottom);
		rsp = stack.bottom;
	}
	rsp = ALIGN_UP(rsp, 8);
	if (stack.top)
		report_stack(stack, rsp);
	else
		log_error("  the stack pointer is on no known stack");
	log_error("  at, and called from (addr2line -fi -e build/lamina.debug ADDRESS...):");
	log_error("    %016llx", (ull)rip);
	if (stack.top && report_frames(stack, rsp, rbp) == 0)
		report_candidates(stack, rsp);
}

void trap_report(const struct trap_frame *frame)
{
	report_error_code(frame);
	report_registers(frame);
	report_callers(frame->rip, frame->rsp, frame->rbp);
}

void trap_report_caller(const u64 *frame)
{
	report_callers(frame[1], (u64)(frame + 2), frame[0]);
}
