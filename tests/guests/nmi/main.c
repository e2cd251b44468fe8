/* SPDX-License-Identifier: MIT */
/*
 * Checks how NMIs are blocked: from the first one's delivery to the next IRET, in whichever handler,
 * with one more NMI latched meanwhile; and that NMIs have priority over interrupts.
 * SDM, "Handling Multiple NMIs".
 */
#include "guest.h"

#define NMI_IPI	    0x400
#define SELF	    0x40000
#define VECTOR	    0x66
#define TICK	    (PIT_HZ / 100)	/* longer than an NMI takes in a VM of a VM: else nothing but NMIs would run */

static volatile u32 nmis, depth, deepest, irqs, order[8], orders;
static volatile ulong nmi_ip[8];
/* "interrupts=1": the hypervisor sees no IRET, only that interrupts are on again after it. */
static u32 by_interrupts;
static void (*volatile inside)(void);	/* what the first NMI's handler does */

static void send_nmi(void)
{
	lapic_write(0x300, NMI_IPI);
}

static void note(u32 what)
{
	if (orders < ARRAY_SIZE(order))
		order[orders++] = what;
}

static void on_nmi(struct regs *regs)
{
	void (*run)(void) = inside;

	note(NMI);
	if (nmis < ARRAY_SIZE(nmi_ip))
		nmi_ip[nmis] = regs->ip;
	nmis++;
	if (++depth > deepest)
		deepest = depth;
	inside = NULL;
	if (run)
		run();
	depth--;
}

static void on_irq(struct regs *regs)
{
	(void)regs;
	note(VECTOR);
	irqs++;
	lapic_write(0xb0, 0);
}

static void start(void (*run)(void))
{
	nmis = depth = deepest = irqs = orders = 0;
	inside = run;
	if (by_interrupts)
		sti();
	send_nmi();
	for (u32 i = 0; i < 100; i++)
		pause();
	if (by_interrupts)
		cli();
}

static void send_three(void)
{
	send_nmi();
	send_nmi();
	send_nmi();
	for (u32 i = 0; i < 100; i++)
		pause();
	note(0);
}

static void latched(void)
{
	start(send_three);
	check_eq(nmis, 2, "of three NMIs while one is served, one is kept");
	check_eq(deepest, 1, "... until its handler has returned");
	check_eq(order[1], 0, "... and not before");
	check_eq(nmi_ip[1], nmi_ip[0], "... to the instruction where the first one came");
}

static volatile ulong behind;

static void on_breakpoint(struct regs *regs)
{
	(void)regs;
	note(BP);
}

static void send_and_trap(void)
{
	ulong here;

	send_nmi();
	asm volatile("lea 1f(%%rip), %0; int3; 1: nop" : "=r"(here) : : "memory");
	behind = here;
	note(0);
}

/* The processor does not count handlers: any IRET unblocks. */
static void inner_iret(void)
{
	start(send_and_trap);
	check_eq(order[1], BP, "an exception in the handler is delivered");
	check_eq(order[2], NMI, "... and its IRET lets the next NMI in");
	check_eq(nmi_ip[1], behind, "... immediately");
	check_eq(deepest, 2, "... inside the first one's handler");
	check_eq(nmis, 2, "... once");
}

static void send_both(void)
{
	lapic_write(0x300, SELF | VECTOR);
	send_nmi();
}

static void before_interrupts(void)
{
	sti();
	start(send_both);
	cli();
	check_eq(irqs, 1, "an interrupt waits for the NMI's handler");
	check_eq(order[1], NMI, "an NMI that waits, too, goes before it");
	check_eq(order[2], VECTOR, "... and the interrupt follows");
	check_eq(nmis, 2, "... each once");
}

static void raise_fault(void)
{
	send_nmi();
	note(TRY("ud2"));
}

static void fault_inside(void)
{
	start(raise_fault);
	check_eq(nmis, 2, "a fault in the handler unblocks by its IRET, too");
	check_eq(order[1], NMI, "... before the handler goes on");
	check_eq(order[2], UD, "... which it does");
}

static void hlt(void)
{
	asm volatile("cli; hlt" : : : "memory");
}

/* SDM, "HLT": an NMI resumes execution, also with interrupts off. Nothing else can come here. */
static void wakes_from_hlt(void)
{
	nmis = orders = 0;
	inside = NULL;
	ioapic_write(0x15, lapic_read(0x20));
	ioapic_write(0x14, 0x400);			/* the PIT's pin, as NMI */
	pit_periodic(TICK);
	for (u32 i = 0; i < 3; i++)
		hlt();
	check(nmis >= 3, "a PIT tick as NMI ends HLT with interrupts off");
	ioapic_write(0x14, 0x10000);
	pit_oneshot(0);					/* its output is low for 55 ms, while the rest is set up */
	pic_init(0xfffe);
	lapic_write(0x350, 0x400);			/* LINT0, behind the 8259s */
	nmis = 0;
	pit_oneshot(TICK);				/* last, because the edge must not come before HLT's turn */
	hlt();
	check_eq(nmis, 1, "... and so it does through the 8259s and LINT0");
	lapic_write(0x350, 0x10000);
	pic_init(0xffff);
}

int main(void)
{
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x310, lapic_read(0x20));
	cmdline_number("interrupts", &by_interrupts);
	trap_on(NMI, on_nmi);
	trap_on(BP, on_breakpoint);
	trap_on(VECTOR, on_irq);
	latched();
	before_interrupts();
	if (by_interrupts) {
		skip("an IRET in the handler unblocks", "it leaves interrupts off");
		return 0;
	}
	inner_iret();
	fault_inside();
	wakes_from_hlt();
	return 0;
}
