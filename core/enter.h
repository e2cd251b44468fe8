/* SPDX-License-Identifier: MIT */
/* The loop that enters the guest. */
#pragma once

#include "core/vcpu.h"
#include "lib/types.h"

/*
 * The only caller of vcpu_run(). Serves requests, injects events, enters the guest, handles the exit.
 * Interrupts are off before and after. Returns false when the vCPU has to stop: see vcpu_run_slice().
 */
bool vcpu_enter_guest(struct vcpu *vcpu);

/*
 * For the fast path: an exit of the kind vcpu->exit_index has been handled within the entry stub, and something is left
 * to be done before the guest is entered again. EXIT_FASTPATH_REENTER_GUEST: it was no more than a timer to be armed or an
 * interrupt to be injected, and is done, as the loop would have; EXIT_FASTPATH_EXIT_HANDLED: the loop has to do it.
 */
enum exit_fastpath enter_from_stub(struct vcpu *vcpu);

enum vcpu_stop {
	VCPU_STOPPED_HALTED,	/* it waits for an event, or its VM is paused */
	VCPU_STOPPED_PREEMPTED,	/* another is to run */
	VCPU_STOPPED_LEFT,	/* its VM has ended */
};

/* Run the vCPU, which is loaded, until it has to stop. */
enum vcpu_stop vcpu_run_slice(struct vcpu *vcpu);
