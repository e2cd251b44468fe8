/* SPDX-License-Identifier: MIT */
/*
 * The trace: a ring for each CPU of what it did last, printed when something breaks. A ring is written by its
 * CPU only, without a lock: a report from another CPU may find a record half-written. Names and fields of
 * the printed lines are those of Linux's events (kvm_entry, kvm_exit, kvm_pio ...). The records of
 * entries, exits and accesses are written by core/observe/trace_record.h.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;
struct vcpu_ops;
struct percpu;

#define TRACE_RECORDS	 1024	/* that a ring holds; a power of two */

/* How many lines trace_print() prints; some more, as it prints whole records. */
#define TRACE_ON_ERROR	 16
#define TRACE_ON_REQUEST 64
#define TRACE_ON_PANIC	 64

/* Make the ring of a CPU that will run VMs. -ENOMEM. */
int trace_create(struct percpu *cpu);
/* The vCPU's records will go into the ring of its home CPU. */
void trace_attach(struct vcpu *vcpu);
/* Record a refused entry, from vcpu->failure. */
void trace_failed_entry(struct vcpu *vcpu);
/*
 * Record an entry of L2 that fails as on a processor: with the instruction error, or the full exit reason or code, that L1
 * gets. `rule`: the broken one's name, a constant.
 */
void trace_l2_refused(struct vcpu *vcpu, u64 code, u64 qualification, const char *rule);

/*
 * Print the newest lines of one VM, or of all VMs if it is NULL, of all CPUs, oldest first. Takes no lock;
 * any context.
 */
void trace_print(const struct vm *vm, unsigned lines);
/* The VM has ended: print all of its records if the option trace= says "console". */
void trace_export(const struct vm *vm);

/* An exit's name as the trace prints it. */
#define TRACE_NAME_SIZE 48
struct trace_name {
	char text[TRACE_NAME_SIZE];
};
struct trace_name trace_exit_name(const struct vcpu_ops *ops, u8 exit_index);
