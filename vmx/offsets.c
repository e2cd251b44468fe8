/* SPDX-License-Identifier: MIT */
/* Offsets for vmenter.asm. */
#include "lib/offsets.h"
#include "vmx/vmx.h"

void offsets(void);
void offsets(void)
{
	DEFINE(VCPU_VMX_HOST_RSP, offsetof(struct vcpu_vmx, host_rsp));
	DEFINE(HOST_RSP, HOST_RSP_ENCODING);
	DEFINE(STUB_AGAIN, STUB_AGAIN);
	DEFINE(VMX_FAIL_INVALID, VMX_FAIL_INVALID);
	DEFINE(VMX_FAIL_VALID, VMX_FAIL_VALID);
}
