/* SPDX-License-Identifier: MIT */
/*
 * What the nested page tables map changes under a CPU that uses it without a pause, by another CPU and the test
 * device of tests/selftest/test_device.c: translations that the processor keeps would show. Each change is over
 * when the OUT is.
 */
#include "smp.h"

#define DEVICE	 0x5e0
#define AT_MC	 8u		/* the next access is a machine check, and the page is damaged */
#define PROTECT	 0x20u		/* until the next write */
#define SHOW_1	 0x40u		/* the page shows the memory of the next one */
#define SHOW_2	 0x80u		/* ... of the one after that */
#define ROUNDS	 100
#define MC	 18
#define CR4_MCE	 BIT(6)
#define MCG_STATUS 0x17a
#define MC0_STATUS 0x401

static volatile u32 pages[4][1024] __attribute__((aligned(4096)));
static volatile u32 count, stop, expected, wrong, arrived[2];

/* --- on the other CPU. With interrupts on, as here: in Bochs a guest without them has no exit for the host's --- */

static void read_page(u32 cpu)
{
	(void)cpu;
	sti();
	while (!stop) {
		u32 least = expected, value = pages[0][5];

		wrong += least && value != least;
		count++;
	}
	cli();
}

static void write_page(u32 cpu)
{
	(void)cpu;
	sti();
	while (!stop) {
		pages[0][5] = 1;
		count++;
	}
	cli();
}

/* The handler goes on behind the access. */
static u32 read_damaged(volatile u32 *at)
{
	u32 value = 0x1234;

	asm volatile("lea 1f(%%rip), %%rax\n\tmov (%1), %0\n1:" : "+r"(value) : "r"(at) : "rax", "memory");
	return value;
}

static void on_machine_check(struct regs *regs)
{
	arrived[smp_index()]++;
	wrmsr(MC0_STATUS, 0);
	wrmsr(MCG_STATUS, 0);
	regs->ip = regs->ax;
}

static void read_damaged_page(u32 cpu)
{
	WRITE_CR(4, READ_CR(4) | CR4_MCE);
	(void)cpu;
	sti();
	while (!stop) {
		wrong += expected && read_damaged(&pages[3][5]) != 0x1234;
		count++;
	}
	cli();
}

/* --- on this one --- */

/* Until it has begun two more turns of its loop; false: it does not go on. */
static bool goes_on(void)
{
	return wait_until(&count, count + 3, EVENT_MS);
}

static void start(void (*loop)(u32 cpu))
{
	stop = expected = wrong = 0;
	smp_run(1, loop);
	sti();
	check(goes_on(), "the other CPU runs");
}

static void end(void)
{
	cli();
	stop = 1;
	check(smp_wait(1), "... and ends");
}

static void change(u32 command)
{
	outl(DEVICE, (u32)(ulong)pages[0] | command);
}

static void remap(void)
{
	u32 stuck = 0;

	pages[1][5] = 1;
	pages[2][5] = 2;
	change(SHOW_1);
	start(read_page);
	for (u32 i = 0; i < ROUNDS; i++) {
		expected = 0;
		change(i % 2 ? SHOW_1 : SHOW_2);
		expected = i % 2 ? 1 : 2;
		stuck += !goes_on();
	}
	end();
	check_eq(stuck, 0, "it goes on after each change");
	check_eq(wrong, 0, "it reads what is mapped last");
}

/* The device maps the page again, or allows writes again, at the first fault. */
static void faults(void (*loop)(u32 cpu), u32 command, const char *what)
{
	u32 before = inl(DEVICE), missed = 0;

	start(loop);
	for (u32 i = 0; i < ROUNDS; i++) {
		change(command);
		missed += !goes_on() || inl(DEVICE) != before + i + 1;
	}
	end();
	check_eq(missed, 0, what);
}

static void damage(void)
{
	trap_on(MC, on_machine_check);
	WRITE_CR(4, READ_CR(4) | CR4_MCE);
	start(read_damaged_page);
	outl(DEVICE, (u32)(ulong)pages[3] | AT_MC);
	expected = 1;
	check(goes_on(), "machine checks do not stop it");
	check_eq(read_damaged(&pages[3][5]), 0x1234, "damaged memory is not read");
	end();
	check_eq(arrived[0], 1, "... but a machine check on this CPU");
	check(arrived[1] >= 2, "... and one for each access on the other");
	check_eq(wrong, 0, "... which reads nothing of it either");
}

int main(void)
{
	smp_init();
	check_eq(smp_cpus, 2, "two CPUs");
	remap();
	faults(read_page, 0, "each page that is taken away is missed");
	faults(write_page, PROTECT, "each forbidden write is seen");
	damage();
	return 0;
}
