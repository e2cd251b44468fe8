/* SPDX-License-Identifier: MIT */
/*
 * Having the home CPU of a vCPU look at its requests.
 *
 * A guest is entered only after its requests were seen to be 0 with interrupts off, and a vCPU is parked
 * only after that, too. So whoever finds requests pending that are older than its own needs to do
 * nothing: the home CPU has not looked yet. Otherwise the IPI, which stays pending while interrupts are off, makes the
 * guest exit before its next instruction.
 */
#include "core/vcpu.h"

void vcpu_kick(struct vcpu *vcpu, enum vcpu_request request)
{
	if (!__atomic_fetch_or(&vcpu->requests, request, __ATOMIC_SEQ_CST))
		sched_notify(vcpu);
}
