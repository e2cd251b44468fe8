/* SPDX-License-Identifier: MIT */
/*
 * "inits=N": the second CPU is the hypervisor, and the first sends it N INITs at any time. In VMX non-root operation an
 * INIT exits, in root operation it waits for VMXOFF; then it resets that CPU. SDM, "INIT in VMX Operation", "VMXOFF".
 */
#include "l2.h"
#include "smp.h"

static volatile bool stop;
static volatile u32 rounds, exited, others;

NAKED spins(void)
{
	asm volatile("1: pause; jmp 1b");
}

static void hypervisor(u32 cpu)
{
	(void)cpu;
	if (!vmx_start())
		return;
	while (!stop) {
		u32 reason;

		fresh(spins);
		set(PIN, PIN_TIMER);
		vmwrite(TIMER, 20000 >> (rdmsr(0x485) & 31));
		reason = enter();
		exited += reason == EXIT_INIT;
		others += reason != EXIT_INIT && reason != EXIT_TIMER;
		rounds++;
	}
	vmx_stop();
}

void inits(u32 count)
{
	u32 before, starts;

	smp_init();
	check(smp_cpus > 1, "there is a second CPU");
	starts = smp[1].starts;
	smp_run(1, hypervisor);
	for (u32 i = 0; i < count; i++) {
		before = rounds;
		delay_us(50 + i * 7 % 300);
		ipi_to(1, ICR_INIT | ICR_ASSERT);
		wait_until(&rounds, before + 1, 1000);
	}
	check_range(exited, 1, count, "INITs end the hypervisor's guest");
	check_eq(others, 0, "... and nothing else does but its timer");
	check_eq(smp[1].starts, starts, "... and none resets the hypervisor");
	before = rounds;
	check(wait_until(&rounds, before + 3, 1000), "... which goes on");
	stop = true;
	check(smp_start_within(1, 1000) || smp_start_within(1, 1000), "after VMXOFF an INIT resets it");
	check_eq(smp[1].starts, starts + 1, "... once");
}
