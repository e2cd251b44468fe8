/* SPDX-License-Identifier: MIT */
/* The instruction decoder's opcode maps. Private to it. */
#pragma once

#include "lib/types.h"

/* What the tables say about an opcode. 0: undefined. */
enum {
	DEFINED	= BIT(0),		/* for an opcode without other attributes */
	MODRM	= BIT(1),
	MEMORY	= MODRM | BIT(2),	/* a ModRM whose register forms are undefined */
	NOT64	= BIT(3),		/* undefined in 64-bit mode */
	TO_ES	= BIT(4),		/* string instruction whose only memory operand is ES:rDI */

	/* Immediates. */
	IMM8	= 1 << 5,
	IMM16	= 2 << 5,
	IMMZ	= 3 << 5,		/* of the operand size, but at most 4 bytes */
	IMMV	= 4 << 5,		/* of the operand size */
	FAR	= 5 << 5,		/* offset as IMMZ, and a selector */
	ENTER	= 6 << 5,		/* imm16 and imm8 */
	MOFFS	= 7 << 5,		/* the memory operand's offset, of the address size */
	IMM_MASK = 7 << 5,

	/* Operand sizes. Without any: 2 or 4 by mode and prefix 66, 8 with REX.W. */
	BYTE	= 1 << 8,
	STACK	= 2 << 8,		/* 64-bit mode: 8, or 2 with 66 */
	NEAR	= 3 << 8,		/* 64-bit mode: 8 */
	IO	= 4 << 8,		/* 2 or 4 by mode and prefix 66; 4 with REX.W */
	DWORD	= 5 << 8,		/* 4, or 8 with REX.W */
	NATIVE	= 6 << 8,		/* 64-bit mode: 8, else 4 */
	SIZE_MASK = 7 << 8,
};

/* Maps 0F38 and 0F3A need no table: all their opcodes have a ModRM, those of 0F3A also an imm8. */
extern const u16 insn_map_one[256];
extern const u16 insn_map_0f[256];
