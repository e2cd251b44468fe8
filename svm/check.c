/* SPDX-License-Identifier: MIT */
/* Why VMRUN refused: AMD APM vol. 2, "Canonicalization and Consistency Checks". */
#include "arch/x86.h"
#include "svm/svm.h"

struct rule {
	const char *text;
	bool (*violated)(const struct vmcb *vmcb);
};

static bool svme_clear(const struct vmcb *vmcb)
{
	return !(vmcb->save.efer & EFER_SVME);
}

static bool nw_without_cd(const struct vmcb *vmcb)
{
	return (vmcb->save.cr0 & (CR0_CD | CR0_NW)) == CR0_NW;
}

static bool cr0_high(const struct vmcb *vmcb)
{
	return vmcb->save.cr0 >> 32;
}

static bool dr6_high(const struct vmcb *vmcb)
{
	return vmcb->save.dr6 >> 32;
}

static bool dr7_high(const struct vmcb *vmcb)
{
	return vmcb->save.dr7 >> 32;
}

static bool long_paging(const struct vmcb *vmcb)
{
	return (vmcb->save.efer & EFER_LME) && (vmcb->save.cr0 & CR0_PG);
}

static bool long_without_pae(const struct vmcb *vmcb)
{
	return long_paging(vmcb) && !(vmcb->save.cr4 & CR4_PAE);
}

static bool long_without_pe(const struct vmcb *vmcb)
{
	return long_paging(vmcb) && !(vmcb->save.cr0 & CR0_PE);
}

static bool long_and_default_32(const struct vmcb *vmcb)
{
	const u16 both = ATTRIBUTE_L | ATTRIBUTE_DB;

	return long_paging(vmcb) && (vmcb->save.cr4 & CR4_PAE) && (vmcb->save.cs.attributes & both) == both;
}

static bool vmrun_not_intercepted(const struct vmcb *vmcb)
{
	return !(vmcb->control.intercept_misc2 & INTERCEPT_VMRUN);
}

static bool asid_zero(const struct vmcb *vmcb)
{
	return vmcb->control.asid == 0;
}

static bool bad_event(const struct vmcb *vmcb)
{
	u64 event = vmcb->control.event_injection;
	unsigned type = EVENT_TYPE(event);

	if (!(event & EVENT_VALID))
		return false;
	if (type == 1 || type > VMCB_EVENT_SOFT)
		return true;
	return type == VMCB_EVENT_EXCEPTION && (EVENT_VECTOR(event) == X86_NMI || EVENT_VECTOR(event) > 31);
}

static const struct rule rules[] = {
	{ "EFER.SVME must be 1", svme_clear },
	{ "CR0.NW must be 0 when CR0.CD is 0", nw_without_cd },
	{ "CR0[63:32] must be 0", cr0_high },
	{ "DR6[63:32] must be 0", dr6_high },
	{ "DR7[63:32] must be 0", dr7_high },
	{ "CR4.PAE must be 1 when EFER.LME and CR0.PG are 1", long_without_pae },
	{ "CR0.PE must be 1 when EFER.LME and CR0.PG are 1", long_without_pe },
	{ "CS.L and CS.D must not both be 1 in long mode", long_and_default_32 },
	{ "the VMRUN intercept must be set", vmrun_not_intercepted },
	{ "the ASID must not be 0", asid_zero },
	{ "EVENTINJ must hold a type that exists, and a vector that is an exception for type 3", bad_event },
};

void svm_explain_failure(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	unsigned found = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		if (!rules[i].violated(vmcb))
			continue;
		found++;
		vm_error(vcpu->vm, "vcpu %u: VM entry failed: invalid guest state (exit code 0x%llx): %s", vcpu->id,
			 (unsigned long long)vcpu->failure.reason, rules[i].text);
	}
	if (!found)
		vm_error(vcpu->vm, "vcpu %u: VM entry failed: invalid guest state (exit code 0x%llx); none of the %u rules checked here is broken, see the dump",
			 vcpu->id, (unsigned long long)vcpu->failure.reason, (unsigned)ARRAY_SIZE(rules));
}
