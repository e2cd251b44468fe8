/* SPDX-License-Identifier: MIT */
/*
 * Machine checks as a guest sees them: one bank, which holds an error in its own memory. Intel SDM,
 * "Machine-Check Architecture"; AMD APM vol. 2, the same.
 */
#pragma once

#include "lib/types.h"

struct guest_damage;
struct vcpu;

/* The values of the guest's registers; part of struct vcpu. */
struct guest_machine_check {
	u64 mcg_status;
	u64 bank[4];	/* MC0_CTL, STATUS, ADDR, MISC */
};

/* The guest's IA32_MCG_CAP, IA32_MCG_STATUS and the bank's four. As msr_guest_read() and _write(). */
int machine_check_read(struct vcpu *vcpu, u32 msr, u64 *value);
int machine_check_write(struct vcpu *vcpu, u32 msr, u64 *value);

/*
 * Handle a machine check that interrupted the guest or its entry. The host's banks must still hold it.
 * `entered`: the guest was running, so the error can be reported to it; else it was about to run.
 */
void exit_machine_check(struct vcpu *vcpu, bool entered);

/*
 * The guest has accessed damaged memory, which is no longer mapped: the machine check that the processor would
 * raise, without one of this processor. No lock is held.
 */
void exit_damaged_memory(struct vcpu *vcpu, gpa_t gpa, const struct guest_damage *damage);
