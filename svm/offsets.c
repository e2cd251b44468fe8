/* SPDX-License-Identifier: MIT */
/* Offsets for vmenter.asm. */
#include "lib/offsets.h"
#include "svm/svm.h"

void offsets(void);
void offsets(void)
{
	DEFINE(EXIT_FASTPATH_REENTER_GUEST, EXIT_FASTPATH_REENTER_GUEST);
	DEFINE(VCPU_SVM_VMCB_PA, offsetof(struct vcpu_svm, vmcb_pa));
	DEFINE(VCPU_SVM_HOST_VMCB_PA, offsetof(struct vcpu_svm, host_vmcb_pa));
}
