/* SPDX-License-Identifier: MIT */
/*
 * Checks hardware task switches: by JMP, CALL and IRET, and through task gates in the IDT for INT n, faults, double
 * faults and NMIs; with 32-bit and 16-bit TSSs. Intel SDM, "Task Switching", "Task Linking", "Exception Conditions
 * Checked During a Task Switch".
 */
#include "guest.h"

#define NT   0x4000u
#define VM   0x20000u
#define BUSY 2u

/* Free slots of the GDT. */
enum { SECOND = SPARE, THIRD = 0x58, LDT = 0x60, BROKEN = 0x68, SMALL_CODE = 0x70, FAULTS = 0x78 };
enum { TS_FAULT = 10 };

struct tss32 {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi,
	    es, cs, ss, ds, fs, gs, ldt, iomap;
};
struct tss16 {
	u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};

static struct tss32 second, third, faults;
static struct tss16 small;
static u8 stacks[3][4096] __attribute__((aligned(16)));
static u64 ldt[2];
static volatile u32 ran, depth, error, fault_link, busy_inside, flags_inside, ts_inside, db_seen, dbs, nmis, deepest;
static u32 directory[2][1024] __attribute__((aligned(4096)));
static u32 page[2][1024] __attribute__((aligned(4096)));

#define FIRST ((struct tss32 *)tss)
#define JMP(selector)  asm volatile("ljmp %0, $0" : : "i"(selector) : "memory", "cc")
#define CALL(selector) asm volatile("lcall %0, $0" : : "i"(selector) : "memory", "cc")

static u64 descriptor(u32 base, u32 limit, u8 type, u8 flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}

static u32 busy(u16 selector)
{
	return (u32)(gdt[selector / 8] >> 40) & BUSY;
}

static u32 both_busy(void)
{
	return busy(TSS) | busy(SECOND) << 4;
}

static void task_at(struct tss32 *task, u16 selector, void (*entry)(void), u32 stack)
{
	*task = (struct tss32){ .cr3 = READ_CR(3), .eip = (u32)entry, .eflags = 2,
		.esp = (u32)(stacks[stack] + sizeof(stacks[stack])), .es = DATA, .cs = CODE32, .ss = DATA,
		.ds = DATA, .fs = DATA, .gs = DATA, .ss0 = DATA, .iomap = 0x680000 };
	gdt[selector / 8] = descriptor((u32)task, sizeof(*task) - 1, 0x89, 0);
}

static u32 eflags(void)
{
	u32 value;

	asm volatile("pushf; pop %0" : "=r"(value));
	return value;
}

static void look(void)
{
	ran++;
	busy_inside = both_busy();
	flags_inside = eflags();
	ts_inside = READ_CR(0) & 8;
}

/* --- by JMP --- */

static void jumps_back(void)
{
	for (;;) {
		look();
		JMP(TSS);
	}
}

static void by_jmp(void)
{
	u32 kept = 0x12345678;

	ran = 0;
	task_at(&second, SECOND, jumps_back, 0);
	asm volatile("clts");
	asm volatile("ljmp %1, $0" : "+S"(kept) : "i"(SECOND) : "memory", "cc");
	check_eq(ran, 1, "JMP switches to another task, which jumps back");
	check_eq(kept, 0x12345678, "a register keeps its value");
	check_eq(FIRST->esi, 0x12345678, "... and was in the TSS");
	check_eq(FIRST->cs, CODE32, "... and so was CS");
	check_eq(busy_inside, BUSY << 4, "the new task is busy, the old one is not");
	check_eq(both_busy(), BUSY, "... and back again");
	check_eq(flags_inside & NT, 0, "JMP does not nest");
	check(ts_inside && (READ_CR(0) & 8), "each switch sets CR0.TS");
	JMP(SECOND);
	check_eq(ran, 2, "the other task goes on behind its own JMP");
}

/* --- by CALL and IRET --- */

static void returns(void)
{
	for (;;) {
		look();
		asm volatile("iret");
	}
}

static void calls_on(void)
{
	for (;;) {
		CALL(THIRD);
		depth++;
		asm volatile("iret");
	}
}

static void by_call(void)
{
	ran = depth = 0;
	task_at(&second, SECOND, returns, 0);
	CALL(SECOND);
	check_eq(ran, 1, "CALL switches to another task, IRET returns");
	check_eq(second.link & 0xffff, TSS, "the back link names the caller");
	check_eq(busy_inside, BUSY | BUSY << 4, "both are busy");
	check_eq(both_busy(), BUSY, "after IRET only the caller is");
	check_eq(flags_inside & NT, NT, "the called task has NT set");
	check_eq(eflags() & NT, 0, "... the caller has not");
	check_eq(second.eflags & NT, 0, "IRET clears NT in the TSS that it leaves");

	task_at(&second, SECOND, calls_on, 0);
	task_at(&third, THIRD, returns, 1);
	CALL(SECOND);
	CALL(SECOND);
	check(ran == 3 && depth == 2, "calls nest, and tasks go on behind their IRET");
	check_eq(third.link & 0xffff, SECOND, "the inner one returns to the outer one");
}

/* --- by the IDT --- */

static void by_int(void)
{
	ran = 0;
	task_at(&second, SECOND, returns, 0);
	gate_set(0x60, 0, SECOND, 0x85, 0);
	asm volatile("int $0x60" : : : "memory", "cc");
	asm volatile("int $0x60" : : : "memory", "cc");
	check_eq(ran, 2, "INT n through a task gate returns behind itself");
	check_eq(flags_inside & NT, NT, "... nested");
}

/* The error code is on the handler's stack. It skips the instruction of two bytes that has faulted. */
void fault_task(void);
asm("fault_task: pop error; mov faults, %eax; mov %eax, fault_link; addl $2, (32 + tss); incl ran; iret;"
    "jmp fault_task");

static void by_fault(void)
{
	ran = error = 0;
	task_at(&faults, FAULTS, fault_task, 2);
	gate_set(GP, 0, FAULTS, 0x85, 0);
	asm volatile("mov %0, %%ds" : : "r"(0x7f8) : "memory");
	check_eq(ran, 1, "#GP through a task gate");
	check_eq(error, 0x7f8, "... with its error code on the new stack");
	check_eq(fault_link & 0xffff, TSS, "... from this task");
	asm volatile("mov %0, %%ds" : : "r"(0x7f0) : "memory");
	check(ran == 2 && error == 0x7f0, "... and again");
}

void double_fault_task(void);
asm("double_fault_task: pop error; movl $resume, (32 + tss); incl ran; iret; jmp double_fault_task");

static void by_double_fault(void)
{
	ran = 0;
	error = 1;
	task_at(&faults, FAULTS, double_fault_task, 2);
	gate_set(DF, 0, FAULTS, 0x85, 0);
	gate_set(GP, 0, 0, 0, 0);		/* #GP cannot be delivered */
	asm volatile("mov %0, %%ds\n\t.globl resume\nresume:" : : "r"(0x7f8) : "memory", "cc");
	check_eq(ran, 1, "a double fault through a task gate");
	check_eq(error, 0, "... with its error code");
}

static void nmi_task(void)
{
	for (;;) {
		nmis++;
		if (++depth > deepest)
			deepest = depth;
		if (nmis == 1) {
			lapic_write(0x300, 0x400);
			for (u32 i = 0; i < 100; i++)
				pause();
		}
		depth--;
		asm volatile("iret");
	}
}

static void by_nmi(void)
{
	depth = nmis = deepest = 0;
	lapic_write(0xf0, 0x1ff);
	task_at(&second, SECOND, nmi_task, 0);
	gate_set(NMI, 0, SECOND, 0x85, 0);
	lapic_write(0x300, 0x400);
	for (u32 i = 0; i < 100; i++)
		pause();
	check_eq(nmis, 2, "an NMI through a task gate, and one more that was sent meanwhile");
	check_eq(deepest, 1, "... which waits for the IRET");
}

/* --- what a task brings along --- */

static void on_db(struct regs *regs)
{
	u32 dr6;

	(void)regs;
	dbs++;
	asm volatile("mov %%db6, %0" : "=r"(dr6));
	db_seen = dr6 & 0xe00f;
}

static void trap_bit(void)
{
	trap_on(DB, on_db);
	asm volatile("mov %0, %%db6" : : "r"(0));
	ran = db_seen = dbs = 0;
	task_at(&second, SECOND, returns, 0);
	second.iomap |= 1;
	CALL(SECOND);
	check_eq(ran, 1, "a task whose T bit is set");
	if (!db_seen && dbs && vendor_amd() && hypervisor_present())
		skip("... begins with a #DB for it", "Bochs does not write DR6 where #DB is intercepted");
	else
		check_eq(db_seen, 0x8000, "... begins with a #DB for it");
}

void reads_ldt(void);
asm("reads_ldt: mov 0, %eax; mov %eax, %ss:error; incl %ss:ran; iret; jmp reads_ldt");

static void own_ldt(void)
{
	page[0][0] = 0x600d;
	ldt[1] = descriptor((u32)page[0], 0xfff, 0x92, 4);
	gdt[LDT / 8] = descriptor((u32)ldt, sizeof(ldt) - 1, 0x82, 0);
	ran = error = 0;
	task_at(&second, SECOND, reads_ldt, 0);
	second.ldt = LDT;
	second.ds = 0xc;
	CALL(SECOND);
	check(ran == 1 && error == 0x600d, "a task has an LDT of its own");
	check_eq(ldt[1] >> 40 & 1, 1, "... whose segment is marked as accessed");
}

#define WINDOW 0x40000000u

void reads_window(void);
asm("reads_window: mov 0x40000000, %eax; mov %eax, error; incl ran; iret; jmp reads_window");

static void own_address_space(void)
{
	static u32 tables[2][1024] __attribute__((aligned(4096)));

	for (u32 i = 0; i < 2; i++) {
		directory[i][0] = 0x83;				/* 4 MiB pages */
		directory[i][0xfee00000 >> 22] = 0xfec00083;
		directory[i][WINDOW >> 22] = (u32)tables[i] | 3;
		tables[i][0] = (u32)page[i] | 3;
		page[i][0] = 0x1000 + i;
	}
	WRITE_CR(4, READ_CR(4) | 0x10);
	WRITE_CR(3, directory[0]);
	WRITE_CR(0, READ_CR(0) | 0x80000000);
	ran = error = 0;
	FIRST->cr3 = (u32)directory[0];
	task_at(&second, SECOND, reads_window, 0);
	second.cr3 = (u32)directory[1];
	CALL(SECOND);
	check(ran == 1 && error == 0x1001, "a task has an address space of its own");
	check_eq(*(volatile u32 *)WINDOW, 0x1000, "... and IRET brings the other one back");
	WRITE_CR(0, READ_CR(0) & 0x7fffffff);
}

void small_task(void);
asm("small_task: mov %ax, error; incl ran; iret; jmp small_task");

static void with_16_bits(void)
{
	u32 kept = 0x12345678;

	ran = error = 0;
	gdt[SMALL_CODE / 8] = descriptor((u32)small_task, 0xffff, 0x9b, 4);
	small = (struct tss16){ .ax = 0x4321, .flags = 2, .es = DATA, .cs = SMALL_CODE, .ss = DATA, .ds = DATA };
	gdt[SECOND / 8] = descriptor((u32)&small, sizeof(small) - 1, 0x81, 0);
	asm volatile("lcall %1, $0" : "+S"(kept) : "i"(SECOND) : "memory", "cc");
	check(ran == 1 && error == 0x4321, "a task with a 16-bit TSS");
	check_eq(kept, 0x12345678, "... returns to one with a 32-bit TSS");
	check_eq(small.link, TSS, "... by its back link");
}

/* --- faults --- */

static void by_refusal(void)
{
	gate_set(GP, 0, FAULTS, 0x85, 0);
	gate_set(NP, 0, FAULTS, 0x85, 0);
	gate_set(TS_FAULT, 0, FAULTS, 0x85, 0);
}

/* The JMP has 7 bytes. It faults in the old task. */
void old_fault_task(void);
asm("old_fault_task: pop error; mov faults, %eax; mov %eax, fault_link; addl $7, (32 + tss); incl ran; iret;"
    "jmp old_fault_task");

static void old_task_faults(const char *name, u64 tss_descriptor, u32 expected)
{
	task_at(&faults, FAULTS, old_fault_task, 2);
	by_refusal();
	ran = error = 0;
	gdt[SECOND / 8] = tss_descriptor;
	JMP(SECOND);
	check(ran == 1 && (fault_link & 0xffff) == TSS, name);
	check_eq(error, expected, "... with its error code");
}

/* Faults of the new task: the handler's back link names it. The handler jumps back here. */
void new_fault_task(void);
asm("new_fault_task: pop error; mov faults, %eax; mov %eax, fault_link; incl ran; ljmp $0x40, $0;"
    "jmp new_fault_task");

static void new_task_faults(const char *name, u32 expected)
{
	task_at(&faults, FAULTS, new_fault_task, 2);
	by_refusal();
	gate_set(SS, 0, FAULTS, 0x85, 0);
	ran = error = 0;
	JMP(SECOND);
	check(ran == 1 && (fault_link & 0xffff) == SECOND, name);
	check_eq(error, expected, "... with its error code");
}

#define NEW_TASK(change, name, expected) do {		\
	task_at(&second, SECOND, returns, 0);		\
	change;						\
	new_task_faults(name, expected);		\
} while (0)

static void refusals(void)
{
	u32 base = (u32)&second;

	old_task_faults("a TSS that is not present", descriptor(base, 103, 0x09, 0), SECOND);
	old_task_faults("a TSS that is too short", descriptor(base, 102, 0x89, 0), SECOND);
	old_task_faults("a busy TSS", descriptor(base, 103, 0x8b, 0), SECOND);
	gdt[BROKEN / 8] = descriptor(0, 0xfffff, 0x12, 12);
	NEW_TASK(second.ldt = DATA, "an LDT selector of another segment", DATA);
	NEW_TASK(second.cs = DATA, "CS of a data segment", DATA);
	NEW_TASK(second.cs = 0, "a null CS", 0);
	NEW_TASK(second.ss = 0, "a null SS", 0);
	NEW_TASK(second.ss = CODE32, "SS of a code segment", CODE32);
	NEW_TASK(second.ss = BROKEN, "SS of a segment that is not present", BROKEN);
	NEW_TASK(second.ds = BROKEN, "DS of a segment that is not present", BROKEN);
	NEW_TASK(second.gs = 0x7f8, "GS beyond the GDT", 0x7f8);
	NEW_TASK(second.ds = TSS, "DS of a system segment", TSS);
}

/* HLT is privileged: its #GP is the exit of the virtual-8086 task. */
static void virtual_8086(void)
{
	*(volatile u8 *)0x8010 = 0xf4;
	task_at(&second, SECOND, NULL, 0);
	second.eflags = VM | 2;
	second.cs = 0x0801;
	second.ss = second.ds = second.es = second.fs = second.gs = 0x0800;
	second.esp = 0x100;
	second.eip = 0;
	new_task_faults("a virtual-8086 task", 0);
	check_eq(second.eflags & VM, VM, "... is left with VM in its TSS");
	check_eq(second.cs & 0xffff, 0x0801, "... and the selector that it came with");
}

/* "int=0", "paging=0": left out, where a hypervisor's processor cannot tell or repeat them. */
int main(void)
{
	u32 with_int = 1, with_paging = 1;

	cmdline_number("int", &with_int);
	cmdline_number("paging", &with_paging);
	by_jmp();
	by_call();
	if (with_int)
		by_int();
	else
		skip("INT n through a task gate", "asked for");
	by_fault();
	by_double_fault();
	trap_bit();
	own_ldt();
	if (with_paging)
		own_address_space();
	else
		skip("a task has an address space of its own", "asked for");
	with_16_bits();
	refusals();
	virtual_8086();
	by_nmi();
	return 0;
}
