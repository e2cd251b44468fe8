/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic of emulated instructions. The processor itself executes each operation, so results and flags
 * are exact. Intel SDM, "Status Flags".
 */
#pragma once

#include "lib/types.h"

/* The first eight have the numbers that opcodes give them: opcode bits 5:3, or ModR/M.reg of 80 to 83. */
enum alu_operation {
	ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP,
	ALU_TEST, ALU_INC, ALU_DEC, ALU_NOT, ALU_NEG,
	ALU_BT, ALU_BTS, ALU_BTR, ALU_BTC,	/* size 2, 4 or 8; bit number below 8 * size */
	ALU_OPERATIONS,
};

/*
 * Execute `a` operation `b` on operands of `size` bytes: 1, 2, 4 or 8. Returns the new value of `a`,
 * zero-extended; CMP, TEST and BT return the old one. In *rflags only the flags that the operation
 * defines change.
 */
u64 alu_execute(enum alu_operation operation, unsigned size, u64 a, u64 b, u64 *rflags);
