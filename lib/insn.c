/* SPDX-License-Identifier: MIT */
/*
 * The instruction decoder: prefixes, opcode, ModRM and SIB, displacement and immediate, in this order.
 *
 * Undefined opcodes are refused. Encodings that are undefined for another reason (a mandatory
 * prefix, a register that does not exist, LOCK where it is not allowed) are accepted: the
 * processor has already raised #UD for them, so they never get here.
 */
#include "lib/insn.h"

#include "lib/errno.h"
#include "lib/insn_tables.h"

#define RSP 4
#define RBP 5

/* Opcodes that ModRM.reg extends, where some of /0 to /7 are undefined. */
static const struct {
	u8 map, opcode, defined;
} groups[] = {
	{ INSN_MAP_ONE, 0x8f, BIT(0) },			/* POP */
	{ INSN_MAP_ONE, 0xc6, BIT(0) | BIT(7) },	/* MOV, XABORT */
	{ INSN_MAP_ONE, 0xc7, BIT(0) | BIT(7) },	/* MOV, XBEGIN */
	{ INSN_MAP_ONE, 0xfe, BIT(0) | BIT(1) },	/* INC, DEC */
	{ INSN_MAP_ONE, 0xff, 0x7f },			/* INC, DEC, CALL, JMP, PUSH */
	{ INSN_MAP_0F,  0xba, 0xf0 },			/* BT, BTS, BTR, BTC */
};

struct decoder {
	const u8 *bytes;
	size_t available;	/* bytes; no more than an instruction can have */
	enum insn_mode mode;
	bool address_size_prefix;
	int error;		/* the first one; what is decoded after it is meaningless */
	struct insn *insn;
};

static void fail(struct decoder *d, int error)
{
	if (!d->error)
		d->error = error;
}

/* Consume a little-endian number of up to 8 bytes. */
static u64 fetch(struct decoder *d, unsigned int size)
{
	u64 value = 0;

	if (d->insn->length + size > d->available) {
		fail(d, d->available < INSN_MAX_LENGTH ? -EAGAIN : -E2BIG);
		return 0;
	}
	for (unsigned int i = 0; i < size; i++)
		value |= (u64)d->bytes[d->insn->length++] << (8 * i);
	return value;
}

static s64 fetch_signed(struct decoder *d, unsigned int size)
{
	unsigned int unused_bits = 64 - 8 * size;

	return (s64)(fetch(d, size) << unused_bits) >> unused_bits;
}

static void override_segment(struct insn *insn, enum insn_segment segment)
{
	insn->segment = segment;
	insn->segment_override = true;
}

static bool take_prefix(struct decoder *d, u8 byte)
{
	struct insn *insn = d->insn;

	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:
		/* 64-bit mode ignores these four: an FS or GS override before them still counts. */
		if (d->mode != INSN_MODE_64)
			override_segment(insn, INSN_ES + (byte >> 3 & 3));
		return true;
	case 0x64: case 0x65:
		override_segment(insn, INSN_FS + (byte & 1));
		return true;
	case 0x66:
		insn->operand_size_prefix = true;
		return true;
	case 0x67:
		d->address_size_prefix = true;
		return true;
	case 0xf0:
		insn->lock = true;
		return true;
	case 0xf2: case 0xf3:
		insn->repne = byte == 0xf2;
		insn->rep = byte == 0xf3;
		return true;
	}
	return false;
}

/* Returns the first byte of the opcode. */
static u8 decode_prefixes(struct decoder *d)
{
	for (;;) {
		u8 byte = fetch(d, 1);

		if (d->mode == INSN_MODE_64 && (byte & 0xf0) == 0x40) {
			d->insn->rex = byte;
		} else if (take_prefix(d, byte)) {
			d->insn->rex = 0; /* REX counts only directly before the opcode */
		} else {
			d->insn->prefixes = d->insn->length - 1;
			return byte;
		}
	}
}

static u8 address_size(const struct decoder *d)
{
	static const u8 sizes[][2] = {
		[INSN_MODE_16] = { 2, 4 },
		[INSN_MODE_32] = { 4, 2 },
		[INSN_MODE_64] = { 8, 4 },
	};

	return sizes[d->mode][d->address_size_prefix];
}

static u8 operand_size(const struct decoder *d, u16 attributes)
{
	bool mode64 = d->mode == INSN_MODE_64;
	bool wide = d->insn->rex & REX_W;
	bool word = (d->mode == INSN_MODE_16) != d->insn->operand_size_prefix;

	switch (attributes & SIZE_MASK) {
	case BYTE:
		return 1;
	case STACK:
		if (mode64 && !word)
			return 8;
		break;
	case NEAR:
		if (mode64)
			return 8;
		break;
	case IO:
		return word && !wide ? 2 : 4;
	case DWORD:
		return wide ? 8 : 4;
	case NATIVE:
		return mode64 ? 8 : 4;
	}
	if (wide)
		return 8;
	return word ? 2 : 4;
}

/* Intel SDM, "16-Bit Addressing Forms with the ModR/M Byte". */
static void decode_memory_16(struct decoder *d)
{
	enum { BX = 3, BP = 5, SI = 6, DI = 7 };
	static const u8 bases[] = { BX, BX, BP, BP, SI, DI, BP, BX };
	static const u8 indexes[] = { SI, DI, SI, DI };
	struct insn *insn = d->insn;
	u8 rm = insn->modrm_rm & 7;

	if (insn->modrm_mod == 0 && rm == 6) {
		insn->displacement = fetch_signed(d, 2);
		return;
	}
	insn->base = bases[rm];
	if (rm < ARRAY_SIZE(indexes))
		insn->index = indexes[rm];
	if (insn->modrm_mod != 0)
		insn->displacement = fetch_signed(d, insn->modrm_mod == 1 ? 1 : 2);
}

/* Intel SDM, "32-Bit Addressing Forms with the SIB Byte". Returns the base field. */
static u8 decode_sib(struct decoder *d)
{
	struct insn *insn = d->insn;
	u8 sib = fetch(d, 1);
	u8 index = (sib >> 3 & 7) | (insn->rex & REX_X ? 8 : 0);

	if (index != RSP) {
		insn->index = index;
		insn->scale = 1 << (sib >> 6);
	}
	return sib & 7;
}

/* Intel SDM, "32-Bit Addressing Forms with the ModR/M Byte", "RIP-Relative Addressing". */
static void decode_memory_32(struct decoder *d)
{
	struct insn *insn = d->insn;
	u8 rm = insn->modrm_rm & 7;
	u8 base = rm == RSP ? decode_sib(d) : rm;

	if (insn->modrm_mod == 0 && base == RBP) {
		if (rm == RBP && d->mode == INSN_MODE_64)
			insn->base = INSN_REG_RIP;
		insn->displacement = fetch_signed(d, 4);
		return;
	}
	insn->base = base | (insn->rex & REX_B ? 8 : 0);
	if (insn->modrm_mod != 0)
		insn->displacement = fetch_signed(d, insn->modrm_mod == 1 ? 1 : 4);
}

static void decode_modrm(struct decoder *d, bool register_only)
{
	struct insn *insn = d->insn;
	u8 modrm = fetch(d, 1);

	insn->has_modrm = true;
	insn->modrm_at = insn->length - 1;
	insn->modrm_mod = register_only ? 3 : modrm >> 6;
	insn->digit = modrm >> 3 & 7;
	insn->modrm_reg = insn->digit | (insn->rex & REX_R ? 8 : 0);
	insn->modrm_rm = (modrm & 7) | (insn->rex & REX_B ? 8 : 0);
	if (insn->modrm_mod == 3)
		return;

	insn->has_memory = true;
	if (insn->address_size == 2)
		decode_memory_16(d);
	else
		decode_memory_32(d);
	if (!insn->segment_override && (insn->base == RSP || insn->base == RBP))
		insn->segment = INSN_SS;
}

/* Consume the rest of the opcode. Returns its attributes. */
static u16 decode_opcode(struct decoder *d, u8 first)
{
	struct insn *insn = d->insn;

	insn->opcode = first;
	if (first != 0x0f)
		return insn_map_one[first];

	insn->map = INSN_MAP_0F;
	insn->opcode = fetch(d, 1);
	if (insn->opcode != 0x38 && insn->opcode != 0x3a)
		return insn_map_0f[insn->opcode];

	insn->map = insn->opcode == 0x38 ? INSN_MAP_0F38 : INSN_MAP_0F3A;
	insn->opcode = fetch(d, 1);
	return insn->map == INSN_MAP_0F38 ? MODRM : MODRM | IMM8;
}

/* What ModRM.reg and prefixes change in an opcode's attributes. */
static u16 refine(const struct insn *insn, u16 attributes)
{
	switch (insn->map << 8 | insn->opcode) {
	case INSN_MAP_ONE << 8 | 0xf6: /* TEST */
		return insn->digit < 2 ? attributes | IMM8 : attributes;
	case INSN_MAP_ONE << 8 | 0xf7:
		return insn->digit < 2 ? attributes | IMMZ : attributes;
	case INSN_MAP_ONE << 8 | 0xff:
		if (insn->digit == 2 || insn->digit == 4) /* CALL, JMP */
			return attributes | NEAR;
		return insn->digit == 6 ? attributes | STACK : attributes; /* PUSH */
	case INSN_MAP_0F << 8 | 0x01: /* SGDT, SIDT, LGDT, LIDT */
		return insn->digit < 4 && insn->has_memory ? attributes | NEAR : attributes;
	case INSN_MAP_0F << 8 | 0x78: /* EXTRQ, INSERTQ: two imm8 */
		if (insn->repne || (insn->operand_size_prefix && !insn->rep))
			return attributes | IMM16;
		return attributes;
	case INSN_MAP_0F << 8 | 0xc7: /* CMPXCHG8B, CMPXCHG16B */
		return insn->digit == 1 ? attributes | DWORD | MEMORY : attributes;
	case INSN_MAP_0F38 << 8 | 0xf0: /* MOVBE, unless it is CRC32 */
	case INSN_MAP_0F38 << 8 | 0xf1:
		return insn->repne ? attributes : attributes | MEMORY;
	}
	return attributes;
}

static bool is_defined(const struct decoder *d, u16 attributes)
{
	const struct insn *insn = d->insn;

	if (!attributes || ((attributes & NOT64) && d->mode == INSN_MODE_64))
		return false;
	if ((attributes & MEMORY) == MEMORY && !insn->has_memory)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (groups[i].map == insn->map && groups[i].opcode == insn->opcode)
			return groups[i].defined & BIT(insn->digit);
	}
	return true;
}

static u8 immediate_size(const struct insn *insn, u16 attributes)
{
	u8 z = MIN(insn->operand_size, 4);

	switch (attributes & IMM_MASK) {
	case IMM8:
		return 1;
	case IMM16:
		return 2;
	case IMMZ:
		return z;
	case IMMV:
		return insn->operand_size;
	case FAR:
		return z + 2;
	case ENTER:
		return 3;
	}
	return 0;
}

static void decode_legacy(struct decoder *d, u8 first)
{
	struct insn *insn = d->insn;
	u16 attributes = decode_opcode(d, first);

	if (attributes & MODRM) {
		/* MOV to and from CR and DR takes any mod for a register. */
		decode_modrm(d, insn->map == INSN_MAP_0F && (insn->opcode & 0xfc) == 0x20);
		attributes = refine(insn, attributes);
	}
	if (!is_defined(d, attributes))
		fail(d, -EINVAL);
	if (attributes & TO_ES)
		insn->segment = INSN_ES;

	insn->operand_size = operand_size(d, attributes);
	if ((attributes & IMM_MASK) == MOFFS) {
		insn->has_memory = true;
		insn->displacement = fetch(d, insn->address_size);
	}
	insn->immediate_size = immediate_size(insn, attributes);
	if (insn->immediate_size)
		insn->immediate = fetch_signed(d, insn->immediate_size);
}

/* REX.R, X and B are in the first payload byte, inverted; the VEX prefix of two bytes has R only. */
static u8 vex_rex(const struct decoder *d, u8 first, u8 payload)
{
	u8 inverted = ~payload;

	if (d->mode != INSN_MODE_64)
		return 0;
	return first == 0xc5 ? inverted >> 5 & REX_R : inverted >> 5 & 7;
}

/* VEX, EVEX and XOP begin like LDS, LES, BOUND and POP with a ModRM that is undefined for those. */
static bool is_vex(const struct decoder *d, u8 first)
{
	u8 next = d->insn->length < d->available ? d->bytes[d->insn->length] : 0;

	switch (first) {
	case 0x62: case 0xc4: case 0xc5:
		return d->mode == INSN_MODE_64 || next >> 6 == 3;
	case 0x8f:
		return (next & 0x1f) >= 8;
	}
	return false;
}

/* Intel SDM, "Intel Advanced Vector Extensions"; AMD APM vol. 3, "VEX and XOP Prefixes". */
static void decode_vex(struct decoder *d, u8 first)
{
	struct insn *insn = d->insn;
	u8 payload = fetch(d, 1);
	u8 map = first == 0xc5 ? 1 : payload & (first == 0x62 ? 7 : 0x1f);
	bool has_modrm = true;
	unsigned int immediate = 0;

	insn->vex = true;
	insn->evex = first == 0x62;
	if (insn->lock || insn->rep || insn->repne || insn->operand_size_prefix || insn->rex)
		fail(d, -EINVAL);
	insn->rex = vex_rex(d, first, payload);
	if ((first == 0x8f) != (map >= 8) || (map > 3 && (first == 0xc4)))
		fail(d, -EINVAL);

	fetch(d, first == 0x62 ? 2 : first == 0xc5 ? 0 : 1); /* the rest of the prefix */
	insn->opcode = fetch(d, 1);
	switch (map) {
	case 1: /* 0F */
		has_modrm = insn->opcode != 0x77; /* VZEROUPPER */
		immediate = (insn_map_0f[insn->opcode] & IMM_MASK) == IMM8;
		break;
	case 2: case 5: case 6: case 9: /* 0F38, two with FP16, XOP */
		break;
	case 3: case 8: /* 0F3A, XOP */
		immediate = 1;
		break;
	case 10: /* XOP */
		immediate = 4;
		break;
	default:
		fail(d, -EINVAL);
	}
	if (has_modrm)
		decode_modrm(d, false);
	insn->immediate_size = immediate;
	fetch(d, immediate);
}

int insn_decode(const u8 *bytes, size_t available, enum insn_mode mode, struct insn *insn)
{
	struct decoder d = {
		.bytes = bytes,
		.available = MIN(available, (size_t)INSN_MAX_LENGTH),
		.mode = mode,
		.insn = insn,
	};
	u8 first;

	*insn = (struct insn){
		.segment = INSN_DS,
		.base = INSN_NO_REGISTER,
		.index = INSN_NO_REGISTER,
		.scale = 1,
	};
	first = decode_prefixes(&d);
	insn->address_size = address_size(&d);
	if (is_vex(&d, first))
		decode_vex(&d, first);
	else
		decode_legacy(&d, first);
	return d.error;
}
