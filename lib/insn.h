/* SPDX-License-Identifier: MIT */
/*
 * A small x86 instruction decoder with exact lengths: what Lamina needs to emulate memory accesses, and
 * to step over instructions on processors that do not report the next RIP.
 *
 * Intel SDM, "Instruction Format", "Opcode Map"; AMD APM vol. 3, "Instruction Encoding".
 */
#pragma once

#include "lib/types.h"

#define INSN_MAX_LENGTH 15

enum insn_mode { INSN_MODE_16, INSN_MODE_32, INSN_MODE_64 };

/* Bits of the REX prefix. */
#define REX_B BIT(0)
#define REX_X BIT(1)
#define REX_R BIT(2)
#define REX_W BIT(3)

enum insn_map {
	INSN_MAP_ONE,	/* one-byte opcodes */
	INSN_MAP_0F,
	INSN_MAP_0F38,
	INSN_MAP_0F3A,
};

/* Index of a segment register, in the encoding of the ModRM reg field. */
enum insn_segment { INSN_ES, INSN_CS, INSN_SS, INSN_DS, INSN_FS, INSN_GS };

#define INSN_NO_REGISTER 0xff
#define INSN_REG_RIP	 0xfe

struct insn {
	u8 length;		/* bytes, 1 to 15 */
	u8 map;			/* enum insn_map */
	u8 opcode;		/* last opcode byte */
	/* F0, F3, F2 seen; F3 and F2 also as mandatory prefixes. Of these two only the last one counts. */
	bool lock, rep, repne;
	bool operand_size_prefix;
	bool vex;		/* VEX, EVEX or XOP: no field is meaningful but those that say so */
	bool evex;		/* also with VEX: it is an EVEX prefix */
	u8 prefixes;		/* also with VEX: how many bytes, REX included, are before the opcode or VEX prefix */
	u8 modrm_at;		/* also with VEX: where the ModRM byte is */
	u8 rex;			/* 0, or the effective REX byte */
	u8 operand_size;	/* 1, 2, 4 or 8 bytes, as the opcode's width bit and prefixes say */
	u8 address_size;	/* 2, 4 or 8 bytes */
	bool has_modrm;
	/* reg and rm extended by REX.R and REX.B. mod is always 3 for MOV to and from CR and DR. */
	u8 modrm_mod, modrm_reg, modrm_rm;
	u8 digit;		/* reg as an opcode extension, /0 to /7, or Sreg: without REX.R */
	/*
	 * enum insn_segment of the memory operand, prefixes and defaults applied. For string
	 * instructions that of the operand at rSI; ES for INS, STOS and SCAS, which have none.
	 */
	u8 segment;
	bool segment_override;	/* by a prefix that this mode does not ignore */
	/*
	 * Memory operand (has_modrm && modrm_mod != 3, or a moffs), also with VEX: base + index * scale +
	 * displacement, cut to address_size. RIP is that of the next instruction. With EVEX a
	 * displacement of one byte is to be multiplied by the operand's size; with vectors of addresses
	 * (gathers, scatters) the index is a vector register.
	 */
	bool has_memory;
	u8 base;		/* register number 0-15, INSN_NO_REGISTER or INSN_REG_RIP */
	u8 index;		/* register number 0-15 or INSN_NO_REGISTER */
	u8 scale;		/* 1, 2, 4, 8 */
	s64 displacement;	/* sign-extended; for a moffs the absolute offset, zero-extended */
	/*
	 * Bytes, 0 if there is none, also with VEX. Two immediates (ENTER, far pointers, EXTRQ) become one number, with
	 * the first in its low bytes. At most 4 bytes, except for MOV (8) and far pointers (4 or 6).
	 */
	u8 immediate_size;
	s64 immediate;		/* sign-extended to 64 bits */
};

/*
 * Decode the instruction in bytes[0..available). Returns 0; -EAGAIN: more bytes are needed than
 * available (and available < 15); -EINVAL: the opcode is undefined; -E2BIG: the instruction is longer
 * than 15 bytes. Never reads beyond bytes[available - 1]. After an error *insn is undefined.
 */
int insn_decode(const u8 *bytes, size_t available, enum insn_mode mode, struct insn *insn);
