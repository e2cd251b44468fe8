/* SPDX-License-Identifier: MIT */
/* Offsets for guest_regs.inc. */
#include "core/vcpu.h"
#include "lib/offsets.h"

void offsets(void);
void offsets(void)
{
	DEFINE(VCPU_RAX, offsetof(struct vcpu, regs[REG_RAX]));
	DEFINE(VCPU_RCX, offsetof(struct vcpu, regs[REG_RCX]));
	DEFINE(VCPU_RDX, offsetof(struct vcpu, regs[REG_RDX]));
	DEFINE(VCPU_RBX, offsetof(struct vcpu, regs[REG_RBX]));
	DEFINE(VCPU_RBP, offsetof(struct vcpu, regs[REG_RBP]));
	DEFINE(VCPU_RSI, offsetof(struct vcpu, regs[REG_RSI]));
	DEFINE(VCPU_RDI, offsetof(struct vcpu, regs[REG_RDI]));
	DEFINE(VCPU_R8, offsetof(struct vcpu, regs[REG_R8]));
	DEFINE(VCPU_R9, offsetof(struct vcpu, regs[REG_R9]));
	DEFINE(VCPU_R10, offsetof(struct vcpu, regs[REG_R10]));
	DEFINE(VCPU_R11, offsetof(struct vcpu, regs[REG_R11]));
	DEFINE(VCPU_R12, offsetof(struct vcpu, regs[REG_R12]));
	DEFINE(VCPU_R13, offsetof(struct vcpu, regs[REG_R13]));
	DEFINE(VCPU_R14, offsetof(struct vcpu, regs[REG_R14]));
	DEFINE(VCPU_R15, offsetof(struct vcpu, regs[REG_R15]));
}
