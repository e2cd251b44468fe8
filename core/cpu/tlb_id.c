/* SPDX-License-Identifier: MIT */
/* Identifiers in the TLB: VPIDs and ASIDs. */
#include "core/cpu/tlb_id.h"

#include "arch/cpu/percpu.h"

void tlb_id_restart(struct percpu *cpu)
{
	cpu->tlb_id_generation++;
	cpu->tlb_id_next = 0;
}

enum tlb_id_change tlb_id_assign(struct tlb_id *id, struct percpu *cpu, u32 ids)
{
	enum tlb_id_change change = TLB_ID_NEW;

	if (likely(id->cpu == cpu && id->generation == cpu->tlb_id_generation))
		return TLB_ID_KEPT;
	if (cpu->tlb_id_next == 0 || cpu->tlb_id_next >= ids) {
		tlb_id_restart(cpu);
		cpu->tlb_id_next = 1;
		change = TLB_ID_NEW_FLUSH_ALL;
	}
	*id = (struct tlb_id){ .cpu = cpu, .generation = cpu->tlb_id_generation, .id = cpu->tlb_id_next++ };
	return change;
}
