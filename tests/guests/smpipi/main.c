/* SPDX-License-Identifier: MIT */
/*
 * Checks interprocessor interrupts: each delivery mode, destination mode and shorthand reaches the right CPUs, once;
 * what wakes HLT; that a CPU moves its own local APIC alone; and rounds=10000 of ping-pong between two CPUs.
 */
#include "smp.h"

#define VECTOR		0x51
#define PING		0x61

static volatile u32 arrived[SMP_MAX], nmis[SMP_MAX], pings[2], stop, halting, halted, awake;
static u32 ping_limit;

static void on_ipi(struct regs *regs)
{
	(void)regs;
	atomic_add(&arrived[smp_index()], 1);
	apic_write(APIC_EOI, 0);
}

static void on_nmi(struct regs *regs)
{
	(void)regs;
	atomic_add(&nmis[smp_index()], 1);
}

/* The two CPUs of a game answer each other. */
static void on_ping(struct regs *regs)
{
	u32 me = smp_index();

	(void)regs;
	pings[me]++;
	apic_write(APIC_EOI, 0);
	if (me == 1 || pings[0] < ping_limit)
		ipi_to(!me, ICR_FIXED | PING);
}

static void serve(u32 cpu)
{
	(void)cpu;
	while (!stop) {
		if (halting)
			wait_irq();
		else
			asm volatile("sti; pause; pause; cli" : : : "memory");
	}
}

static void others_serve(bool with_hlt)
{
	stop = false;
	halting = with_hlt;
	for (u32 cpu = 1; cpu < smp_cpus; cpu++)
		smp_run(cpu, serve);
}

/* What is still pending is taken, and forgotten. */
static void take_left(u32 cpu)
{
	asm volatile("sti; nop; nop; cli" : : : "memory");
	arrived[cpu] = nmis[cpu] = 0;
}

static void others_stop(void)
{
	stop = true;
	ipi(0, ICR_OTHERS | ICR_FIXED | VECTOR);	/* out of HLT */
	for (u32 cpu = 1; cpu < smp_cpus; cpu++)
		smp_wait(cpu);
	smp_all(take_left);
}

static u32 all_cpus(void) { return (1u << smp_cpus) - 1; }

static u32 have(volatile u32 *count)
{
	u32 mask = 0;

	for (u32 cpu = 0; cpu < smp_cpus; cpu++)
		mask |= count[cpu] ? 1u << cpu : 0;
	return mask;
}

/*
 * Which CPUs got it, as a mask; bit 31: one of them more than once. Waits for those that should, and a little
 * for others; `any`: for one of them.
 */
static u32 who(volatile u32 *count, u32 expected, bool any)
{
	u64 end = rdtsc() + tsc_per_ms() * EVENT_MS;
	u32 mask = 0;

	sti();
	while (rdtsc() < end && (any ? !have(count) : (have(count) & expected) != expected))
		pause();
	delay_us(500);
	cli();
	for (u32 cpu = 0; cpu < smp_cpus; cpu++) {
		mask |= count[cpu] ? 1u << cpu : 0;
		mask |= count[cpu] > 1 ? 1u << 31 : 0;
		count[cpu] = 0;
	}
	return mask;
}

static u32 sent(u32 destination, u32 icr, u32 expected)
{
	ipi(destination, icr);
	return who((icr & 0x700) == ICR_NMI ? nmis : arrived, expected, false);
}

static bool sent_to_one(u32 destination, u32 set)
{
	u32 mask;

	ipi(destination, ICR_LOGICAL | ICR_LOWEST | VECTOR);
	mask = who(arrived, set, true);
	return mask && !(mask & (mask - 1)) && !(mask & ~set);
}

static void quiet(void)
{
	who(arrived, 0, false);
	who(nmis, 0, false);
}

static void check_sent(u32 destination, u32 icr, u32 expected, const char *name)
{
	check_eq(sent(destination, icr, expected), expected, name);
}

static void physical(void)
{
	u32 right = 0, nmi_right = 0;

	quiet();
	for (u32 cpu = 0; cpu < smp_cpus; cpu++)
		right += sent(smp[cpu].id, ICR_FIXED | VECTOR, 1u << cpu) == 1u << cpu;
	check_eq(right, smp_cpus, "physical: each CPU by its id");
	for (u32 cpu = 0; cpu < smp_cpus; cpu++)
		nmi_right += sent(smp[cpu].id, ICR_NMI, 1u << cpu) == 1u << cpu;
	check_eq(nmi_right, smp_cpus, "physical: each CPU gets an NMI");
	check_sent(x2apic ? ~0u : 0xff, ICR_FIXED | VECTOR, all_cpus(), "physical: broadcast");
	check_sent(smp[smp_cpus - 1].id + 100, ICR_FIXED | VECTOR, 0, "physical: an id that nobody has");
	if (x2apic) {
		u32 mask = sent(0xff, ICR_FIXED | VECTOR, 0);

		if (mask && !hypervisor_present() && !qemu_tcg())
			skip("physical: 255 is no broadcast in x2APIC mode", "in Bochs it is");
		else
			check_eq(mask, 0, "physical: 255 is no broadcast in x2APIC mode");
	}
}

static void shorthands(void)
{
	check_sent(0, ICR_SELF | VECTOR, 1, "shorthand: self");
	check_sent(0, ICR_ALL | VECTOR, all_cpus(), "shorthand: all");
	check_sent(0, ICR_OTHERS | VECTOR, all_cpus() & ~1u, "shorthand: all but self");
	check_sent(0, ICR_OTHERS | ICR_NMI, all_cpus() & ~1u, "shorthand: NMI to all but self");
	if (x2apic) {
		wrmsr(0x83f, VECTOR);
		check_eq(who(arrived, 1, false), 1, "the self-IPI register");
	}
}

/* Flat model: one bit for each of the first CPUs. */
static void flat_ldr(u32 cpu)
{
	apic_write(APIC_DFR, ~0u);
	apic_write(APIC_LDR, cpu < 8 ? 1u << (24 + cpu) : 0);
}

/* Two CPUs in each cluster. */
static void cluster_ldr(u32 cpu)
{
	apic_write(APIC_DFR, 0x0fffffff);
	apic_write(APIC_LDR, (cpu / 2 << 4 | 1u << cpu % 2) << 24);
}

static void logical_xapic(void)
{
	u32 all = smp_cpus < 8 ? all_cpus() : 0xff;

	smp_all(flat_ldr);
	others_serve(false);
	check_sent(2, ICR_LOGICAL | VECTOR, 2, "flat: CPU 1");
	check_sent(3, ICR_LOGICAL | VECTOR, 3, "flat: CPUs 0 and 1");
	check_sent(all, ICR_LOGICAL | VECTOR, all, "flat: all");
	check_sent(0, ICR_LOGICAL | VECTOR, 0, "flat: nobody");
	check_sent(0xff, ICR_LOGICAL | VECTOR, all, "flat: broadcast");
	check_sent(3, ICR_LOGICAL | ICR_NMI, 3, "flat: NMI to CPUs 0 and 1");
	check(sent_to_one(3, 3), "lowest priority: one of CPUs 0 and 1");
	check_sent(2, ICR_LOGICAL | ICR_LOWEST | VECTOR, 2, "lowest priority: CPU 1 alone");
	check(sent_to_one(all & ~1u, all & ~1u), "lowest priority: not CPU 0");
	check_sent(0, ICR_LOGICAL | ICR_LOWEST | VECTOR, 0, "lowest priority: nobody");
	others_stop();
	smp_all(cluster_ldr);
	others_serve(false);
	quiet();
	check_sent(0x01, ICR_LOGICAL | VECTOR, 1, "cluster 0: CPU 0");
	check_sent(0x03, ICR_LOGICAL | VECTOR, 3, "cluster 0: both");
	if (smp_cpus >= 4) {
		check_sent(0x12, ICR_LOGICAL | VECTOR, 8, "cluster 1: CPU 3");
		check_sent(0x13, ICR_LOGICAL | VECTOR, 12, "cluster 1: both");
	}
	check_sent(0xe3, ICR_LOGICAL | VECTOR, 0, "cluster 14: nobody");
	check_sent(0xff, ICR_LOGICAL | VECTOR, all_cpus(), "cluster: broadcast");
	others_stop();
	smp_all(flat_ldr);
}

static volatile u32 ldr[SMP_MAX];

static void note_ldr(u32 cpu)
{
	ldr[cpu] = apic_read(APIC_LDR);
}

static void logical_x2apic(void)
{
	u32 right = 0, mask = 0;

	smp_all(note_ldr);
	for (u32 cpu = 0; cpu < smp_cpus; cpu++) {
		right += ldr[cpu] == (smp[cpu].id >> 4 << 16 | 1u << (smp[cpu].id & 15));
		if (smp[cpu].id < 16)
			mask |= ldr[cpu];
	}
	check_eq(right, smp_cpus, "x2APIC: LDR follows from the id");
	others_serve(false);
	check_sent(ldr[1], ICR_LOGICAL | VECTOR, 2, "x2APIC logical: CPU 1");
	check_sent(ldr[0] | ldr[1], ICR_LOGICAL | VECTOR, 3, "x2APIC logical: CPUs 0 and 1");
	check_sent(mask, ICR_LOGICAL | VECTOR, all_cpus(), "x2APIC logical: the cluster");
	check_sent(mask | 1u << 16, ICR_LOGICAL | VECTOR, 0, "x2APIC logical: another cluster");
	check_sent(~0u, ICR_LOGICAL | VECTOR, all_cpus(), "x2APIC logical: broadcast");
	check(sent_to_one(ldr[0] | ldr[1], 3), "x2APIC lowest priority: one");
	others_stop();
}

static void disabled(u32 cpu)
{
	(void)cpu;
	cli();
	apic_write(APIC_SVR, 0xff);
	sti();			/* in Bochs, a kick interrupts a VM only with IF set */
	halted = 1;
	while (halted != 2)
		pause();
	apic_write(APIC_SVR, 0x1ff);
	delay_us(2000);
	cli();
}

static void software_disabled(void)
{
	quiet();
	halted = 0;
	smp_run(1, disabled);
	wait_until(&halted, 1, EVENT_MS);
	ipi_to(1, ICR_FIXED | VECTOR);
	delay_us(1000);
	if (!hypervisor_present() && arrived[1])
		skip("a software-disabled APIC takes no fixed interrupt", "Bochs' delivers it");
	else
		check_eq(arrived[1], 0, "a software-disabled APIC takes no fixed interrupt");
	ipi_to(1, ICR_NMI);
	check(wait_until(&nmis[1], 1, EVENT_MS), "... but an NMI");
	halted = 2;
	smp_wait(1);
	if (!hypervisor_present() && arrived[1])
		skip("a software-disabled APIC keeps nothing", "QEMU's and Bochs' accept interrupts");
	else
		check_eq(arrived[1], 0, "... and has kept nothing when it is enabled again");
	nmis[1] = 0;
}

/* --- each CPU has an IA32_APIC_BASE of its own --- */

#define APIC_BASE	0x1b
#define OLD_PAGE	0xfee00000u
#define NEW_PAGE	0xfed40000u

static volatile u32 new_id, old_id;

static void move_page(u32 cpu)
{
	u64 base = rdmsr(APIC_BASE);

	(void)cpu;
	cli();
	wrmsr(APIC_BASE, (base & 0xfff) | NEW_PAGE);
	new_id = mmio_read(NEW_PAGE + APIC_ID) >> 24;
	old_id = mmio_read(OLD_PAGE + APIC_ID);
	mmio_write(NEW_PAGE + APIC_ICR2, smp[0].id << 24);
	mmio_write(NEW_PAGE + APIC_ICR, ICR_FIXED | VECTOR);
	halted = 1;
	while (halted != 2)
		pause();
	wrmsr(APIC_BASE, base);
	sti();
}

static void moved_page(void)
{
	quiet();
	halted = 0;
	smp_run(1, move_page);
	wait_until(&halted, 1, EVENT_MS);
	check_eq(new_id, smp[1].id, "CPU 1's local APIC is where that CPU has moved it");
	check_eq(old_id, ~0u, "... and nothing is where it was");
	check_eq(who(arrived, 1, false), 1, "... and sends an interrupt from there");
	check_eq(apic_read(APIC_ID) >> 24, smp[0].id, "CPU 0's is where it was");
	check_eq(mmio_read(NEW_PAGE + APIC_ID), ~0u, "... and not where CPU 1's is");
	halted = 2;
	smp_wait(1);
	check_sent(smp[1].id, ICR_FIXED | VECTOR, 2, "CPU 1's is back");
}

static void sleep_for_nmi(u32 cpu)
{
	(void)cpu;
	halted = 1;
	asm volatile("cli; hlt" : : : "memory");
	awake++;
}

static void nmi_wakes(void)
{
	u32 rounds = 0;

	quiet();
	nmis[1] = awake = 0;
	for (; rounds < 100; rounds++) {
		halted = 0;
		smp_run(1, sleep_for_nmi);
		wait_until(&halted, 1, EVENT_MS);
		if (rounds & 1)		/* sometimes before it halts, and then once more */
			delay_us(200);
		while (awake == rounds && nmis[1] < 20000) {
			ipi_to(1, ICR_NMI);
			delay_us(1000);
		}
		if (awake != rounds + 1 || !smp_wait(1))
			break;
	}
	check_eq(rounds, 100, "an NMI wakes HLT with IF = 0");
	halted = 0;
	awake = 0;
	smp_run(1, sleep_for_nmi);
	wait_until(&halted, 1, EVENT_MS);
	delay_us(2000);
	ipi_to(1, ICR_FIXED | VECTOR);
	delay_us(2000);
	check_eq(awake, 0, "... and an interrupt does not");
	for (u32 i = 0; i < EVENT_MS / 100 && !awake; i++) {	/* one may come before it halts */
		ipi_to(1, ICR_NMI);
		wait_until(&awake, 1, 100);
	}
	check_eq(awake, 1, "... but the NMI after it does");
	smp_wait(1);
}

/* SDM, "Handling Multiple NMIs": one is handled, and one is latched meanwhile. So of two that come together none is lost. */
#define NMI_ROUNDS 100

static volatile u32 turn;

static void send_nmis(u32 cpu)
{
	(void)cpu;
	for (u32 round = 1; round <= NMI_ROUNDS; round++) {
		while (turn != round && turn <= NMI_ROUNDS)
			pause();
		ipi_to(0, ICR_NMI);
		halted = round;
	}
}

static void two_nmis(void)
{
	u32 rounds = 0;

	quiet();
	turn = halted = 0;
	smp_run(1, send_nmis);
	sti();			/* in Bochs, a kick interrupts a VM only with IF set */
	for (; rounds < NMI_ROUNDS; rounds++) {
		nmis[0] = 0;
		turn = rounds + 1;
		ipi_to(0, ICR_NMI);
		if (!wait_until(&halted, rounds + 1, EVENT_MS) || !wait_until(&nmis[0], 2, EVENT_MS) || nmis[0] != 2)
			break;
	}
	cli();
	turn = NMI_ROUNDS + 1;
	check_eq(rounds, NMI_ROUNDS, "NMIs of two CPUs at the same time are two");
	smp_wait(1);
	quiet();
}

static void ping_pong(bool with_hlt, const char *name)
{
	u64 end;
	u32 last = 0;

	pings[0] = pings[1] = 0;
	others_serve(with_hlt);
	ipi_to(1, ICR_FIXED | PING);
	end = rdtsc() + tsc_per_ms() * EVENT_MS;
	while (pings[0] < ping_limit && rdtsc() < end) {
		if (with_hlt && pings[0] < ping_limit - 1)
			wait_irq();
		else
			asm volatile("sti; pause; pause; cli" : : : "memory");
		if (pings[0] != last)
			end = rdtsc() + tsc_per_ms() * EVENT_MS;
		last = pings[0];
	}
	check_eq(pings[0], ping_limit, name);
	check_eq(pings[1], ping_limit, "... and the other CPU has as many");
	others_stop();
}

int main(void)
{
	trap_on(NMI, on_nmi);
	interrupt_on(VECTOR, on_ipi);
	interrupt_on(PING, on_ping);
	smp_init();
	others_serve(false);
	physical();
	shorthands();
	others_stop();
	others_serve(true);
	print("while the others are in HLT:\n");
	physical();
	shorthands();
	others_stop();
	if (x2apic)
		logical_x2apic();
	else
		logical_xapic();
	software_disabled();
	if (!x2apic && hypervisor_present())
		moved_page();
	else if (!x2apic)
		skip("a CPU moves its local APIC", "QEMU moves all of them, and says that there is nothing elsewhere by 0");
	nmi_wakes();
	if (hypervisor_present())
		two_nmis();
	else
		skip("NMIs of two CPUs at the same time are two", "a processor that has not begun with the first one may latch no other");
	ping_limit = 10000;
	cmdline_number("rounds", &ping_limit);
	ping_pong(false, "ping-pong, both awake");
	ping_pong(true, "ping-pong, both in HLT");
	return 0;
}
