/* SPDX-License-Identifier: MIT */
/*
 * The trace: a ring of what each CPU did last, printed when something breaks. Names and fields of
 * the printed lines are those of Linux's events (kvm_entry, kvm_exit, kvm_pio ...). The records of
 * entries, exits and accesses are written by core/observe/trace_record.h.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;
struct vcpu_ops;

#define TRACE_RECORDS	 1024	/* that a ring holds; a power of two */

/* How many lines trace_print() prints; one or two more, as it prints whole records. */
#define TRACE_ON_ERROR	 16
#define TRACE_ON_REQUEST 64
#define TRACE_ON_PANIC	 64

/* From now on the vCPU's records go into this CPU's ring. */
void trace_attach(struct vcpu *vcpu);
/* Record a refused entry, from vcpu->failure. */
void trace_failed_entry(struct vcpu *vcpu);

/*
 * Print the newest lines of one VM, or of all VMs if it is NULL, oldest first. Takes no lock; any
 * context.
 */
void trace_print(const struct vm *vm, unsigned lines);
/* The VM has ended: print all of its records in the ring if the option trace= says "console". */
void trace_export(const struct vm *vm);

/* An exit's name as the trace prints it. */
#define TRACE_NAME_SIZE 48
struct trace_name {
	char text[TRACE_NAME_SIZE];
};
struct trace_name trace_exit_name(const struct vcpu_ops *ops, u8 exit_index);
