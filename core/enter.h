/* SPDX-License-Identifier: MIT */
/* The loop that enters the guest. */
#pragma once

#include "lib/types.h"

struct vcpu;

/*
 * The only caller of vcpu_run(). Serves requests, injects events, enters the guest, handles the exit.
 * Interrupts are off before and after. Returns false when the VM has ended.
 */
bool vcpu_enter_guest(struct vcpu *vcpu);

/* Run the vCPU until the VM ends. The CPU sleeps while the vCPU is halted. */
void vcpu_main(struct vcpu *vcpu);
