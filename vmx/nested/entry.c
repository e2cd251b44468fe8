/* SPDX-License-Identifier: MIT */
/* From L1 to L2: VMLAUNCH and VMRESUME. Intel SDM, "VM Entries". */
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "lib/string.h"
#include "vmx/nested/nested.h"

/* While vmcs01 is current. */
static struct nested_origin origin(struct vcpu *vcpu, const struct nested_check *check)
{
	struct nested_origin from = {
		.dr7 = vmcs_readn(GUEST_DR7),
		.efer = vmx_control_get(vcpu, CTL_EFER),
	};

	BUG_ON(vmx_msr_get(vcpu, MSR_PAT, &from.pat));
	memcpy(from.pdptes, check->pdptes, sizeof(from.pdptes));
	return from;
}

/*
 * SDM, "Activity State": an event that is injected ends HLT. So do the windows that L1 has asked for, as soon as they
 * are open, and a TPR below its threshold: then L2 is entered, and exits immediately.
 */
static bool begins_halted(struct vcpu *vcpu)
{
	const struct vmcs12 *v = to_nested(vcpu)->vmcs12;
	u32 primary = vmcs12_read32(v, PRIMARY_CONTROLS);
	bool window = (primary & PRIMARY_NMI_WINDOW) ||
		      ((primary & PRIMARY_INTERRUPT_WINDOW) && (vmcs12_readn(v, GUEST_RFLAGS) & RFLAGS_IF));
	bool below = (primary & PRIMARY_TPR_SHADOW) && to_nested(vcpu)->checks->l1.virtual_tpr >> 4 < vmcs12_read32(v, TPR_THRESHOLD);

	return vmcs12_read32(v, GUEST_ACTIVITY) == ACTIVITY_HLT &&
	       !(vmcs12_read32(v, ENTRY_INTERRUPTION_INFO) & INTERRUPTION_VALID) && !window && !below;
}

/* From here on the entry cannot be taken back. */
static void go_on_as_l2(struct vcpu *vcpu)
{
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;

	nested_start_timer(vcpu);
	if (begins_halted(vcpu)) {
		to_nested(vcpu)->vmcs12->launched = true;
		nested_halt(vcpu);
	} else {
		l2->entry_pending = true;
	}
	vcpu_request(vcpu, REQ_EVENT);
	/* SDM, "Event Blocking": an INIT that has waited in root operation waits no longer. */
	if (unlikely(READ_ONCE(vcpu->startup) != STARTUP_RUNNING))
		vcpu_request(vcpu, REQ_STARTUP);
}

void nested_vmx_enter(struct vcpu *vcpu)
{
	struct vmcs12 *v = to_nested(vcpu)->vmcs12;
	struct nested_check check = { .outcome = NESTED_ENTRY_OK };
	struct nested_origin from;
	u32 refused;

	nested_vmx_check(vcpu, &check);
	if (check.outcome == NESTED_ENTRY_VMFAIL) {
		nested_vmfail(vcpu, check.error);
		return;
	}
	if (check.outcome == NESTED_ENTRY_FAILED) {
		nested_fail_entry(vcpu, check.reason, check.qualification);
		return;
	}
	from = origin(vcpu, &check);
	nested_use_vmcs02(vcpu);
	nested_fill_vmcs02(vcpu, &from);
	refused = nested_load_msrs(vcpu, vmcs12_read64(v, ENTRY_MSR_LOAD_ADDRESS), vmcs12_read32(v, ENTRY_MSR_LOAD_COUNT));
	if (refused) {
		nested_fail_entry(vcpu, NESTED_FAILED_ENTRY | EXIT_REASON_MSR_LOADING, refused);
		return;
	}
	go_on_as_l2(vcpu);
}

void nested_vmx_leave(struct vcpu *vcpu)
{
	struct nested_l2 *l2;

	if (!vcpu->l2_runs)
		return;
	l2 = &to_nested(vcpu)->l2;
	vtimer_cancel(&l2->timer);		/* vmcs12 keeps its value */
	l2->timer_expired = l2->entry_pending = l2->halted = false;
	vcpu->events.exception.type = vcpu->events.reinject.type = EVENT_NONE;
	nested_use_vmcs01(vcpu);
	vcpu_request(vcpu, REQ_EVENT);
}
