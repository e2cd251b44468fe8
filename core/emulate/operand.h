/* SPDX-License-Identifier: MIT */
/* Operands of emulated instructions: registers, and memory that is RAM, MMIO or some of each. */
#pragma once

#include "core/emulate/gwalk.h"
#include "core/vcpu.h"
#include "lib/insn.h"
#include "lib/types.h"

/* Values of 1, 2, 4 or 8 bytes stand in the low bytes of a u64, zero-extended. */
u64 operand_sign_extend(u64 value, unsigned size);

/*
 * By the number in the encoding, where 4 to 7 are AH to BH for bytes without REX. Writes of 32 bits
 * clear the upper half.
 */
u64 operand_reg_read(struct vcpu *vcpu, const struct insn *insn, unsigned number, unsigned size);
void operand_reg_write(struct vcpu *vcpu, const struct insn *insn, unsigned number, unsigned size,
		       u64 value);

/* A register cut to the address size, and its change by arithmetic of that size. */
u64 address_reg_read(struct vcpu *vcpu, const struct insn *insn, enum vcpu_reg reg);
void address_reg_write(struct vcpu *vcpu, const struct insn *insn, enum vcpu_reg reg, u64 value);

/* Offset of the ModRM or moffs operand in its segment, plus `displacement`. */
u64 operand_offset(struct vcpu *vcpu, const struct insn *insn, s64 displacement);

/*
 * Memory at a segment and offset, for reading (access 0) or writing (PF_WRITE), up to 8 bytes.
 * -EFAULT: a fault was raised.
 */
int operand_map(struct vcpu *vcpu, enum vcpu_segment segment, u64 offset, unsigned size, u32 access,
		struct guest_span *span);
/* The same for the operand that the instruction names. */
int operand_map_explicit(struct vcpu *vcpu, const struct insn *insn, unsigned size, u32 access,
			 struct guest_span *span);

/* The access itself. Cannot fail: what is not RAM is MMIO. */
u64 operand_read(struct vcpu *vcpu, const struct guest_span *span);
void operand_write(struct vcpu *vcpu, const struct guest_span *span, u64 value);
