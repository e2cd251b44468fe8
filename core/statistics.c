/* SPDX-License-Identifier: MIT */
/* The table of exits that is printed when a VM has ended. */
#include "core/statistics.h"

#include "core/vcpu.h"
#include "core/vm.h"

/* The most frequent exit that comes after `previous` in the order of (count, index). -1: none left. */
static int next_by_count(const struct vcpu *vcpu, int previous)
{
	int best = -1;

	for (int i = 0; i < EXIT_COUNTERS; i++) {
		u64 count = vcpu->exit_counts[i];

		if (!count)
			continue;
		if (previous >= 0 && (count > vcpu->exit_counts[previous] ||
				      (count == vcpu->exit_counts[previous] && i <= previous)))
			continue;
		if (best < 0 || count > vcpu->exit_counts[best])
			best = i;
	}
	return best;
}

void statistics_print(struct vcpu *vcpu)
{
	vm_info(vcpu->vm, "vcpu %u: %llu entries, %llu forced exits, %llu failed entries", vcpu->id,
		(unsigned long long)vcpu->entries, (unsigned long long)vcpu->forced_exits,
		(unsigned long long)vcpu->failed_entries);
	for (int i = next_by_count(vcpu, -1); i >= 0; i = next_by_count(vcpu, i)) {
		const char *name = vcpu->ops->exit_name((u8)i);

		vm_info(vcpu->vm, "vcpu %u: exits %12llu  %s", vcpu->id,
			(unsigned long long)vcpu->exit_counts[i], name ? name : "unknown");
	}
}
