/* SPDX-License-Identifier: MIT */
/* Account for an exit that the loop in core/enter.c handles: when it begins, and when it has ended. */
#pragma once

#include "core/observe/statistics.h"
#include "core/vcpu.h"

/* An exit of the kind vcpu->exit_index has happened at vcpu->exit_tsc. */
static inline void statistics_exit_begins(struct vcpu *vcpu)
{
	vcpu->statistics.open = vcpu->statistics.by_kind[vcpu->exit_index];
	if (unlikely(!vcpu->statistics.open))
		statistics_first_of_kind(vcpu);
}

/* That exit was handled until `now`. Does nothing if it has been ended already. */
static inline void statistics_exit_ends(struct vcpu *vcpu, u64 now)
{
	struct exit_statistics *exit = vcpu->statistics.open;

	if (unlikely(!exit))
		return;
	statistics_count(exit, now - vcpu->exit_tsc - vcpu->statistics.slept);
	vcpu->statistics.slept = 0;
	vcpu->statistics.open = NULL;
}
