/* SPDX-License-Identifier: MIT */
/*
 * Work of a VM's devices that must not be done inside of an exit, for example what a doorbell asks for: a vCPU of the
 * VM does it between two entries, in the VM's address space, in portions, and with host interrupts served in between.
 *
 * A vCPU that runs its guest does a portion, and if there is more, lets the guest run for a while before the next one,
 * unless another vCPU of the VM idles and can go on with it. A vCPU that is halted goes on until nothing is left. The work of
 * a paused VM waits until the VM goes on, and that of a VM that has ended is never done. tests/models/work.pml is the protocol.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

struct vm_work {
	/* Constant. */
	struct vm *vm;
	/*
	 * Do one portion: at most some 50 microseconds, without waiting for anything. True: there is more. Never called on two
	 * CPUs at the same time for the same work; without the VM lock. `vcpu` is the one that does it, on its home CPU.
	 */
	bool (*run)(struct vm_work *work, struct vcpu *vcpu);
	struct vm_work *next;	/* of the VM's list */
	/* Atomic. */
	u32 state;		/* bits: posted, running */
};

/* Before the VM runs; `work` lives as long as its VM. There is no undo. */
void vm_work_init(struct vm *vm, struct vm_work *work, bool (*run)(struct vm_work *work, struct vcpu *vcpu));

/*
 * Any CPU, any context that may send an IPI; takes no lock. Have it run soon: by the vCPU that this CPU is running if
 * it is one of the VM's, else by one that idles, else by one that runs, else by the boot processor. What was written before
 * is seen by run(). If it is running already, it runs once more.
 */
void vm_work_post(struct vm_work *work);

/* --- for the loop that enters the guest --- */

/* When the vCPU is created. */
void work_create(struct vcpu *vcpu);
/* Home CPU, for REQ_WORK, while the VM runs: do some of the VM's work. Serves host interrupts. */
void work_serve(struct vcpu *vcpu);
/* Home CPU: the vCPU has no reason to run its guest. Go on with work that waits until the guest has had its time. */
void work_resume(struct vcpu *vcpu);
