/* SPDX-License-Identifier: MIT */
/* Which instructions the processor executes for a guest, and how they are rewritten for that. */
#include "core/emulate/native_rules.h"

#include "core/vcpu.h"
#include "lib/string.h"

/* Fields of VEX, EVEX and XOP prefixes. Inverted ones are named so. SDM, "Intel Advanced Vector Extensions". */
#define PAYLOAD_NOT_R	   0xc0	/* with EVEX: R, X */
#define PAYLOAD_NOT_XB	   0x60
#define EVEX_NOT_R_HIGH	   0x10
#define VVVV_SHIFT	   3
#define VVVV_NOT_8	   0x40
#define VEX_W		   0x80
#define EVEX_NOT_V_HIGH	   0x08
#define EVEX_MASK	   0x87	/* z, aaa */

/* The maps of VEX, EVEX and XOP. */
enum { VEX_0F = 1, VEX_0F38, VEX_0F3A, EVEX_FP16 = 5, EVEX_FP16_38, XOP_8 = 8, XOP_9, XOP_A };

struct opcodes {
	u8 first, last;
};

/* Vector instructions of the maps, as legacy and as VEX or EVEX instructions. */
static const struct opcodes vector_0f[] = {
	{ 0x0f, 0x17 }, { 0x28, 0x2f }, { 0x51, 0x76 }, { 0x7c, 0x7f }, { 0xc2, 0xc2 }, { 0xc4, 0xc4 }, { 0xc6, 0xc6 },
	{ 0xd0, 0xfe }, { 0, 0 },
};
static const struct opcodes vector_0f38[] = { { 0x00, 0x41 }, { 0xc8, 0xcf }, { 0xdb, 0xdf }, { 0, 0 } };
static const struct opcodes vector_0f3a[] = { { 0x00, 0x7f }, { 0xc2, 0xc2 }, { 0xcc, 0xdf }, { 0, 0 } };
static const struct opcodes vex_0f[] = {
	{ 0x10, 0x17 }, { 0x28, 0x2f }, { 0x51, 0x76 }, { 0x7c, 0x7f }, { 0x90, 0x91 }, { 0xae, 0xae }, { 0xc2, 0xc2 },
	{ 0xc4, 0xc4 }, { 0xc6, 0xc6 }, { 0xd0, 0xfe }, { 0, 0 },
};
static const struct opcodes vex_0f38[] = {
	{ 0x00, 0x47 }, { 0x50, 0x53 }, { 0x58, 0x5a }, { 0x78, 0x79 }, { 0x8c, 0x8c }, { 0x8e, 0x8e }, { 0x96, 0xbf },
	{ 0xcf, 0xcf }, { 0xdb, 0xdf }, { 0, 0 },
};
static const struct opcodes evex_0f[] = {
	{ 0x10, 0x17 }, { 0x28, 0x2f }, { 0x51, 0x7f }, { 0xc2, 0xc2 }, { 0xc4, 0xc4 }, { 0xc6, 0xc6 }, { 0xd0, 0xfe },
	{ 0, 0 },
};
/* Without gathers and scatters, whose operands are many. */
static const struct opcodes evex_0f38[] = {
	{ 0x00, 0x47 }, { 0x4c, 0x5b }, { 0x60, 0x8f }, { 0x96, 0x9f }, { 0xa6, 0xbf }, { 0xc4, 0xc4 }, { 0xc8, 0xcf },
	{ 0xdb, 0xdf }, { 0, 0 },
};
/* Not the conversions with saturation of AVX10.2, 68h to 6dh: they may write a general register, as the reg field says. */
static const struct opcodes evex_fp16[] = {
	{ 0x10, 0x1d }, { 0x2a, 0x2f }, { 0x51, 0x5f }, { 0x6e, 0x6e }, { 0x78, 0x7e }, { 0, 0 },
};
static const struct opcodes evex_fp16_38[] = {
	{ 0x13, 0x13 }, { 0x2c, 0x2d }, { 0x42, 0x57 }, { 0x96, 0xbf }, { 0xd6, 0xd7 }, { 0, 0 },
};
static const struct opcodes xop_8[] = { { 0x85, 0xef }, { 0, 0 } };
static const struct opcodes xop_9[] = { { 0x80, 0xe3 }, { 0, 0 } };

static bool has(const struct opcodes *ranges, u8 opcode)
{
	for (; ranges->last; ranges++) {
		if (opcode >= ranges->first && opcode <= ranges->last)
			return true;
	}
	return false;
}

/* --- legacy instructions --- */

#define LOADS	      { .class = NATIVE_INTEGER, .loads = true }
#define LOADS_TO_REG  { .class = NATIVE_INTEGER, .loads = true, .reg_is_general = true }
#define STORES	      { .class = NATIVE_INTEGER, .stores = true }
#define CHANGES	      { .class = NATIVE_INTEGER, .loads = true, .stores = true }
#define CHANGES_BY_REG { .class = NATIVE_INTEGER, .loads = true, .stores = true, .reg_is_general = true }

static const struct {
	u8 map, first, last, digits;	/* bit n of digits: /n */
	bool repne;			/* it must have the prefix F2 */
	struct native_kind kind;
} integers[] = {
	{ INSN_MAP_ONE, 0x69, 0x69, 0xff, false, LOADS_TO_REG },	/* IMUL */
	{ INSN_MAP_ONE, 0x6b, 0x6b, 0xff, false, LOADS_TO_REG },
	{ INSN_MAP_ONE, 0xc0, 0xc1, 0xff, false, CHANGES },		/* shifts */
	{ INSN_MAP_ONE, 0xd0, 0xd3, 0xff, false, CHANGES },
	{ INSN_MAP_ONE, 0xf6, 0xf7, 0xf0, false, LOADS },		/* MUL, IMUL, DIV, IDIV */
	{ INSN_MAP_0F, 0x40, 0x4f, 0xff, false, LOADS_TO_REG },		/* CMOVcc */
	{ INSN_MAP_0F, 0x90, 0x9f, 0xff, false, STORES },		/* SETcc */
	{ INSN_MAP_0F, 0xa4, 0xa5, 0xff, false, CHANGES_BY_REG },	/* SHLD */
	{ INSN_MAP_0F, 0xac, 0xad, 0xff, false, CHANGES_BY_REG },	/* SHRD */
	{ INSN_MAP_0F, 0xaf, 0xaf, 0xff, false, LOADS_TO_REG },		/* IMUL */
	{ INSN_MAP_0F, 0xb8, 0xb8, 0xff, false, LOADS_TO_REG },		/* POPCNT */
	{ INSN_MAP_0F, 0xbc, 0xbd, 0xff, false, LOADS_TO_REG },		/* BSF, BSR, TZCNT, LZCNT */
	{ INSN_MAP_0F, 0xc7, 0xc7, BIT(1), false, CHANGES },		/* CMPXCHG8B, CMPXCHG16B */
	{ INSN_MAP_0F38, 0xf0, 0xf1, 0xff, true, LOADS_TO_REG },	/* CRC32 */
	{ INSN_MAP_0F38, 0xf6, 0xf6, 0xff, false, LOADS_TO_REG },	/* ADCX, ADOX */
};

static struct native_kind integer_kind(const struct insn *insn)
{
	/* Without a prefix these are others: JMPE, WRSS. */
	if ((insn->map == INSN_MAP_0F && insn->opcode == 0xb8 && !insn->rep) ||
	    (insn->map == INSN_MAP_0F38 && insn->opcode == 0xf6 && !insn->rep && !insn->operand_size_prefix))
		return (struct native_kind){ .class = NATIVE_NONE };
	for (unsigned i = 0; i < ARRAY_SIZE(integers); i++) {
		if (insn->map == integers[i].map && insn->opcode >= integers[i].first &&
		    insn->opcode <= integers[i].last && integers[i].digits & BIT(insn->digit) &&
		    insn->repne >= integers[i].repne)
			return integers[i].kind;
	}
	return (struct native_kind){ .class = NATIVE_NONE };
}

/* FXSAVE and its neighbours in 0F AE. The prefixes 66 and F3 make others of them. */
static u8 group_15(const struct insn *insn)
{
	if (insn->rep || insn->repne || insn->operand_size_prefix || insn->digit == 7)
		return NATIVE_NONE;
	return insn->digit == 2 || insn->digit == 3 ? NATIVE_VECTOR : NATIVE_STATE;
}

/* Which of /0 to /7 of D8 to DF store. SDM, "Escape Opcode Instruction Set". */
static bool stores_x87(const struct insn *insn)
{
	static const u8 digits[] = { 0, 0xcc, 0, 0x8e, 0, 0xce, 0, 0xce };

	return digits[insn->opcode & 7] & BIT(insn->digit);
}

static struct native_kind legacy_kind(const struct insn *insn)
{
	struct native_kind kind = integer_kind(insn);
	const struct opcodes *vectors = insn->map == INSN_MAP_0F ? vector_0f : insn->map == INSN_MAP_0F38 ? vector_0f38 :
				      vector_0f3a;
	bool is_maskmov = insn->map == INSN_MAP_0F && insn->opcode == 0xf7;

	if (kind.class != NATIVE_NONE)
		return kind;
	if (insn->map == INSN_MAP_ONE) {
		kind.class = (insn->opcode & 0xf8) == 0xd8 ? NATIVE_X87 : NATIVE_NONE;
		kind.stores = stores_x87(insn);
	} else if (insn->map == INSN_MAP_0F && insn->opcode == 0xae) {
		kind.class = group_15(insn);
		kind.stores = !(insn->digit & 1);
	} else if (has(vectors, insn->opcode)) {
		kind.class = NATIVE_VECTOR;
		kind.di = is_maskmov;
		kind.reg_is_general = insn->map == INSN_MAP_0F && (insn->opcode & 0xfe) == 0x2c &&
				      (insn->rep || insn->repne);
	}
	kind.loads = !kind.stores;
	/* AES with a key locker's handle: AESENC128KL and others. */
	if (insn->map == INSN_MAP_0F38 && insn->opcode >= 0xd8 && insn->rep)
		kind.class = NATIVE_NONE;
	return kind;
}

/* --- VEX, EVEX, XOP --- */

struct vex {
	u8 map;
	u8 payload;	/* index of the byte with R, X, B and the map */
	u8 last;	/* index of the byte with vvvv, W and pp; the last one of VEX */
};

static struct vex vex_of(const struct insn *insn, const u8 *bytes)
{
	u8 first = bytes[insn->prefixes], payload = insn->prefixes + 1;

	if (first == 0xc5)
		return (struct vex){ VEX_0F, payload, payload };
	return (struct vex){ bytes[payload] & (first == 0x62 ? 7 : 0x1f), payload, payload + 1 };
}

static const struct opcodes *vector_ranges(const struct insn *insn, u8 map)
{
	switch (map) {
	case VEX_0F:
		return insn->evex ? evex_0f : vex_0f;
	case VEX_0F38:
		return insn->evex ? evex_0f38 : vex_0f38;
	case VEX_0F3A:
		return vector_0f3a;
	case EVEX_FP16:
		return evex_fp16;
	case EVEX_FP16_38:
		return evex_fp16_38;
	case XOP_8:
		return xop_8;
	default:
		return xop_9;
	}
}

/* BMI1, BMI2, TBM: instructions on general registers only. */
static bool is_bit_manipulation(const struct insn *insn, u8 map)
{
	switch (map) {
	case VEX_0F38:
		return !insn->evex && insn->opcode >= 0xf2 && insn->opcode <= 0xf7 && insn->opcode != 0xf4;
	case VEX_0F3A:
		return !insn->evex && insn->opcode == 0xf0;
	case XOP_9:
		return insn->opcode == 0x01 || insn->opcode == 0x02;
	case XOP_A:
		return insn->opcode == 0x10;
	}
	return false;
}

/* Of these, those whose reg field is a part of the opcode: BLSR and its neighbours. */
static bool is_bit_manipulation_group(u8 map, u8 opcode)
{
	return (map == VEX_0F38 && opcode == 0xf3) || map == XOP_9;
}

/* Conversions from and to general registers, and moves of their size. `scalar`: with F3 or F2. */
static bool has_general_operand(const struct insn *insn, u8 map, bool scalar)
{
	u8 opcode = insn->opcode;

	if (map == VEX_0F3A)
		return opcode == 0x16 || opcode == 0x22;
	if (map != VEX_0F && map != EVEX_FP16)
		return false;
	return scalar ? opcode == 0x2a || opcode == 0x2c || opcode == 0x2d ||
			(insn->evex && (opcode == 0x78 || opcode == 0x79 || opcode == 0x7b)) :
			opcode == 0x6e || opcode == 0x7e;
}

static struct native_kind vex_kind(const struct insn *insn, const u8 *bytes)
{
	struct vex vex = vex_of(insn, bytes);
	u8 opcode = insn->opcode;
	bool scalar = (bytes[vex.last] & 3) >= 2;
	struct native_kind kind = { .class = NATIVE_NONE };

	if (is_bit_manipulation(insn, vex.map))
		return (struct native_kind){
			.class = NATIVE_INTEGER, .loads = true, .vvvv_is_general = true, .ignores_w = true,
			.reg_is_general = !is_bit_manipulation_group(vex.map, opcode),
		};
	if (vex.map == XOP_A || vex.map == 4 || vex.map == 7 || vex.map == 0 ||
	    !has(vector_ranges(insn, vex.map), opcode))
		return kind;
	/* VLDMXCSR, VSTMXCSR */
	if (vex.map == VEX_0F && opcode == 0xae && insn->digit != 2 && insn->digit != 3)
		return kind;
	kind.class = NATIVE_VECTOR;
	kind.di = vex.map == VEX_0F && opcode == 0xf7;
	kind.ignores_w = has_general_operand(insn, vex.map, scalar);
	kind.reg_is_general = scalar && (vex.map == VEX_0F || vex.map == EVEX_FP16) &&
			      (opcode == 0x2c || opcode == 0x2d || (insn->evex && (opcode & 0xfe) == 0x78));
	return kind;
}

struct native_kind native_kind(const struct insn *insn, const u8 *bytes)
{
	struct native_kind kind = insn->vex ? vex_kind(insn, bytes) : legacy_kind(insn);

	if (kind.di ? insn->has_memory : !insn->has_memory)
		kind.class = NATIVE_NONE;
	return kind;
}

/* --- rewriting --- */

static void put(struct native_code *code, u8 byte)
{
	code->bytes[code->length++] = byte;
}

/* RSP's stand-in is a register that the instruction does not name otherwise, and that needs no prefix. */
static u8 stand_in(u8 other)
{
	return other == REG_RBP ? REG_RDI : REG_RBP;
}

static void put_legacy(const struct insn *insn, const struct native_kind *kind, struct native_code *code)
{
	/* With vector instructions 66 is part of the opcode; with others it selects a size, which depends on the mode. */
	bool vector = (kind->class != NATIVE_INTEGER && kind->class != NATIVE_X87) || insn->map == INSN_MAP_0F38;
	bool crc32 = insn->map == INSN_MAP_0F38 && insn->repne;
	bool word = vector && !crc32 ? insn->operand_size_prefix : insn->operand_size == 2;
	u8 rex = insn->rex & (kind->di ? REX_W | REX_R | REX_B : REX_W | REX_R);

	if (word)
		put(code, 0x66);
	if (insn->rep || insn->repne)
		put(code, insn->rep ? 0xf3 : 0xf2);
	if (insn->rex)
		put(code, 0x40 | rex);
	if (insn->map != INSN_MAP_ONE)
		put(code, 0x0f);
	if (insn->map == INSN_MAP_0F38 || insn->map == INSN_MAP_0F3A)
		put(code, insn->map == INSN_MAP_0F38 ? 0x38 : 0x3a);
	put(code, insn->opcode);
}

static void set_vvvv(u8 *byte, u8 reg)
{
	*byte = (*byte & (u8)~(15 << VVVV_SHIFT)) | (u8)(~reg & 15) << VVVV_SHIFT;
}

/* The prefix and the opcode. The memory operand needs neither X nor B; outside of 64-bit mode there are 8 registers. */
static void put_vex(const struct insn *insn, const u8 *bytes, const struct native_kind *kind, enum insn_mode mode,
		    struct native_code *code)
{
	struct vex vex = vex_of(insn, bytes);
	u8 payload = vex.payload - insn->prefixes, last = vex.last - insn->prefixes;

	for (unsigned i = insn->prefixes; i < insn->modrm_at; i++)
		put(code, bytes[i]);
	if (payload != last && !kind->di)
		code->bytes[payload] |= PAYLOAD_NOT_XB;
	if (mode != INSN_MODE_64) {
		code->bytes[payload] |= PAYLOAD_NOT_R & (payload == last ? 0x80 : 0xff);
		code->bytes[last] |= VVVV_NOT_8;
		if (kind->ignores_w && payload != last)
			code->bytes[last] &= (u8)~VEX_W;
		if (insn->evex) {
			code->bytes[payload] |= EVEX_NOT_R_HIGH;
			code->bytes[last + 1] |= EVEX_NOT_V_HIGH;
		}
	}
	if (kind->vvvv_is_general && (~code->bytes[last] >> VVVV_SHIFT & 15) == REG_RSP) {
		code->stand_in = stand_in(insn->modrm_reg);
		set_vvvv(&code->bytes[last], code->stand_in);
	}
}

static u8 vvvv_of(const struct insn *insn, const u8 *bytes, const struct native_kind *kind)
{
	return kind->vvvv_is_general ? ~bytes[vex_of(insn, bytes).last] >> VVVV_SHIFT & 15 : INSN_NO_REGISTER;
}

/* The register of the reg field. None is of bytes, where 4 may be AH. */
static u8 reg_field(const struct insn *insn, const u8 *bytes, const struct native_kind *kind, struct native_code *code)
{
	if (!kind->reg_is_general || insn->modrm_reg != REG_RSP)
		return insn->digit;
	if (code->stand_in == INSN_NO_REGISTER)
		code->stand_in = stand_in(vvvv_of(insn, bytes, kind));
	return code->stand_in;
}

void native_rewrite(const struct insn *insn, const u8 *bytes, const struct native_kind *kind, enum insn_mode mode,
		    struct native_code *code)
{
	*code = (struct native_code){ .stand_in = INSN_NO_REGISTER };
	if (insn->vex)
		put_vex(insn, bytes, kind, mode, code);
	else
		put_legacy(insn, kind, code);
	if (kind->di) {
		put(code, bytes[insn->modrm_at]);
		return;
	}
	put(code, reg_field(insn, bytes, kind, code) << 3 | 5);
	for (unsigned i = 0; i < 4; i++)
		put(code, 0);
	for (unsigned i = 0; i < insn->immediate_size; i++)
		put(code, bytes[insn->length - insn->immediate_size + i]);
}

void native_aim(struct native_code *code, const struct insn *insn, const struct native_kind *kind, u64 rip,
		u64 operand)
{
	u32 displacement = (u32)(operand - (rip + code->length));

	if (!kind->di)
		memcpy(code->bytes + code->length - insn->immediate_size - 4, &displacement, sizeof(displacement));
}

void native_rewrite_for_scale(const struct insn *insn, const u8 *bytes, struct native_code *code)
{
	static const struct native_kind plain = { .class = NATIVE_VECTOR };

	*code = (struct native_code){ .stand_in = INSN_NO_REGISTER };
	put_vex(insn, bytes, &plain, INSN_MODE_64, code);
	code->bytes[3] &= (u8)~EVEX_MASK;
	put(code, 0x40 | insn->digit << 3);	/* [RAX + 1 * size] */
	put(code, 1);
	for (unsigned i = 0; i < insn->immediate_size; i++)
		put(code, 0);
}
