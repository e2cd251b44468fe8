/* SPDX-License-Identifier: MIT */
/* What each CPU does, in a report of an NMI from outside. */
#pragma once

#include "lib/types.h"

/*
 * Log a line for each CPU that runs: Lamina's RIP, and the VM that it runs with the guest's RIP, which each CPU
 * says of itself. `rip`: of this CPU.
 * The others are asked by NMIs; they have 0.1 s to answer. Any context, with the CPU's own GS base; takes no lock.
 */
void nmi_report_places(u64 rip);
/* What this CPU runs, in words: only the CPU itself may look at its vCPU, which may just be about to be freed. */
void nmi_describe_guest(char *words, size_t size);
