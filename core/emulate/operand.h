/* SPDX-License-Identifier: MIT */
/*
 * Operands of emulated instructions: registers, and memory that is RAM, MMIO or, across pages, both.
 * Intel SDM, "Operand Addressing".
 */
#pragma once

#include "core/emulate/gwalk.h"
#include "core/vcpu.h"
#include "lib/insn.h"
#include "lib/types.h"

/* Sign-extend the low `size` bytes. All values of 1, 2, 4 or 8 bytes are passed zero-extended in a u64. */
u64 operand_sign_extend(u64 value, unsigned size);

/*
 * General registers by their number in the encoding: 4 to 7 are AH, CH, DH and BH for bytes without
 * REX. Writes of 32 bits clear the upper half.
 */
u64 operand_reg_read(struct vcpu *vcpu, const struct insn *insn, unsigned number, unsigned size);
void operand_reg_write(struct vcpu *vcpu, const struct insn *insn, unsigned number, unsigned size,
		       u64 value);

/* A register as an address or a count: read truncated to the address size, written with that size. */
u64 address_reg_read(struct vcpu *vcpu, const struct insn *insn, enum vcpu_reg reg);
void address_reg_write(struct vcpu *vcpu, const struct insn *insn, enum vcpu_reg reg, u64 value);

/* Offset of the ModR/M or moffs operand in its segment, plus `displacement`, truncated to the address size. */
u64 operand_offset(struct vcpu *vcpu, const struct insn *insn, s64 displacement);

/*
 * Translate up to 8 bytes at a segment and offset to *span, for reading (access 0) or writing
 * (PF_WRITE). 0, or -EFAULT: a fault was raised in the guest.
 */
int operand_map(struct vcpu *vcpu, enum vcpu_segment segment, u64 offset, unsigned size, u32 access,
		struct guest_span *span);
/* The same for the instruction's explicit memory operand. */
int operand_map_explicit(struct vcpu *vcpu, const struct insn *insn, unsigned size, u32 access,
			 struct guest_span *span);

/* Access what was translated. Cannot fail: what is not RAM is MMIO. */
u64 operand_read(struct vcpu *vcpu, const struct guest_span *span);
void operand_write(struct vcpu *vcpu, const struct guest_span *span, u64 value);
