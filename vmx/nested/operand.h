/* SPDX-License-Identifier: MIT */
/* Operands of L1's VMX instructions, from the VM-exit instruction-information field `info`. Home CPU, on vmcs01. */
#pragma once

#include "core/vcpu.h"
#include "lib/types.h"

/* VMREAD and VMWRITE: bit 10, the operand in bits 6:3 is a register; the field's encoding is in the register of bits 31:28. */
#define INFO_IS_REGISTER    BIT(10)
#define INFO_REGISTER(info) ((enum vcpu_reg)((info) >> 3 & 15))
/* Also the type of INVEPT and INVVPID. */
#define INFO_REGISTER_2(info) ((enum vcpu_reg)((info) >> 28 & 15))

/* The memory operand, of 4 or 8 bytes; of 16 bytes. 0; -EFAULT: a fault has been raised in L1. */
int nested_operand_read(struct vcpu *vcpu, u32 info, unsigned size, u64 *value);
int nested_operand_read_pair(struct vcpu *vcpu, u32 info, u64 pair[2]);
int nested_operand_write(struct vcpu *vcpu, u32 info, unsigned size, u64 value);
