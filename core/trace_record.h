/* SPDX-License-Identifier: MIT */
/* The records of the trace: how core/trace.c leaves them and core/trace_print.c finds them. */
#pragma once

#include "core/trace.h"

struct vcpu_ops;

enum trace_kind {
	TRACE_NONE,
	TRACE_ENTRY,
	TRACE_EXIT,
	TRACE_EXIT_INFO,	/* more of the exit right before it, where that is not all zeros */
	TRACE_FAILED,
	TRACE_PIO,
	TRACE_MMIO,
	TRACE_MSR,
};

struct trace_record {
	u64 tsc;
	u8 kind;			/* enum trace_kind */
	u8 vm, vcpu;
	union {
		bool forced;		/* entry */
		u8 exit_index;		/* exit */
		u8 size;		/* PIO, MMIO: bytes */
		bool refused;		/* MSR */
		u8 failure;		/* failed: enum entry_failure */
	};
	union {
		struct {		/* entry */
			u8 event_type, vector;
			bool has_error_code;
		};
		u32 reason;		/* exit: low half; failed: exit reason or instruction error */
		bool write;		/* PIO, MMIO, MSR */
		u32 error_code;		/* exit info */
	};
	union {
		u64 rip;		/* entry, exit, failed */
		u64 address;		/* port, guest-physical address, MSR */
		u64 info2;		/* exit info */
	};
	union {
		u64 info1;		/* exit; failed: qualification */
		u64 value;		/* PIO, MMIO, MSR; entry: the event's error code */
		u64 intr_info;		/* exit info */
	};
};

_Static_assert(sizeof(struct trace_record) == 32, "two to a cache line");

struct trace_ring {
	struct trace_record records[TRACE_RECORDS];
	u64 next;			/* records ever written */
	const struct vcpu_ops *ops;	/* for the names of exits */
};

/* The ring of this CPU. */
struct trace_ring *trace_ring(void);

/* An exit's name as the trace has it. */
#define TRACE_NAME_SIZE 48
struct trace_name {
	char text[TRACE_NAME_SIZE];
};
struct trace_name trace_exit_name(const struct vcpu_ops *ops, u8 exit_index);

/* What trace= says. */
extern enum trace_mode { TRACE_OFF, TRACE_CRASH, TRACE_CONSOLE } trace_mode;
