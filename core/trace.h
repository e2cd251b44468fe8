/* SPDX-License-Identifier: MIT */
/*
 * The trace: a ring of what each CPU did last, printed when something breaks. Names and fields of
 * the printed lines are those of Linux's events (kvm_entry, kvm_exit, kvm_pio ...).
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

/* How many records trace_print() shows. */
#define TRACE_RECORDS	 1024	/* all that a ring holds; a power of two */
#define TRACE_ON_ERROR	 16
#define TRACE_ON_REQUEST 64
#define TRACE_ON_PANIC	 64

/* Right before an entry, at vcpu->entry_tsc: RIP, the injected event, and whether the exit is forced. */
void trace_entry(struct vcpu *vcpu, bool force_immediate_exit);
/* Right after an exit, from the snapshot; asks the vendor for the rest. */
void trace_exit(struct vcpu *vcpu);
/* The entry was refused: the failure record. */
void trace_failed_entry(struct vcpu *vcpu);

void trace_pio(struct vcpu *vcpu, bool write, u16 port, unsigned size, u64 value);
void trace_mmio(struct vcpu *vcpu, bool write, gpa_t gpa, unsigned size, u64 value);
/* `refused`: it raised #GP. */
void trace_msr(struct vcpu *vcpu, bool write, u32 msr, u64 value, bool refused);

/*
 * Print the newest records of one VM, or of all where it is NULL, oldest first. Takes no lock; any
 * context.
 */
void trace_print(const struct vm *vm, unsigned records);
/* The VM has ended: print the whole ring where the option trace= says so. */
void trace_export(const struct vm *vm);
