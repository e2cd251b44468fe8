/* SPDX-License-Identifier: MIT */
/* Writing the trace: a record is a few stores into the CPU's own ring, so there is no lock. */
#include "core/observe/trace_record.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/mem/pool.h"
#include "lib/errno.h"

#define RING_ORDER 5

enum trace_mode trace_mode = TRACE_CRASH;

int trace_create(struct percpu *cpu)
{
	_Static_assert(sizeof(struct trace_record) * TRACE_RECORDS == PAGE_SIZE << RING_ORDER, "the pages that are allocated");
	cpu->trace.records = pages_alloc(RING_ORDER);
	return cpu->trace.records ? 0 : -ENOMEM;
}

void trace_attach(struct vcpu *vcpu)
{
	vcpu->trace_head = (vcpu->vm->id & 0xff) << 8 | (vcpu->id & 0xff) << 16;
	vcpu->cpu->trace.ops = vcpu->ops;
}

void trace_failed_entry(struct vcpu *vcpu)
{
	struct trace_record *record = trace_add(vcpu, TRACE_FAILED, rdtsc());

	record->failure = vcpu->failure.kind;
	record->reason = vcpu->failure.instruction_error ?: (u32)vcpu->failure.reason;
	record->rip = vcpu->regs[REG_RIP];
	record->info1 = vcpu->failure.qualification;
}

void trace_l2_refused(struct vcpu *vcpu, u64 code, u64 qualification, const char *rule)
{
	struct trace_record *record = trace_add(vcpu, TRACE_L2_REFUSED, rdtsc());

	record->reason = (u32)code;
	record->rip = vcpu->regs[REG_RIP];
	record->info1 = qualification;
	record->rule = rule;
	vcpu->exit_record = NULL;
}
