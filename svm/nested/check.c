/* SPDX-License-Identifier: MIT */
/* L1's VMRUN is checked by the rules that explain a failed one of Lamina's own, with the processor that L1 has. */
#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "svm/nested/nested.h"

/* The first rule decides; each is reported once, to the author of L1. */
static void report(void *context, const struct violation *violation)
{
	struct vcpu *vcpu = context;

	if (vm_once(vcpu->vm, ONCE_OTHER, (uintptr_t)violation->name))
		vm_warn(vcpu->vm, "vcpu %u: the guest's VMRUN fails, as on a processor: %s: %s (%s) [APM, \"%s\"]",
			vcpu->id, violation->name, violation->text, violation->values, violation->section);
}

int nsvm_check(struct vcpu *vcpu)
{
	const struct vcpu_svm *svm = to_svm(vcpu);
	const struct svm_entry_state state = {
		.vmcb = &svm->nested->vmcb12,
		.processor = {
			.physical_bits = cpuid_physical_bits(vcpu),
			.efer_valid = control_efer_allowed(vcpu),
			.cr4_valid = control_cr4_allowed(vcpu),
			.host_cr0 = svm_control_get(vcpu, CTL_CR0),
		},
	};

	return svm_check_entry(&state, report, vcpu) ? -EINVAL : 0;
}
