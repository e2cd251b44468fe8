/* SPDX-License-Identifier: MIT */
/* How a VMX instruction of L1 ends. SDM, "Conventions" of the VMX instructions: VMsucceed, VMfailInvalid, VMfailValid. */
#include "arch/cpu/x86.h"
#include "vmx/nested/nested.h"

#define RESULT_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static void finish(struct vcpu *vcpu, u64 flags)
{
	u64 before = vcpu_rflags(vcpu), rflags = (before & ~RESULT_FLAGS) | flags;

	/* Mostly they are as they were: that spares the store at the next entry. */
	if (rflags != before)
		vcpu_reg_write(vcpu, REG_RFLAGS, rflags);
	vcpu->ops->skip_instruction(vcpu);
}

void nested_vmsucceed(struct vcpu *vcpu)
{
	finish(vcpu, 0);
}

void nested_vmfail_invalid(struct vcpu *vcpu)
{
	finish(vcpu, RFLAGS_CF);
}

void nested_vmfail(struct vcpu *vcpu, enum vmx_error error)
{
	struct nested_vmx *nested = to_nested(vcpu);

	if (nested->current_ptr == NO_VMCS) {
		nested_vmfail_invalid(vcpu);
		return;
	}
	vmcs12_write32(nested->vmcs12, INSTRUCTION_ERROR, error);
	if (nested->enlightened)
		nested_evmcs_store_error(vcpu, error);
	finish(vcpu, RFLAGS_ZF);
}
