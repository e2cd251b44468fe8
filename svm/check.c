/* SPDX-License-Identifier: MIT */
/*
 * Explain a VMRUN that the processor refused. It may have overwritten the state that it refused: AMD
 * APM vol. 2, "#VMEXIT", does not say which fields of the VMCB a failed VMRUN preserves.
 */
#include "svm/svm.h"

#define FAILED "vcpu %u: VM entry failed: invalid guest state (exit code 0x%llx): "

static void print_violation(void *context, const struct violation *violation)
{
	const struct vcpu *vcpu = context;

	vm_error(vcpu->vm, FAILED "%s: %s (%s) [APM, \"%s\"]", vcpu->id,
		 (unsigned long long)vcpu->failure.reason, violation->name, violation->text,
		 violation->values, violation->section);
}

/* Called before each entry with check=entries. The processor's properties never change: read them once. */
unsigned svm_check_next_entry(struct vcpu *vcpu, violation_sink *sink, void *context)
{
	static struct svm_entry_state state;

	if (!state.vmcb)
		svm_entry_state_read(vcpu, &state);
	state.vmcb = to_svm(vcpu)->vmcb;
	/* RIP, RSP and RAX are also stored late (svm/run.c), but no rule looks at them. */
	if (vcpu->regs_dirty & BIT(REG_RFLAGS))
		to_svm(vcpu)->vmcb->save.rflags = vcpu->regs[REG_RFLAGS];
	return svm_check_entry(&state, sink, context);
}

void svm_explain_failure(struct vcpu *vcpu)
{
	struct svm_entry_state state;

	svm_entry_state_read(vcpu, &state);
	if (!svm_check_entry(&state, print_violation, vcpu))
		vm_error(vcpu->vm,
			 FAILED "no rule that Lamina knows is broken by the state that the processor left, which follows",
			 vcpu->id, (unsigned long long)vcpu->failure.reason);
}
