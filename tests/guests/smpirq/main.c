/* SPDX-License-Identifier: MIT */
/*
 * Checks that the IOAPIC reaches each CPU, edges and levels; an entry that its handler changes before EOI; EOIs of
 * other CPUs; and that the 8259's interrupts go to the boot CPU.
 */
#include "smp.h"

#define LEVEL		BIT(15)
#define REMOTE_IRR	BIT(14)
#define MASKED		BIT(16)
#define LOWEST		BIT(8)
#define LOGICAL		BIT(11)
#define PIT_PIN		2
#define UART_PIN	4
#define PIT_VECTOR	0x60
#define UART_VECTOR	0x71
#define MOVED_VECTOR	0x82
#define PIC_VECTOR	0x20
#define SYNC_VECTOR	0x31
#define UART_IER	0x3f9

static volatile u32 synced[SMP_MAX];
static volatile u32 ticks[SMP_MAX], levels[SMP_MAX], moved[SMP_MAX], pic_ticks[SMP_MAX], stop, keep, move_to;
static volatile u32 move_vector, eoi_wait, rte_after;

static u32 rte_low(u32 pin) { return ioapic_read(0x10 + 2 * pin); }

static void rte_set(u32 pin, u32 low, u32 id)
{
	ioapic_write(0x10 + 2 * pin, MASKED);
	ioapic_write(0x11 + 2 * pin, id << 24);
	ioapic_write(0x10 + 2 * pin, low);
}

static void on_tick(struct regs *regs)
{
	(void)regs;
	atomic_add(&ticks[smp_index()], 1);
	apic_write(APIC_EOI, 0);
}

/* The line stays up for `keep` more times. move_to: before EOI the entry gets this destination, and a vector. */
static void on_level(struct regs *regs)
{
	atomic_add(regs->vector == MOVED_VECTOR ? &moved[smp_index()] : &levels[smp_index()], 1);
	if (move_to) {
		ioapic_write(0x11 + 2 * UART_PIN, smp[move_to].id << 24);
		ioapic_write(0x10 + 2 * UART_PIN, LEVEL | move_vector);
		move_to = 0;
	}
	if (keep)
		keep--;
	else
		outb(UART_IER, 0);
	while (eoi_wait)
		pause();
	apic_write(APIC_EOI, 0);
}

static void on_pic(struct regs *regs)
{
	(void)regs;
	atomic_add(&pic_ticks[smp_index()], 1);
	pic_eoi(0);
}

static void serve(u32 cpu)
{
	(void)cpu;
	while (!stop)
		asm volatile("sti; pause; pause; cli" : : : "memory");
}

/* Logical destinations, by id: in x2APIC mode the low CPUs' are the same. */
static void flat_ldr(u32 cpu)
{
	apic_write(APIC_DFR, ~0u);
	apic_write(APIC_LDR, smp[cpu].id < 8 ? 1u << (24 + smp[cpu].id) : 0);
}

static void wait_ms(u32 ms)
{
	sti();
	delay_us(ms * 1000);
	cli();
}

static u32 total(volatile u32 *count)
{
	u32 sum = 0;

	for (u32 cpu = 0; cpu < smp_cpus; cpu++) {
		sum += count[cpu];
		count[cpu] = 0;
	}
	return sum;
}

static void on_sync(struct regs *regs)
{
	(void)regs;
	synced[smp_index()] = 1;
	apic_write(APIC_EOI, 0);
}

/*
 * What was sent to the CPUs before this has arrived, and its handlers have ended: an interrupt of a lower priority comes
 * after them, however long the build machine lets a CPU wait.
 */
static void settle(void)
{
	wait_ms(10);
	for (u32 cpu = 1; cpu < smp_cpus; cpu++) {
		synced[cpu] = 0;
		ipi_to(cpu, ICR_FIXED | SYNC_VECTOR);
		wait_until(&synced[cpu], 1, EVENT_MS);
	}
}

static bool wait_for(volatile u32 *count, u32 least)
{
	u64 end = rdtsc() + tsc_per_ms() * EVENT_MS;

	sti();
	while (*count < least && rdtsc() < end)
		pause();
	cli();
	return *count >= least;
}

static u32 total_of_others(volatile u32 *count, u32 cpu)
{
	count[cpu] = 0;
	return total(count);
}

static void edges(void)
{
	u32 right = 0, others = 0;

	pit_periodic(PIT_HZ / 200);
	for (u32 cpu = 0; cpu < smp_cpus; cpu++) {
		total(ticks);
		rte_set(PIT_PIN, PIT_VECTOR, smp[cpu].id);
		right += wait_for(&ticks[cpu], 5);
		rte_set(PIT_PIN, MASKED, 0);
		settle();
		others += total_of_others(ticks, cpu);
	}
	check_eq(right, smp_cpus, "edges: each CPU gets the PIT's ticks");
	check_eq(others, 0, "edges: ... and no other CPU");
	rte_set(PIT_PIN, LOWEST | LOGICAL | PIT_VECTOR, 1u << smp[1].id);
	check(wait_for(&ticks[1], 5), "edges: lowest priority, one CPU in the set");
	rte_set(PIT_PIN, MASKED, 0);
	settle();
	check_eq(total_of_others(ticks, 1), 0, "edges: ... and no other gets it");
}

static void level_on(u32 cpu, u32 times)
{
	total(levels);
	total(moved);
	keep = times - 1;
	rte_set(UART_PIN, LEVEL | UART_VECTOR, smp[cpu].id);
	outb(UART_IER, 2);		/* the transmitter is empty: the line goes up */
}

static void level(void)
{
	u32 right = 0, clear = 0;

	for (u32 cpu = 0; cpu < smp_cpus; cpu++) {
		level_on(cpu, 3);
		wait_for(&levels[cpu], 3);
		settle();
		right += levels[cpu] == 3 && total(levels) == 3;
		clear += !(rte_low(UART_PIN) & REMOTE_IRR);
	}
	check_eq(right, smp_cpus, "level: each CPU gets it until the line drops");
	check_eq(clear, smp_cpus, "level: EOI on that CPU clears remote IRR");
}

static bool has_remote_irr(void)
{
	bool has;

	eoi_wait = 1;
	level_on(1, 1);
	wait_until(&levels[1], 1, EVENT_MS);
	has = rte_low(UART_PIN) & REMOTE_IRR;
	apic_write(APIC_EOI, 0);	/* this CPU has nothing in service */
	if (has)
		check_eq(rte_low(UART_PIN) & REMOTE_IRR, REMOTE_IRR, "level: an EOI of another CPU clears nothing");
	eoi_wait = 0;
	settle();
	return has;
}

static void move_destination(void)
{
	u32 to = smp_cpus - 1;

	move_vector = UART_VECTOR;
	move_to = to == 1 ? 0 : to;
	if (!move_to) {
		skip("level: another destination before EOI", "there are only two CPUs");
		return;
	}
	level_on(1, 2);
	wait_for(&levels[to], 1);
	settle();
	check_eq(levels[1], 1, "level: the handler changes the destination before EOI: once here");
	check_eq(levels[to], 1, "level: ... and once there");
	check_eq(rte_low(UART_PIN) & REMOTE_IRR, 0, "level: ... and no remote IRR is left");
}

/*
 * With another vector the EOI may miss the entry, as a real IOAPIC's does. Software gets out of that by switching
 * the entry to edge and back.
 */
static void move_vector_too(void)
{
	move_vector = MOVED_VECTOR;
	move_to = smp_cpus - 1;
	level_on(1, 1);
	wait_for(&levels[1], 1);
	settle();
	check_eq(levels[1], 1, "level: the handler changes the vector, too: once here");
	check_eq(total(moved), 0, "level: ... and not there, since the line is down");
	rte_set(UART_PIN, MASKED, 0);
	rte_set(UART_PIN, MASKED | LEVEL, 0);
	check_eq(rte_low(UART_PIN) & REMOTE_IRR, 0, "level: an edge entry has no remote IRR");
	level_on(1, 2);
	wait_for(&levels[1], 2);
	settle();
	check_eq(levels[1], 2, "level: ... and works again");
}

static void ext_int(void)
{
	total(pic_ticks);
	pic_init(0xfffe);
	apic_write(APIC_LINT0, 0x700);
	check(wait_for(&pic_ticks[0], 5), "the 8259's interrupts reach the boot CPU");
	pic_init(0xffff);
	settle();
	check_eq(total_of_others(pic_ticks, 0), 0, "... and no other CPU");
}

int main(void)
{
	interrupt_on(PIT_VECTOR, on_tick);
	interrupt_on(UART_VECTOR, on_level);
	interrupt_on(MOVED_VECTOR, on_level);
	interrupt_on(PIC_VECTOR, on_pic);
	interrupt_on(SYNC_VECTOR, on_sync);
	smp_init();
	apic_write(APIC_LINT0, MASKED);
	if (!x2apic)
		smp_all(flat_ldr);
	for (u32 cpu = 1; cpu < smp_cpus; cpu++)
		smp_run(cpu, serve);
	edges();
	if (has_remote_irr()) {
		level();
		move_destination();
		move_vector_too();
	} else {
		skip("level: remote IRR", "Bochs has none, and forgets the level at EOI");
	}
	rte_set(UART_PIN, MASKED, 0);
	ext_int();
	stop = 1;
	return 0;
}
