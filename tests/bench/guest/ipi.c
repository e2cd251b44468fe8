/* SPDX-License-Identifier: MIT */
/* An interrupt from one processor to another: from the write that sends it until its handler has begun. */
#include "bench.h"

#ifdef __x86_64__
#include "smp/smp.h"

#define VECTOR		0x43
#define X2APIC_ICR	0x830
#define PAUSE		30000	/* until the other one has gone to sleep */

extern void handle_far_ipi(void);	/* handlers.asm */
extern volatile u32 irq_done, irq_tsc;

static volatile bool stop;

static void listen_awake(u32 cpu)
{
	sti();
	while (!stop)
		;
	cli();
}

static void listen_halted(u32 cpu)
{
	while (!stop)
		wait_irq();
}

static u32 send(ulong arg)
{
	u64 start = rdtsc();

	while (rdtsc() - start < PAUSE)
		;
	irq_done = 0;
	start = rdtsc();
	wrmsr(X2APIC_ICR, (u64)smp[1].id << 32 | VECTOR);
	while (!irq_done)
		;
	return irq_tsc - (u32)start;
}

static bool start(void (*listen)(u32 cpu))
{
	if (smp[1].job) {
		stop = true;
		send(0);
		smp_wait(1);
	}
	stop = false;
	smp_run(1, listen);
	return true;
}

static bool awake(void) { return start(listen_awake); }
static bool halted(void) { return start(listen_halted); }

void bench_ipi(void)
{
	static const struct bench list[] = {
		{ .name = "ipi_awake", .op = send, .present = awake },
		{ .name = "ipi_halted", .op = send, .present = halted },
	};

	smp_init();
	gate_set(VECTOR, (ulong)handle_far_ipi, CODE64, 0x8e, 0);
	RUN(list);
}
#endif
