/* SPDX-License-Identifier: MIT */
/* link: lib/insn.c lib/insn_tables.c */
/* libs: -lZydis */
/*
 * The instruction decoder against Zydis, an independent implementation: every opcode with every
 * ModRM, every SIB, and random strings. The bytes always stand at the end of a heap block, so that
 * AddressSanitizer sees the decoder read one too many.
 *
 * Where Zydis accepts an instruction, we must, with the same length and fields. Where only we do,
 * it must be for a reason that enum deviation names; these are counted and printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "lib/errno.h"
#include "lib/insn.h"

#define BLOCK 24		/* bytes of heap; more than an instruction can have */
#define MAX_COMPLAINTS 20

/* Why we accept what Zydis does not. Lamina asks only about what a processor executed already. */
enum deviation {
	AGREED,			/* no deviation: both accept */
	REJECTED,		/* no deviation: both reject */
	LOCK_NOT_ALLOWED,
	NO_SUCH_REGISTER,	/* MOV to CS, CR1, a missing bounds or mask register ... */
	PREFIX_NOT_ALLOWED,	/* an emulated instruction that 66, F2 or F3 makes another */
	VECTOR_UNDEFINED,	/* VEX, EVEX, XOP: opcode or prefix fields without meaning */
	MAP_38_3A_UNDEFINED,	/* opcode or mandatory prefix of 0F38 or 0F3A without meaning */
	MAP_0F_UNDEFINED,	/* mandatory prefix, /digit or mod of 0F without meaning */
	X87_UNDEFINED,
	GROUP_UNDEFINED,	/* XABORT, XBEGIN but for one ModRM; CALL and JMP far by register */

	/* Where we do not follow Zydis in an instruction that it accepts. */
	KNIGHTS_CORNER,		/* a coprocessor's VEX branches: no processor that runs us has them */
	SIB_BASE_R13D,		/* Zydis names it as the base where 67 meets "no base" with REX.B */
	FORCED_ADDRESS_SIZE,	/* SGX, MPX: some ignore 67 */
	NOTRACK,		/* 3E before CALL and JMP is DS all the same */
	SIZELESS,		/* SYSCALL and INVLPG have no operand */
	DEVIATIONS
};

static const char *const deviation_names[DEVIATIONS] = {
	[AGREED] = "both accept",
	[REJECTED] = "both reject",
	[LOCK_NOT_ALLOWED] = "LOCK not allowed",
	[NO_SUCH_REGISTER] = "register does not exist",
	[PREFIX_NOT_ALLOWED] = "66, F2 or F3 not allowed",
	[VECTOR_UNDEFINED] = "VEX, EVEX, XOP undefined",
	[MAP_38_3A_UNDEFINED] = "0F38, 0F3A undefined",
	[MAP_0F_UNDEFINED] = "0F undefined",
	[X87_UNDEFINED] = "x87 undefined",
	[GROUP_UNDEFINED] = "group member undefined",
	[KNIGHTS_CORNER] = "Knights Corner",
	[SIB_BASE_R13D] = "Zydis: base r13d",
	[FORCED_ADDRESS_SIZE] = "forced address size",
	[NOTRACK] = "NOTRACK",
	[SIZELESS] = "no operand size",
};

struct oracle {
	ZydisDecoder decoder;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static struct oracle oracles[3];
static unsigned long counts[DEVIATIONS];
static unsigned int complaints;
static u8 *block;		/* BLOCK bytes */

/* The instructions that Lamina emulates: all fields must be right, and each must have been seen. */
struct emulated {
	u8 map, first, last;
	u8 digits;		/* bit n: /n */
};

#define ALL 0xff

static const struct emulated emulated[] = {
	{ INSN_MAP_ONE, 0x00, 0x05, ALL }, { INSN_MAP_ONE, 0x08, 0x0d, ALL }, /* ADD, OR */
	{ INSN_MAP_ONE, 0x10, 0x15, ALL }, { INSN_MAP_ONE, 0x18, 0x1d, ALL }, /* ADC, SBB */
	{ INSN_MAP_ONE, 0x20, 0x25, ALL }, { INSN_MAP_ONE, 0x28, 0x2d, ALL }, /* AND, SUB */
	{ INSN_MAP_ONE, 0x30, 0x35, ALL }, { INSN_MAP_ONE, 0x38, 0x3d, ALL }, /* XOR, CMP */
	{ INSN_MAP_ONE, 0x63, 0x63, ALL },				/* MOVSXD */
	{ INSN_MAP_ONE, 0x6c, 0x6f, ALL },				/* INS, OUTS */
	{ INSN_MAP_ONE, 0x80, 0x8b, ALL },				/* ADD ... CMP, TEST, XCHG, MOV */
	{ INSN_MAP_ONE, 0x8f, 0x8f, ALL },				/* POP */
	{ INSN_MAP_ONE, 0x90, 0x97, ALL },				/* XCHG, PAUSE */
	{ INSN_MAP_ONE, 0xa0, 0xaf, ALL },				/* MOV, TEST, string */
	{ INSN_MAP_ONE, 0xc6, 0xc7, 0x01 },			/* MOV */
	{ INSN_MAP_ONE, 0xcf, 0xcf, ALL },				/* IRET */
	{ INSN_MAP_ONE, 0xe4, 0xe7, ALL }, { INSN_MAP_ONE, 0xec, 0xef, ALL }, /* IN, OUT */
	{ INSN_MAP_ONE, 0xf4, 0xf4, ALL },				/* HLT */
	{ INSN_MAP_ONE, 0xf6, 0xf7, ALL },				/* TEST, NOT, NEG, MUL, DIV */
	{ INSN_MAP_ONE, 0xfe, 0xff, 0x03 },			/* INC, DEC */
	{ INSN_MAP_ONE, 0xff, 0xff, 0x40 },			/* PUSH */
	{ INSN_MAP_0F, 0x01, 0x01, 0x50 },			/* SMSW, LMSW */
	{ INSN_MAP_0F, 0x01, 0x01, 0x84 },			/* XSETBV; INVLPG, RDTSCP */
	{ INSN_MAP_0F, 0x01, 0x01, 0x09 },			/* VMCALL, VMMCALL */
	{ INSN_MAP_0F, 0x06, 0x06, ALL }, { INSN_MAP_0F, 0x08, 0x09, ALL }, /* CLTS, INVD, WBINVD */
	{ INSN_MAP_0F, 0x20, 0x23, ALL },				/* MOV CR, DR */
	{ INSN_MAP_0F, 0x30, 0x33, ALL },				/* WRMSR, RDTSC, RDMSR, RDPMC */
	{ INSN_MAP_0F, 0xa2, 0xa2, ALL },				/* CPUID */
	{ INSN_MAP_0F, 0xa3, 0xa3, ALL }, { INSN_MAP_0F, 0xab, 0xab, ALL }, /* BT, BTS */
	{ INSN_MAP_0F, 0xb0, 0xb1, ALL },				/* CMPXCHG */
	{ INSN_MAP_0F, 0xb3, 0xb3, ALL }, { INSN_MAP_0F, 0xbb, 0xbb, ALL }, /* BTR, BTC */
	{ INSN_MAP_0F, 0xb6, 0xb7, ALL }, { INSN_MAP_0F, 0xbe, 0xbf, ALL }, /* MOVZX, MOVSX */
	{ INSN_MAP_0F, 0xba, 0xba, 0xf0 },			/* BT, BTS, BTR, BTC */
	{ INSN_MAP_0F, 0xc0, 0xc1, ALL }, { INSN_MAP_0F, 0xc3, 0xc3, ALL }, /* XADD, MOVNTI */
	{ INSN_MAP_0F, 0xc7, 0xc7, 0x02 },			/* CMPXCHG8B */
	{ INSN_MAP_0F38, 0xf0, 0xf1, ALL },				/* MOVBE */
};

static unsigned long emulated_seen[ARRAY_SIZE(emulated)];

/* Index in emulated[], or -1. */
static int find_emulated(const struct insn *insn)
{
	/* Of 0F 01 with mod 3 only VMCALL, XSETBV, VMMCALL, RDTSCP, SMSW and LMSW. */
	bool other = insn->map == INSN_MAP_0F && insn->opcode == 0x01 && !insn->has_memory &&
		     (insn->digit & 5) != 4 && insn->modrm_rm % 8 != 1;
	bool crc32 = insn->map == INSN_MAP_0F38 && insn->repne;

	if (insn->vex || other || crc32)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(emulated); i++) {
		const struct emulated *e = &emulated[i];

		if (insn->map == e->map && insn->opcode >= e->first && insn->opcode <= e->last &&
		    e->digits & BIT(insn->digit))
			return i;
	}
	return -1;
}

static void complain(const u8 *bytes, size_t size, enum insn_mode mode, const char *what,
		     s64 ours, s64 theirs)
{
	if (complaints++ >= MAX_COMPLAINTS)
		return;
	printf("%u-bit", 16u << mode);
	for (size_t i = 0; i < size; i++)
		printf(" %02x", bytes[i]);
	printf(": %s is %lld, expected %lld\n", what, (long long)ours, (long long)theirs);
}

/* A deterministic generator (xorshift64*): each run tests the same strings. */
static u64 random_state = 0x9e3779b97f4a7c15;

static u64 random64(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1d;
}

static void random_bytes(u8 *to, size_t size)
{
	for (size_t i = 0; i < size; i += 8) {
		u64 r = random64();

		memcpy(to + i, &r, MIN(size - i, sizeof(r)));
	}
}

static u8 gpr_number(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return INSN_NO_REGISTER;
	if (ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_IP)
		return INSN_REG_RIP;
	return ZydisRegisterGetId(reg);
}

/*
 * Instructions whose operand size is the concern of the opcode map, not of a mandatory prefix:
 * Zydis says of the others what 66 would have done. Of an emulated one it always matters.
 */
static bool has_operand_size(const struct insn *insn, const struct oracle *o)
{
	if (o->insn.mnemonic == ZYDIS_MNEMONIC_SYSCALL || o->insn.mnemonic == ZYDIS_MNEMONIC_INVLPG) {
		counts[SIZELESS]++;
		return false;
	}
	if (find_emulated(insn) >= 0)
		return true;
	switch (o->insn.meta.isa_set) {
	case ZYDIS_ISA_SET_I86:
	case ZYDIS_ISA_SET_I186:
	case ZYDIS_ISA_SET_I286REAL:
	case ZYDIS_ISA_SET_I286PROTECTED:
	case ZYDIS_ISA_SET_I386:
	case ZYDIS_ISA_SET_I486:
	case ZYDIS_ISA_SET_I486REAL:
	case ZYDIS_ISA_SET_PENTIUMREAL:
	case ZYDIS_ISA_SET_LONGMODE:
	case ZYDIS_ISA_SET_CMOV:
	case ZYDIS_ISA_SET_MOVBE:
	case ZYDIS_ISA_SET_CMPXCHG16B:
	case ZYDIS_ISA_SET_POPCNT:
	case ZYDIS_ISA_SET_X87:
		return true;
	default:
		return false;
	}
}

static u8 expected_operand_size(const struct oracle *o)
{
	switch (o->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOVNTI: /* of these, Zydis knows better in the operand than in its width */
	case ZYDIS_MNEMONIC_OUTSD:
	case ZYDIS_MNEMONIC_INSD:
		return o->operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY ?
		       o->operands[0].size / 8 : o->operands[1].size / 8;
	default:
		return o->insn.operand_width / 8;
	}
}

#define CHECK(what, ours, theirs)							\
	do {										\
		if ((s64)(ours) != (s64)(theirs))					\
			complain(bytes, o->insn.length, mode, what, ours, theirs);	\
	} while (0)

static void check_prefixes(const u8 *bytes, enum insn_mode mode, const struct insn *insn,
			   const struct oracle *o)
{
	bool lock = false, osize = false;
	u8 rep = 0;

	for (size_t i = 0; i < o->insn.raw.prefix_count; i++) {
		u8 prefix = o->insn.raw.prefixes[i].value;

		lock |= prefix == 0xf0;
		osize |= prefix == 0x66;
		if (prefix == 0xf2 || prefix == 0xf3)
			rep = prefix;
	}
	CHECK("lock", insn->lock, lock);
	CHECK("operand_size_prefix", insn->operand_size_prefix, osize);
	CHECK("repne", insn->repne, rep == 0xf2);
	CHECK("rep", insn->rep, rep == 0xf3);
	CHECK("rex", insn->rex, !(o->insn.attributes & ZYDIS_ATTRIB_HAS_REX) ? 0 :
	      0x40 | o->insn.raw.rex.W << 3 | o->insn.raw.rex.R << 2 | o->insn.raw.rex.X << 1 |
	      o->insn.raw.rex.B);
}

static void check_modrm(const u8 *bytes, enum insn_mode mode, const struct insn *insn,
			const struct oracle *o)
{
	bool has_modrm = o->insn.attributes & ZYDIS_ATTRIB_HAS_MODRM;
	bool mod_ignored = insn->map == INSN_MAP_0F && insn->opcode >= 0x20 && insn->opcode <= 0x23;

	CHECK("has_modrm", insn->has_modrm, has_modrm);
	if (!has_modrm)
		return;
	CHECK("mod", insn->modrm_mod, mod_ignored ? 3 : o->insn.raw.modrm.mod);
	CHECK("digit", insn->digit, o->insn.raw.modrm.reg);
	CHECK("reg", insn->modrm_reg, o->insn.raw.modrm.reg | o->insn.raw.rex.R << 3);
	CHECK("rm", insn->modrm_rm, o->insn.raw.modrm.rm | o->insn.raw.rex.B << 3);
}

/* A general, segment, control or debug register must be the one that reg or rm names. */
static void check_register(const u8 *bytes, enum insn_mode mode, const struct insn *insn,
			   const struct oracle *o, const ZydisDecodedOperand *operand)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(operand->reg.value);
	u8 number = ZydisRegisterGetId(operand->reg.value);
	u8 reg = insn->modrm_reg;

	switch (class) {
	case ZYDIS_REGCLASS_GPR8: /* AL CL DL BL AH CH DH BH, SPL BPL SIL DIL R8B ... */
		if (number >= 8)
			number -= 4;
		break;
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
	case ZYDIS_REGCLASS_CONTROL:
	case ZYDIS_REGCLASS_DEBUG:
		break;
	case ZYDIS_REGCLASS_SEGMENT:
		reg = insn->digit;
		break;
	default:
		return;
	}
	if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
		CHECK("register of reg", reg, number);
	else if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
		CHECK("register of rm", insn->modrm_rm, number);
}

static void check_modrm_memory(const u8 *bytes, enum insn_mode mode, const struct insn *insn,
			       const struct oracle *o, const ZydisDecodedOperandMem *memory)
{
	u8 base = gpr_number(memory->base);
	s64 displacement = memory->disp.has_displacement ? memory->disp.value : 0;

	if (mode == INSN_MODE_64 && memory->base == ZYDIS_REGISTER_R13D &&
	    o->insn.raw.modrm.mod == 0 && o->insn.raw.modrm.rm == 4) {
		counts[SIB_BASE_R13D]++;
		base = INSN_NO_REGISTER;
		displacement = o->insn.raw.disp.value;
	}
	CHECK("base", insn->base, base);
	CHECK("index", insn->index, gpr_number(memory->index));
	if (memory->index != ZYDIS_REGISTER_NONE)
		CHECK("scale", insn->scale, memory->scale);
	CHECK("displacement", insn->displacement, displacement);

	if (o->insn.attributes & ZYDIS_ATTRIB_HAS_NOTRACK)
		counts[NOTRACK]++;
	else if (memory->type == ZYDIS_MEMOP_TYPE_MEM) /* LEA has no segment */
		CHECK("segment", insn->segment, ZydisRegisterGetId(memory->segment));
}

static void check_moffs(const u8 *bytes, enum insn_mode mode, const struct insn *insn,
			const struct oracle *o, const ZydisDecodedOperandMem *memory)
{
	u64 mask = insn->address_size == 8 ? ~0ull : (1ull << 8 * insn->address_size) - 1;

	CHECK("base", insn->base, INSN_NO_REGISTER);
	CHECK("index", insn->index, INSN_NO_REGISTER);
	CHECK("offset", insn->displacement, memory->disp.value & mask);
	CHECK("segment", insn->segment, ZydisRegisterGetId(memory->segment));
}

static bool is_string(const struct insn *insn)
{
	u8 op = insn->opcode;

	return insn->map == INSN_MAP_ONE &&
	       ((op >= 0x6c && op <= 0x6f) || (op >= 0xa4 && op <= 0xa7) ||
		(op >= 0xaa && op <= 0xaf) || op == 0xd7);
}

/* String instructions (and XLAT): the segment of the operand at rSI, or else of the one at rDI. */
static void check_string(const u8 *bytes, enum insn_mode mode, const struct insn *insn,
			 const struct oracle *o)
{
	u8 expected = INSN_NO_REGISTER;

	for (size_t i = 0; i < o->insn.operand_count; i++) {
		const ZydisDecodedOperand *operand = &o->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (expected == INSN_NO_REGISTER || gpr_number(operand->mem.base) == 6))
			expected = ZydisRegisterGetId(operand->mem.segment);
	}
	CHECK("string segment", insn->segment, expected);
}

static void check_operands(const u8 *bytes, enum insn_mode mode, const struct insn *insn,
			   const struct oracle *o)
{
	bool has_memory = false;

	for (size_t i = 0; i < o->insn.operand_count; i++) {
		const ZydisDecodedOperand *operand = &o->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
			check_register(bytes, mode, insn, o, operand);
		} else if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY) {
			continue;
		} else if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
			has_memory = true;
			check_modrm_memory(bytes, mode, insn, o, &operand->mem);
		} else if (operand->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64) {
			has_memory = true;
			check_moffs(bytes, mode, insn, o, &operand->mem);
		}
	}
	CHECK("has_memory", insn->has_memory, has_memory);
	if (is_string(insn))
		check_string(bytes, mode, insn, o);
}

static void check_immediate(const u8 *bytes, enum insn_mode mode, const struct insn *insn,
			    const struct oracle *o)
{
	u8 first = o->insn.raw.imm[0].size, second = o->insn.raw.imm[1].size;
	u8 unused = 64 - first - second;
	u64 value = o->insn.raw.imm[0].value.u;

	if (o->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW) { /* its opcode stands there */
		CHECK("immediate_size", insn->immediate_size, 1);
		CHECK("suffix", insn->immediate & 0xff, o->insn.opcode);
		return;
	}
	CHECK("immediate_size", insn->immediate_size, (first + second) / 8);
	if (unused == 64)
		return;
	if (second)
		value = (value & ((1ull << first) - 1)) | o->insn.raw.imm[1].value.u << first;
	CHECK("immediate", insn->immediate, (s64)(value << unused) >> unused);
}

static void check_fields(const u8 *bytes, enum insn_mode mode, const struct insn *insn,
			 const struct oracle *o)
{
	int e;

	CHECK("length", insn->length, o->insn.length);
	CHECK("vex", insn->vex, o->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	      o->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_3DNOW);
	if (insn->vex)
		return;

	CHECK("opcode", insn->opcode, o->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW ?
	      0x0f : o->insn.opcode);
	if (o->insn.meta.isa_set == ZYDIS_ISA_SET_MPX || o->insn.meta.category == ZYDIS_CATEGORY_SGX)
		counts[FORCED_ADDRESS_SIZE]++;
	else
		CHECK("address_size", insn->address_size, o->insn.address_width / 8);
	e = find_emulated(insn);
	if (e >= 0)
		emulated_seen[e]++;
	if (has_operand_size(insn, o))
		CHECK("operand_size", insn->operand_size, expected_operand_size(o));
	check_prefixes(bytes, mode, insn, o);
	check_modrm(bytes, mode, insn, o);
	check_operands(bytes, mode, insn, o);
	check_immediate(bytes, mode, insn, o);
}

/* Why do we accept what Zydis rejects with status? REJECTED if there is no good reason. */
static enum deviation classify(const struct insn *insn, ZyanStatus status)
{
	if (insn->vex)
		return VECTOR_UNDEFINED;
	if (status == ZYDIS_STATUS_ILLEGAL_LOCK)
		return LOCK_NOT_ALLOWED;
	if (status == ZYDIS_STATUS_BAD_REGISTER)
		return NO_SUCH_REGISTER;
	if (status != ZYDIS_STATUS_DECODING_ERROR)
		return REJECTED;
	if (find_emulated(insn) >= 0 && (insn->operand_size_prefix || insn->rep || insn->repne))
		return PREFIX_NOT_ALLOWED;
	if (insn->map == INSN_MAP_0F38 || insn->map == INSN_MAP_0F3A)
		return MAP_38_3A_UNDEFINED;
	if (insn->map == INSN_MAP_0F)
		return MAP_0F_UNDEFINED;
	if ((insn->opcode & 0xf8) == 0xd8)
		return X87_UNDEFINED;
	if ((insn->opcode & 0xfe) == 0xc6 && insn->digit == 7)
		return GROUP_UNDEFINED;
	if (insn->opcode == 0xff && (insn->digit == 3 || insn->digit == 5) && !insn->has_memory)
		return GROUP_UNDEFINED;
	return REJECTED;
}

/* Place the first size of the bytes at the end of the heap block and decode them. */
static int decode_at_end(const u8 *bytes, size_t size, enum insn_mode mode, struct insn *insn)
{
	u8 *start = block + BLOCK - size;

	memcpy(start, bytes, size);
	return insn_decode(start, size, mode, insn);
}

/* Every shorter string must ask for more, and none be taken for another instruction. */
static void check_truncated(const u8 *bytes, size_t length, enum insn_mode mode)
{
	struct insn insn;

	for (size_t size = 0; size < length; size++) {
		int error = decode_at_end(bytes, size, mode, &insn);

		if (error != -EAGAIN)
			complain(bytes, size, mode, "result of a truncated one", error, -EAGAIN);
	}
}

/* Returns the length that both agree on, or 0. */
static size_t compare(const u8 bytes[BLOCK], enum insn_mode mode)
{
	struct oracle *o = &oracles[mode];
	struct insn insn;
	ZyanStatus status = ZydisDecoderDecodeFull(&o->decoder, bytes, BLOCK, &o->insn, o->operands);
	bool accepted = ZYAN_SUCCESS(status);
	int error;

	if (accepted && o->insn.meta.isa_set == ZYDIS_ISA_SET_KNCJKBR) {
		counts[KNIGHTS_CORNER]++;
		return 0;
	}
	error = decode_at_end(bytes, accepted ? o->insn.length : BLOCK, mode, &insn);
	if (accepted && !error) {
		counts[AGREED]++;
		check_fields(bytes, mode, &insn, o);
		return insn.length;
	}
	if (accepted) {
		complain(bytes, o->insn.length, mode, "result", error, 0);
	} else if (error) {
		counts[REJECTED]++;
		if (error != -EINVAL)
			complain(bytes, BLOCK, mode, "result", error, -EINVAL);
	} else {
		enum deviation deviation = classify(&insn, status);

		counts[deviation]++;
		if (deviation == REJECTED || (find_emulated(&insn) >= 0 && deviation > PREFIX_NOT_ALLOWED))
			complain(bytes, insn.length, mode, "result", 0, -EINVAL);
	}
	return 0;
}

/* All opcodes of a map with all ModRM bytes, behind a prefix; what follows is random. */
static void compare_map(enum insn_mode mode, const char *prefix, const char *escape)
{
	size_t prefix_size = strlen(prefix), size = prefix_size + strlen(escape);
	u8 bytes[BLOCK];

	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		for (unsigned int modrm = 0; modrm < 256; modrm++) {
			memcpy(bytes, prefix, prefix_size);
			memcpy(bytes + prefix_size, escape, size - prefix_size);
			bytes[size] = opcode;
			bytes[size + 1] = modrm;
			random_bytes(bytes + size + 2, BLOCK - size - 2);
			compare(bytes, mode);
		}
	}
}

static const char *const escapes[] = { "", "\x0f", "\x0f\x38", "\x0f\x3a" };

/* As compare_map, for all four maps. */
static void compare_maps(enum insn_mode mode, const char *prefix)
{
	for (size_t i = 0; i < ARRAY_SIZE(escapes); i++)
		compare_map(mode, prefix, escapes[i]);
}

static void finish(void)
{
	if (complaints)
		fail_msg("%u differences", complaints);
}

static void every_opcode(void **state)
{
	static const char *const prefixes[] = {
		"", "\x66", "\xf2", "\xf3", "\x66\xf2", "\x66\xf3", "\x67", "\x66\x67", "\xf0",
		"\x26", "\x2e", "\x36", "\x3e", "\x64", "\x65",
	};

	for (enum insn_mode mode = INSN_MODE_16; mode <= INSN_MODE_64; mode++) {
		for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
			compare_maps(mode, prefixes[i]);
	}
	finish();
}

static void every_opcode_with_rex(void **state)
{
	static const char *const prefixes[] = {
		"\x40", "\x41", "\x42", "\x44", "\x48", "\x4f", "\x66\x48", "\xf2\x48", "\xf3\x48",
		"\x66\xf2\x48", "\x66\xf3\x48", "\x67\x47", "\x48\x66", "\x48\x40", "\x64\x2e\x43",
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		compare_maps(INSN_MODE_64, prefixes[i]);
	finish();
}

static void every_sib(void **state)
{
	static const char *const prefixes[] = {
		"", "\x67", "\x41", "\x42", "\x43", "\x65\x4f", "\x67\x43"
	};
	u8 bytes[BLOCK];

	for (enum insn_mode mode = INSN_MODE_16; mode <= INSN_MODE_64; mode++) {
		for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
			size_t size = strlen(prefixes[i]);

			for (unsigned int n = 0; n < 0x10000; n++) {
				memcpy(bytes, prefixes[i], size);
				bytes[size] = 0x8b;
				bytes[size + 1] = n >> 8;
				bytes[size + 2] = n;
				random_bytes(bytes + size + 3, BLOCK - size - 3);
				compare(bytes, mode);
			}
		}
	}
	finish();
}

/* VEX, EVEX and XOP with all maps, opcodes and ModRM bytes; the other fields are random. */
static void every_vector_opcode(void **state)
{
	u8 bytes[BLOCK];

	for (unsigned int n = 0; n < 0xb0000 * 4; n++) {
		unsigned int map = n >> 16 & 0xf;
		bool evex = n >> 20 & 1, xop = !evex && map >= 8;
		size_t size = 0;

		random_bytes(bytes, BLOCK);
		bytes[size++] = evex ? 0x62 : xop ? 0x8f : 0xc4;
		bytes[size] = (bytes[size] & 0xe0) | map;
		size++;
		if (evex) {
			bytes[1] &= 0xf7;
			bytes[size++] |= 4;
		}
		size++;
		bytes[size++] = n >> 8;
		bytes[size] = n;
		for (enum insn_mode mode = INSN_MODE_16; mode <= INSN_MODE_64; mode++)
			compare(bytes, mode);
	}
	finish();
}

/* Up to four prefixes and any opcode, or nothing but chance. */
static void random_strings(void **state)
{
	static const u8 prefixes[] = {
		0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x40, 0x44, 0x48,
		0x4d, 0x66,
	};
	u8 bytes[BLOCK];

	for (unsigned int n = 0; n < 2500000; n++) {
		u64 r = random64();
		enum insn_mode mode = r % 3;
		size_t size = 0, length;

		random_bytes(bytes, BLOCK);
		r >>= 8;
		for (unsigned int i = r & 7; i > 0 && i <= 4; i--)
			bytes[size++] = prefixes[random64() % ARRAY_SIZE(prefixes)];
		r >>= 3;
		memcpy(bytes + size, escapes[r & 3], strlen(escapes[r & 3]));
		length = compare(bytes, mode);
		check_truncated(bytes, length, mode);
	}
	finish();
}

/* An instruction may have 15 bytes and no more, however it got there. */
static void longest(void **state)
{
	u8 bytes[BLOCK];
	struct insn insn;

	memset(bytes, 0x66, BLOCK);
	bytes[14] = 0x90;
	assert_int_equal(decode_at_end(bytes, 14, INSN_MODE_32, &insn), -EAGAIN);
	assert_int_equal(decode_at_end(bytes, 15, INSN_MODE_32, &insn), 0);
	assert_int_equal(insn.length, INSN_MAX_LENGTH);
	bytes[14] = 0x66;
	bytes[15] = 0x90;
	assert_int_equal(decode_at_end(bytes, 15, INSN_MODE_32, &insn), -EINVAL);
	assert_int_equal(decode_at_end(bytes, 16, INSN_MODE_32, &insn), -EINVAL);
	assert_int_equal(insn_decode(NULL, 0, INSN_MODE_64, &insn), -EAGAIN);
}

static void counted(void **state)
{
	for (size_t i = 0; i < DEVIATIONS; i++) {
		printf("%9lu %s\n", counts[i], deviation_names[i]);
		assert_true(counts[i] > 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(emulated); i++) {
		if (!emulated_seen[i])
			fail_msg("map %u opcode %#x never seen", emulated[i].map, emulated[i].first);
	}
}

static int set_up(void **state)
{
	ZydisDecoderInit(&oracles[INSN_MODE_16].decoder, ZYDIS_MACHINE_MODE_LEGACY_16,
			 ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&oracles[INSN_MODE_32].decoder, ZYDIS_MACHINE_MODE_LEGACY_32,
			 ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&oracles[INSN_MODE_64].decoder, ZYDIS_MACHINE_MODE_LONG_64,
			 ZYDIS_STACK_WIDTH_64);
	block = malloc(BLOCK);
	return block ? 0 : -1;
}

static int tear_down(void **state)
{
	free(block);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest),
		cmocka_unit_test(every_opcode),
		cmocka_unit_test(every_opcode_with_rex),
		cmocka_unit_test(every_sib),
		cmocka_unit_test(every_vector_opcode),
		cmocka_unit_test(random_strings),
		cmocka_unit_test(counted),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
