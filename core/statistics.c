/* SPDX-License-Identifier: MIT */
/* The accounting of exits: a few instructions at each, so it is always on. */
#include "core/statistics.h"

#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vm_alloc.h"

unsigned statistics_bucket(u64 ticks)
{
	unsigned bucket = 63 - (unsigned)__builtin_clzll(ticks | 1);

	return MIN(bucket, LOG2_BUCKETS - 1u);
}

/* Most kinds never happen: each gets its memory when it does. */
static __attribute__((noinline)) void first_of_kind(struct vcpu *vcpu)
{
	struct exit_statistics *exit = vm_alloc(vcpu->vm, sizeof(*exit));

	vcpu->statistics.by_kind[vcpu->exit_index] = vcpu->statistics.open = exit;
	if (!exit && vm_once(vcpu->vm, ONCE_OTHER, vcpu->exit_index | 0x100))
		vm_warn(vcpu->vm, "exits of kind %u are not counted: out of memory", vcpu->exit_index);
}

void statistics_exit_begins(struct vcpu *vcpu)
{
	vcpu->statistics.slept = 0;
	vcpu->statistics.open = vcpu->statistics.by_kind[vcpu->exit_index];
	if (unlikely(!vcpu->statistics.open))
		first_of_kind(vcpu);
}

void statistics_exit_ends(struct vcpu *vcpu, u64 now)
{
	struct exit_statistics *exit = vcpu->statistics.open;
	u64 ticks = now - vcpu->exit_tsc - vcpu->statistics.slept;

	if (unlikely(!exit))
		return;
	exit->count++;
	exit->ticks += ticks;
	exit->max = MAX(exit->max, ticks);
	exit->log2[statistics_bucket(ticks)]++;
	vcpu->statistics.open = NULL;
}

void statistics_slept(struct vcpu *vcpu, u64 ticks)
{
	vcpu->statistics.slept += ticks;
	vcpu->statistics.idle += ticks;
}
