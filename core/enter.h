/* SPDX-License-Identifier: MIT */
/* The loop that enters the guest. */
#pragma once

#include "lib/types.h"

struct vcpu;

/*
 * The one caller of vcpu_run(). Handles requests, injects, enters, handles the exit.
 * Interrupts are off before and after. Returns false when the VM has ended.
 */
bool vcpu_enter_guest(struct vcpu *vcpu);

/* Run until the VM ends: enters, and idles the CPU while the vCPU is halted. */
void vcpu_main(struct vcpu *vcpu);
