/* SPDX-License-Identifier: MIT */
/* Exits under VMX that are answered at once: see core/instant.h. */
#include "core/instant.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/vtimer.h"
#include "vmx/vmx.h"

/*
 * A field that every VMCS has, of the one that has just been left: neither can fail. Accesses that
 * might are vmcs_read32() and its like.
 */
#define READ(field)	   vmread_sure((field).encoding)
#define WRITE(field, value) vmwrite_sure((field).encoding, value)

/* STI's or MOV SS's shadow goes on over this instruction's end, or a step has to trap behind it. */
static inline bool simple(const struct vcpu *vcpu)
{
	return vcpu_nothing_pending(vcpu) &&
	       likely(!(READ(GUEST_RFLAGS) & (RFLAGS_TF | RFLAGS_RF))) &&
	       likely(!(READ(GUEST_INTERRUPTIBILITY) & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)));
}

/* Where the instruction that exited ends. False: a carry out of RIP's lower half may have to wrap. */
static inline bool next_rip(u64 rip, u64 *next)
{
	u32 length = (u32)READ(EXIT_INSTRUCTION_LENGTH), low;

	*next = rip + length;
	return !__builtin_add_overflow((u32)rip, length, &low);
}

static __always_inline struct trace_record *done(struct vcpu *vcpu, u32 reason,
						 struct exit_statistics *statistics, u64 rip, u64 next)
{
	WRITE(GUEST_RIP, next);
	if (vmx_has_preemption_timer())
		WRITE(PREEMPTION_TIMER_VALUE, vmx_timer_value(vcpu->timer_deadline, vcpu->exit_tsc));
	return instant_done(vcpu, statistics, reason, vcpu->exit_tsc, rip, next);
}

static __noinline enum stub_answer answer_cpuid(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	const struct cpuid_regs *answer = cpuid_constant(vcpu->cpuid, (u32)vcpu->regs[REG_RAX]);
	struct exit_statistics *statistics = vcpu->statistics.by_kind[EXIT_REASON_CPUID];
	u64 rip = READ(GUEST_RIP), next;

	if (unlikely(!answer || !statistics || !next_rip(rip, &next) || !simple(vcpu)))
		return vmx_answer_exit(vmx);
	vcpu->regs[REG_RAX] = instant_cpuid(vcpu, answer);
	done(vcpu, EXIT_REASON_CPUID, statistics, rip, next);
	return STUB_AGAIN;
}

static __noinline enum stub_answer answer_rdmsr(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 msr = (u32)vcpu->regs[REG_RCX];
	const u64 *place = msr_shortcut(vcpu->msrs, msr);
	struct exit_statistics *statistics = vcpu->statistics.by_kind[EXIT_REASON_RDMSR];
	u64 rip, next, value;

	if (!place)
		return vmx_answer_exit(vmx);
	rip = READ(GUEST_RIP);
	if (unlikely(!statistics || !next_rip(rip, &next) || !simple(vcpu)))
		return vmx_answer_exit(vmx);
	value = *place;
	vcpu_set_edx_eax(vcpu, value);
	instant_rdmsr_done(done(vcpu, EXIT_REASON_RDMSR, statistics, rip, next), msr, value);
	return STUB_AGAIN;
}

static __noinline enum stub_answer answer_hypercall(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	struct exit_statistics *statistics = vcpu->statistics.by_kind[EXIT_REASON_VMCALL];
	u64 rip = READ(GUEST_RIP), next;

	if (unlikely(!statistics || !next_rip(rip, &next) || !simple(vcpu)))
		return vmx_answer_exit(vmx);
	vcpu->regs[REG_RAX] = HYPERCALL_UNKNOWN;
	done(vcpu, EXIT_REASON_VMCALL, statistics, rip, next);
	return STUB_AGAIN;
}

/*
 * Called by the entry stub: takes reason and time, and answers at once what can be. It is the whole
 * reason: a failed entry, or one with more to tell, is none of these.
 */
enum stub_answer vmx_exit(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 reason = (u32)READ(EXIT_REASON);

	vcpu->exit_tsc = tsc_now();
	vcpu->exit_reason = reason;
	switch (reason) {
	case EXIT_REASON_CPUID:
		return answer_cpuid(vmx);
	case EXIT_REASON_RDMSR:
		return answer_rdmsr(vmx);
	case EXIT_REASON_VMCALL:
		return answer_hypercall(vmx);
	default:
		return vmx_answer_exit(vmx);
	}
}
