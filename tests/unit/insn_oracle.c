/* SPDX-License-Identifier: MIT */
#include "tests/unit/insn_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "lib/errno.h"

#define MAX_PRINTED 20

const char *const insn_verdict_names[INSN_VERDICTS] = {
	[AGREED] = "accepted by both",
	[REJECTED] = "rejected by both",
	[LOCK_NOT_ALLOWED] = "LOCK not allowed",
	[NO_SUCH_REGISTER] = "register does not exist",
	[PREFIX_NOT_ALLOWED] = "66, F2 or F3 not allowed",
	[VECTOR_UNDEFINED] = "VEX, EVEX, XOP undefined",
	[MAP_38_3A_UNDEFINED] = "0F38, 0F3A undefined",
	[MAP_0F_UNDEFINED] = "0F undefined",
	[X87_UNDEFINED] = "x87 undefined",
	[GROUP_UNDEFINED] = "group member undefined",
	[KNIGHTS_CORNER] = "Knights Corner",
	[SIB_BASE_R13D] = "R13D for no base",
	[FORCED_ADDRESS_SIZE] = "forced address size",
	[NOTRACK] = "NOTRACK",
	[SIZELESS] = "no operand size",
};

unsigned long insn_verdicts[INSN_VERDICTS];

/* The instructions that Lamina emulates: here every field must be right. */
static const struct {
	const char *name;
	u8 map, first, last;
	u8 digits;		/* bit n: /n */
} emulated[] = {
	{ "ADD", INSN_MAP_ONE, 0x00, 0x05, 0xff },
	{ "OR", INSN_MAP_ONE, 0x08, 0x0d, 0xff },
	{ "ADC", INSN_MAP_ONE, 0x10, 0x15, 0xff },
	{ "SBB", INSN_MAP_ONE, 0x18, 0x1d, 0xff },
	{ "AND", INSN_MAP_ONE, 0x20, 0x25, 0xff },
	{ "SUB", INSN_MAP_ONE, 0x28, 0x2d, 0xff },
	{ "XOR", INSN_MAP_ONE, 0x30, 0x35, 0xff },
	{ "CMP", INSN_MAP_ONE, 0x38, 0x3d, 0xff },
	{ "MOVSXD", INSN_MAP_ONE, 0x63, 0x63, 0xff },
	{ "INS", INSN_MAP_ONE, 0x6c, 0x6d, 0xff },
	{ "OUTS", INSN_MAP_ONE, 0x6e, 0x6f, 0xff },
	{ "ADD to CMP with immediate", INSN_MAP_ONE, 0x80, 0x83, 0xff },
	{ "TEST", INSN_MAP_ONE, 0x84, 0x85, 0xff },
	{ "XCHG", INSN_MAP_ONE, 0x86, 0x87, 0xff },
	{ "MOV", INSN_MAP_ONE, 0x88, 0x8b, 0xff },
	{ "POP", INSN_MAP_ONE, 0x8f, 0x8f, 0xff },
	{ "XCHG, PAUSE", INSN_MAP_ONE, 0x90, 0x97, 0xff },
	{ "MOV with offset", INSN_MAP_ONE, 0xa0, 0xa3, 0xff },
	{ "MOVS", INSN_MAP_ONE, 0xa4, 0xa5, 0xff },
	{ "CMPS", INSN_MAP_ONE, 0xa6, 0xa7, 0xff },
	{ "TEST with immediate", INSN_MAP_ONE, 0xa8, 0xa9, 0xff },
	{ "STOS", INSN_MAP_ONE, 0xaa, 0xab, 0xff },
	{ "LODS", INSN_MAP_ONE, 0xac, 0xad, 0xff },
	{ "SCAS", INSN_MAP_ONE, 0xae, 0xaf, 0xff },
	{ "MOV with immediate", INSN_MAP_ONE, 0xc6, 0xc7, BIT(0) },
	{ "IRET", INSN_MAP_ONE, 0xcf, 0xcf, 0xff },
	{ "IN with immediate", INSN_MAP_ONE, 0xe4, 0xe5, 0xff },
	{ "OUT with immediate", INSN_MAP_ONE, 0xe6, 0xe7, 0xff },
	{ "IN", INSN_MAP_ONE, 0xec, 0xed, 0xff },
	{ "OUT", INSN_MAP_ONE, 0xee, 0xef, 0xff },
	{ "HLT", INSN_MAP_ONE, 0xf4, 0xf4, 0xff },
	{ "TEST, NOT, NEG", INSN_MAP_ONE, 0xf6, 0xf7, 0xff },
	{ "INC, DEC", INSN_MAP_ONE, 0xfe, 0xff, BIT(0) | BIT(1) },
	{ "PUSH", INSN_MAP_ONE, 0xff, 0xff, BIT(6) },
	{ "SMSW", INSN_MAP_0F, 0x01, 0x01, BIT(4) },
	{ "LMSW", INSN_MAP_0F, 0x01, 0x01, BIT(6) },
	{ "INVLPG, RDTSCP", INSN_MAP_0F, 0x01, 0x01, BIT(7) },
	{ "VMCALL", INSN_MAP_0F, 0x01, 0x01, BIT(0) },
	{ "XSETBV", INSN_MAP_0F, 0x01, 0x01, BIT(2) },
	{ "VMMCALL", INSN_MAP_0F, 0x01, 0x01, BIT(3) },
	{ "CLTS", INSN_MAP_0F, 0x06, 0x06, 0xff },
	{ "INVD, WBINVD", INSN_MAP_0F, 0x08, 0x09, 0xff },
	{ "MOV CR, DR", INSN_MAP_0F, 0x20, 0x23, 0xff },
	{ "WRMSR", INSN_MAP_0F, 0x30, 0x30, 0xff },
	{ "RDTSC", INSN_MAP_0F, 0x31, 0x31, 0xff },
	{ "RDMSR", INSN_MAP_0F, 0x32, 0x32, 0xff },
	{ "RDPMC", INSN_MAP_0F, 0x33, 0x33, 0xff },
	{ "CPUID", INSN_MAP_0F, 0xa2, 0xa2, 0xff },
	{ "BT", INSN_MAP_0F, 0xa3, 0xa3, 0xff },
	{ "BTS", INSN_MAP_0F, 0xab, 0xab, 0xff },
	{ "CMPXCHG", INSN_MAP_0F, 0xb0, 0xb1, 0xff },
	{ "BTR", INSN_MAP_0F, 0xb3, 0xb3, 0xff },
	{ "MOVZX", INSN_MAP_0F, 0xb6, 0xb7, 0xff },
	{ "BT to BTC with immediate", INSN_MAP_0F, 0xba, 0xba, 0xf0 },
	{ "BTC", INSN_MAP_0F, 0xbb, 0xbb, 0xff },
	{ "MOVSX", INSN_MAP_0F, 0xbe, 0xbf, 0xff },
	{ "XADD", INSN_MAP_0F, 0xc0, 0xc1, 0xff },
	{ "MOVNTI", INSN_MAP_0F, 0xc3, 0xc3, 0xff },
	{ "CMPXCHG8B", INSN_MAP_0F, 0xc7, 0xc7, BIT(1) },
	{ "MOVBE", INSN_MAP_0F38, 0xf0, 0xf1, 0xff },
};

static bool emulated_seen[ARRAY_SIZE(emulated)];

/* One string, decoded by Lamina and by Zydis. */
struct comparison {
	const u8 *bytes;
	enum insn_mode mode;
	struct insn ours;
	ZydisDecodedInstruction theirs;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static ZydisDecoder decoders[3];
static u8 *block;		/* STRING_SIZE bytes */
static unsigned int differences;

int insn_oracle_open(void)
{
	ZydisDecoderInit(&decoders[INSN_MODE_16], ZYDIS_MACHINE_MODE_LEGACY_16,
			 ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&decoders[INSN_MODE_32], ZYDIS_MACHINE_MODE_LEGACY_32,
			 ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&decoders[INSN_MODE_64], ZYDIS_MACHINE_MODE_LONG_64,
			 ZYDIS_STACK_WIDTH_64);
	block = malloc(STRING_SIZE);
	return block ? 0 : -ENOMEM;
}

void insn_oracle_close(void)
{
	free(block);
}

unsigned int insn_differences(void)
{
	unsigned int count = differences;

	differences = 0;
	return count;
}

const char *insn_emulated_unseen(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(emulated); i++) {
		if (!emulated_seen[i])
			return emulated[i].name;
	}
	return NULL;
}

int insn_decode_at_end(const u8 *bytes, size_t size, enum insn_mode mode, struct insn *insn)
{
	u8 *start = block + STRING_SIZE - size;

	memcpy(start, bytes, size);
	return insn_decode(start, size, mode, insn);
}

/* Index in emulated[], or -1. */
static int find_emulated(const struct insn *insn)
{
	bool crc32 = insn->map == INSN_MAP_0F38 && insn->repne;
	/* In 0F 01 with mod 3, each byte is another instruction. VMCALL ... RDTSCP have rm 1. */
	bool other_0f01 = insn->map == INSN_MAP_0F && insn->opcode == 0x01 && !insn->has_memory &&
			  insn->digit != 4 && insn->digit != 6 && (insn->modrm_rm & 7) != 1;

	if (insn->vex || crc32 || other_0f01)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(emulated); i++) {
		if (insn->map == emulated[i].map && insn->opcode >= emulated[i].first &&
		    insn->opcode <= emulated[i].last && emulated[i].digits & BIT(insn->digit))
			return i;
	}
	return -1;
}

static void differ(const u8 *bytes, size_t size, enum insn_mode mode, const char *what,
		   s64 ours, s64 theirs)
{
	if (differences++ >= MAX_PRINTED)
		return;
	printf("%u-bit", 16u << mode);
	for (size_t i = 0; i < size; i++)
		printf(" %02x", bytes[i]);
	printf(": %s is %lld, expected %lld\n", what, (long long)ours, (long long)theirs);
}

static void check(const struct comparison *c, const char *what, s64 ours, s64 theirs)
{
	if (ours != theirs)
		differ(c->bytes, c->theirs.length, c->mode, what, ours, theirs);
}

/*
 * Instructions whose operand size depends on the opcode map, not on a mandatory prefix: for the others
 * Zydis reports the size that 66 would select. For an emulated instruction it always matters.
 */
static bool has_operand_size(const struct comparison *c)
{
	if (c->theirs.mnemonic == ZYDIS_MNEMONIC_SYSCALL ||
	    c->theirs.mnemonic == ZYDIS_MNEMONIC_INVLPG) {
		insn_verdicts[SIZELESS]++;
		return false;
	}
	if (find_emulated(&c->ours) >= 0)
		return true;
	switch (c->theirs.meta.isa_set) {
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
	case ZYDIS_ISA_SET_CMPXCHG16B:
	case ZYDIS_ISA_SET_POPCNT:
	case ZYDIS_ISA_SET_X87:
		return true;
	default:
		return false;
	}
}

static u8 expected_operand_size(const struct comparison *c)
{
	switch (c->theirs.mnemonic) {
	case ZYDIS_MNEMONIC_INSD: /* of these the operand says more than the width does */
	case ZYDIS_MNEMONIC_MOVNTI:
		return c->operands[0].size / 8;
	case ZYDIS_MNEMONIC_OUTSD:
		return c->operands[1].size / 8;
	default:
		return c->theirs.operand_width / 8;
	}
}

static void check_sizes(const struct comparison *c)
{
	if (has_operand_size(c))
		check(c, "operand_size", c->ours.operand_size, expected_operand_size(c));
	if (c->theirs.meta.isa_set == ZYDIS_ISA_SET_MPX ||
	    c->theirs.meta.category == ZYDIS_CATEGORY_SGX)
		insn_verdicts[FORCED_ADDRESS_SIZE]++;
	else
		check(c, "address_size", c->ours.address_size, c->theirs.address_width / 8);
}

static void check_prefixes(const struct comparison *c)
{
	u8 rex = c->theirs.raw.rex.W << 3 | c->theirs.raw.rex.R << 2 | c->theirs.raw.rex.X << 1 |
		 c->theirs.raw.rex.B;
	bool lock = false, operand_size = false;
	u8 rep = 0;

	for (size_t i = 0; i < c->theirs.raw.prefix_count; i++) {
		u8 prefix = c->theirs.raw.prefixes[i].value;

		lock |= prefix == 0xf0;
		operand_size |= prefix == 0x66;
		if (prefix == 0xf2 || prefix == 0xf3)
			rep = prefix;
	}
	check(c, "lock", c->ours.lock, lock);
	check(c, "operand_size_prefix", c->ours.operand_size_prefix, operand_size);
	check(c, "repne", c->ours.repne, rep == 0xf2);
	check(c, "rep", c->ours.rep, rep == 0xf3);
	check(c, "rex", c->ours.rex, c->theirs.attributes & ZYDIS_ATTRIB_HAS_REX ? 0x40 | rex : 0);
}

static void check_modrm(const struct comparison *c)
{
	bool has_modrm = c->theirs.attributes & ZYDIS_ATTRIB_HAS_MODRM;
	bool mod_ignored = c->ours.map == INSN_MAP_0F && c->ours.opcode >= 0x20 &&
			   c->ours.opcode <= 0x23;

	check(c, "has_modrm", c->ours.has_modrm, has_modrm);
	if (!has_modrm)
		return;
	check(c, "modrm_at", c->ours.modrm_at, c->theirs.raw.modrm.offset);
	check(c, "mod", c->ours.modrm_mod, mod_ignored ? 3 : c->theirs.raw.modrm.mod);
	check(c, "digit", c->ours.digit, c->theirs.raw.modrm.reg);
	check(c, "reg", c->ours.modrm_reg, c->theirs.raw.modrm.reg | c->theirs.raw.rex.R << 3);
	check(c, "rm", c->ours.modrm_rm, c->theirs.raw.modrm.rm | c->theirs.raw.rex.B << 3);
}

static u8 number_of(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return INSN_NO_REGISTER;
	if (ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_IP)
		return INSN_REG_RIP;
	return ZydisRegisterGetId(reg);
}

/* A general, segment, control or debug register must be the one that reg or rm names. */
static void check_register(const struct comparison *c, const ZydisDecodedOperand *operand)
{
	u8 number = number_of(operand->reg.value);
	u8 reg = c->ours.modrm_reg;

	switch (ZydisRegisterGetClass(operand->reg.value)) {
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
		reg = c->ours.digit;
		break;
	default:
		return;
	}
	if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
		check(c, "register of reg", reg, number);
	else if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
		check(c, "register of rm", c->ours.modrm_rm, number);
}

static void check_memory(const struct comparison *c, const ZydisDecodedOperandMem *memory)
{
	u8 base = number_of(memory->base);
	s64 displacement = memory->disp.has_displacement ? memory->disp.value : 0;
	bool vector_index = memory->type == ZYDIS_MEMOP_TYPE_VSIB;

	if (memory->base == ZYDIS_REGISTER_R13D && c->theirs.raw.modrm.mod == 0 &&
	    c->theirs.raw.modrm.rm == 4) {
		insn_verdicts[SIB_BASE_R13D]++;
		base = INSN_NO_REGISTER;
		displacement = c->theirs.raw.disp.value;
	}
	if (c->ours.evex)	/* Zydis multiplies it */
		displacement = c->theirs.raw.disp.value;
	check(c, "base", c->ours.base, base);
	if (!vector_index)
		check(c, "index", c->ours.index, number_of(memory->index));
	if (memory->index != ZYDIS_REGISTER_NONE && !vector_index)
		check(c, "scale", c->ours.scale, memory->scale);
	check(c, "displacement", c->ours.displacement, displacement);

	if (c->theirs.attributes & ZYDIS_ATTRIB_HAS_NOTRACK)
		insn_verdicts[NOTRACK]++;
	else if (memory->type == ZYDIS_MEMOP_TYPE_MEM) /* LEA has no segment */
		check(c, "segment", c->ours.segment, number_of(memory->segment));
}

static void check_moffs(const struct comparison *c, const ZydisDecodedOperandMem *memory)
{
	u64 mask = c->ours.address_size == 8 ? ~0ull : (1ull << 8 * c->ours.address_size) - 1;

	check(c, "base", c->ours.base, INSN_NO_REGISTER);
	check(c, "index", c->ours.index, INSN_NO_REGISTER);
	check(c, "offset", c->ours.displacement, memory->disp.value & mask);
	check(c, "segment", c->ours.segment, number_of(memory->segment));
}

static bool is_string_or_xlat(const struct insn *insn)
{
	u8 op = insn->opcode;

	return insn->map == INSN_MAP_ONE &&
	       ((op >= 0x6c && op <= 0x6f) || (op >= 0xa4 && op <= 0xa7) ||
		(op >= 0xaa && op <= 0xaf) || op == 0xd7);
}

/* The segment must be that of the operand at rSI; otherwise of the only memory operand. */
static void check_string(const struct comparison *c)
{
	u8 expected = INSN_NO_REGISTER;

	for (size_t i = 0; i < c->theirs.operand_count; i++) {
		const ZydisDecodedOperandMem *memory = &c->operands[i].mem;

		if (c->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (expected == INSN_NO_REGISTER || number_of(memory->base) == 6))
			expected = number_of(memory->segment);
	}
	check(c, "string segment", c->ours.segment, expected);
}

static void check_operands(const struct comparison *c)
{
	bool has_memory = false;

	for (size_t i = 0; i < c->theirs.operand_count; i++) {
		const ZydisDecodedOperand *operand = &c->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
			check_register(c, operand);
		} else if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY) {
			continue;
		} else if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
			has_memory = true;
			check_memory(c, &operand->mem);
		} else if (operand->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64) {
			has_memory = true;
			check_moffs(c, &operand->mem);
		}
	}
	check(c, "has_memory", c->ours.has_memory, has_memory);
	if (!c->ours.vex && is_string_or_xlat(&c->ours))
		check_string(c);
}

static void check_immediate(const struct comparison *c)
{
	u8 first = c->theirs.raw.imm[0].size, second = c->theirs.raw.imm[1].size;
	u8 unused = 64 - first - second;
	u64 value = c->theirs.raw.imm[0].value.u;

	if (c->theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW) { /* its opcode is there */
		check(c, "immediate_size", c->ours.immediate_size, 1);
		check(c, "suffix", c->ours.immediate & 0xff, c->theirs.opcode);
		return;
	}
	check(c, "immediate_size", c->ours.immediate_size, (first + second) / 8);
	if (!first)
		return;
	if (second)
		value = (value & ((1ull << first) - 1)) | c->theirs.raw.imm[1].value.u << first;
	check(c, "immediate", c->ours.immediate, (s64)(value << unused) >> unused);
}

static void check_opcode(const struct comparison *c)
{
	static const u8 maps[] = {
		[ZYDIS_OPCODE_MAP_DEFAULT] = INSN_MAP_ONE,
		[ZYDIS_OPCODE_MAP_0F] = INSN_MAP_0F,
		[ZYDIS_OPCODE_MAP_0F38] = INSN_MAP_0F38,
		[ZYDIS_OPCODE_MAP_0F3A] = INSN_MAP_0F3A,
		[ZYDIS_OPCODE_MAP_0F0F] = INSN_MAP_0F,
	};
	bool is_3dnow = c->theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW;

	check(c, "map", c->ours.map, maps[c->theirs.opcode_map]);
	check(c, "opcode", c->ours.opcode, is_3dnow ? 0x0f : c->theirs.opcode);
}

/* The memory operand, and what follows it. */
static void check_vex(const struct comparison *c)
{
	check(c, "evex", c->ours.evex, c->theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
	      c->theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX);
	if (!c->ours.has_modrm)
		return;
	check(c, "modrm_at", c->ours.modrm_at, c->theirs.raw.modrm.offset);
	check(c, "address_size", c->ours.address_size, c->theirs.address_width / 8);
	check(c, "immediate_size", c->ours.immediate_size,
	      (c->theirs.raw.imm[0].size + c->theirs.raw.imm[1].size) / 8);
	check_operands(c);
}

static void check_fields(const struct comparison *c)
{
	int index = find_emulated(&c->ours);

	if (index >= 0)
		emulated_seen[index] = true;
	check(c, "length", c->ours.length, c->theirs.length);
	check(c, "vex", c->ours.vex, c->theirs.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	      c->theirs.encoding != ZYDIS_INSTRUCTION_ENCODING_3DNOW);
	check(c, "prefixes", c->ours.prefixes, c->theirs.raw.prefix_count);
	if (c->ours.vex) {
		check_vex(c);
		return;
	}
	check_opcode(c);
	check_prefixes(c);
	check_sizes(c);
	check_modrm(c);
	check_operands(c);
	check_immediate(c);
}

/* The reason why Lamina accepts what Zydis rejects with this status. REJECTED: there is no good one. */
static enum insn_verdict excuse(const struct insn *insn, ZyanStatus status)
{
	if (status == ZYDIS_STATUS_ILLEGAL_LEGACY_PFX || status == ZYDIS_STATUS_ILLEGAL_REX)
		return REJECTED;
	if (insn->vex)
		return VECTOR_UNDEFINED;
	if (status == ZYDIS_STATUS_ILLEGAL_LOCK)
		return LOCK_NOT_ALLOWED;
	if (status == ZYDIS_STATUS_BAD_REGISTER)
		return NO_SUCH_REGISTER;
	if (status != ZYDIS_STATUS_DECODING_ERROR)
		return REJECTED;
	if (find_emulated(insn) >= 0)
		return insn->operand_size_prefix || insn->rep || insn->repne ?
		       PREFIX_NOT_ALLOWED : REJECTED;
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

static void compare_rejected(const struct comparison *c, int error, ZyanStatus status)
{
	enum insn_verdict verdict = error ? REJECTED : excuse(&c->ours, status);

	insn_verdicts[verdict]++;
	if (verdict == REJECTED && error != -EINVAL && error != -E2BIG)
		differ(c->bytes, STRING_SIZE, c->mode, "result", error, -EINVAL);
}

size_t insn_compare(const u8 bytes[STRING_SIZE], enum insn_mode mode)
{
	struct comparison c;
	int error;
	ZyanStatus status = ZydisDecoderDecodeFull(&decoders[mode], bytes, STRING_SIZE, &c.theirs,
						   c.operands);

	c.bytes = bytes;
	c.mode = mode;
	if (!ZYAN_SUCCESS(status)) {
		error = insn_decode_at_end(bytes, STRING_SIZE, mode, &c.ours);
		compare_rejected(&c, error, status);
		return 0;
	}
	if (c.theirs.meta.isa_set == ZYDIS_ISA_SET_KNCJKBR) {
		insn_verdicts[KNIGHTS_CORNER]++;
		return 0;
	}
	error = insn_decode_at_end(bytes, c.theirs.length, mode, &c.ours);
	if (error) {
		check(&c, "result", error, 0);
		return 0;
	}
	insn_verdicts[AGREED]++;
	check_fields(&c);
	return c.ours.length;
}

void insn_check_truncated(const u8 *bytes, size_t length, enum insn_mode mode)
{
	struct insn insn;

	for (size_t size = 0; size < length; size++) {
		int error = insn_decode_at_end(bytes, size, mode, &insn);

		if (error != -EAGAIN)
			differ(bytes, size, mode, "result of a truncated one", error, -EAGAIN);
	}
}
