/* SPDX-License-Identifier: MIT */
/*
 * Exits that are handled without leaving the entry stub. Most need nothing of the loop in
 * core/enter.c: a handler runs, no request came up, and the guest goes on. The stub then saves the
 * way back and forth; what is recorded of the exit, and who handles it, is the same.
 *
 * The vendor takes the snapshot and calls its handler between these two.
 */
#pragma once

#include "arch/cpu/cpu.h"
#include "arch/apic/lapic.h"
#include "core/observe/trace_record.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"

enum stub_answer {
	STUB_LEAVE,	/* an exit that nobody has looked at yet */
	STUB_AGAIN,	/* handled, and entered again: the stub goes on */
	STUB_HANDLED,	/* handled, but something waits: leave */
};

/* Is an exit of this kind, at vcpu->exit_tsc, one to handle here? Not the first of its kind. */
static inline bool answer_begins(const struct vcpu *vcpu, u8 index)
{
	return vcpu_nothing_pending(vcpu) && likely(vcpu->timer_deadline > vcpu->exit_tsc) &&
	       likely(vcpu->statistics.by_kind[index]);
}

/* It has been handled. Does the guest go on? */
static inline enum stub_answer answer_ends(struct vcpu *vcpu)
{
	bool armed = vcpu->deadline_in_hardware || vcpu->timer_deadline == lapic_timer_armed;
	u64 now;

	if (unlikely(!vcpu_nothing_pending(vcpu) || vcpu->vm->state != VM_RUNNING ||
		     vcpu->activity != VCPU_RUNNING || !armed))
		return STUB_HANDLED;
	now = tsc_now();
	vcpu->entry_tsc = now;
	statistics_count(vcpu->statistics.by_kind[vcpu->exit_index], now - vcpu->exit_tsc);
	trace_entry(vcpu, false);
	vcpu->outcomes[EXIT_FASTPATH_REENTER_GUEST]++;
	return STUB_AGAIN;
}
