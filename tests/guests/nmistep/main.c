/* SPDX-License-Identifier: MIT */
/*
 * An NMI that waits for the IRET of another one's handler: how the hypervisor waits for it must not show. A debugger's
 * handler sets TF in the frame that it returns by; an IRET faults; an interrupt shadow ends by an instruction that
 * pushes RFLAGS. SDM, "Handling Multiple NMIs", "Single-Step Exception Condition"; on bare processors the same.
 */
#include "guest.h"

#define TF 0x100ul

static volatile u32 nmis, steps, faults, second;
static volatile bool set_tf, break_cs;
static volatile u64 second_flags, fault_flags;

static void send_nmi(void)
{
	lapic_write(0x300, 0x400);
}

static void on_nmi(struct regs *regs)
{
	if (++nmis != 1) {
		second_flags = regs->flags;
		return;
	}
	if (second) {
		send_nmi();
		for (u32 i = 0; i < 50; i++)
			pause();
	}
	if (set_tf)
		regs->flags |= TF;
	if (break_cs)
		regs->cs = 0xfff8;
}

static void on_db(struct regs *regs)
{
	if (++steps >= 4)
		regs->flags &= ~TF;
}

static void on_gp(struct regs *regs)
{
	faults++;
	fault_flags = regs->flags;
	((u64 *)regs->sp)[1] = CODE64;
}

static void start(u32 with_second)
{
	nmis = steps = faults = 0;
	second_flags = fault_flags = 0;
	second = with_second;
	asm volatile("movl $0x400, (%0)\n\t"
		     ".rept 40\n\tnop\n\t.endr" : : "r"(LAPIC + 0x300) : "memory", "cc");
}

static void steps_by_iret(void)
{
	set_tf = true;
	start(0);
	check_eq(nmis, 1, "one NMI");
	check_eq(steps, 4, "the code that it interrupted is stepped");
	start(1);
	check_eq(nmis, 2, "two NMIs");
	check_eq(second_flags & TF, TF, "the second one's frame has TF");
	check_eq(steps, 4, "the code that they interrupted is stepped");
	set_tf = false;
}

static void iret_faults(void)
{
	break_cs = true;
	start(0);
	check(nmis == 1 && faults == 1, "one NMI, its IRET faults");
	check_eq(fault_flags & TF, 0, "... without TF in the frame");
	start(1);
	check_eq(faults, 1, "two NMIs, the first one's IRET faults");
	check_eq(nmis, 2, "... both are served");
	check_eq(fault_flags & TF, 0, "... without TF in the fault's frame");
	check_eq(steps, 0, "... and no #DB");
	break_cs = false;
}

/* The NMI is sent, and blocked or not, by the code that runs in the shadow of STI. */
static void shadow(void)
{
	ulong pushed, flags;

	nmis = steps = 0;
	for (u32 i = 0; i < 8; i++) {
		asm volatile("cli\n\tmovl $0x400, (%1)\n\tsti\n\tpushf\n\tpop %0\n\tcli"
			     : "=r"(pushed) : "r"(LAPIC + 0x300) : "memory", "cc");
		check_eq(pushed & TF, 0, "PUSHF in the shadow of STI pushes no TF");
	}
	asm volatile("movl $0x400, (%1)\n\tmov %2, %%ss\n\tpushf\n\tpop %0"
		     : "=r"(pushed) : "r"(LAPIC + 0x300), "r"(DATA) : "memory", "cc");
	check_eq(pushed & TF, 0, "PUSHF behind MOV SS pushes no TF");
	asm volatile("pushf\n\tpop %0" : "=r"(flags));
	check_eq(flags & TF, 0, "TF is clear afterwards");
	check_eq(nmis, 9, "all NMIs are served");
	check_eq(steps, 0, "without a #DB");
}

int main(void)
{
	trap_on(NMI, on_nmi);
	trap_on(DB, on_db);
	trap_on(GP, on_gp);
	lapic_write(0xf0, 0x1ff);
	steps_by_iret();
	iret_faults();
	second = 0;
	shadow();
	return 0;
}
