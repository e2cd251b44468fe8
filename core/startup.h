/* SPDX-License-Identifier: MIT */
/*
 * Signals to a processor besides interrupts: INIT, start-up IPIs, NMIs, and the end of a VM whose processors
 * have all halted for good. Intel SDM, "MP Initialization Protocol Algorithm for MP Systems".
 *
 * vcpu->startup holds what was sent and not served yet, in order: an INIT that is followed by a start-up IPI
 * is one value, so that neither can overtake the other. It, vcpu->halted_for_good and the request of the same
 * signal change together under vm->signal_lock, which any context may take, last of all.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

enum startup_state {
	STARTUP_RUNNING,
	STARTUP_INIT,		/* INIT was sent */
	STARTUP_INIT_SIPI,	/* INIT and a start-up IPI were sent */
	STARTUP_WAIT,		/* INIT was served: the vCPU waits for a start-up IPI */
	STARTUP_WAIT_SIPI,	/* a start-up IPI was sent */
};

/* vcpu->startup: the state in bits 0-7, the start-up IPI's vector in bits 8-15. */
#define STARTUP_STATE(word)  ((enum startup_state)((word) & 0xff))
#define STARTUP_VECTOR(word) ((u8)((word) >> 8))
#define STARTUP_NMI	     BIT(16)	/* an NMI was sent after the start-up IPI; */
#define STARTUP_EARLY_NMI    BIT(17)	/* before it, to a hypervisor, which may hold INIT back */

/* Any CPU. For interrupt controllers: signals that do not go through the priorities of a local APIC. */
void vcpu_raise_nmi(struct vcpu *vcpu);
void vcpu_raise_init(struct vcpu *vcpu);
void vcpu_raise_startup(struct vcpu *vcpu, u8 vector);	/* start-up IPI: real mode at vector << 12 */
/* Any CPU: wake the vCPU from HLT, or have its next HLT do nothing. */
void vcpu_unhalt(struct vcpu *vcpu);

/*
 * Home CPU, after REQ_STARTUP was cleared, while the vCPU is loaded. True: the vCPU was reset or started, so
 * that REQ_NMIS which were pending together with REQ_STARTUP are void.
 */
bool startup_serve(struct vcpu *vcpu);
/* Power-up: the boot processor runs, the others wait for a start-up IPI. By vcpu_reset(). */
void startup_reset(struct vcpu *vcpu);

/* Home CPU: the vCPU has halted with interrupts off. Ends the VM if nothing can wake it or any of the others. */
void halt_for_good(struct vcpu *vcpu);
/* Home CPU: something has woken it nevertheless. */
void halt_is_over(struct vcpu *vcpu);
