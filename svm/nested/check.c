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
	struct svm_nested *nested = to_svm(vcpu)->nested;
	struct svm_entry_state state = {
		.vmcb = &nested->vmcb12,
		.processor = {
			.physical_bits = cpuid_physical_bits(vcpu),
			.host_cr0 = svm_control_get(vcpu, CTL_CR0),
		},
	};

	if (!nested->cr4_valid) {
		nested->efer_valid = control_efer_allowed(vcpu);
		nested->cr4_valid = control_cr4_allowed(vcpu);
	}
	state.processor.efer_valid = nested->efer_valid;
	state.processor.cr4_valid = nested->cr4_valid;
	return svm_check_entry(&state, report, vcpu) ? -EINVAL : 0;
}
