/* SPDX-License-Identifier: MIT */
/*
 * Checks the delivery of events: faults inside delivery, gates that are absent or forbidden,
 * single steps over what a hypervisor emulates, interrupt shadows, NMIs and their blocking,
 * and what ring 3 may do.
 */
#include "guest.h"

#define GATE(vector, ext)	((vector) * 8 + 2 + (ext))	/* error code of a bad gate */
#define NMI_IPI		0x400
#define SELF		0x40000
#define VECTOR		0x61
#define LEAVE_USER	0x81

static u8 ist_stack[4096] __attribute__((aligned(16)));
static u8 user_stack[4096] __attribute__((aligned(16)));

static void check_error(u32 got, u32 expected)
{
	if (vendor_amd() && (expected & 2) && got == (expected & ~7) * 2 + 2)
		skip("... with its error code", "QEMU doubles the vector in long mode");
	else
		check_eq(got, expected, "... with its error code");
}

static void fault(u32 vector, u32 expected, u32 error, const char *name)
{
	u32 got = trap.error;

	check_eq(vector, expected, name);
	check_error(got, error);
}

/* Faults while another event is being delivered. */
static void nested(void)
{
	*(u64 *)(tss + 36) = (ulong)ist_stack + sizeof(ist_stack);
	idt[DF].ist = 1;
	idt[DE].type &= 0x7f;
	fault(TRY("div %0", : : "r"(0), "a"(0), "d"(0)), DF, 0, "#DE, then #NP, is a double fault");
	idt[DE].type |= 0x80;
	idt[PF].type &= 0x7f;
	fault(TRY("mov (%0), %%al", : : "r"(BIT(40)) : "rax"), DF, 0,
	      "#PF, then #NP, is a double fault");
	check_eq(READ_CR(2), BIT(40), "... with CR2 from the first");
	idt[PF].type |= 0x80;
	idt[UD].type &= 0x7f;
	fault(TRY("ud2"), NP, GATE(UD, 1), "#UD, then #NP, are two faults in turn");
	idt[UD].type |= 0x80;
	idt[DF].ist = 0;
}

static void gates(void)
{
	struct { u16 limit; ulong base; } __attribute__((packed)) idtr;

	idt[0x70].type = 0x0e;
	fault(TRY("int $0x70"), NP, GATE(0x70, 0), "INT to a gate that is not present");
	idt[0x70].type = 0x80;
	fault(TRY("int $0x70"), GP, GATE(0x70, 0), "INT to what is no gate");
	idt[0x70].type = 0x8e;
	idt[0x70].selector = DATA;
	fault(TRY("int $0x70"), GP, DATA, "INT to a gate without code");
	asm volatile("sidt %0" : "=m"(idtr));
	idtr.limit = 0x60 * 16 - 1;
	asm volatile("lidt %0" : : "m"(idtr));
	fault(TRY("int $0x70"), GP, GATE(0x70, 0), "INT beyond the IDT");
	idtr.limit = sizeof(idt) - 1;
	asm volatile("lidt %0" : : "m"(idtr));
	idt[VECTOR].type &= 0x7f;
	lapic_write(0x300, SELF | VECTOR);
	fault(TRY("sti; nop; nop; nop; nop; pause; nop; cli"), NP, GATE(VECTOR, 1),
	      "an interrupt to a gate that is not present");
	idt[VECTOR].type |= 0x80;
	cli();
	lapic_write(0xb0, 0);
}

/*
 * SDM, "MS-DOS Compatibility Sub-Mode": with CR0.NE = 0 a floating-point error is IRQ 13 at the next instruction that
 * waits for errors, and a write to port F0h takes it back.
 */
static u32 fpu_interrupts;

static void fpu_handler(struct regs *regs)
{
	(void)regs;
	fpu_interrupts++;
	outb(0xf0, 0);
	asm volatile("fnclex");
	pic_eoi(13);
}

static void fpu_errors(void)
{
	ulong cr0 = READ_CR(0);
	u16 mask = 0x33b, status;

	if (!hypervisor_present() || vendor_amd()) {
		skip("a floating-point error without CR0.NE", "QEMU and Bochs know no FERR_FREEZE");
		return;
	}
	asm volatile("fninit; fldcw %0; fldz; fld1; fdiv %%st(1), %%st" : : "m"(mask));
	WRITE_CR(0, cr0 | BIT(5));
	check_eq(TRY("fwait"), 16, "a floating-point error with CR0.NE is #MF");
	asm volatile("fninit; fldcw %0; fldz; fld1; fdiv %%st(1), %%st" : : "m"(mask));
	WRITE_CR(0, cr0 & ~BIT(5));
	pic_init((u16)~(BIT(13) | BIT(2)));
	trap_on(0x2d, fpu_handler);
	sti();
	asm volatile("fwait");
	cli();
	check_eq(fpu_interrupts, 1, "a floating-point error without CR0.NE is IRQ 13");
	asm volatile("fnstsw %0" : "=m"(status));
	check_eq(status & 0x80, 0, "... once, and the instruction goes on");
	WRITE_CR(0, cr0);
	pic_init(0xffff);
	trap_on(0x2d, NULL);
}

static ulong stepped[16];
static u32 steps, dr6;

static void on_debug(struct regs *regs)
{
	if (steps < ARRAY_SIZE(stepped))
		stepped[steps] = regs->ip;
	steps++;
	dr6 = ({ ulong v; asm volatile("mov %%dr6, %0" : "=r"(v)); v; });
	asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
}

static void check_dr6(u32 bit, const char *name)
{
	if (!(dr6 & bit) && vendor_amd() && hypervisor_present())
		skip(name, "Bochs does not write DR6 where #DB is intercepted");
	else
		check_eq(dr6 & bit, bit, name);
}

/* A trap after each instruction, also after those that a hypervisor emulates. */
static void single_step(void)
{
	ulong first;

	trap_on(DB, on_debug);
	asm volatile("lea 1f(%%rip), %0\n\t"
		     "pushf; orl $0x100, (%%rsp); popf\n"
		     "1: nop\n\tcpuid\n\tin $0x61, %%al\n\tmov 0xfee00020, %%eax\n\t"
		     "mov $0x1b, %%ecx\n\trdmsr\n\tmov %%cr0, %%rax\n\tmov %%rax, %%cr0\n\t"
		     "pushf; andl $~0x100, (%%rsp); popf"
		     : "=&r"(first) : : "rax", "rbx", "rcx", "rdx", "memory", "cc");
	check_eq(steps, 11, "single step traps once after each instruction");
	check_dr6(0x4000, "... with DR6.BS");
	check_eq(stepped[0], first + 1, "... NOP");
	check_eq(stepped[1], first + 3, "... CPUID");
	check_eq(stepped[2], first + 5, "... IN");
	steps = 0;
	trap_on(DB, NULL);
}

static void software(void)
{
	ulong here;
	u32 vector;

	check_eq(TRY("int3"), BP, "INT3 raises #BP");
	here = trap.ip;
	check_eq(*(u8 *)(here - 1), 0xcc, "... as a trap");
	check_eq(TRY(".byte 0xcd, 3"), BP, "INT 3 does too");
	check_eq(*(u8 *)(trap.ip - 2), 0xcd, "... behind its two bytes");
	check_eq(TRY(".byte 0xce"), UD, "INTO is no instruction in 64-bit mode");
	vector = TRY(".byte 0xf1");
	if (vector == UD && vendor_amd())
		skip("ICEBP raises #DB", "QEMU raises #UD");
	else
		check_eq(vector, DB, "ICEBP raises #DB");
}

/* The exec breakpoint fires before its instruction, so RF in the return frame steps over it. */
static void on_breakpoint(struct regs *regs)
{
	on_debug(regs);
	regs->flags |= BIT(16);
}

static void breakpoints(void)
{
	ulong value;

	asm volatile("mov %0, %%dr3" : : "r"(0x123456789abul));
	asm volatile("mov %%dr3, %0" : "=r"(value));
	check_eq(value, 0x123456789ab, "DR3 keeps a value");
	asm volatile("mov %%dr7, %0" : "=r"(value));
	check_eq(value, 0x400, "DR7 is as after reset");
	trap_on(DB, on_breakpoint);
	asm volatile("lea 1f(%%rip), %0; mov %0, %%dr0; mov %1, %%dr7; jmp 1f\n"
		     "1: nop; mov %2, %%dr7"
		     : "=&r"(value) : "r"(0x402ul), "r"(0x400ul) : "memory");
	if (!steps && vendor_amd()) {
		skip("breakpoints", "QEMU does not arm them below a hypervisor");
	} else {
		check_eq(steps, 1, "a breakpoint in DR0 fires once");
		check_eq(stepped[0], value, "... before its instruction");
		check_dr6(1, "... with DR6.B0");
	}
	trap_on(DB, NULL);
}

static ulong interrupted;

static void on_interrupt(struct regs *regs)
{
	interrupted = regs->ip;
	lapic_write(0xb0, 0);
}

/*
 * With IF set, so that the machine below a hypervisor has time for what its console has caused: where an interrupt of
 * its own is pending, Bochs (2.7, 3.0) delivers a virtual one although IF is clear.
 */
static void let_the_machine_rest(void)
{
	asm volatile("sti");
	for (u32 i = 0; i < 3000000; i++)
		asm volatile("");
	asm volatile("cli");
}

static void shadows(void)
{
	ulong after;

	trap_on(VECTOR, on_interrupt);
	let_the_machine_rest();
	lapic_write(0x300, SELF | VECTOR);
	asm volatile("lea 1f(%%rip), %0; sti; nop; 1: nop; cli" : "=r"(after) : : "memory");
	check_eq(interrupted, after, "STI lets one more instruction run");
	interrupted = 0;
	let_the_machine_rest();
	lapic_write(0x300, SELF | VECTOR);
	asm volatile("sti; cli" : : : "memory");
	check_eq(interrupted, 0, "STI, CLI lets nothing in");
	asm volatile("mov %1, %%ecx; lea 1f(%%rip), %0; push $0x202; popf; 1: nop; cli"
		     : "=&r"(after) : "i"(DATA) : "ecx", "memory");
	check_eq(interrupted, after, "POPF lets it in immediately");
}

static volatile u32 nmis, depth, deepest, seen_inside;

static void send_nmi(void)
{
	lapic_write(0x310, lapic_read(0x20));
	lapic_write(0x300, NMI_IPI);
	for (u32 i = 0; i < 100; i++)
		pause();
}

static void on_nmi(struct regs *regs)
{
	(void)regs;
	if (++depth > deepest)
		deepest = depth;
	if (++nmis == 1) {
		send_nmi();
		seen_inside = nmis;
	}
	depth--;
}

static void nmi(void)
{
	trap_on(NMI, on_nmi);
	send_nmi();
	check_eq(seen_inside, 1, "an NMI blocks the next");
	check_eq(nmis, 2, "... until IRET");
	check_eq(deepest, 1, "... so they do not nest");
	send_nmi();
	check_eq(nmis, 3, "another NMI comes with interrupts off");
}

static struct regs kernel;

static void on_enter(struct regs *regs)
{
	kernel = *regs;
	regs->cs = USER_CODE64;
	regs->ss = USER_DATA;
	regs->sp = (ulong)user_stack + sizeof(user_stack) - 8;
	regs->ip = regs->ax;
	regs->flags |= 0x202;
}

static void on_leave(struct regs *regs)
{
	*regs = kernel;
}

static struct { u32 vector, error; } user[9];

static void in_user_mode(void)
{
#define USER(i, insn, ...) user[i].vector = TRY(insn, ##__VA_ARGS__), user[i].error = trap.error
	USER(0, "int $0x70");
	USER(1, "hlt");
	USER(2, "in $0x61, %%al", : : : "eax");
	USER(3, "rdmsr", : : "c"(0x1b) : "eax", "edx");
	USER(4, "mov %%cr0, %%rax", : : : "rax");
	USER(5, "mov (%0), %%al", : : "r"(LAPIC) : "rax");
	USER(6, "cpuid", : : "a"(0) : "ebx", "ecx", "edx");
	USER(7, "int3");
	USER(8, "cli");
	asm volatile("int $0x81");
}

static void user_mode(void)
{
	static const struct { const char *name; u32 vector, error; } expected[] = {
		{ "ring 3: INT to ring 0's gate", GP, GATE(0x70, 0) },
		{ "ring 3: HLT", GP, 0 },
		{ "ring 3: IN", GP, 0 },
		{ "ring 3: RDMSR", GP, 0 },
		{ "ring 3: MOV from CR0", GP, 0 },
		{ "ring 3: a supervisor page", PF, 5 },
		{ "ring 3: CPUID", NO_TRAP, 0 },
		{ "ring 3: INT3 to ring 0's gate", GP, GATE(BP, 0) },
		{ "ring 3: CLI", GP, 0 },
	};

	idt[0x70].selector = CODE64;
	idt[LEAVE_USER].type = 0xee;
	trap_on(0x80, on_enter);
	trap_on(LEAVE_USER, on_leave);
	pd[0] |= 4;
	WRITE_CR(3, pml4);
	asm volatile("int $0x80" : : "a"((ulong)in_user_mode) : "memory");
	cli();
	for (u32 i = 0; i < ARRAY_SIZE(expected); i++) {
		check_eq(user[i].vector, expected[i].vector, expected[i].name);
		if (expected[i].vector != NO_TRAP)
			check_error(user[i].error, expected[i].error);
	}
}

int main(void)
{
	lapic_write(0xf0, 0x1ff);
	nested();
	gates();
	single_step();
	software();
	breakpoints();
	shadows();
	nmi();
	fpu_errors();
	user_mode();
	return 0;
}
