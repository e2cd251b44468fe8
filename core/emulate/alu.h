/* SPDX-License-Identifier: MIT */
/* Arithmetic of emulated instructions, done by the processor itself: so the flags are exact. */
#pragma once

#include "lib/types.h"

/* The first eight in the order in which opcodes number them. */
enum alu_operation {
	ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP,
	ALU_TEST, ALU_INC, ALU_DEC, ALU_NOT, ALU_NEG,
	ALU_BT, ALU_BTS, ALU_BTR, ALU_BTC,	/* size 2, 4 or 8; bit number below 8 * size */
	ALU_OPERATIONS,
};

/*
 * `a` operation `b` in 1, 2, 4 or 8 bytes. Returns the new value of `a`, zero-extended: the old one
 * where the operation only sets flags. Flags that it does not change stay in *rflags.
 */
u64 alu_execute(enum alu_operation operation, unsigned size, u64 a, u64 b, u64 *rflags);
