/* SPDX-License-Identifier: MIT */
/*
 * What a vCPU's exits were and what they cost: from the stamp right after an exit to the next entry,
 * without the time that the processor slept. Kept by the CPU that runs the vCPU, without a lock.
 */
#pragma once

#include "lib/types.h"

struct vcpu;

#define EXIT_KINDS   256	/* vendor's index: VMX basic reason, SVM folded exit code */
#define LOG2_BUCKETS 40		/* the last one takes all that is longer: three minutes at 3 GHz */

struct exit_statistics {
	u64 count;
	u64 ticks, max;		/* TSC */
	u64 log2[LOG2_BUCKETS];	/* [n]: exits of 2^n ticks and more, but less than 2^(n+1) */
};

struct vcpu_statistics {
	struct exit_statistics *by_kind[EXIT_KINDS];	/* the VM's memory; NULL: has not happened */
	struct exit_statistics *open;	/* the exit that is being handled, or NULL */
	u64 slept;			/* ticks asleep since that exit */
	u64 idle;			/* ticks asleep, in all */
};

/*
 * The exit that vcpu->exit_index and vcpu->exit_tsc tell of was handled up to `now`. Does nothing
 * where it has ended already. Some 30 instructions for the pair, without an atomic one.
 */
void statistics_exit_begins(struct vcpu *vcpu);
void statistics_exit_ends(struct vcpu *vcpu, u64 now);
void statistics_slept(struct vcpu *vcpu, u64 ticks);

/* Which bucket of log2[] a time belongs to. */
unsigned statistics_bucket(u64 ticks);

/* Print what there is so far, as the option stats= says; `on_request` also where it says off. */
void statistics_print(struct vcpu *vcpu, bool on_request);
