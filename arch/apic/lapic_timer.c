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

#define TRIES	    3
#define AHEAD_US    100		/* of a deadline that is tried */
#define LATE_US	    1000

static u64 timer_hz;	/* 0: not known, so it cannot count */
static u64 measured_tsc_hz;	/* by the same measurement: clock_refine() leaves the ratio as it is */

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

static void set_lvt(u8 vector, bool by_deadline)
{
	lapic_reg_write(LAPIC_INITIAL_COUNT, 0);
	lapic_reg_write(LAPIC_LVT + LVT_TIMER, vector | (by_deadline ? LVT_TSC_DEADLINE : 0));
	/* Intel SDM, "TSC-Deadline Mode": order the xAPIC's store before the MSR write. */
	__asm__ volatile("mfence" : : : "memory");
}

/* NULL: the deadline's interrupt came when it should; else what was wrong. */
static const char *try_deadline(void)
{
	u64 deadline = clock_deadline_us(AHEAD_US), late = clock_deadline_us(AHEAD_US + LATE_US);

	wrmsr(MSR_TSC_DEADLINE, deadline);
	for (;;) {
		u64 before = rdtsc();

		/* Looked at between two readings of the time: being interrupted here must not look like a bad timer. */
		if (lapic_irr_pending(IRQ_VECTOR_FORCE_EXIT))
			return rdtsc() >= deadline ? NULL : "too early";
		if (before >= late)
			return "more than 1 ms late";
		cpu_relax();
	}
}

/*
 * Of Intel's Haswell to Kaby Lake some with old microcode have errata by which the deadline fires at a wrong time: an
 * idle guest then oversleeps. Try it, with a vector that does nothing. NULL: it works.
 */
static const char *deadline_error(void)
{
	const char *error = NULL;

	set_lvt(IRQ_VECTOR_FORCE_EXIT, true);
	for (unsigned i = 0; i < TRIES; i++) {
		error = try_deadline();
		wrmsr(MSR_TSC_DEADLINE, 0);
		irq_window();
		if (!error)
			break;
	}
	return error;
}

static void set_mode(void)
{
	struct percpu *cpu = this_cpu();
	const char *error = cpu_features.tsc_deadline ? deadline_error() : NULL;

	cpu->timer_counts = !cpu_features.tsc_deadline || (error && timer_hz);
	if (error)
		log_warn("CPU %u: the TSC deadline timer fires %s%s", cpu->index, error,
			 timer_hz ? ": the APIC's timer counts instead" : ", and the APIC's timer does not count");
	set_lvt(IRQ_VECTOR_TIMER, !cpu->timer_counts);
	cpu->timer_armed = LAPIC_TIMER_OFF;
}

void lapic_timer_set_hz(u64 hz)
{
	timer_hz = hz;
	measured_tsc_hz = clock_tsc_hz();
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
		count = mul_div(deadline - now, timer_hz, measured_tsc_hz);
	count = MIN(count, (u64)MAX_COUNT);
	lapic_reg_write(LAPIC_INITIAL_COUNT, (u32)MAX(count, 1ull));
}

void lapic_timer_arm(u64 deadline)
{
	struct percpu *cpu = this_cpu();

	if (deadline == cpu->timer_armed)
		return;
	cpu->timer_armed = deadline;
	if (!cpu->timer_counts)	/* 0 disarms */
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
