/* SPDX-License-Identifier: MIT */
/* Fast path for MMIO: decoding, and remembering what was decoded. */
#include "core/emulate/mmio_fast.h"

#include "core/emulate/emulate.h"
#include "core/io.h"
#include "core/vm_alloc.h"

enum {
	TWO_BYTES = 0x0f, OPERAND_SIZE = 0x66, ADDRESS_SIZE = 0x67,
	MOV_STORE_8 = 0x88, MOV_STORE = 0x89, MOV_LOAD_8 = 0x8a, MOV_LOAD = 0x8b,
	MOV_AL_FROM = 0xa0, MOV_AX_FROM = 0xa1, MOV_TO_AL = 0xa2, MOV_TO_AX = 0xa3,
	MOV_IMMEDIATE_8 = 0xc6, MOV_IMMEDIATE = 0xc7,
	/* After 0Fh. */
	MOVZX_8 = 0xb6, MOVZX_16 = 0xb7, MOVSX_8 = 0xbe, MOVSX_16 = 0xbf,
};

/* Registers that the fast path of the exits leaves in the processor. */
#define KEPT_REGISTERS (BIT(REG_RBP) | BIT(REG_R12) | BIT(REG_R13) | BIT(REG_R14) | BIT(REG_R15))

/* --- decoding --- */

struct decoding {
	const u8 *at;
	u8 rex;
	bool has_rex, code_64, operand_size, address_size;
	u8 opcode;
	bool two_bytes, of_rip;
};

static u32 take(const u8 **at, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u32)*(*at)++ << (8 * i);
	return value;
}

static void decode_prefixes(struct decoding *d)
{
	for (; d->at[0] == OPERAND_SIZE || (d->code_64 && d->at[0] == ADDRESS_SIZE); d->at++) {
		if (d->at[0] == OPERAND_SIZE)
			d->operand_size = true;
		else
			d->address_size = true;
	}
	if (d->code_64 && (*d->at & 0xf0) == 0x40) {
		d->has_rex = true;
		d->rex = *d->at++;
	}
	d->two_bytes = *d->at == TWO_BYTES;
	d->at += d->two_bytes;
	d->opcode = *d->at++;
}

/* The sizes of access and register. False: it is none of these instructions. */
static bool decode_opcode(const struct decoding *d, struct fast_mov *mov)
{
	u8 full = d->rex & REX_W ? 8 : d->operand_size ? 2 : 4;

	bool load;

	mov->kind = TRACE_MMIO;
	mov->result = full;
	if (d->two_bytes) {
		mov->size = d->opcode & 1 ? 2 : 1;
		mov->sign = d->opcode >= MOVSX_8;
		return d->opcode == MOVZX_8 || d->opcode == MOVZX_16 || d->opcode == MOVSX_8 || d->opcode == MOVSX_16;
	}
	mov->size = mov->result = d->opcode & 1 ? full : 1;
	load = d->opcode == MOV_LOAD || d->opcode == MOV_LOAD_8 || d->opcode == MOV_AL_FROM || d->opcode == MOV_AX_FROM;
	mov->write = !load;
	return load || d->opcode == MOV_STORE || d->opcode == MOV_STORE_8 || d->opcode == MOV_TO_AL ||
	       d->opcode == MOV_TO_AX || d->opcode == MOV_IMMEDIATE || d->opcode == MOV_IMMEDIATE_8;
}

/* The operand of a MOV from or to AL, AX, EAX or RAX. Only the low half of its address is of interest. */
static void decode_offset(struct decoding *d, struct fast_mov *mov)
{
	mov->reg = REG_RAX;
	mov->base = mov->index = NO_REG;
	mov->displacement = take(&d->at, 4);
	if (d->code_64 && !d->address_size)
		d->at += 4;
}

/* False for RSP, which is not always up to date in regs[]. */
static bool decode_operand(struct decoding *d, struct fast_mov *mov)
{
	u8 modrm = *d->at++, mod = modrm >> 6, rm = modrm & 7;

	mov->reg = (modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0);
	mov->base = rm | (d->rex & REX_B ? 8 : 0);
	mov->index = NO_REG;
	if (mod == 3)
		return false;
	if (rm == 4) {		/* SIB */
		u8 sib = *d->at++, index = (sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0);

		rm = sib & 7;
		mov->base = rm | (d->rex & REX_B ? 8 : 0);
		mov->scale = sib >> 6;
		if (index != 4)
			mov->index = index;
	} else {
		d->of_rip = rm == 5 && mod == 0 && d->code_64;
	}
	if (rm == 5 && mod == 0) {
		mov->base = NO_REG;
		mod = 2;
	}
	if (mod == 1)
		mov->displacement = (u32)(s32)(s8)take(&d->at, 1);
	else if (mod == 2)
		mov->displacement = take(&d->at, 4);
	return mov->base != REG_RSP;
}

/* False: RSP, or an immediate with an opcode that is not MOV's. Without REX, 4 to 7 are the second bytes of 0 to 3. */
static bool decode_register(struct decoding *d, struct fast_mov *mov)
{
	bool immediate = !d->two_bytes && (d->opcode & 0xfe) == MOV_IMMEDIATE_8;

	if (immediate) {
		unsigned size = MIN(mov->size, 4);
		u32 value = take(&d->at, size);

		if (mov->reg & 7)
			return false;	/* only /0 is MOV */
		mov->reg = NO_REG;
		mov->immediate = (s32)value;
		return true;
	}
	if (!d->two_bytes && mov->size == 1 && !d->has_rex && mov->reg >= 4 && mov->reg < 8) {
		mov->reg -= 4;
		mov->high = 8;
	}
	return mov->reg != REG_RSP;
}

static bool is_kept(u8 reg)
{
	return reg < REG_RIP && (KEPT_REGISTERS & BIT(reg));
}

static bool decode(const u8 *bytes, const struct code_view *view, u64 rip, struct fast_mov *mov)
{
	struct decoding d = { .at = bytes, .code_64 = view->mode == INSN_MODE_64 };

	*mov = (struct fast_mov){ .modes = mmio_modes(view) };
	decode_prefixes(&d);
	if (d.at - bytes > 5 || !decode_opcode(&d, mov))
		return false;
	if (!d.two_bytes && (d.opcode & 0xfc) == MOV_AL_FROM)
		decode_offset(&d, mov);
	else if (!decode_operand(&d, mov))
		return false;
	if (!decode_register(&d, mov) || d.at - bytes > INSN_MAX_LENGTH)
		return false;
	mov->length = (u8)(d.at - bytes);
	if (d.of_rip)
		mov->displacement += (u32)rip + mov->length;
	mov->plain = mov->size >= 4;
	mov->access = mov->write;
	if (is_kept(mov->reg) || is_kept(mov->base) || is_kept(mov->index))
		mov->access |= MMIO_USES_KEPT;
	return true;
}

/* --- remembering --- */

/*
 * Remember the instruction at `rip` where it was, or else where it is its set's turn. Another vCPU may write to
 * the code meanwhile: it is read once, and the copy decoded. NULL: the slow path has to do it.
 */
static const struct fast_mov *learn(struct vcpu *vcpu, const struct code_view *view, u64 rip)
{
	gva_t gva = code_address(view, rip);
	struct remembered *place;

	/* What is never found, such as code above 4 GiB, takes no other instruction's place. */
	if (!code_at(vcpu->vm, view, rip))
		return NULL;
	if (!vcpu->mmio_memory)
		vcpu->mmio_memory = vm_alloc(vcpu->vm, sizeof(*vcpu->mmio_memory));
	if (!vcpu->mmio_memory)
		return NULL;
	place = mmio_place_of(vcpu, gva);
	if (!place)
		place = mmio_set_of(vcpu, gva) + vcpu->mmio_memory->learnt++ % MMIO_PLACES;
	place->mov.length = 0;
	if (!code_find(vcpu->vm, view, rip, &place->path))
		return NULL;
	place->gva = gva;
	__builtin_memcpy(place->bytes, place->path.code, INSN_MAX_LENGTH);
	if (!decode(place->bytes, view, rip, &place->mov))
		place->mov.length = 0;
	return place->mov.length ? &place->mov : NULL;
}

/* --- the access --- */

u64 mmio_operand_part(const struct vcpu *vcpu, const struct fast_mov *mov)
{
	u64 value = mov->reg == NO_REG ? (u64)(s64)mov->immediate : vcpu->regs[mov->reg] >> mov->high;

	return value & size_mask(mov->size);
}

void mmio_load_part(struct vcpu *vcpu, const struct fast_mov *mov, u64 value)
{
	u64 mask = size_mask(mov->result), *reg = &vcpu->regs[mov->reg];

	if (mov->sign)
		value = mov->size == 1 ? (u64)(s64)(s8)value : (u64)(s64)(s16)value;
	if (mov->result == 4)
		*reg = (u32)value;
	else
		*reg = (*reg & ~(mask << mov->high)) | (value & mask) << mov->high;
}

bool emulate_mmio_fast(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	const struct fast_mov *mov;
	struct code_view view;

	if (fault->walk || fault->watched || fault->access == TDP_FETCH || vcpu->events.reinject.type != EVENT_NONE ||
	    !mmio_is_possible(vcpu->vm, fault->gpa))
		return false;
	vcpu->ops->code_view(vcpu, &view);
	if (view.mode == INSN_MODE_16)
		return false;
	mov = mmio_recall(vcpu, &view, vcpu->exit_rip);
	if (!mov)
		mov = learn(vcpu, &view, vcpu->exit_rip);
	if (!mov || !mmio_matches(vcpu, mov, fault->gpa, fault->access == TDP_WRITE))
		return false;
	if (mov->write)
		mmio_write(vcpu, fault->gpa, mov->size, mmio_operand(vcpu, mov));
	else
		mmio_load(vcpu, mov, mmio_read(vcpu, fault->gpa, mov->size) & size_mask(mov->size));
	vcpu->ops->step_over(vcpu, mov->length);
	return true;
}
