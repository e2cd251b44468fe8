/* SPDX-License-Identifier: MIT */
/* The bound on a periodic source's rate. */
#include "core/pace.h"

#include "core/vcpu.h"
#include "core/vm.h"

#define LONGEST_NS 10000000	/* one long exit does not stop the clock for longer */

static u64 exits_took(const struct vcpu *vcpu)
{
	u64 sum = vcpu->entry_checks.ticks;

	for (unsigned i = 0; i < EXIT_KINDS; i++)
		if (vcpu->statistics.by_kind[i])
			sum += vcpu->statistics.by_kind[i]->ticks;
	return sum;
}

u64 pace_next(struct pace *pace, struct vcpu *vcpu, const char *source, u64 period, u64 now)
{
	u64 exits, took, next;
	bool first = !pace->tick;

	if (period > vtimer_from_ns(PACE_PERIOD_NS))
		return 0;
	exits = exits_took(vcpu);
	took = exits - pace->exits;
	*pace = (struct pace){ .tick = now, .exits = exits };
	if (first)
		return 0;
	next = MIN(took + took / 8, vtimer_from_ns(LONGEST_NS));
	if (next > period && vm_once(vcpu->vm, ONCE_OTHER, (u64)source))
		vm_info(vcpu->vm, "%s is set to a tick each %llu us, and the exits of one take %llu us: it ticks slower, "
			"so that the guest can run", source, (unsigned long long)vtimer_to_ns(period) / 1000,
			(unsigned long long)vtimer_to_ns(took) / 1000);
	return next;
}
