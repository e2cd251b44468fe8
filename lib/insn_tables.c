/* SPDX-License-Identifier: MIT */
/* The opcode maps: what follows each opcode, and how large its operands are. */
#include "lib/insn_tables.h"

/* Two opcodes: the even one is for bytes, the next one for the other operand sizes. */
#define PAIR(even, attributes) [(even)] = (attributes) | BYTE, [(even) + 1] = (attributes)

/* The six forms of ADD, OR, ADC, SBB, AND, SUB, XOR and CMP. */
#define ALU(first)								\
	[(first) + 0] = MODRM | BYTE,	[(first) + 1] = MODRM,			\
	[(first) + 2] = MODRM | BYTE,	[(first) + 3] = MODRM,			\
	[(first) + 4] = IMM8 | BYTE,	[(first) + 5] = IMMZ

/* Intel SDM, "One-Byte Opcode Map". Prefixes and the 0F escape have no entry. */
const u16 insn_map_one[256] = {
	ALU(0x00),			[0x06 ... 0x07] = DEFINED | NOT64,
	ALU(0x08),			[0x0e]		= DEFINED | NOT64,
	ALU(0x10),			[0x16 ... 0x17] = DEFINED | NOT64,
	ALU(0x18),			[0x1e ... 0x1f] = DEFINED | NOT64,
	ALU(0x20),			[0x27]		= DEFINED | NOT64,
	ALU(0x28),			[0x2f]		= DEFINED | NOT64,
	ALU(0x30),			[0x37]		= DEFINED | NOT64,
	ALU(0x38),			[0x3f]		= DEFINED | NOT64,
	[0x40 ... 0x4f] = DEFINED,			/* INC, DEC; REX in 64-bit mode */
	[0x50 ... 0x5f] = STACK,			/* PUSH, POP */
	[0x60 ... 0x61] = DEFINED | NOT64,		/* PUSHA, POPA */
	[0x62]		= MEMORY | NOT64,		/* BOUND */
	[0x63]		= MODRM,			/* ARPL, MOVSXD */
	[0x68]		= IMMZ | STACK,			/* PUSH */
	[0x69]		= MODRM | IMMZ,			/* IMUL */
	[0x6a]		= IMM8 | STACK,			/* PUSH */
	[0x6b]		= MODRM | IMM8,			/* IMUL */
	[0x6c]		= BYTE | TO_ES,			/* INS */
	[0x6d]		= IO | TO_ES,
	[0x6e]		= BYTE,				/* OUTS */
	[0x6f]		= IO,
	[0x70 ... 0x7f] = IMM8 | NEAR,			/* Jcc */
	[0x80]		= MODRM | IMM8 | BYTE,		/* ADD ... CMP with immediate */
	[0x81]		= MODRM | IMMZ,
	[0x82]		= MODRM | IMM8 | BYTE | NOT64,
	[0x83]		= MODRM | IMM8,
	PAIR(0x84, MODRM),				/* TEST */
	PAIR(0x86, MODRM),				/* XCHG */
	PAIR(0x88, MODRM),				/* MOV */
	PAIR(0x8a, MODRM),
	[0x8c]		= MODRM,			/* MOV from segment register */
	[0x8d]		= MEMORY,			/* LEA */
	[0x8e]		= MODRM,			/* MOV to segment register */
	[0x8f]		= MODRM | STACK,		/* POP */
	[0x90 ... 0x99] = DEFINED,			/* XCHG, CBW, CWD */
	[0x9a]		= FAR | NOT64,			/* CALL */
	[0x9b]		= DEFINED,			/* FWAIT */
	[0x9c ... 0x9d] = STACK,			/* PUSHF, POPF */
	[0x9e ... 0x9f] = DEFINED,			/* SAHF, LAHF */
	PAIR(0xa0, MOFFS),				/* MOV */
	PAIR(0xa2, MOFFS),
	PAIR(0xa4, DEFINED),				/* MOVS */
	PAIR(0xa6, DEFINED),				/* CMPS */
	[0xa8]		= IMM8 | BYTE,			/* TEST */
	[0xa9]		= IMMZ,
	PAIR(0xaa, TO_ES),				/* STOS */
	PAIR(0xac, DEFINED),				/* LODS */
	PAIR(0xae, TO_ES),				/* SCAS */
	[0xb0 ... 0xb7] = IMM8 | BYTE,			/* MOV */
	[0xb8 ... 0xbf] = IMMV,
	PAIR(0xc0, MODRM | IMM8),			/* shifts */
	[0xc2]		= IMM16 | NEAR,			/* RET */
	[0xc3]		= NEAR,
	[0xc4 ... 0xc5] = MEMORY | NOT64,		/* LES, LDS */
	[0xc6]		= MODRM | IMM8 | BYTE,		/* MOV */
	[0xc7]		= MODRM | IMMZ,
	[0xc8]		= ENTER | STACK,
	[0xc9]		= STACK,			/* LEAVE */
	[0xca]		= IMM16,			/* RETF */
	[0xcb ... 0xcc] = DEFINED,			/* RETF, INT3 */
	[0xcd]		= IMM8,				/* INT */
	[0xce]		= DEFINED | NOT64,		/* INTO */
	[0xcf]		= DEFINED,			/* IRET */
	PAIR(0xd0, MODRM),				/* shifts */
	PAIR(0xd2, MODRM),
	[0xd4 ... 0xd5] = IMM8 | NOT64,			/* AAM, AAD */
	[0xd6]		= DEFINED | NOT64,		/* SALC */
	[0xd7]		= DEFINED,			/* XLAT */
	[0xd8 ... 0xdf] = MODRM,			/* x87 */
	[0xe0 ... 0xe3] = IMM8 | NEAR,			/* LOOP, JCXZ */
	[0xe4]		= IMM8 | BYTE,			/* IN */
	[0xe5]		= IMM8 | IO,
	[0xe6]		= IMM8 | BYTE,			/* OUT */
	[0xe7]		= IMM8 | IO,
	/* With 66 in 64-bit mode: rel16 on AMD, rel32 on Intel and here. Branches are never stepped over. */
	[0xe8 ... 0xe9] = IMMZ | NEAR,			/* CALL, JMP */
	[0xea]		= FAR | NOT64,			/* JMP */
	[0xeb]		= IMM8 | NEAR,			/* JMP */
	[0xec]		= BYTE,				/* IN */
	[0xed]		= IO,
	[0xee]		= BYTE,				/* OUT */
	[0xef]		= IO,
	[0xf1]		= DEFINED,			/* INT1 */
	[0xf4 ... 0xf5] = DEFINED,			/* HLT, CMC */
	PAIR(0xf6, MODRM),				/* TEST (with immediate), NOT, NEG ... */
	[0xf8 ... 0xfd] = DEFINED,			/* CLC ... STD */
	PAIR(0xfe, MODRM),				/* INC, DEC, CALL, JMP, PUSH */
};

/* Intel SDM, "Two-Byte Opcode Map"; AMD APM vol. 3, "Secondary Opcode Map". */
const u16 insn_map_0f[256] = {
	[0x00 ... 0x03] = MODRM,			/* system groups, LAR, LSL */
	[0x05 ... 0x09] = DEFINED,			/* SYSCALL, CLTS, SYSRET, INVD, WBINVD */
	[0x0b]		= DEFINED,			/* UD2 */
	[0x0d]		= MODRM,			/* PREFETCHW */
	[0x0e]		= DEFINED,			/* FEMMS */
	[0x0f]		= MODRM | IMM8,			/* 3DNow!: the opcode is the last byte */
	[0x10 ... 0x1f] = MODRM,			/* SSE moves, hints */
	[0x20 ... 0x23] = MODRM | NATIVE,		/* MOV to and from CR, DR */
	[0x28 ... 0x2f] = MODRM,
	[0x30 ... 0x35] = DEFINED,			/* WRMSR, RDTSC, RDMSR, RDPMC, SYSENTER */
	[0x37]		= DEFINED,			/* GETSEC */
	[0x40 ... 0x6f] = MODRM,			/* CMOVcc, SSE, MMX */
	[0x70 ... 0x73] = MODRM | IMM8,			/* PSHUF, vector shifts */
	[0x74 ... 0x76] = MODRM,
	[0x77]		= DEFINED,			/* EMMS */
	[0x78 ... 0x79] = MODRM | NATIVE,		/* VMREAD, VMWRITE */
	[0x7c ... 0x7f] = MODRM,
	[0x80 ... 0x8f] = IMMZ | NEAR,			/* Jcc */
	[0x90 ... 0x9f] = MODRM | BYTE,			/* SETcc */
	[0xa0 ... 0xa1] = STACK,			/* PUSH, POP FS */
	[0xa2]		= DEFINED,			/* CPUID */
	[0xa3]		= MODRM,			/* BT */
	[0xa4]		= MODRM | IMM8,			/* SHLD */
	[0xa5 ... 0xa7] = MODRM,			/* SHLD, VIA PadLock */
	[0xa8 ... 0xa9] = STACK,			/* PUSH, POP GS */
	[0xaa]		= DEFINED,			/* RSM */
	[0xab]		= MODRM,			/* BTS */
	[0xac]		= MODRM | IMM8,			/* SHRD */
	[0xad ... 0xaf] = MODRM,			/* SHRD, fences and FXSAVE, IMUL */
	PAIR(0xb0, MODRM),				/* CMPXCHG */
	[0xb2]		= MEMORY,			/* LSS */
	[0xb3]		= MODRM,			/* BTR */
	[0xb4 ... 0xb5] = MEMORY,			/* LFS, LGS */
	[0xb6 ... 0xb9] = MODRM,			/* MOVZX, POPCNT, UD1 */
	[0xba]		= MODRM | IMM8,			/* BT, BTS, BTR, BTC */
	[0xbb ... 0xbf] = MODRM,			/* BTC, BSF, BSR, MOVSX */
	PAIR(0xc0, MODRM),				/* XADD */
	[0xc2]		= MODRM | IMM8,			/* CMPPS */
	[0xc3]		= MEMORY | DWORD,		/* MOVNTI */
	[0xc4 ... 0xc6] = MODRM | IMM8,			/* PINSRW, PEXTRW, SHUFPS */
	[0xc7]		= MODRM,			/* CMPXCHG8B, RDRAND, VMPTRLD ... */
	[0xc8 ... 0xcf] = DEFINED,			/* BSWAP */
	[0xd0 ... 0xff] = MODRM,			/* SSE, MMX, UD0 */
};
