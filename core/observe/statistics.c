/* SPDX-License-Identifier: MIT */
/* The accounting of exits: always on, because it takes only a few instructions per exit. */
#include "core/observe/statistics.h"

#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vm_alloc.h"

u64 statistics_exits(const struct exit_statistics *exit)
{
	u64 count = 0;

	for (unsigned i = 0; i < LOG2_BUCKETS; i++)
		count += exit->log2[i];
	return count;
}

/* Most kinds never happen, so each gets its memory when it first does. */
void statistics_first_of_kind(struct vcpu *vcpu)
{
	struct exit_statistics *exit = vm_alloc(vcpu->vm, sizeof(*exit));

	vcpu->statistics.by_kind[vcpu->exit_index] = vcpu->statistics.open = exit;
	if (!exit && vm_once(vcpu->vm, ONCE_OTHER, vcpu->exit_index | 0x100))
		vm_warn(vcpu->vm, "exits of kind %u are not counted: out of memory", vcpu->exit_index);
}

void statistics_slept(struct vcpu *vcpu, u64 ticks)
{
	/* If a report has ended the exit already, there is no time to subtract the sleep from. */
	if (vcpu->statistics.open)
		vcpu->statistics.slept += ticks;
	vcpu->statistics.idle += ticks;
}
