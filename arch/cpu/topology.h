/* SPDX-License-Identifier: MIT */
/*
 * Packages, cores and threads, from local APIC ids. Intel SDM, "Programming Considerations for Hardware
 * Multi-Threading Capable Processors"; AMD APM vol. 3, "Multiple Processor Calculation".
 */
#pragma once

#include "lib/types.h"

/* How an APIC id divides: thread in the low bits, then the core, the package above. */
struct cpu_topology {
	u8 thread_bits;		/* within a core */
	u8 package_bits;	/* of thread and core together */
};

/* As the running CPU's CPUID describes it; all CPUs of a machine agree. */
struct cpu_topology cpu_topology_read(void);

u32 cpu_thread_of(struct cpu_topology topology, u32 apic_id);
u32 cpu_core_of(struct cpu_topology topology, u32 apic_id);	/* within its package */
u32 cpu_package_of(struct cpu_topology topology, u32 apic_id);
