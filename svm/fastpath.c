/* SPDX-License-Identifier: MIT */
/*
 * The fast path of exits under SVM: see core/fastpath.h. GIF is clear, and the state that VMLOAD loads,
 * such as the GS base, is still the guest's: nothing here may log or call this_cpu().
 */
#include "core/fastpath.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/exit.h"
#include "svm/length.h"
#include "svm/svm.h"

/*
 * Is a new RIP all that skipping the instruction takes? Not while single-stepping, with RF set, or while
 * the IRET of an NMI handler has yet to complete.
 */
static inline bool only_rip_changes(const struct vcpu_svm *svm, const struct vmcb *vmcb)
{
	return vcpu_nothing_pending(&svm->vcpu) && !svm->iret_pending &&
	       likely(!(vmcb->save.rflags & (RFLAGS_TF | RFLAGS_RF)));
}

static __always_inline struct trace_record *skip_and_account(struct vcpu_svm *svm, struct vmcb *vmcb, u32 code,
						 struct exit_statistics *statistics, u64 next)
{
	u64 rip = vmcb->save.rip;

	vmcb->save.rip = next;
	vmcb->control.int_state &= ~INT_SHADOW;
	svm_entered(vmcb);
	return fastpath_done(&svm->vcpu, statistics, code, svm->vcpu.exit_tsc, rip, next);
}

static __noinline bool fastpath_cpuid(struct vcpu_svm *svm, struct vmcb *vmcb, u64 next)
{
	struct vcpu *vcpu = &svm->vcpu;
	const struct cpuid_regs *result = cpuid_constant(vcpu->cpuid, (u32)vmcb->save.rax);
	struct exit_statistics *statistics = vcpu->statistics.by_kind[VMEXIT_CPUID];

	if (unlikely(!result || !next || !statistics || !only_rip_changes(svm, vmcb)))
		return false;
	vmcb->save.rax = fastpath_cpuid_result(vcpu, result);
	skip_and_account(svm, vmcb, VMEXIT_CPUID, statistics, next);
	return true;
}

static __noinline bool fastpath_rdmsr(struct vcpu_svm *svm, struct vmcb *vmcb, u64 next,
				    const u64 *place)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct exit_statistics *statistics = vcpu->statistics.by_kind[VMEXIT_MSR];
	u64 value = *place;

	if (unlikely(!next || !statistics || !only_rip_changes(svm, vmcb)))
		return false;
	vmcb->save.rax = (u32)value;
	vcpu->regs[REG_RDX] = value >> 32;
	fastpath_trace_rdmsr(skip_and_account(svm, vmcb, VMEXIT_MSR, statistics, next), (u32)vcpu->regs[REG_RCX], value);
	return true;
}

static __noinline bool fastpath_hypercall(struct vcpu_svm *svm, struct vmcb *vmcb, u64 next)
{
	struct exit_statistics *statistics = svm->vcpu.statistics.by_kind[VMEXIT_VMMCALL];

	if (unlikely(!next || !statistics || !only_rip_changes(svm, vmcb) ||
		     hypercall_may_be_known(vmcb->save.rax) ||
		     svm->vcpu.vm->config->hypervisor == HYPERVISOR_NONE))
		return false;
	vmcb->save.rax = HYPERCALL_UNKNOWN;
	skip_and_account(svm, vmcb, VMEXIT_VMMCALL, statistics, next);
	return true;
}

static __always_inline bool fastpath_by_code(struct vcpu_svm *svm, struct vmcb *vmcb, u64 next)
{
	const struct vcpu *vcpu = &svm->vcpu;
	const u64 *place;

	switch (vmcb->control.exit_code) {
	case VMEXIT_CPUID:
		return fastpath_cpuid(svm, vmcb, next);
	case VMEXIT_MSR:
		place = vmcb->control.exit_info1 ? NULL : msr_shortcut(vcpu->msrs, (u32)vcpu->regs[REG_RCX]);
		return place && fastpath_rdmsr(svm, vmcb, next, place);
	case VMEXIT_VMMCALL:
		return fastpath_hypercall(svm, vmcb, next);
	default:
		return false;
	}
}

/* Without next-RIP save: read the instruction's bytes, but only for exits that may take the fast path. */
static __noinline bool fastpath_by_bytes(struct vcpu_svm *svm, struct vmcb *vmcb)
{
	u64 code = vmcb->control.exit_code;
	bool rdmsr = code == VMEXIT_MSR && !vmcb->control.exit_info1 &&
		     msr_shortcut(svm->vcpu.msrs, (u32)svm->vcpu.regs[REG_RCX]);

	return (code == VMEXIT_CPUID || code == VMEXIT_VMMCALL || rdmsr) &&
	       fastpath_by_code(svm, vmcb, svm_unprefixed_next_rip(svm));
}

/* True: enter the guest again. False: only the time of the exit has been recorded. */
bool svm_exit_fastpath(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb;

	vcpu->exit_tsc = tsc_now();
	if (likely(svm_features.nrip_save))
		return fastpath_by_code(svm, vmcb, vmcb->control.next_rip);
	return fastpath_by_bytes(svm, vmcb);
}
