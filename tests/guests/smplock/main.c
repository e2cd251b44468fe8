/* SPDX-License-Identifier: MIT */
/*
 * All CPUs at once: increments under a ticket lock, locked instructions without a lock, and a mutex whose waiters sleep
 * in HLT until an IPI. Sums tell whether any was lost. rounds=20000.
 */
#include "smp.h"

#define WAKE	0x52

static volatile u32 rounds = 20000;
static volatile u32 next_ticket, served, counter, inside, overlaps;
static volatile u32 added, owner, sum[SMP_MAX];
static volatile u64 wide;
static volatile u32 waiting, woken[SMP_MAX];

static void lock(void)
{
	u32 ticket = atomic_add(&next_ticket, 1) - 1;

	while (__atomic_load_n(&served, __ATOMIC_ACQUIRE) != ticket)
		pause();
}

static void unlock(void)
{
	__atomic_store_n(&served, served + 1, __ATOMIC_RELEASE);
}

static void under_lock(u32 cpu)
{
	(void)cpu;
	barrier();
	for (u32 i = 0; i < rounds; i++) {
		lock();
		overlaps += inside++ != 0;
		counter++;
		inside--;
		unlock();
	}
}

static void without_lock(u32 cpu)
{
	barrier();
	for (u32 i = 0; i < rounds; i++) {
		u64 old = wide, new;

		atomic_add(&added, 1);
		do {
			new = old + BIT(32) + 1;
		} while (!__atomic_compare_exchange_n(&wide, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
		/* XCHG as a token: what one CPU puts in comes out once. */
		sum[cpu] += __atomic_exchange_n(&owner, 1, __ATOMIC_SEQ_CST) == 0;
		if (owner && i % 2)
			sum[cpu] -= __atomic_exchange_n(&owner, 0, __ATOMIC_SEQ_CST) == 1;
	}
}

static void on_wake(struct regs *regs)
{
	(void)regs;
	woken[smp_index()] = 1;
	apic_write(APIC_EOI, 0);
}

/* 0: free; 1: held. A waiter says so in `waiting` and sleeps; who unlocks wakes all waiters. */
static volatile u32 mutex, asleep;

static void mutex_lock(u32 cpu)
{
	while (__atomic_exchange_n(&mutex, 1, __ATOMIC_SEQ_CST)) {
		woken[cpu] = 0;
		__atomic_fetch_or(&waiting, 1u << cpu, __ATOMIC_SEQ_CST);
		if (!mutex)
			continue;
		while (!woken[cpu] && mutex) {
			asleep++;
			wait_irq();
		}
	}
}

static void mutex_unlock(void)
{
	u32 wake;

	__atomic_store_n(&mutex, 0, __ATOMIC_SEQ_CST);
	wake = __atomic_exchange_n(&waiting, 0, __ATOMIC_SEQ_CST);
	for (u32 cpu = 0; cpu < smp_cpus; cpu++)
		if (wake & 1u << cpu)
			ipi_to(cpu, ICR_FIXED | WAKE);
}

static void with_sleep(u32 cpu)
{
	barrier();
	cli();	/* or a wake-up may come between the look at `woken` and wait_irq()'s HLT */
	for (u32 i = 0; i < rounds / 10; i++) {
		mutex_lock(cpu);
		overlaps += inside++ != 0;
		counter++;
		for (u32 j = 0; j < 50; j++)
			pause();
		inside--;
		mutex_unlock();
	}
	/* Nobody may sleep for a wake-up that this CPU owes. */
	mutex_lock(cpu);
	mutex_unlock();
}

int main(void)
{
	u32 limit, left = 0;

	trap_on(WAKE, on_wake);
	smp_init();
	if (cmdline_number("rounds", &limit))
		rounds = limit;
	check(smp_all(under_lock), "all CPUs get through the ticket lock");
	check_eq(counter, rounds * smp_cpus, "no increment under it was lost");
	check_eq(overlaps, 0, "one CPU at a time was inside");
	check(smp_all(without_lock), "all CPUs get through the locked instructions");
	check_eq(added, rounds * smp_cpus, "no LOCK XADD was lost");
	check_eq(wide, (BIT(32) + 1) * rounds * smp_cpus, "no LOCK CMPXCHG was lost");
	for (u32 cpu = 0; cpu < smp_cpus; cpu++)
		left += sum[cpu];
	check_eq(left, owner, "no XCHG was lost");
	counter = overlaps = 0;
	check(smp_all(with_sleep), "all CPUs get through the mutex with HLT");
	check_eq(counter, rounds / 10 * smp_cpus, "no increment under it was lost");
	check_eq(overlaps, 0, "one CPU at a time was inside");
	return 0;
}
