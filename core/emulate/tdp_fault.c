/* SPDX-License-Identifier: MIT */
/* An access to guest-physical memory that the second-level page tables do not map. */
#include "core/emulate/emulate.h"

#include "core/exit.h"
#include "core/mem/guest_mem.h"
#include "core/vcpu.h"
#include "lib/errno.h"

static void fault_in_ram(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	unsigned long long gpa = fault->gpa;
	int error = -ENOENT;

	if (fault->access == TDP_FETCH && vcpu->ops->vm_make_executable)
		error = vcpu->ops->vm_make_executable(vcpu->vm, fault->gpa);
	if (error == -ENOMEM)
		exit_unexpected(vcpu, "no memory for the page tables of code at 0x%llx", gpa);
	else if (error)
		exit_unexpected(vcpu, "%s at 0x%llx, which is RAM", fault->what, gpa);
}

void exit_tdp_fault(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	unsigned long long gpa = fault->gpa;

	if (likely(emulate_mmio_fast(vcpu, fault)))
		return;
	if (guest_is_ram(vcpu->vm, fault->gpa, 1))
		fault_in_ram(vcpu, fault);
	else if (fault->walk)
		exit_unexpected(vcpu, "the guest's page tables are at 0x%llx, where there is no RAM", gpa);
	else if (fault->access == TDP_FETCH)
		exit_unexpected(vcpu, "the guest executes at 0x%llx, where there is no RAM", gpa);
	else
		emulate_mmio(vcpu, fault);
}
