/* SPDX-License-Identifier: MIT */
/* The guest's model-specific registers: one policy table (core/msr.c). */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

int msr_create(struct vcpu *vcpu);	/* -ENOMEM; sets vcpu->msrs */
void msr_destroy(struct vcpu *vcpu);
void msr_reset(struct vcpu *vcpu);
/* Tell the vendor which MSRs need no exit. */
void msr_apply_passthrough(struct vm *vm);

/* RDMSR/WRMSR by the guest. 0, or -EINVAL: the access must raise #GP(0); unknown ones are logged once. */
int msr_guest_read(struct vcpu *vcpu, u32 msr, u64 *value);
int msr_guest_write(struct vcpu *vcpu, u32 msr, u64 value);
