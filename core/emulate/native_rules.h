/* SPDX-License-Identifier: MIT */
/*
 * Which instructions Lamina has the processor execute for a guest, with the memory operand moved: those that only
 * compute, on general, x87, MMX and vector registers. All that the guest cannot be trusted with in ring 0, and all that
 * the decoder knows no operand of, is left out.
 * Intel SDM, "Opcode Map"; AMD APM vol. 3, "Opcode and Operand Encodings".
 */
#pragma once

#include "lib/insn.h"
#include "lib/types.h"

#define NATIVE_LONGEST 15	/* bytes of the new instruction */

enum native_class {
	NATIVE_NONE,		/* not to be executed */
	NATIVE_INTEGER,		/* general registers and flags only */
	NATIVE_X87,
	NATIVE_VECTOR,		/* MMX, SSE, AVX; some have a general register, too */
	NATIVE_STATE,		/* FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XRSTOR */
};

struct native_kind {
	u8 class;		/* enum native_class */
	bool stores;		/* it writes its operand. Not for NATIVE_VECTOR, where the fault says so */
	bool loads;		/* it reads its operand, maybe besides writing it. Likewise */
	bool reg_is_general;	/* the ModRM byte's reg field, if it is a register, is a general one */
	bool vvvv_is_general;	/* so is the one that the VEX prefix names */
	bool ignores_w;		/* outside of 64-bit mode a VEX prefix's W bit means nothing */
	bool di;		/* MASKMOVQ, MASKMOVDQU: the operand is at rDI, not in the ModRM byte */
};

/* `bytes`: what `insn` was decoded from. */
struct native_kind native_kind(const struct insn *insn, const u8 *bytes);

/* The instruction, rewritten for 64-bit mode. */
struct native_code {
	u8 bytes[NATIVE_LONGEST], length;
	/* A general register in place of RSP, which the instruction names; or INSN_NO_REGISTER. */
	u8 stand_in;
};

/* Rewrite it so that it addresses its operand relative to RIP, and does the same as the old one in `mode`. */
void native_rewrite(const struct insn *insn, const u8 *bytes, const struct native_kind *kind, enum insn_mode mode,
		    struct native_code *code);
/* Set the displacement, for an instruction at `rip` with its operand at `operand`. */
void native_aim(struct native_code *code, const struct insn *insn, const struct native_kind *kind, u64 rip,
		u64 operand);

/*
 * An instruction like it, without mask, that accesses the second of many operands of its size which begin at RAX. The
 * displacement of one byte in an EVEX instruction is multiplied by that size.
 */
void native_rewrite_for_scale(const struct insn *insn, const u8 *bytes, struct native_code *code);
