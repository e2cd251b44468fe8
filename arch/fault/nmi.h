/* SPDX-License-Identifier: MIT */
/*
 * NMIs: those by which CPUs ask each other, and those from outside, which are reported as nmi= says: what each CPU does,
 * so that a BMC's diagnostic button shows where a machine hangs.
 */
#pragma once

#include "arch/fault/trap.h"
#include "lib/types.h"

struct percpu;

enum nmi_action { NMI_REPORT, NMI_PANIC, NMI_IGNORE };

/* What to do about those from outside; at first NMI_REPORT. */
void nmi_set_action(enum nmi_action wanted);

/* The handler, on the NMI's stack, with the CPU's own GS base. */
void nmi_handler(const struct trap_frame *frame);

/*
 * Ask another CPU by an NMI where it is. The caller sends the NMI between these two. nmi_answer() returns 0 while
 * there is no answer, else RIP: of Lamina's code, where a guest ran that of the exit's handling; then cpu->nmi_guest
 * says what the CPU runs. One caller at a time.
 */
void nmi_ask(struct percpu *cpu);
u64 nmi_answer(const struct percpu *cpu);

/* Log how many came from outside, if any did. */
void nmi_log_count(void);
