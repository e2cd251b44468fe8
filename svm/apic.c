/* SPDX-License-Identifier: MIT */
/*
 * The local APIC by hardware: the processor keeps TPR's upper half, V_TPR, for MOV to and from CR8. AMD APM vol. 2, "Virtual
 * TPR". The rest of TPR, and all else, is the model's in dev/irq, whose TPR follows V_TPR at each exit that looks at it.
 */
#include "core/cpu/capability.h"
#include "core/irqchip.h"
#include "svm/svm.h"

/*
 * Each processor has V_TPR. But a guest's guest has one of its own, or its host's TPR: in VMs with nested=on CR8 exits, as
 * with apicv=off.
 */
enum apic_hardware svm_apic_hardware(const struct vm *vm)
{
	return !capability_hides_apic && vm->config->nested == NESTED_OFF ? APIC_TPR : APIC_BY_SOFTWARE;
}

/*
 * A MOV to CR8 exits where it may let pass an interrupt that TPR holds back; and while TPR has more bits than CR8, which it
 * clears, since V_TPR might not show that it was written.
 */
static void intercept_writes(struct vcpu_svm *svm)
{
	u32 *intercepts = &svm->vmcb->control.intercept_cr;
	bool on = svm->vcpu.tpr_watched || (*vcpu_tpr(&svm->vcpu) & 0xf);

	*intercepts = on ? *intercepts | INTERCEPT_CR_WRITE(8) : *intercepts & ~INTERCEPT_CR_WRITE(8);
	svm_dirty(svm, CLEAN_INTERCEPTS);
}

void svm_apic_reset(struct vcpu_svm *svm)
{
	struct vmcb_control *control = &svm->vmcb->control;

	svm->v_tpr = 0;
	svm->vcpu.tpr_watched = false;
	if (svm->vcpu.vm->apic_hardware == APIC_TPR)
		control->intercept_cr &= ~(INTERCEPT_CR_READ(8) | INTERCEPT_CR_WRITE(8));
}

void svm_v_tpr_changed(struct vcpu_svm *svm)
{
	if (svm->vcpu.vm->apic_hardware != APIC_TPR)
		return;
	svm->v_tpr = svm->vmcb->control.int_control & V_TPR;
	*vcpu_tpr(&svm->vcpu) = (u32)svm->v_tpr << 4;
}

void svm_tpr_written(struct vcpu *vcpu, u8 tpr)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	u64 *control = &svm->vmcb->control.int_control;

	svm->v_tpr = tpr >> 4;
	*control = (*control & ~V_TPR) | svm->v_tpr;
	svm_dirty(svm, CLEAN_INTERRUPT);
	intercept_writes(svm);
}

void svm_apic_entry(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	bool holds = vcpu->vm->irqchip->held_by_tpr(vcpu->vlapic);

	if (likely(holds == vcpu->tpr_watched))
		return;
	vcpu->tpr_watched = holds;
	intercept_writes(svm);
}
