/* SPDX-License-Identifier: MIT */
/*
 * Guest writes to control registers: which values are valid, and what they change.
 * Intel SDM, "Control Registers", "Mode Switching"; AMD APM vol. 2, "System Resources".
 */
#pragma once

#include "arch/cpu/x86.h"
#include "lib/types.h"

struct vcpu;

/* What LMSW makes of CR0: it can set PE, not clear it. */
static inline u64 control_lmsw_value(u64 cr0, u16 value)
{
	const u64 writable = CR0_PE | CR0_MP | CR0_EM | CR0_TS;

	return (cr0 & ~(writable & ~CR0_PE)) | (value & writable);
}

/* 0, or -EINVAL: the write must raise #GP(0). */
int control_write_cr0(struct vcpu *vcpu, u64 value);
int control_write_cr3(struct vcpu *vcpu, u64 value);
int control_write_cr4(struct vcpu *vcpu, u64 value);
int control_write_cr8(struct vcpu *vcpu, u64 value);
int control_write_efer(struct vcpu *vcpu, u64 value);
int control_write_xcr0(struct vcpu *vcpu, u32 index, u64 value);

/* Bits of CR4 that this guest's CPUID allows: vcpu->cr4_allowed once there is a vCPU. Bits of EFER and XCR0 likewise. */
u64 control_efer_allowed(const struct vcpu *vcpu);
u64 control_cr4_allowed(const struct vcpu *vcpu);
u64 control_xcr0_allowed(const struct vcpu *vcpu);
