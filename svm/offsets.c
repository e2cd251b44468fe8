/* SPDX-License-Identifier: MIT */
/* Offsets for vmenter.asm. */
#include "lib/offsets.h"
#include "svm/svm.h"

void offsets(void);
void offsets(void)
{
	DEFINE(EXIT_FASTPATH_REENTER_GUEST, EXIT_FASTPATH_REENTER_GUEST);
	DEFINE(VCPU_SVM_VMCB_PA, offsetof(struct vcpu_svm, vmcb_pa));
	DEFINE(VCPU_SVM_VMCB, offsetof(struct vcpu_svm, vmcb));
	DEFINE(VMCB_EVENT_INJECTION, offsetof(struct vmcb, control.event_injection));
	DEFINE(VMCB_TLB_CONTROL, offsetof(struct vmcb, control.tlb_control));
	DEFINE(VMCB_CLEAN, offsetof(struct vmcb, control.clean));
	DEFINE(TLB_KEEP, TLB_KEEP);
	DEFINE(CLEAN_ALL, CLEAN_ALL);
	DEFINE(VCPU_SVM_HOST_VMCB_PA, offsetof(struct vcpu_svm, host_vmcb_pa));
}
