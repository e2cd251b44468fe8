/* SPDX-License-Identifier: MIT */
/* MMIO on the fast path of exits: see core/fastpath.h. */
#pragma once

#include "core/emulate/mmio_fast.h"
#include "core/fastpath.h"

/*
 * MMIO at gpa by an instruction that core/emulate/mmio_fast.h knows; exit->next_rip is set here. `reason`: the
 * exit's. EXIT_FASTPATH_NONE: it is another instruction, or not remembered, or uses registers that regs[]
 * lacks; nothing has changed.
 */
static __always_inline enum exit_fastpath fastpath_mmio(struct vcpu *vcpu, struct access_exit *exit, u32 reason,
							const struct code_view *view, gpa_t gpa, bool write)
{
	const struct fast_mov *mov = mmio_recall(vcpu, view, exit->rip);
	struct trace_record *record;
	u64 value;

	if (unlikely(!mov) || unlikely(mov->access != write) || !mmio_matches(vcpu, mov, gpa, mov->write))
		return EXIT_FASTPATH_NONE;
	exit->next_rip = exit->rip + mov->length;
	/* Across 4 GiB: the mode may wrap it. */
	if (unlikely((u32)exit->next_rip < mov->length))
		return EXIT_FASTPATH_NONE;
	if (reason == exit->index) {
		record = fastpath_access_begins(vcpu, exit, TRACE_FASTPATH_ACCESS);
	} else {
		record = fastpath_access_begins(vcpu, exit, TRACE_EXIT);
		record->reason = reason;
		record->intr_info = record->error_code = 0;
	}
	record->access.what = mov->what;
	record->access.address = gpa;
	if (write) {
		record->access.value = value = mmio_operand(vcpu, mov);
		io_write_memory(vcpu, gpa, mov->size, value);
	} else {
		record->access.value = value = io_read_memory(vcpu, gpa, mov->size);
		mmio_load(vcpu, mov, value);
	}
	return fastpath_access_ends(vcpu, record, exit);
}
