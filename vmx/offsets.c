/* SPDX-License-Identifier: MIT */
/* Offsets for vmenter.asm. */
#include "lib/offsets.h"
#include "vmx/vmx.h"

void offsets(void);
void offsets(void)
{
	DEFINE(VCPU_VMX_HOST_RSP, offsetof(struct vcpu_vmx, vmcs.host_rsp));
	DEFINE(HOST_RSP, HOST_RSP_ENCODING);
	DEFINE(VCPU_VMX_VMFAIL_VALID, offsetof(struct vcpu_vmx, vmfail_valid));
	DEFINE(EXIT_FASTPATH_REENTER_GUEST, EXIT_FASTPATH_REENTER_GUEST);
	DEFINE(EXIT_FASTPATH_ENTRY_FAILED, EXIT_FASTPATH_ENTRY_FAILED);
}
