/* SPDX-License-Identifier: MIT */
/* Exits under VMX that are answered at once: see core/instant.h. */
#include "core/instant.h"

#include "arch/cpu.h"
#include "arch/x86.h"
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
	return vcpu_undisturbed(vcpu) &&
	       likely(!(READ(GUEST_RFLAGS) & (RFLAGS_TF | RFLAGS_RF))) &&
	       likely(!(READ(GUEST_INTERRUPTIBILITY) & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)));
}

/* Called by the entry stub: takes reason and time, and answers at once what can be. */
enum stub_answer vmx_exit(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 reason = (u32)READ(EXIT_REASON), length, low;
	struct exit_statistics *statistics;
	u64 rip, now = tsc_now();

	vcpu->exit_tsc = now;
	vcpu->exit_reason = reason;
	/* The whole reason: a failed entry, or one with more to tell, is none of these. */
	if (reason != EXIT_REASON_CPUID && reason != EXIT_REASON_VMCALL)
		return vmx_answer_exit(vmx);
	statistics = vcpu->statistics.by_kind[reason];
	rip = READ(GUEST_RIP);
	length = (u32)READ(EXIT_INSTRUCTION_LENGTH);
	/* Where RIP's lower half carries, the mode decides whether it wraps. */
	if (unlikely(!statistics || __builtin_add_overflow((u32)rip, length, &low)) || !simple(vcpu))
		return vmx_answer_exit(vmx);

	if (reason == EXIT_REASON_CPUID) {
		const struct cpuid_regs *answer = cpuid_constant(vcpu->cpuid, (u32)vcpu->regs[REG_RAX]);

		if (unlikely(!answer))
			return vmx_answer_exit(vmx);
		vcpu->regs[REG_RAX] = instant_cpuid(vcpu, answer);
	} else {
		vcpu->regs[REG_RAX] = HYPERCALL_UNKNOWN;
	}

	WRITE(GUEST_RIP, rip + length);
	if (vmx_has_preemption_timer())
		WRITE(PREEMPTION_TIMER_VALUE, vmx_timer_value(vcpu->timer_deadline, now));
	instant_done(vcpu, statistics, reason, now, rip, rip + length);
	return STUB_AGAIN;
}
