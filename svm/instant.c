/* SPDX-License-Identifier: MIT */
/*
 * Exits under SVM that are answered at once: see core/instant.h. GIF is clear, and what VMLOAD loads
 * is the guest's, the GS base among it: nothing here may log, or ask which CPU it runs on.
 */
#include "core/instant.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "svm/length.h"
#include "svm/svm.h"

/* What else has to happen when an instruction is done? A step, or the end of an NMI's handler. */
static inline bool simple(const struct vcpu_svm *svm, const struct vmcb *vmcb)
{
	return vcpu_nothing_pending(&svm->vcpu) && !svm->iret_pending &&
	       likely(!(vmcb->save.rflags & (RFLAGS_TF | RFLAGS_RF)));
}

static __always_inline struct trace_record *done(struct vcpu_svm *svm, struct vmcb *vmcb, u32 code,
						 struct exit_statistics *statistics, u64 next)
{
	u64 rip = vmcb->save.rip;

	vmcb->save.rip = next;
	vmcb->control.int_state &= ~INT_SHADOW;
	svm_entered(vmcb);
	return instant_done(&svm->vcpu, statistics, code, svm->vcpu.exit_tsc, rip, next);
}

static __noinline bool answer_cpuid(struct vcpu_svm *svm, struct vmcb *vmcb, u64 next)
{
	struct vcpu *vcpu = &svm->vcpu;
	const struct cpuid_regs *answer = cpuid_constant(vcpu->cpuid, (u32)vmcb->save.rax);
	struct exit_statistics *statistics = vcpu->statistics.by_kind[VMEXIT_CPUID];

	if (unlikely(!answer || !next || !statistics || !simple(svm, vmcb)))
		return false;
	vmcb->save.rax = instant_cpuid(vcpu, answer);
	done(svm, vmcb, VMEXIT_CPUID, statistics, next);
	return true;
}

static __noinline bool answer_rdmsr(struct vcpu_svm *svm, struct vmcb *vmcb, u64 next,
				    const u64 *place)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct exit_statistics *statistics = vcpu->statistics.by_kind[VMEXIT_MSR];
	u64 value = *place;

	if (unlikely(!next || !statistics || !simple(svm, vmcb)))
		return false;
	vmcb->save.rax = (u32)value;
	vcpu->regs[REG_RDX] = value >> 32;
	instant_rdmsr_done(done(svm, vmcb, VMEXIT_MSR, statistics, next), (u32)vcpu->regs[REG_RCX], value);
	return true;
}

static __noinline bool answer_hypercall(struct vcpu_svm *svm, struct vmcb *vmcb, u64 next)
{
	struct exit_statistics *statistics = svm->vcpu.statistics.by_kind[VMEXIT_VMMCALL];

	if (unlikely(!next || !statistics || !simple(svm, vmcb)))
		return false;
	vmcb->save.rax = HYPERCALL_UNKNOWN;
	done(svm, vmcb, VMEXIT_VMMCALL, statistics, next);
	return true;
}

static __always_inline bool answer(struct vcpu_svm *svm, struct vmcb *vmcb, u64 next)
{
	const struct vcpu *vcpu = &svm->vcpu;
	const u64 *place;

	switch (vmcb->control.exit_code) {
	case VMEXIT_CPUID:
		return answer_cpuid(svm, vmcb, next);
	case VMEXIT_MSR:
		place = vmcb->control.exit_info1 ? NULL : msr_shortcut(vcpu->msrs, (u32)vcpu->regs[REG_RCX]);
		return place && answer_rdmsr(svm, vmcb, next, place);
	case VMEXIT_VMMCALL:
		return answer_hypercall(svm, vmcb, next);
	default:
		return false;
	}
}

/* Without next-RIP save: look at the instruction, where the exit may be one of these. */
static __noinline bool answer_by_bytes(struct vcpu_svm *svm, struct vmcb *vmcb)
{
	u64 code = vmcb->control.exit_code;
	bool rdmsr = code == VMEXIT_MSR && !vmcb->control.exit_info1 &&
		     msr_shortcut(svm->vcpu.msrs, (u32)svm->vcpu.regs[REG_RCX]);

	return (code == VMEXIT_CPUID || code == VMEXIT_VMMCALL || rdmsr) &&
	       answer(svm, vmcb, svm_plain_next_rip(svm));
}

/* True: the guest goes on. False: nothing has happened but that the time was stamped. */
bool svm_instant_exit(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb;

	vcpu->exit_tsc = tsc_now();
	if (likely(svm_features.nrip_save))
		return answer(svm, vmcb, vmcb->control.next_rip);
	return answer_by_bytes(svm, vmcb);
}
