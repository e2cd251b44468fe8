/* SPDX-License-Identifier: MIT */
/*
 * The timer advance: from the deadline of a guest's timer until its handler runs, a wake-up or an exit, the scheduler
 * and an injection take their time. So the CPU comes that much earlier, and waits at the end, before the entry, until
 * the deadline: no guest sees its timer fire early. How much it takes is learnt on each CPU from the times before. Only for a vCPU that has its CPU for itself, so that nobody else's time is spent on waiting.
 */
#pragma once

#include "lib/types.h"

struct vcpu;

/* One CPU's, in one situation. That CPU only. */
struct advance {
	u64 ticks;	/* host TSC; 0: off */
};

/* As the option says. */
void advance_init(struct advance *advance);
/* The CPU was ready to enter the guest `left` ticks before the deadline; negative: after it. */
void advance_learn(struct advance *advance, s64 left);

/* Right before the entry, with vcpu->wait.until set: learn, and wait until then. At most for the advance in force. */
void advance_wait(struct vcpu *vcpu);
