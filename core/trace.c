/* SPDX-License-Identifier: MIT */
/* Writing the trace: a record is a few stores into the ring of the CPU, which nobody else writes. */
#include "core/trace.h"

#include "arch/cpu.h"
#include "core/trace_record.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define TRACE_CPUS 1		/* those in use */

enum trace_mode trace_mode = TRACE_CRASH;

static struct trace_ring rings[TRACE_CPUS];

struct trace_ring *trace_ring(void)
{
	return &rings[0];
}

static struct trace_record *add(struct vcpu *vcpu, enum trace_kind kind, u64 tsc)
{
	struct trace_ring *ring = trace_ring();
	struct trace_record *record = &ring->records[ring->next++ % TRACE_RECORDS];

	record->tsc = tsc;
	record->kind = kind;
	record->vm = (u8)vcpu->vm->id;
	record->vcpu = (u8)vcpu->id;
	return record;
}

void trace_entry(struct vcpu *vcpu, bool force_immediate_exit)
{
	const struct event *event = &vcpu->events.injected;
	struct trace_record *record;

	if (trace_mode == TRACE_OFF)
		return;
	trace_ring()->ops = vcpu->ops;
	record = add(vcpu, TRACE_ENTRY, vcpu->entry_tsc);
	record->forced = force_immediate_exit;
	record->event_type = event->type;
	record->vector = event->vector;
	record->has_error_code = event->has_error_code;
	record->rip = vcpu->regs[REG_RIP];
	record->value = event->error_code;
}

void trace_exit(struct vcpu *vcpu)
{
	struct trace_record *record;
	struct exit_info info;

	if (trace_mode == TRACE_OFF)
		return;
	vcpu->ops->exit_info(vcpu, &info);
	record = add(vcpu, TRACE_EXIT, vcpu->exit_tsc);
	record->exit_index = vcpu->exit_index;
	record->reason = (u32)vcpu->exit_reason;
	record->rip = vcpu->exit_rip;
	record->info1 = info.info1;
	if (!(info.info2 | info.intr_info | info.error_code))
		return;
	record = add(vcpu, TRACE_EXIT_INFO, vcpu->exit_tsc);
	record->info2 = info.info2;
	record->intr_info = info.intr_info;
	record->error_code = info.error_code;
}

void trace_failed_entry(struct vcpu *vcpu)
{
	struct trace_record *record;

	if (trace_mode == TRACE_OFF)
		return;
	record = add(vcpu, TRACE_FAILED, rdtsc());
	record->failure = vcpu->failure.kind;
	record->reason = vcpu->failure.instruction_error ?: (u32)vcpu->failure.reason;
	record->rip = vcpu->regs[REG_RIP];
	record->info1 = vcpu->failure.qualification;
}

static struct trace_record *add_access(struct vcpu *vcpu, enum trace_kind kind, bool write, u64 address,
				       u64 value)
{
	struct trace_record *record = add(vcpu, kind, rdtsc());

	record->write = write;
	record->address = address;
	record->value = value;
	return record;
}

void trace_pio(struct vcpu *vcpu, bool write, u16 port, unsigned size, u64 value)
{
	if (trace_mode != TRACE_OFF)
		add_access(vcpu, TRACE_PIO, write, port, value)->size = (u8)size;
}

void trace_mmio(struct vcpu *vcpu, bool write, gpa_t gpa, unsigned size, u64 value)
{
	if (trace_mode != TRACE_OFF)
		add_access(vcpu, TRACE_MMIO, write, gpa, value)->size = (u8)size;
}

void trace_msr(struct vcpu *vcpu, bool write, u32 msr, u64 value, bool refused)
{
	if (trace_mode != TRACE_OFF)
		add_access(vcpu, TRACE_MSR, write, msr, value)->refused = refused;
}
