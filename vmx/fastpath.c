/* SPDX-License-Identifier: MIT */
/* The fast path of exits under VMX: see core/fastpath.h. */
#include "core/fastpath.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/exit.h"
#include "core/vtimer.h"
#include "vmx/vmx.h"

/*
 * Unchecked access to the current VMCS: only for fields that every VMCS has. Use vmcs_read32() and the
 * other accessors for all other fields.
 */
#define READ(field)	   vmread_sure((field).encoding)
#define WRITE(field, value) vmwrite_sure((field).encoding, value)

/*
 * Does stepping over the instruction change only RIP? Not while single-stepping, with RF to clear, or
 * with an STI or MOV SS shadow to end. Also false while a request is pending.
 */
static inline bool only_rip_changes(const struct vcpu *vcpu)
{
	return vcpu_nothing_pending(vcpu) &&
	       likely(!(READ(GUEST_RFLAGS) & (RFLAGS_TF | RFLAGS_RF))) &&
	       likely(!(READ(GUEST_INTERRUPTIBILITY) & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)));
}

/* RIP after the instruction. False: it crosses 4 GiB, and the guest's mode may wrap it. */
static inline bool next_rip(u64 rip, u64 *next)
{
	u32 length = (u32)READ(EXIT_INSTRUCTION_LENGTH), low;

	*next = rip + length;
	return !__builtin_add_overflow((u32)rip, length, &low);
}

static __always_inline struct trace_record *skip_and_account(struct vcpu *vcpu, u32 reason,
						 struct exit_statistics *statistics, u64 rip, u64 next)
{
	WRITE(GUEST_RIP, next);
	if (vmx_has_preemption_timer())
		WRITE(PREEMPTION_TIMER_VALUE, vmx_timer_value(vcpu->timer_deadline, vcpu->exit_tsc));
	return fastpath_done(vcpu, statistics, reason, vcpu->exit_tsc, rip, next);
}

static __noinline enum exit_fastpath fastpath_cpuid(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	const struct cpuid_regs *result = cpuid_constant(vcpu->cpuid, (u32)vcpu->regs[REG_RAX]);
	struct exit_statistics *statistics = vcpu->statistics.by_kind[EXIT_REASON_CPUID];
	u64 rip = READ(GUEST_RIP), next;

	if (unlikely(!result || !statistics || !next_rip(rip, &next) || !only_rip_changes(vcpu)))
		return vmx_exit_in_stub(vmx);
	vcpu->regs[REG_RAX] = fastpath_cpuid_result(vcpu, result);
	skip_and_account(vcpu, EXIT_REASON_CPUID, statistics, rip, next);
	return EXIT_FASTPATH_REENTER_GUEST;
}

static __noinline enum exit_fastpath fastpath_rdmsr(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 msr = (u32)vcpu->regs[REG_RCX];
	const u64 *place = msr_shortcut(vcpu->msrs, msr);
	struct exit_statistics *statistics = vcpu->statistics.by_kind[EXIT_REASON_RDMSR];
	u64 rip, next, value;

	if (!place)
		return vmx_exit_in_stub(vmx);
	rip = READ(GUEST_RIP);
	if (unlikely(!statistics || !next_rip(rip, &next) || !only_rip_changes(vcpu)))
		return vmx_exit_in_stub(vmx);
	value = *place;
	vcpu_set_edx_eax(vcpu, value);
	fastpath_trace_rdmsr(skip_and_account(vcpu, EXIT_REASON_RDMSR, statistics, rip, next), msr, value);
	return EXIT_FASTPATH_REENTER_GUEST;
}

static __noinline enum exit_fastpath fastpath_hypercall(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	struct exit_statistics *statistics = vcpu->statistics.by_kind[EXIT_REASON_VMCALL];
	u64 rip = READ(GUEST_RIP), next;

	if (unlikely(!statistics || !next_rip(rip, &next) || !only_rip_changes(vcpu) ||
		     hypercall_may_be_known(vcpu->regs[REG_RAX]) ||
		     vcpu->vm->config->hypervisor == HYPERVISOR_NONE))
		return vmx_exit_in_stub(vmx);
	vcpu->regs[REG_RAX] = HYPERCALL_UNKNOWN;
	skip_and_account(vcpu, EXIT_REASON_VMCALL, statistics, rip, next);
	return EXIT_FASTPATH_REENTER_GUEST;
}

/*
 * Called by the entry stub: records reason and time, and handles what needs only the vCPU. The full
 * reason is compared, so a failed entry or a modifier bit never matches.
 */
enum exit_fastpath vmx_exit_fastpath(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 reason = (u32)READ(EXIT_REASON);

	vcpu->exit_tsc = tsc_now();
	vcpu->exit_reason = reason;
	switch (reason) {
	case EXIT_REASON_CPUID:
		return fastpath_cpuid(vmx);
	case EXIT_REASON_RDMSR:
		return fastpath_rdmsr(vmx);
	case EXIT_REASON_VMCALL:
		return fastpath_hypercall(vmx);
	default:
		return vmx_exit_in_stub(vmx);
	}
}
