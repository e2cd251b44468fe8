/* SPDX-License-Identifier: MIT */
/*
 * What is flushed when a CPU goes from one VM to another, so that neither can attack or spy on the other by
 * speculative execution. Intel, "Indirect Branch Predictor Barrier", "L1 Data Cache Flush", "Microarchitectural
 * Data Sampling"; AMD, "Indirect Branch Control Extension". Within one VM, and between a VM and Lamina, nothing
 * is flushed.
 */
#pragma once

#include "lib/types.h"

struct percpu;

/* Choose by the processor and the option `mitigations`, and print the choice as a capability. For ops->probe(). */
void speculation_init(void);
/* mitigations=off */
bool speculation_off(void);
/* This VM is being loaded on `cpu`, the running one. The id must never have been another VM's. */
void speculation_switch_vm(struct percpu *cpu, u32 vm_id);
