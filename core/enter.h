/* SPDX-License-Identifier: MIT */
/* The loop that enters the guest. */
#pragma once

#include "lib/types.h"

struct vcpu;

/*
 * The only caller of vcpu_run(). Serves requests, injects events, enters the guest, handles the exit.
 * Interrupts are off before and after. Returns false when the vCPU has to stop: see vcpu_run_slice().
 */
bool vcpu_enter_guest(struct vcpu *vcpu);

enum vcpu_stop {
	VCPU_STOPPED_HALTED,	/* it waits for an event, or its VM is paused */
	VCPU_STOPPED_PREEMPTED,	/* another is to run */
	VCPU_STOPPED_LEFT,	/* its VM has ended */
};

/* Run the vCPU, which is loaded, until it has to stop. */
enum vcpu_stop vcpu_run_slice(struct vcpu *vcpu);
