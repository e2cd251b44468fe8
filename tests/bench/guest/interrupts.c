/* SPDX-License-Identifier: MIT */
/* The local APIC by MMIO and by MSR, interrupts that the guest sends itself, and its timer. */
#include "bench.h"

#define MSR_APIC_BASE	0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define APIC_SVR	0xf0
#define APIC_LVT_TIMER	0x320
#define APIC_TIMER_DIVIDE 0x3e0

enum { IPI = 0x40, TIMER, X2APIC_IPI, TICK = 0x44, X2APIC_TICK };

/* handlers.asm */
extern void handle_ipi(void), handle_timer(void), handle_x2apic_ipi(void), handle_nmi(void);
extern void handle_tick(void), handle_x2apic_tick(void);
extern volatile u32 irq_done, irq_tsc;	/* interrupts since CLEAR_DONE; when handle_timer() began */
volatile u32 irq_done, irq_tsc;

#define FEATURE(bit)	(cpuid(1, 0).c & BIT(bit))
#define AT_LAPIC(reg)	"mov $0xfee00000 + " #reg ", %%esi"
#define CLEAR_DONE	"movl $0, irq_done"
#define AWAIT(count)	"\n1:\tcmpl $" #count ", irq_done\n\tjb 1b"
#define ICR_SELF_IPI	"movl $0x40040, (" R(si) ")"

OPERATION(lapic_read_version, "", AT_LAPIC(0x30), "mov (" R(si) "), %%eax", "")
/* The same by other forms of MOV, and by another instruction. */
OPERATION(lapic_read_absolute, "", "", "mov 0xfee00030, %%eax", "")
OPERATION(lapic_read_sib, "", "mov $0xfee00000, %%esi\n\tmov $12, %%ebx", "mov (" R(si) ", " R(bx) ", 4), %%eax", "")
OPERATION(lapic_write_register, "", AT_LAPIC(0x80) "\n\txor %%eax, %%eax", "mov %%eax, (" R(si) ")", "")
OPERATION(lapic_test, "", AT_LAPIC(0x30), "testl $1, (" R(si) ")", "")
#ifdef __x86_64__
OPERATION(lapic_read_address32, "", AT_LAPIC(0x30), ".byte 0x67, 0x8b, 0x06", "")
OPERATION(lapic_read_moffs, "", "", "movabs 0xfee00030, %%eax", "")
#endif
OPERATION(lapic_write_tpr, "", AT_LAPIC(0x80), "movl $0, (" R(si) ")", "")
OPERATION(lapic_write_eoi, "", AT_LAPIC(0xb0), "movl $0, (" R(si) ")", "")
OPERATION(self_ipi, CLEAR_DONE "\n\tsti", AT_LAPIC(0x300), ICR_SELF_IPI AWAIT(1), "cli")
/* The interrupt is pending when IF becomes 1. */
OPERATION(irq_window, CLEAR_DONE "\n\t" AT_LAPIC(0x300) "\n\t" ICR_SELF_IPI, "",
	  "sti\n\tnop" AWAIT(1), "cli")
/* HLT is executed in the shadow of STI, and does not sleep: an interrupt is pending. */
OPERATION(hlt_pending, CLEAR_DONE "\n\t" AT_LAPIC(0x300) "\n\t" ICR_SELF_IPI, "", "sti\n\thlt" AWAIT(1), "cli")
/* To its own ID: the shorthand "self" is for fixed interrupts only. */
#define NMI_TO_SELF	"mov $0xfee00000, %%esi\n\tmov 0x20(" R(si) "), %%eax\n\tmov %%eax, 0x310(" R(si) ")"
#define SEND_NMI	"movl $0x4400, (" R(si) ")"
OPERATION(self_nmi, CLEAR_DONE "\n\t" NMI_TO_SELF, AT_LAPIC(0x300), SEND_NMI AWAIT(1), "")
/*
 * An interrupt is pending when STI enables interrupts, but the NMI comes first. So one event is injected
 * and another one is pending: this makes a hypervisor force an exit.
 */
OPERATION(nmi_and_irq, CLEAR_DONE "\n\t" AT_LAPIC(0x300) "\n\t" ICR_SELF_IPI "\n\t" NMI_TO_SELF,
	  AT_LAPIC(0x300), "sti\n\t" SEND_NMI AWAIT(2), "cli")
OPERATION(timer_oneshot, CLEAR_DONE "\n\tsti", AT_LAPIC(0x380), "movl $1, (" R(si) ")" AWAIT(1), "cli")

#define X2APIC_WRITE	"xor %%eax, %%eax\n\txor %%edx, %%edx\n\tmov $"
OPERATION(x2apic_read_version, "", "mov $0x803, %%ecx", "rdmsr", "")
OPERATION(x2apic_write_tpr, "", X2APIC_WRITE "0x808, %%ecx", "wrmsr", "")
OPERATION(x2apic_write_eoi, "", X2APIC_WRITE "0x80b, %%ecx", "wrmsr", "")
OPERATION(x2apic_self_ipi, CLEAR_DONE "\n\tsti",
	  "mov $0x42, %%eax\n\txor %%edx, %%edx\n\tmov $0x83f, %%ecx", "wrmsr" AWAIT(1), "cli")

/* A deadline that will not be reached before it is replaced. */
OPERATION(tsc_deadline_arm, "", "mov $0x6e0, %%ecx\n\tmov $-1, %%eax\n\tmov $1 << 30, %%edx", "wrmsr", "")

/* So far in the future that the arming is finished, and a halted machine is asleep, before it. */
#define DISTANCE	200000

static u64 arm(void)
{
	u64 deadline = rdtsc() + DISTANCE;

	irq_done = 0;
	wrmsr(MSR_TSC_DEADLINE, deadline);
	return deadline;
}

/* How long after the deadline the handler runs. */
static u32 tsc_deadline_late(ulong arg)
{
	u64 deadline = arm();

	sti();
	while (!irq_done)
		;
	cli();
	return irq_tsc - (u32)deadline;
}

static u32 hlt_wake(ulong arg)
{
	u64 deadline = arm();

	while (!irq_done)
		wait_irq();
	return irq_tsc - (u32)deadline;
}

/* Instructions of the handlers, of the loop, and around it. */
#define TICK_OWN	14
#define X2APIC_TICK_OWN 16
#define LOOP_OWN	3

/*
 * What a tick of an operating system's timer takes from it: a loop runs that counts itself, from before the interrupt
 * until after its handler, which acknowledges it and arms the next one. The guest's own instructions are subtracted.
 */
static u32 ticked(u32 handler)
{
	u32 rounds = 0, ticks;

	arm();
	asm volatile("xor %%edx, %%edx\n\t" PLACE
		     "rdtsc\n\tmov %%eax, %%edi\n\tsti\n"
		     "1:\tinc %1\n\tcmpl $0, irq_done\n\tje 1b\n\t"
		     "rdtsc\n\tcli\n\tsub %%edi, %%eax"
		     : "=&a"(ticks), "+r"(rounds) : : "edx", "edi", CHANGED_FLAGS);
	/* From one RDTSC to the next: the MOV, STI, the loop, and the second RDTSC. */
	return ticks - 3 - rounds * LOOP_OWN - handler;
}

static u32 timer_tick(ulong arg) { return ticked(TICK_OWN); }
static u32 x2apic_timer_tick(ulong arg) { return ticked(X2APIC_TICK_OWN); }

static bool by_vector(u32 vector)
{
	bool offered = FEATURE(24);

	if (offered && (rdmsr(MSR_APIC_BASE) & BIT(10)))
		wrmsr(0x800 + APIC_LVT_TIMER / 16, 2 << 17 | vector);
	else if (offered)
		lapic_write(APIC_LVT_TIMER, 2 << 17 | vector);
	return offered;
}

static bool ticking(void) { return by_vector(TICK); }
static bool x2apic_ticking(void) { return FEATURE(21) && by_vector(X2APIC_TICK); }

static bool tsc_deadline(void)
{
	if (FEATURE(24))
		lapic_write(APIC_LVT_TIMER, 2 << 17 | TIMER);
	return FEATURE(24);
}

static bool lapic_oneshot(void)
{
	lapic_write(APIC_TIMER_DIVIDE, 0xb);	/* by 1 */
	lapic_write(APIC_LVT_TIMER, TIMER);
	return true;
}

static bool x2apic(void)
{
	if (FEATURE(21))
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
	return FEATURE(21);
}

/* The only way from x2APIC to xAPIC mode is to switch the APIC off. */
static void xapic(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (base & BIT(10)) {
		wrmsr(MSR_APIC_BASE, base & ~(BIT(10) | BIT(11)));
		wrmsr(MSR_APIC_BASE, base & ~BIT(10));
	}
}

/* Nothing is subtracted: the operation itself returns how late it was. */
#define LATENESS(f)	.name = #f, .op = f

void bench_interrupts(void)
{
	static const struct bench list[] = {
		{ OP(lapic_read_version) },
		{ OP(lapic_read_absolute) },
		{ OP(lapic_read_sib) },
#ifdef __x86_64__
		{ OP(lapic_read_address32) },
		{ OP(lapic_read_moffs) },
#endif
		{ OP(lapic_test) },
		{ OP(lapic_write_register) },
		{ OP(lapic_write_tpr) },
		{ OP(lapic_write_eoi) },
		{ OP(self_ipi) },
		{ OP(irq_window) },
		{ OP(hlt_pending) },
		{ OP(self_nmi) },
		{ OP(nmi_and_irq) },
		{ OP(timer_oneshot), .count = 32, .present = lapic_oneshot },
		{ OP(tsc_deadline_arm), .present = tsc_deadline },
		{ LATENESS(tsc_deadline_late), .count = 32, .present = tsc_deadline },
		{ LATENESS(hlt_wake), .count = 32, .present = tsc_deadline },
		{ LATENESS(timer_tick), .count = 32, .present = ticking },
		{ OP(x2apic_read_version), .present = x2apic },
		{ OP(x2apic_write_tpr), .present = x2apic },
		{ OP(x2apic_write_eoi), .present = x2apic },
		{ OP(x2apic_self_ipi), .present = x2apic },
		{ LATENESS(x2apic_timer_tick), .count = 32, .present = x2apic_ticking },
	};
	u16 code = sizeof(ulong) == 8 ? CODE64 : CODE32;

	gate_set(IPI, (ulong)handle_ipi, code, 0x8e, 0);
	gate_set(TIMER, (ulong)handle_timer, code, 0x8e, 0);
	gate_set(X2APIC_IPI, (ulong)handle_x2apic_ipi, code, 0x8e, 0);
	gate_set(TICK, (ulong)handle_tick, code, 0x8e, 0);
	gate_set(X2APIC_TICK, (ulong)handle_x2apic_tick, code, 0x8e, 0);
	gate_set(NMI, (ulong)handle_nmi, code, 0x8f, 0);	/* leaves IF as it is */
	lapic_write(APIC_SVR, 0x1ff);
	RUN(list);
	xapic();
}
