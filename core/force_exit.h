/* SPDX-License-Identifier: MIT */
/* The forced exit for entries without a preemption timer. */
#pragma once

struct vcpu;

/*
 * Leave a self-IPI pending, so that the coming VM entry exits before its first guest instruction.
 * The local APIC accepts it asynchronously: returns when it is seen pending, or after a bounded
 * wait with a warning. The interrupt must not be delivered meanwhile: interrupts off (VMX), or GIF clear (SVM).
 */
void force_exit_by_self_ipi(struct vcpu *vcpu);
