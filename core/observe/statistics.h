/* SPDX-License-Identifier: MIT */
/*
 * What a vCPU's exits were and what they cost: from the stamp right after an exit to the next entry,
 * without the time that the processor slept. Kept by the CPU that runs the vCPU, without a lock.
 */
#pragma once

#include "lib/types.h"

struct vcpu;

#define EXIT_KINDS   256	/* vendor's index: VMX basic reason, SVM folded exit code */
#define LOG2_BUCKETS 64

struct exit_statistics {
	u64 ticks, max;		/* TSC */
	u64 log2[LOG2_BUCKETS];	/* [n]: exits of 2^n ticks and more, but less than 2^(n+1) */
};

struct vcpu_statistics {
	struct exit_statistics *by_kind[EXIT_KINDS];	/* the VM's memory; NULL: has not happened */
	struct exit_statistics *open;	/* the exit that is being handled, or NULL */
	u64 slept;			/* ticks asleep since that exit */
	u64 idle;			/* ticks asleep, in all */
};

/* Which bucket of log2[] a time belongs to. */
static inline unsigned statistics_bucket(u64 ticks)
{
	return 63 - (unsigned)__builtin_clzll(ticks | 1);
}

/* An exit of this kind took so many ticks. */
static inline void statistics_count(struct exit_statistics *exit, u64 ticks)
{
	exit->ticks += ticks;
	if (unlikely(ticks > exit->max))
		exit->max = ticks;
	exit->log2[statistics_bucket(ticks)]++;
}

/* How many there were. */
u64 statistics_exits(const struct exit_statistics *exit);

/* Make room for what vcpu->exit_index tells of, and let by_kind[] and `open` point there, or at NULL. */
void statistics_first_of_kind(struct vcpu *vcpu);
/* The processor has slept since the last exit. */
void statistics_slept(struct vcpu *vcpu, u64 ticks);

/* Print what there is so far, as the option stats= says; `on_request` also where it says off. */
void statistics_print(struct vcpu *vcpu, bool on_request);
