/* SPDX-License-Identifier: MIT */
/*
 * Compares the instruction decoder with Zydis, an independent implementation.
 *
 * If Zydis accepts an instruction, we must accept it, with the same length and fields. If only we accept
 * it, there must be a reason with a name below; these are counted.
 */
#pragma once

#include "lib/insn.h"

#define STRING_SIZE 24	/* bytes; more than an instruction can have */

enum insn_verdict {
	AGREED,			/* both accept */
	REJECTED,		/* both reject */

	/* Lamina accepts, Zydis rejects: undefined, so that no processor has executed it. */
	LOCK_NOT_ALLOWED,
	NO_SUCH_REGISTER,	/* MOV to CS, CR1, a missing bounds or mask register ... */
	PREFIX_NOT_ALLOWED,	/* an emulated instruction with 66, F2 or F3 */
	VECTOR_UNDEFINED,	/* VEX, EVEX, XOP: opcode or prefix fields without meaning */
	MAP_38_3A_UNDEFINED,	/* opcode or mandatory prefix of 0F38 or 0F3A without meaning */
	MAP_0F_UNDEFINED,	/* mandatory prefix, /digit or mod of 0F without meaning */
	X87_UNDEFINED,
	GROUP_UNDEFINED,	/* XABORT, XBEGIN but for one ModRM; CALL and JMP far by register */

	/* Lamina's result for an instruction or field deliberately differs from Zydis'. */
	KNIGHTS_CORNER,		/* VEX branches of a coprocessor that cannot run Lamina */
	SIB_BASE_R13D,		/* which Zydis takes as base where 67 meets "no base" and REX.B */
	FORCED_ADDRESS_SIZE,	/* SGX, MPX: some ignore 67 */
	NOTRACK,		/* 3E before CALL and JMP is DS all the same */
	SIZELESS,		/* SYSCALL and INVLPG have no operand */

	INSN_VERDICTS
};

extern const char *const insn_verdict_names[INSN_VERDICTS];
extern unsigned long insn_verdicts[INSN_VERDICTS];

int insn_oracle_open(void);
void insn_oracle_close(void);

/* Decode with our decoder from the end of a heap block, so that overruns are found. size <= STRING_SIZE. */
int insn_decode_at_end(const u8 *bytes, size_t size, enum insn_mode mode, struct insn *insn);

/* Decode and compare. Returns the instruction's length if both accept it, else 0. */
size_t insn_compare(const u8 bytes[STRING_SIZE], enum insn_mode mode);

/* Check that an instruction of this length, cut short anywhere, asks for more bytes. */
void insn_check_truncated(const u8 *bytes, size_t length, enum insn_mode mode);

/* The number of differences since the last call. The first few are printed as they occur. */
unsigned int insn_differences(void);

/* The name of an emulated instruction that never occurred, or NULL. */
const char *insn_emulated_unseen(void);
