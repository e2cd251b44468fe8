/* SPDX-License-Identifier: MIT */
/*
 * The identifiers that tag a vCPU's translations in the TLB of a CPU: VPIDs, ASIDs. They belong to the CPU: a
 * vCPU that comes to another CPU gets another one there. A CPU gives each of its ids once; when they are used
 * up a new generation begins, with the whole TLB flushed, and each vCPU gets a new id when it is loaded next.
 */
#pragma once

#include "lib/types.h"

struct percpu;

struct tlb_id {
	const struct percpu *cpu;	/* where it is valid; NULL: nowhere yet */
	u64 generation;			/* of that CPU */
	u32 id;				/* never 0, which is the host's */
};

enum tlb_id_change {
	TLB_ID_KEPT,		/* as it was: what the TLB holds is this vCPU's own */
	TLB_ID_NEW,		/* the TLB holds nothing that bears it */
	TLB_ID_NEW_FLUSH_ALL,	/* as TLB_ID_NEW once the caller has flushed all ids of this CPU */
};

/* The vCPU is loaded on `cpu`, the running one, whose ids are 1 to `ids` - 1; at least 2. */
enum tlb_id_change tlb_id_assign(struct tlb_id *id, struct percpu *cpu, u32 ids);
/* Begin a new generation on `cpu`, the running one: the next assignment flushes. For ops->cpu_enable(). */
void tlb_id_restart(struct percpu *cpu);
