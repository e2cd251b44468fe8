/* SPDX-License-Identifier: MIT */
/* An access to guest-physical memory that the second-level page tables do not map. */
#include "core/emulate/emulate.h"

#include "core/exit.h"
#include "core/mem/guest_mem.h"
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

void exit_tdp_fault(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	unsigned long long gpa = fault->gpa;

	if (likely(emulate_mmio_fast(vcpu, fault)))
		return;
	if (fault->access == TDP_FETCH && vcpu->ops->vm_make_executable && make_executable(vcpu, fault->gpa))
		return;
	if (guest_is_ram(vcpu->vm, fault->gpa, 1))
		exit_unexpected(vcpu, "%s at 0x%llx, which is RAM", fault->what, gpa);
	else if (fault->walk)
		exit_unexpected(vcpu, "the guest's page tables are at 0x%llx, where there is no RAM", gpa);
	else if (fault->access == TDP_FETCH)
		exit_unexpected(vcpu, "the guest executes at 0x%llx, where there is no RAM", gpa);
	else
		emulate_mmio(vcpu, fault);
}
