/* SPDX-License-Identifier: MIT */
/*
 * Measures the cost of exits, in flat 32-bit mode and in long mode: this file is compiled for both, and
 * the flat program starts the other one at its end.
 */
#include "bench.h"

const char guest_name[] = "bench";

OPERATION(nops_100, "", "", ".rept 100\n\tnop\n\t.endr", "")
OPERATION(loop_2000, "", "mov $1000, %%ecx", "1: dec %%ecx\n\tjnz 1b", "")

/* 100 and 2000 instructions: their figures show how many ticks an instruction takes. */
static const struct bench calibration[] = { { OP(nops_100) }, { OP(loop_2000) } };

/* For the switch between VMs: a guest that never exits by itself, with state in the FPU. */
static void spin(void)
{
	/* In Bochs the host's interrupts end no loop with IF = 0 under SVM. */
	asm volatile("fninit\n\tfld1\n\tsti\n1:\tjmp 1b");
}

/* One of many guests that sleep. */
static void idle(void)
{
	for (;;)
		wait_irq();
}

static void bench_all(void)
{
	RUN(calibration);
	bench_cpu();
	bench_ports();
	bench_real();
	bench_interrupts();
}

int main(void)
{
	u32 number;

	outb(0x43, 0x36);	/* stop the timer that a BIOS leaves running: its interrupts would be measured, too */
	if (cmdline_number("spin", &number))
		spin();
	if (cmdline_number("idle", &number))
		idle();
	say("bench: " MODE " mode\n");
	bool ipi = cmdline_number("ipi", &number), virtio = cmdline_number("virtio", &number);
	bool requests = cmdline_number("requests", &number);

	if (!ipi && !virtio && !requests)
		bench_all();
#ifdef __x86_64__
	if (ipi)
		bench_ipi();
	if (virtio)
		bench_virtio();
	if (requests) {
		RUN(calibration);
		bench_requests();
	}
	say("bench: done\n");
	debug_exit(0);
#else
	asm volatile("jmp *%0" : : "r"(LONG_ENTRY), "a"(boot_magic), "b"(boot_info));
#endif
	__builtin_unreachable();
}
