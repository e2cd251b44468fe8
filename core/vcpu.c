/* SPDX-License-Identifier: MIT */
/* A vCPU's power-up state, and the processor modes that its guest is in. */
#include "core/vcpu.h"

#include "arch/cpu/x86.h"
#include "core/cpu/msr.h"
#include "core/irqchip.h"
#include "core/startup.h"
#include "core/vm.h"
#include "lib/string.h"

/* What power-up resets and INIT keeps. SDM, "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT". */
static void power_up(struct vcpu *vcpu)
{
	memset(&vcpu->machine_check, 0, sizeof(vcpu->machine_check));
	memset(&vcpu->posted, 0, sizeof(vcpu->posted));
	vcpu->tsc_adjust = 0;
	/* All of a VM's vCPUs start with the same TSC. */
	vcpu->tsc_offset = -vcpu->vm->start_tsc;
	startup_reset(vcpu);
}

void vcpu_reset(struct vcpu *vcpu, bool init)
{
	/* Interrupts and NMIs that are pending would find no IDT afterwards. */
	memset(&vcpu->events, 0, sizeof(vcpu->events));
	vcpu->activity = VCPU_WAIT_FOR_SIPI;
	vcpu->unhalted = false;
	if (!init)
		power_up(vcpu);
	vcpu->ops->vcpu_reset(vcpu, init);
	vcpu->ops->tsc_offset_changed(vcpu);
	msr_reset(vcpu, init);
	if (vcpu->vm->irqchip)
		vcpu->vm->irqchip->vcpu_reset(vcpu, init);
	if (init)
		vcpu_request(vcpu, REQ_FLUSH_TLB);
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
