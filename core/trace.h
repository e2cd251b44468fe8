/* SPDX-License-Identifier: MIT */
/* A ring of the last entries and exits of each CPU, printed when something breaks. */
#pragma once

#include "lib/types.h"

struct vcpu;

/* Right before an entry: vcpu, rip, the injected event, and whether the exit is forced. */
void trace_entry(struct vcpu *vcpu, bool force_immediate_exit);
/* Right after an exit, from the snapshot. */
void trace_exit(struct vcpu *vcpu);

/* Print the ring, oldest first, one line each. Takes no lock; any context. */
void trace_print(void);
