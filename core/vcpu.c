/* SPDX-License-Identifier: MIT */
/* A vCPU's power-up state, and the processor modes that its guest is in. */
#include "core/vcpu.h"

#include "arch/cpu/x86.h"
#include "core/cpu/msr.h"
#include "core/irqchip.h"
#include "core/vm.h"
#include "lib/string.h"

void vcpu_reset(struct vcpu *vcpu)
{
	memset(&vcpu->events, 0, sizeof(vcpu->events));
	memset(&vcpu->machine_check, 0, sizeof(vcpu->machine_check));
	vcpu->activity = VCPU_RUNNING;
	vcpu->tsc_adjust = 0;
	vcpu->tsc_offset = -vcpu->vm->start_tsc;
	vcpu->ops->vcpu_reset(vcpu);
	vcpu->ops->tsc_offset_changed(vcpu);
	msr_reset(vcpu);
	if (vcpu->vm->irqchip)
		vcpu->vm->irqchip->vcpu_reset(vcpu);
}

bool vcpu_long_mode(struct vcpu *vcpu)
{
	return vcpu->ops->control_get(vcpu, CTL_EFER) & EFER_LMA;
}

bool vcpu_code_64(struct vcpu *vcpu)
{
	struct segment cs;

	if (!vcpu_long_mode(vcpu))
		return false;
	vcpu->ops->segment_get(vcpu, SEG_CS, &cs);
	return cs.l;
}

unsigned vcpu_cpl(struct vcpu *vcpu)
{
	struct segment ss;

	if (!(vcpu->ops->control_get(vcpu, CTL_CR0) & CR0_PE))
		return 0;
	if (vcpu_rflags(vcpu) & RFLAGS_VM)
		return 3;
	vcpu->ops->segment_get(vcpu, SEG_SS, &ss);
	return ss.dpl;
}
