/* SPDX-License-Identifier: MIT */
/* What a vCPU with nested=on has besides others: its memory, and its state at power-up. */
#include "arch/mem/pool.h"
#include "lib/string.h"
#include "vmx/nested/nested.h"

int nested_vmx_create(struct vcpu_vmx *vmx)
{
	struct nested_vmx *nested = page_alloc();

	vmx->nested = nested;
	if (!nested)
		return -ENOMEM;
	nested->current_ptr = NO_VMCS;
	nested->vmcs12 = page_alloc();
	nested->checks = page_alloc();
	if (!nested->vmcs12 || !nested->checks)
		return -ENOMEM;
	nested_checks_init(nested);
	if (nested_shadowing_create(vmx))
		return -ENOMEM;
	return nested_vmcs02_create(vmx);
}

void nested_vmx_destroy(struct vcpu_vmx *vmx)
{
	struct nested_vmx *nested = vmx->nested;

	if (!nested)
		return;
	nested_vmcs02_destroy(vmx);
	nested_shadowing_destroy(vmx);
	if (nested->checks)
		page_free(nested->checks);
	if (nested->vmcs12)
		page_free(nested->vmcs12);
	page_free(nested);
	vmx->nested = NULL;
}

/* INIT is blocked in VMX root operation, and an exit to L1 in non-root operation: so this is the power-up, or outside. */
void nested_vmx_reset(struct vcpu_vmx *vmx, bool init)
{
	struct nested_vmx *nested = vmx->nested;
	struct vmx_entry_state host;

	nested_shadowing_end(&vmx->vcpu);
	memset(&host, 0, sizeof(host));
	vmx_entry_state_processor(&host);
	nested_caps(&vmx->vcpu, &host, &nested->checks->l1);
	nested->vmxon = nested->enlightened = false;
	nested->vmxon_ptr = nested->current_ptr = NO_VMCS;
	nested->flush_l2 = true;
	if (!init)
		nested_hyperv_reset(&vmx->vcpu);
}
