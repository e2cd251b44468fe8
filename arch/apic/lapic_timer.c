/* SPDX-License-Identifier: MIT */
/* The local APIC's timer. Intel SDM, "APIC Timer". */
#include "arch/apic/lapic_timer.h"

#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/time/clock.h"
#include "arch/time/muldiv.h"
#include "lib/log.h"

#define DIVIDE_BY_1 0xb
#define MAX_COUNT   0xffffffffu

static u64 timer_hz;
static bool deadline_mode;

void lapic_timer_start_calibration(void)
{
	lapic_reg_write(LAPIC_LVT + LVT_TIMER, LVT_MASKED | IRQ_VECTOR_TIMER);
	lapic_reg_write(LAPIC_DIVIDE, DIVIDE_BY_1);
	lapic_reg_write(LAPIC_INITIAL_COUNT, MAX_COUNT);
}

u32 lapic_timer_count(void)
{
	return lapic_reg_read(LAPIC_CURRENT_COUNT);
}

static void set_mode(void)
{
	lapic_reg_write(LAPIC_INITIAL_COUNT, 0);
	lapic_reg_write(LAPIC_LVT + LVT_TIMER,
		    IRQ_VECTOR_TIMER | (deadline_mode ? LVT_TSC_DEADLINE : 0));
	/* Intel SDM, "TSC-Deadline Mode": order the xAPIC's store before the MSR write. */
	__asm__ volatile("mfence" : : : "memory");
	this_cpu()->timer_armed = LAPIC_TIMER_OFF;
}

void lapic_timer_set_hz(u64 hz)
{
	timer_hz = hz;
	deadline_mode = cpu_features.tsc_deadline;
	set_mode();
}

void lapic_timer_init_secondary(void)
{
	lapic_reg_write(LAPIC_DIVIDE, DIVIDE_BY_1);
	set_mode();
}

static void arm_count(u64 deadline)
{
	u64 now = rdtsc();
	u64 count = 1;

	if (deadline > now)
		count = mul_div(deadline - now, timer_hz, clock_tsc_hz());
	count = MIN(count, (u64)MAX_COUNT);
	lapic_reg_write(LAPIC_INITIAL_COUNT, (u32)MAX(count, 1ull));
}

void lapic_timer_arm(u64 deadline)
{
	struct percpu *cpu = this_cpu();

	if (deadline == cpu->timer_armed)
		return;
	cpu->timer_armed = deadline;
	if (deadline_mode)	/* 0 disarms */
		wrmsr(MSR_TSC_DEADLINE, deadline == LAPIC_TIMER_OFF ? 0 : MAX(deadline, 1ull));
	else if (deadline == LAPIC_TIMER_OFF)
		lapic_reg_write(LAPIC_INITIAL_COUNT, 0);
	else
		arm_count(deadline);
}

void lapic_timer_fired(void)
{
	this_cpu()->timer_armed = LAPIC_TIMER_OFF;
}
