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

/* Is a new RIP all that skipping the instruction takes? Not while single-stepping, or with RF set. */
static inline bool only_rip_changes(const struct vcpu_svm *svm, const struct vmcb *vmcb)
{
	return vcpu_nothing_pending(&svm->vcpu) && likely(!(vmcb->save.rflags & (RFLAGS_TF | RFLAGS_RF)));
}

static __always_inline struct trace_record *skip_and_account(struct vcpu_svm *svm, struct vmcb *vmcb, u32 code, u64 tsc,
							     enum trace_kind kind, struct exit_statistics *statistics,
							     u64 next)
{
	u64 rip = vmcb->save.rip;

	vmcb->save.rip = next;
	vmcb->control.int_state &= ~INT_SHADOW;
	return fastpath_done(&svm->vcpu, statistics, kind, (u8)code, tsc, rip, next);
}

/* Leave the exit to the functions that need the host's state. */
static enum svm_fastpath not_handled(struct vcpu_svm *svm, u64 tsc)
{
	svm->vcpu.exit_tsc = tsc;
	return SVM_FASTPATH_NONE;
}

static __noinline enum svm_fastpath fastpath_cpuid(struct vcpu_svm *svm, struct vmcb *vmcb, const struct cpuid_regs *result,
						   u64 next, u64 tsc)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct exit_statistics *statistics = vcpu->statistics.by_kind[VMEXIT_CPUID];

	if (unlikely(!statistics || !only_rip_changes(svm, vmcb)))
		return not_handled(svm, tsc);
	vmcb->save.rax = fastpath_cpuid_result(vcpu, result);
	skip_and_account(svm, vmcb, VMEXIT_CPUID, tsc, TRACE_FASTPATH, statistics, next);
	return SVM_FASTPATH_ENTER;
}

/* A result of CPUID that was asked for before. NULL: none that holds. */
static __always_inline const struct cpuid_regs *cpuid_again(const struct vcpu_svm *svm)
{
	const struct vcpu *vcpu = &svm->vcpu;
	const struct cpuid_slot *slot = cpuid_slot(vcpu->cpuid, (u32)svm->vmcb->save.rax, (u32)vcpu->regs[REG_RCX]);

	if (unlikely(!slot) ||
	    (slot->dependence == CPUID_ON_OSXSAVE && unlikely((svm->cr4 & CR4_OSXSAVE) != slot->state)) ||
	    (slot->dependence == CPUID_ON_XCR0 && unlikely(xgetbv0() != slot->state)))
		return NULL;
	return &slot->regs;
}

static __noinline enum svm_fastpath fastpath_rdmsr(struct vcpu_svm *svm, u64 tsc, struct vmcb *vmcb, u64 next, const u64 *place)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct exit_statistics *statistics = vcpu->statistics.by_kind[VMEXIT_MSR];
	u64 value = *place;

	if (unlikely(!statistics || !only_rip_changes(svm, vmcb)))
		return not_handled(svm, tsc);
	vmcb->save.rax = (u32)value;
	vcpu->regs[REG_RDX] = value >> 32;
	fastpath_trace_rdmsr(skip_and_account(svm, vmcb, VMEXIT_MSR, tsc, TRACE_FASTPATH_RDMSR, statistics, next),
			     (u32)vcpu->regs[REG_RCX], value);
	return SVM_FASTPATH_ENTER;
}

static __noinline enum svm_fastpath fastpath_hypercall(struct vcpu_svm *svm, u64 tsc, struct vmcb *vmcb, u64 next)
{
	struct exit_statistics *statistics = svm->vcpu.statistics.by_kind[VMEXIT_VMMCALL];

	if (unlikely(!statistics || !only_rip_changes(svm, vmcb) || hypercall_may_be_known(vmcb->save.rax) ||
		     !hypervisor_is_paravirtual(svm->vcpu.vm->config->hypervisor)))
		return not_handled(svm, tsc);
	vmcb->save.rax = HYPERCALL_UNKNOWN;
	skip_and_account(svm, vmcb, VMEXIT_VMMCALL, tsc, TRACE_FASTPATH, statistics, next);
	return SVM_FASTPATH_ENTER;
}

/* Without next-RIP save the instruction's bytes are read: out of line, so that other exits save no registers for that. */
static __noinline enum svm_fastpath cpuid_by_bytes(struct vcpu_svm *svm, u64 tsc, struct vmcb *vmcb,
						   const struct cpuid_regs *result)
{
	u64 next = svm_unprefixed_next_rip(svm);

	return next ? fastpath_cpuid(svm, vmcb, result, next, tsc) : not_handled(svm, tsc);
}

static __noinline enum svm_fastpath rdmsr_by_bytes(struct vcpu_svm *svm, u64 tsc, struct vmcb *vmcb, const u64 *place)
{
	u64 next = svm_unprefixed_next_rip(svm);

	return next ? fastpath_rdmsr(svm, tsc, vmcb, next, place) : not_handled(svm, tsc);
}

static __noinline enum svm_fastpath hypercall_by_bytes(struct vcpu_svm *svm, u64 tsc, struct vmcb *vmcb)
{
	u64 next = svm_unprefixed_next_rip(svm);

	return next ? fastpath_hypercall(svm, tsc, vmcb, next) : not_handled(svm, tsc);
}

static __noinline enum svm_fastpath cpuid_by_slot(struct vcpu_svm *svm, u64 tsc, struct vmcb *vmcb)
{
	const struct cpuid_regs *result = cpuid_again(svm);

	if (unlikely(!result))
		return not_handled(svm, tsc);
	return likely(svm_features.nrip_save) ? fastpath_cpuid(svm, vmcb, result, vmcb->control.next_rip, tsc) :
						cpuid_by_bytes(svm, tsc, vmcb, result);
}

/* An access that has to wait for the host's state: svm_access_in_stub(). */
static enum svm_fastpath access(struct vcpu_svm *svm, u64 tsc)
{
	svm->vcpu.exit_tsc = tsc;
	return SVM_FASTPATH_ACCESS;
}

enum svm_fastpath svm_exit_fastpath(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb;
	u64 code = vmcb->control.exit_code, tsc = tsc_now();
	const struct cpuid_regs *result;
	const u64 *place;

	if (code == VMEXIT_CPUID) {
		result = cpuid_constant(vcpu->cpuid, *(const u32 *)&vmcb->save.rax);
		if (!result)
			return cpuid_by_slot(svm, tsc, vmcb);
		return likely(svm_features.nrip_save) ? fastpath_cpuid(svm, vmcb, result, vmcb->control.next_rip, tsc) :
							cpuid_by_bytes(svm, tsc, vmcb, result);
	}
	if (code == VMEXIT_VMMCALL)
		return likely(svm_features.nrip_save) ? fastpath_hypercall(svm, tsc, vmcb, vmcb->control.next_rip) :
							hypercall_by_bytes(svm, tsc, vmcb);
	if (code == VMEXIT_MSR) {
		place = vmcb->control.exit_info1 ? NULL : msr_shortcut(vcpu->msrs, (u32)vcpu->regs[REG_RCX]);
		if (!place)
			return access(svm, tsc);
		return likely(svm_features.nrip_save) ? fastpath_rdmsr(svm, tsc, vmcb, vmcb->control.next_rip, place) :
							rdmsr_by_bytes(svm, tsc, vmcb, place);
	}
	return code == VMEXIT_IOIO || code == VMEXIT_NPF ? access(svm, tsc) : not_handled(svm, tsc);
}
