/* SPDX-License-Identifier: MIT */
/*
 * Number and times of a vCPU's exits. An exit's time runs from the time stamp right after it to the next
 * entry, less the time that the processor slept. Kept by the CPU that runs the vCPU, without a lock.
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
	struct exit_statistics *by_kind[EXIT_KINDS];	/* from vm_alloc(); NULL: has not happened */
	struct exit_statistics *open;	/* the exit that is being handled, or NULL */
	u64 slept;			/* ticks asleep since that exit */
	u64 idle;			/* ticks asleep, in all */
};

/* Which bucket of log2[] a time belongs to. */
static inline unsigned statistics_bucket(u64 ticks)
{
	return 63 - (unsigned)__builtin_clzll(ticks | 1);
}

/* Count an exit of this kind that took `ticks` (TSC). */
static inline void statistics_count(struct exit_statistics *exit, u64 ticks)
{
	exit->ticks += ticks;
	if (unlikely(ticks > exit->max))
		exit->max = ticks;
	exit->log2[statistics_bucket(ticks)]++;
}

/* Number of exits of this kind. */
u64 statistics_exits(const struct exit_statistics *exit);

/* Allocate the counters of the kind vcpu->exit_index; by_kind[] and `open` get the pointer, NULL without memory. */
void statistics_first_of_kind(struct vcpu *vcpu);
/* The processor has slept for `ticks` (TSC) since the last exit. */
void statistics_slept(struct vcpu *vcpu, u64 ticks);

/* Print the statistics so far in the format of the option stats=, with `on_request` even if that says off. */
void statistics_print(struct vcpu *vcpu, bool on_request);
