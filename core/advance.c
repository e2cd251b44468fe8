/* SPDX-License-Identifier: MIT */
/* The timer advance grows immediately by what was missing, and shrinks slowly: it covers the slower ones of recent times. */
#include "core/advance.h"

#include "arch/apic/lapic_timer.h"
#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "core/vcpu.h"
#include "core/vtimer.h"
#include "lib/errno.h"

#define MOST_NS	   10000u
#define MOST_TICKS 4096u	/* if those are more: where the TSC is slow, instructions are */
#define LEAST	   64u		/* of an advance that is on, and to be left when the wait begins */
#define SHRINK	   32		/* by this part of what was left */

static u32 off;		/* 1: timeradvance=off */
DEFINE_CHOICE(timeradvance, "timeradvance", "auto|off",
	      "leave a guest, or wake its CPU, before its local APIC's timer expires, by what the way to the interrupt takes, at"
	      " most 10 us; then wait for the deadline, if no other vCPU needs the CPU (default auto)", off);

void advance_init(struct advance *advance)
{
	advance->ticks = off ? 0 : LEAST;
}

/* Something else has held the CPU up: no reason to come earlier the next time. */
static bool is_outlier(u64 missing, u64 most)
{
	return missing > most;
}

void advance_learn(struct advance *advance, s64 left)
{
	u64 most, missing;

	left -= LEAST;
	if (left >= 0) {
		advance->ticks -= MIN((u64)left / SHRINK, advance->ticks - LEAST);
		return;
	}
	most = MAX(vtimer_from_ns(MOST_NS), (u64)MOST_TICKS);
	missing = 0 - (u64)left;
	if (!is_outlier(missing, most))
		advance->ticks = MIN(advance->ticks + missing, most);
}

void advance_wait(struct vcpu *vcpu)
{
	struct advance *learner = vcpu->wait.learner;
	u64 until = vcpu->wait.until;

	vcpu->wait.until = 0;
	/* Now, so that nothing but the entry is left to do. */
	if (!vcpu->deadline_in_hardware)
		lapic_timer_arm(vcpu->timer_deadline);
	if (learner) {
		advance_learn(learner, (s64)(until - tsc_now()));
		if (vcpu->wait.advance == learner)
			vtimer_set_advance(&vcpu->timers, learner->ticks);
	}
	while ((s64)(until - tsc_now()) > 0)
		cpu_relax();
}
