/* SPDX-License-Identifier: MIT */
/* The trace's records: their layout, and the functions that write them on the entry and exit paths. */
#pragma once

#include "core/observe/trace.h"
#include "core/vcpu.h"
#include "core/vm.h"

enum trace_kind {
	TRACE_NONE,
	TRACE_ENTRY,
	TRACE_EXIT,		/* with its first access, and the entry after it if that has no record of its own */
	/* As TRACE_EXIT, but only head, rip, entry_tsc, entry_rip are written, and what RDMSR read and from where. */
	TRACE_FASTPATH,
	TRACE_FASTPATH_RDMSR,
	TRACE_FASTPATH_ACCESS,	/* as TRACE_EXIT, but without reason, intr_info, error_code */
	TRACE_FAILED,
	TRACE_ACCESS,
	TRACE_L2_REFUSED,	/* an entry of L2 that fails, as L1 sees it */
};
#define TRACE_NESTED BIT(7)	/* with the kind: of L2, the guest of a guest */
#define TRACE_INDEX(i) ((u32)(i) << 24)	/* with the kind in trace_record.head: exit_index */

enum trace_access {
	TRACE_NO_ACCESS, TRACE_PIO, TRACE_MMIO, TRACE_MSR,
	TRACE_PIO_BLOCK,	/* `count` accesses of a byte: one record for all, printed as a line each */
};
#define TRACE_BLOCK 48u		/* bytes that a record holds */

struct trace_record {
	u64 tsc;
	union {
		u32 head;		/* the members below in one store: vcpu->trace_head | kind */
		struct {
			u8 kind;	/* enum trace_kind, and TRACE_NESTED */
			u8 vm, vcpu;
			union {
				bool forced;	/* entry */
				u8 exit_index;	/* exit, fastpath */
				u8 failure;	/* failed: enum entry_failure */
			};
		};
	};
	u32 reason;			/* exit, fastpath: low half; failed, L2 refused: exit reason or instruction error */
	u64 rip;
	union {
		u64 info1;		/* exit; failed, L2 refused: qualification */
		struct event event;	/* entry: what is injected */
	};
	union {
		u64 info2;		/* exit */
		const char *rule;	/* L2 refused: the broken one's name */
	};
	union {
		u64 intr;		/* the members below in one store */
		struct {
			u32 intr_info, error_code;	/* exit */
		};
	};
	u64 entry_tsc, entry_rip;	/* exit, fastpath: of the next entry; entry_tsc 0: it has its own record */
	struct {			/* exit, fastpath, access */
		union {
			u32 what;		/* the members below in one store: TRACE_ACCESS_WHAT() */
			struct {
				u8 kind;	/* enum trace_access */
				u8 size;	/* bytes */
				bool write, refused;
			};
		};
		u32 count;		/* TRACE_PIO_BLOCK */
		u64 address;		/* port, guest-physical address, MSR */
		union {
			u64 value;
			u8 bytes[TRACE_BLOCK];	/* TRACE_PIO_BLOCK */
		};
	} access;
};

_Static_assert(sizeof(struct trace_record) == 128, "two cache lines");
_Static_assert(offsetof(struct trace_record, exit_index) == offsetof(struct trace_record, head) + 3, "TRACE_INDEX()");

static inline enum trace_kind trace_kind_of(const struct trace_record *record)
{
	return record->kind & ~TRACE_NESTED;
}

/* Of an access that has not been refused. */
#define TRACE_ACCESS_WHAT(kind, size, write) ((u32)(kind) | (u32)(size) << 8 | (u32)(write) << 16)

/* What trace= says. */
extern enum trace_mode { TRACE_OFF, TRACE_CRASH, TRACE_CONSOLE } trace_mode;

/* The next record, which is still one of the oldest. */
static inline struct trace_record *trace_next(const struct vcpu *vcpu)
{
	struct trace_ring *ring = &vcpu->cpu->trace;

	return &ring->records[(u32)ring->next % TRACE_RECORDS];
}

/*
 * Begin the next record with the members that all kinds have. `head`: its kind, perhaps with TRACE_INDEX(). The caller
 * fills in those of its kind.
 */
static inline struct trace_record *trace_add(struct vcpu *vcpu, u32 head, u64 tsc)
{
	struct trace_ring *ring = &vcpu->cpu->trace;
	struct trace_record *record = &ring->records[(u32)ring->next++ % TRACE_RECORDS];

	record->tsc = tsc;
	record->head = vcpu->trace_head | head;
	return record;
}

/* Record an exit. vcpu->exit_record points to its record while that is the newest one. */
static inline struct trace_record *trace_exit(struct vcpu *vcpu, u64 tsc, u8 index, u64 reason, u64 rip)
{
	struct trace_record *record = trace_add(vcpu, TRACE_EXIT | TRACE_INDEX(index), tsc);

	record->reason = (u32)reason;
	record->rip = rip;
	record->entry_tsc = 0;
	record->access.kind = TRACE_NO_ACCESS;
	vcpu->exit_record = record;
	return record;
}

/*
 * Record an entry, at vcpu->entry_tsc: in the exit's record if that is the newest one, no event is injected
 * and the entry is not forced to exit; else in a record of its own.
 */
static inline void trace_entry(struct vcpu *vcpu, bool force_immediate_exit)
{
	struct trace_record *record = vcpu->exit_record;

	if (likely(record && vcpu->events.injected.type == EVENT_NONE && !force_immediate_exit)) {
		record->entry_tsc = vcpu->entry_tsc;
		record->entry_rip = vcpu->regs[REG_RIP];
	} else {
		record = trace_add(vcpu, TRACE_ENTRY, vcpu->entry_tsc);
		record->forced = force_immediate_exit;
		record->rip = vcpu->regs[REG_RIP];
		record->event = vcpu->events.injected;
	}
	vcpu->exit_record = NULL;
}

/* Record an access of the exit: the first one in the exit's record, each other one in its own. */
static inline void trace_access(struct vcpu *vcpu, enum trace_access kind, bool write, unsigned size,
				u64 address, u64 value, bool refused)
{
	struct trace_record *record = vcpu->exit_record;

	if (unlikely(!record || record->access.kind != TRACE_NO_ACCESS)) {
		vcpu->exit_record = NULL;
		record = trace_add(vcpu, TRACE_ACCESS, vcpu->exit_tsc);
	}
	record->access.what = TRACE_ACCESS_WHAT(kind, size, write) | (u32)refused << 24;
	record->access.address = address;
	record->access.value = value;
}

static inline void trace_pio(struct vcpu *vcpu, bool write, u16 port, unsigned size, u64 value)
{
	trace_access(vcpu, TRACE_PIO, write, size, port, value, false);
}

static inline void trace_mmio(struct vcpu *vcpu, bool write, gpa_t gpa, unsigned size, u64 value)
{
	trace_access(vcpu, TRACE_MMIO, write, size, gpa, value, false);
}

/* `refused`: it raised #GP. */
static inline void trace_msr(struct vcpu *vcpu, bool write, u32 msr, u64 value, bool refused)
{
	trace_access(vcpu, TRACE_MSR, write, 8, msr, value, refused);
}
