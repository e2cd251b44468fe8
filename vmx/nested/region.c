/* SPDX-License-Identifier: MIT */
/*
 * VMCS regions in L1's RAM. L0 reads one whole at VMPTRLD, works on its copy, and writes the copy back when L1 lets go of
 * it; L1 must not access the region meanwhile. SDM, "Format of the VMCS Region", "Software Use of Virtual-Machine
 * Control Structures".
 */
#include "vmx/nested/nested.h"

/* What is not RAM reads as all ones. */
u32 nested_region_revision(const struct vcpu *vcpu, gpa_t region)
{
	u32 revision;

	return guest_read(vcpu->vm, region, &revision, sizeof(revision)) ? ~0u : revision;
}

bool nested_region_load(struct vcpu *vcpu, gpa_t region)
{
	struct nested_vmx *nested = to_nested(vcpu);
	struct vmcs12 *vmcs12 = nested->vmcs12;

	if (nested->current_ptr == region && !nested->enlightened)
		return nested_region_revision(vcpu, region) == VMCS12_REVISION;
	if (nested_region_revision(vcpu, region) != VMCS12_REVISION)
		return false;
	nested_region_release(vcpu);
	/* The first word was RAM, so the page is. */
	if (guest_read(vcpu->vm, region, vmcs12, sizeof(*vmcs12)))
		return false;
	vmcs12->revision = VMCS12_REVISION;
	vmcs12_cut(vmcs12);
	nested->current_ptr = region;
	nested_shadowing_begin(vcpu);
	return true;
}

void nested_region_release(struct vcpu *vcpu)
{
	struct nested_vmx *nested = to_nested(vcpu);

	if (nested->current_ptr == NO_VMCS)
		return;
	nested_shadowing_end(vcpu);
	/* An enlightened one has all that L0 knows, and another layout. */
	if (!nested->enlightened)
		guest_write(vcpu->vm, nested->current_ptr, nested->vmcs12, sizeof(*nested->vmcs12));
	nested->enlightened = false;
	nested->current_ptr = NO_VMCS;
}

/*
 * Of a region that is not current only the launch state changes. Where no RAM is, writes are lost. An enlightened VMCS has no
 * launch state; what L1 clears while it enters with such ones is one.
 */
void nested_region_clear(struct vcpu *vcpu, gpa_t region)
{
	const u32 clear = 0;

	if (to_nested(vcpu)->current_ptr == region) {
		to_nested(vcpu)->vmcs12->launched = clear;
		nested_region_release(vcpu);
	} else if (!nested_evmcs_is_on(vcpu)) {
		guest_write(vcpu->vm, region + offsetof(struct vmcs12, launched), &clear, sizeof(clear));
	}
}
