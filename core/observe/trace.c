/* SPDX-License-Identifier: MIT */
/* Writing the trace: a record is a few stores into the CPU's own ring, so there is no lock. */
#include "core/observe/trace_record.h"

#include "arch/cpu/cpu.h"

enum trace_mode trace_mode = TRACE_CRASH;
struct trace_ring trace_ring;

void trace_attach(struct vcpu *vcpu)
{
	vcpu->trace_head = (vcpu->vm->id & 0xff) << 8 | (vcpu->id & 0xff) << 16;
	trace_ring.ops = vcpu->ops;
}

void trace_failed_entry(struct vcpu *vcpu)
{
	struct trace_record *record = trace_add(vcpu, TRACE_FAILED, rdtsc());

	record->failure = vcpu->failure.kind;
	record->reason = vcpu->failure.instruction_error ?: (u32)vcpu->failure.reason;
	record->rip = vcpu->regs[REG_RIP];
	record->info1 = vcpu->failure.qualification;
}
