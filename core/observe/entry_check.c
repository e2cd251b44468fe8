/* SPDX-License-Identifier: MIT */
/* The option check=entries: check the state before each VM entry against the manual's rules. */
#include "core/observe/entry_check.h"

#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "core/observe/entry_rule.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "lib/spinlock.h"

#define KEPT 4		/* at most so many broken rules of one entry are reported */
#define REPORTED 16	/* at most so many entries of one vCPU are reported */

static enum { CHECK_OFF, CHECK_ENTRIES } check;
/* By vcpu->l2_runs: the vendor's table and its copy; constant from the first VM on that needs it. */
static struct {
	const struct vcpu_ops *vendor;
	struct vcpu_ops copy;
} checked[2];
static struct spinlock lock;

DEFINE_CHOICE(check, "check", "off|entries",
	      "check a vCPU's state against the manual's rules before every VM entry: slow (default off)",
	      check);

struct findings {
	unsigned count;
	struct violation kept[KEPT];
};

static void keep(void *context, const struct violation *violation)
{
	struct findings *found = context;

	if (found->count < KEPT)
		found->kept[found->count] = *violation;
	found->count++;
}

static void tell(const struct vcpu *vcpu, const struct findings *found, bool refused)
{
	const char *what = refused ? "refused for" : "entered in spite of";

	for (unsigned i = 0; i < MIN(found->count, (unsigned)KEPT); i++) {
		const struct violation *v = &found->kept[i];

		vm_error(vcpu->vm, "vcpu %u: check: %s %s: %s (%s) [%s, \"%s\"]", vcpu->id, what, v->name,
			 v->text, v->values, vcpu->ops->manual, v->section);
	}
	if (!found->count)
		vm_error(vcpu->vm, "vcpu %u: check: refused, though no rule that Lamina knows was broken",
			 vcpu->id);
}

/* Failures by the MSR lists, a machine check or a missing VMCS are not: check_entry() does not cover them. */
static bool by_these_rules(const struct failure_record *failure)
{
	return failure->kind == ENTRY_VMFAIL_VALID || failure->kind == ENTRY_INVALID_STATE;
}

static enum exit_fastpath checked_run(struct vcpu *vcpu, bool force_immediate_exit)
{
	const struct vcpu_ops *vendor = checked[vcpu->l2_runs].vendor;
	struct findings found = { .count = 0 };
	enum exit_fastpath fastpath;
	bool refused;
	u64 begin = tsc_now();

	/* The vendors keep what they compare with: one CPU at a time. */
	spin_lock(&lock);
	vendor->check_entry(vcpu, keep, &found);
	spin_unlock(&lock);
	vcpu->entry_checks.ticks += tsc_now() - begin;
	fastpath = vendor->vcpu_run(vcpu, force_immediate_exit);
	refused = fastpath == EXIT_FASTPATH_ENTRY_FAILED && by_these_rules(&vcpu->failure);
	vcpu->entry_checks.made++;
	if (likely(!refused && !found.count))
		return fastpath;
	vcpu->entry_checks.alarms += refused != !!found.count;
	if (vcpu->entry_checks.reported++ < REPORTED)
		tell(vcpu, &found, refused);
	return fastpath;
}

const struct vcpu_ops *entry_check_ops(const struct vcpu_ops *vendor)
{
	/* Every VM has operations for L1 first. Where a copy has been made, other VMs may be running by it. */
	unsigned level = checked[0].vendor && checked[0].vendor != vendor;

	if (check == CHECK_OFF)
		return vendor;
	if (!checked[level].vendor) {
		checked[level].vendor = vendor;
		checked[level].copy = *vendor;
		checked[level].copy.vcpu_run = checked_run;
	}
	return &checked[level].copy;
}

void entry_check_print(const struct vcpu *vcpu)
{
	if (check != CHECK_OFF)
		vm_info(vcpu->vm, "vcpu %u: check: %llu entries checked, %llu alarms", vcpu->id,
			(unsigned long long)vcpu->entry_checks.made,
			(unsigned long long)vcpu->entry_checks.alarms);
}
