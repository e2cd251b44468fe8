/* SPDX-License-Identifier: MIT */
/* Which of a vCPU's two levels is current. */
#include "core/nested.h"

#include "core/observe/trace_record.h"
#include "core/vm.h"

/* After an exit to L1 the events are chosen for L1, as its own entries need it. */
static bool choose_event_of_l2(struct vcpu *vcpu)
{
	if (vcpu->ops->nested_events(vcpu))
		return true;
	return vcpu->l2_runs ? event_inject(vcpu) : vcpu->choose_event(vcpu);
}

void nested_switch_to_l2(struct vcpu *vcpu)
{
	vcpu->l2_runs = true;
	vcpu->ops = vcpu->vm->l2_ops;
	vcpu->every_exit = EVERY_EXIT;
	vcpu->choose_event = choose_event_of_l2;
	vcpu->trace_head |= TRACE_NESTED;
}

void nested_switch_to_l1(struct vcpu *vcpu)
{
	vcpu->l2_runs = false;
	vcpu->ops = vcpu->vm->ops;
	vcpu->every_exit = vcpu->vm->every_exit;
	vcpu->choose_event = event_chooser(vcpu->vm);
	vcpu->trace_head &= ~(u32)TRACE_NESTED;
}
