/* SPDX-License-Identifier: MIT */
/*
 * Exits under SVM that are answered at once: see core/instant.h. GIF is clear, and what VMLOAD loads
 * is the guest's, the GS base among it: nothing here may log, or ask which CPU it runs on.
 */
#include "core/instant.h"

#include "arch/cpu.h"
#include "arch/x86.h"
#include "svm/length.h"
#include "svm/svm.h"

/* What else has to happen when an instruction is done? A step, or the end of an NMI's handler. */
static inline bool simple(const struct vcpu_svm *svm)
{
	return vcpu_undisturbed(&svm->vcpu) && !svm->iret_pending &&
	       likely(!(svm->vmcb->save.rflags & (RFLAGS_TF | RFLAGS_RF)));
}

/* True: the guest goes on. False: nothing has happened but that the time was stamped. */
bool svm_instant_exit(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;
	struct vmcb_save *save = &svm->vmcb->save;
	u64 code = control->exit_code, rip, next;
	struct exit_statistics *statistics;
	u64 now = tsc_now();

	vcpu->exit_tsc = now;
	if (code != VMEXIT_CPUID && code != VMEXIT_VMMCALL)
		return false;
	statistics = vcpu->statistics.by_kind[code];
	next = svm_next_rip(svm);
	if (unlikely(!next || !statistics || !simple(svm)))
		return false;

	if (code == VMEXIT_CPUID) {
		const struct cpuid_regs *answer = cpuid_constant(vcpu->cpuid, (u32)save->rax);

		if (unlikely(!answer))
			return false;
		save->rax = instant_cpuid(vcpu, answer);
	} else {
		save->rax = HYPERCALL_UNKNOWN;
	}

	rip = save->rip;
	save->rip = next;
	control->int_state &= ~INT_SHADOW;
	svm_entered(svm);
	instant_done(vcpu, statistics, (u32)code, now, rip, next);
	return true;
}
