/* SPDX-License-Identifier: MIT */
/* The trace ring: what went into the guest and what came out, for the report of a crash. */
#include "core/trace.h"

#include "arch/clock.h"
#include "arch/cpu.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/log.h"
#include "lib/printf.h"

#define TRACE_CPUS    1		/* one ring per CPU in use */
#define TRACE_RECORDS 256	/* power of two */
#define TRACE_PRINTED 16	/* of a ring, when something breaks */

enum trace_kind { TRACE_NONE, TRACE_ENTRY, TRACE_EXIT };

struct trace_record {
	u64 tsc;
	u64 rip;
	u64 reason;			/* exits */
	u8 kind;			/* enum trace_kind */
	u8 vm, vcpu;
	u8 exit_index;			/* exits */
	u8 event_type, event_vector;	/* entries */
	bool forced;			/* entries */
	const struct vcpu_ops *ops;
};

static struct {
	struct trace_record records[TRACE_RECORDS];
	u32 next;
} rings[TRACE_CPUS];

static struct trace_record *next_record(void)
{
	return &rings[0].records[rings[0].next++ % TRACE_RECORDS];
}

void trace_entry(struct vcpu *vcpu, bool force_immediate_exit)
{
	struct trace_record *record = next_record();

	record->tsc = rdtsc();
	record->rip = vcpu->regs[REG_RIP];
	record->kind = TRACE_ENTRY;
	record->vm = (u8)vcpu->vm->id;
	record->vcpu = (u8)vcpu->id;
	record->event_type = vcpu->events.injected.type;
	record->event_vector = vcpu->events.injected.vector;
	record->forced = force_immediate_exit;
	record->ops = vcpu->ops;
}

void trace_exit(struct vcpu *vcpu)
{
	struct trace_record *record = next_record();

	record->tsc = vcpu->exit_tsc;
	record->rip = vcpu->exit_rip;
	record->reason = vcpu->exit_reason;
	record->kind = TRACE_EXIT;
	record->vm = (u8)vcpu->vm->id;
	record->vcpu = (u8)vcpu->id;
	record->exit_index = vcpu->exit_index;
	record->ops = vcpu->ops;
}

static void print_entry(const struct trace_record *record, u64 us)
{
	char event[48] = "";

	if (record->event_type != EVENT_NONE)
		snprintf(event, sizeof(event), ", inject %s vector %u",
			 event_type_name(record->event_type), record->event_vector);
	log_info("trace %8llu.%06llu entry: vm %u vcpu %u, rip 0x%llx%s%s",
		 (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000), record->vm,
		 record->vcpu, (unsigned long long)record->rip, event,
		 record->forced ? " [immediate exit]" : "");
}

static void print_exit(const struct trace_record *record, u64 us)
{
	const char *name = record->ops->exit_name(record->exit_index);

	log_info("trace %8llu.%06llu exit: vm %u vcpu %u, reason %s (0x%llx), rip 0x%llx",
		 (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000), record->vm,
		 record->vcpu, name ? name : "unknown", (unsigned long long)record->reason,
		 (unsigned long long)record->rip);
}

void trace_print(void)
{
	u32 end = rings[0].next;

	for (u32 i = end > TRACE_PRINTED ? end - TRACE_PRINTED : 0; i != end; i++) {
		const struct trace_record *record = &rings[0].records[i % TRACE_RECORDS];
		u64 us = clock_tsc_to_ns(record->tsc - clock_tsc_at_boot()) / 1000;

		if (record->kind == TRACE_ENTRY)
			print_entry(record, us);
		else if (record->kind == TRACE_EXIT)
			print_exit(record, us);
	}
}
