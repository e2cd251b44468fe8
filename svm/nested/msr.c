/* SPDX-License-Identifier: MIT */
/* What L1 is offered: CPUID, VM_CR, VM_HSAVE_PA. AMD APM vol. 2, "Determining Support for SVM", "SVM Related MSRs". */
#include "core/cpu/msr.h"

#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "svm/nested/nested.h"

#define ASIDS	 64	/* L1's are only compared with each other: 02 has one of its own */
#define SVM_REVISION 1

void nsvm_cpuid(const struct vcpu *vcpu __maybe_unused, u32 leaf, struct cpuid_regs *regs)
{
	if (leaf == 0x80000001)
		regs->ecx |= CPUID_SVM;
	if (leaf != CPUID_SVM_FEATURES)
		return;
	*regs = (struct cpuid_regs){ .eax = SVM_REVISION, .ebx = ASIDS, .edx = SVM_NESTED_PAGING | SVM_FLUSH_BY_ASID };
	regs->edx |= (svm_features.nrip_save ? SVM_NRIP_SAVE : 0) |
		     (svm_features.decode_assists ? SVM_DECODE_ASSISTS : 0) |
		     (svm_features.pause_filter ? SVM_PAUSE_FILTER : 0) |
		     (svm_features.pause_threshold ? SVM_PAUSE_THRESHOLD : 0);
}

/* VM_CR.SVMDIS: "Enabling SVM" */
bool nsvm_control_allowed(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	return control != CTL_EFER || !(value & EFER_SVME) || !(to_svm(vcpu)->nested->vm_cr & VM_CR_SVM_DISABLE);
}

int nsvm_msr_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct svm_nested *nested = to_svm(vcpu)->nested;

	switch (msr) {
	case MSR_VM_CR:
		*value = nested->vm_cr;
		return 0;
	case MSR_VM_HSAVE_PA:
		*value = nested->hsave_pa;
		return 0;
	default:
		return -ENOENT;
	}
}

/*
 * Without SVM lock in CPUID the bit LOCK is reserved. DPD, R_INIT and DIS_A20M are not offered: a write of these
 * changes nothing. SVMDIS cannot be set while SVM is on.
 */
static int write_vm_cr(struct svm_nested *nested, u64 value)
{
	const u64 defined = VM_CR_DPD | VM_CR_R_INIT | VM_CR_DIS_A20M | VM_CR_SVM_DISABLE;

	if ((value & ~defined) || ((value & VM_CR_SVM_DISABLE) && nested->svme))
		return -EINVAL;
	nested->vm_cr = value & VM_CR_SVM_DISABLE;
	return 0;
}

int nsvm_msr_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	struct svm_nested *nested = to_svm(vcpu)->nested;

	switch (msr) {
	case MSR_VM_CR:
		return write_vm_cr(nested, value);
	case MSR_VM_HSAVE_PA:
		if ((value & ~PAGE_MASK) || value >> cpuid_physical_bits(vcpu))
			return -EINVAL;
		nested->hsave_pa = value;
		return 0;
	default:
		return -ENOENT;
	}
}
