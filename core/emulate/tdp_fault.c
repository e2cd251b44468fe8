/* SPDX-License-Identifier: MIT */
/* An access to guest-physical memory that the second-level page tables do not map. */
#include "core/emulate/emulate.h"

#include "core/cpu/machine_check.h"
#include "core/exit.h"
#include "core/mem/guest_mem.h"
#include "core/mem/tdp_change.h"
#include "core/vcpu.h"
#include "lib/errno.h"

/* RAM that is mapped, but without execute permission. True: the guest can go on, or its VM has ended. */
static bool make_executable(struct vcpu *vcpu, gpa_t gpa)
{
	int error = vcpu->ops->vm_make_executable(vcpu->vm, gpa);

	if (error == -ENOMEM)
		exit_unexpected(vcpu, "no memory for the page tables of code at 0x%llx", (unsigned long long)gpa);
	return !error || error == -ENOMEM;
}

void exit_code_in_device(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	exit_unexpected(vcpu, fault->walk ? "the guest's page tables are at 0x%llx, where there is no RAM" :
			"the guest executes at 0x%llx, where there is no RAM", (unsigned long long)fault->gpa);
}

/* Not an access to a device. */
static __noinline void unexpected(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	const struct guest_damage *damage = guest_mem_damage_at(vcpu->vm, fault->gpa);
	unsigned long long gpa = fault->gpa;

	if (damage)
		exit_damaged_memory(vcpu, fault->gpa, damage);
	else if (tdp_change_explains(vcpu->vm, fault->gpa, fault->access == TDP_WRITE))
		return;
	else if (guest_mem_has(vcpu->vm, fault->gpa))
		exit_unexpected(vcpu, "%s at 0x%llx, which is RAM", fault->what, gpa);
	else
		exit_code_in_device(vcpu, fault);
}

void exit_tdp_fault(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	if (likely(emulate_mmio_fast(vcpu, fault)))
		return;
	if (fault->access == TDP_FETCH && vcpu->ops->vm_make_executable && make_executable(vcpu, fault->gpa))
		return;
	if (guest_mem_has(vcpu->vm, fault->gpa) || fault->walk || fault->access == TDP_FETCH)
		unexpected(vcpu, fault);
	else
		emulate_mmio(vcpu, fault);
}
