/* SPDX-License-Identifier: MIT */
/*
 * Fast path for nearly all MMIO: plain MOV of 4 or 8 bytes between memory and a general register, or
 * from an immediate to memory, with no prefix except REX and, in 64-bit mode, the address size. It needs no
 * decoder tables and raises no fault. core/emulate/mmio.c handles everything else, and can handle these too.
 * Intel SDM, "Instruction Format", "ModR/M and SIB Bytes".
 */
#include "core/emulate/code.h"
#include "core/emulate/emulate.h"
#include "core/io.h"
#include "core/vcpu.h"
#include "core/vm.h"

enum { ADDRESS_SIZE = 0x67, MOV_STORE = 0x89, MOV_LOAD = 0x8b, MOV_IMMEDIATE = 0xc7 };

struct fast_mov {
	const u8 *at;		/* the next byte of the instruction */
	u8 opcode, rex, reg;
	u32 low;		/* low half of the operand's address */
};

static inline u32 take_u32(struct fast_mov *mov)
{
	u32 value = mov->at[0] | mov->at[1] << 8 | mov->at[2] << 16 | (u32)mov->at[3] << 24;

	mov->at += 4;
	return value;
}

/*
 * Compute only the low half of the address: only the offset in the page is compared with the address
 * that the processor reports, and in 64-bit mode an address-size prefix changes only the other half. False for
 * RIP-relative operands, which need the instruction's length, and for RSP, which is not always up to date in regs[].
 */
static bool take_operand(struct fast_mov *mov, const struct vcpu *vcpu, bool code_64)
{
	u8 modrm = *mov->at++, mod = modrm >> 6, rm = modrm & 7;
	unsigned base = rm | (mov->rex & REX_B ? 8 : 0);

	mov->reg = (modrm >> 3 & 7) | (mov->rex & REX_R ? 8 : 0);
	mov->low = 0;
	if (mod == 3 || mov->reg == REG_RSP)
		return false;
	if (rm == 4) {		/* SIB */
		u8 sib = *mov->at++;
		unsigned index = (sib >> 3 & 7) | (mov->rex & REX_X ? 8 : 0);

		rm = sib & 7;
		base = rm | (mov->rex & REX_B ? 8 : 0);
		if (index != 4)
			mov->low = (u32)vcpu->regs[index] << (sib >> 6);
		if (rm == 5 && mod == 0) {
			mov->low += take_u32(mov);
			return true;
		}
	} else if (rm == 5 && mod == 0) {
		mov->low = take_u32(mov);
		return !code_64;
	}
	if (base == REG_RSP)
		return false;
	mov->low += (u32)vcpu->regs[base];
	if (mod == 1)
		mov->low += (u32)(s32)(s8)*mov->at++;
	else if (mod == 2)
		mov->low += take_u32(mov);
	return true;
}

bool emulate_mmio_fast(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	u8 bytes[INSN_MAX_LENGTH + 1];
	struct fast_mov mov = { .at = bytes };
	unsigned size = 4, offset = (unsigned)fault->gpa & ~PAGE_MASK;
	struct code_view view;
	const u8 *code;
	u64 value;

	if (fault->walk || fault->watched || fault->access == TDP_FETCH || vcpu->events.reinject.type != EVENT_NONE ||
	    fault->gpa < vcpu->vm->mem.low_size || fault->gpa >= GUEST_HIGH_RAM)
		return false;
	vcpu->ops->code_view(vcpu, &view);
	if (view.mode == INSN_MODE_16)
		return false;
	code = code_at(vcpu->vm, &view, vcpu->exit_rip);
	if (!code)
		return false;
	/* Another vCPU may write to the code meanwhile: read it once, and decode the copy. */
	__builtin_memcpy(bytes, code, INSN_MAX_LENGTH);

	if (unlikely(view.mode == INSN_MODE_64 && *mov.at == ADDRESS_SIZE))
		mov.at++;
	if (view.mode == INSN_MODE_64 && (*mov.at & 0xf0) == 0x40)
		mov.rex = *mov.at++;
	mov.opcode = *mov.at++;
	if (mov.opcode != MOV_LOAD && mov.opcode != MOV_STORE && mov.opcode != MOV_IMMEDIATE)
		return false;
	if (mov.rex & REX_W)
		size = 8;
	if (!take_operand(&mov, vcpu, view.mode == INSN_MODE_64) || (mov.low & ~PAGE_MASK) != offset ||
	    offset + size > PAGE_SIZE || (mov.opcode == MOV_LOAD) != (fault->access == TDP_READ))
		return false;

	if (mov.opcode == MOV_LOAD) {
		value = mmio_read(vcpu, fault->gpa, size);
		vcpu->regs[mov.reg] = size == 4 ? (u32)value : value;
	} else {
		value = vcpu->regs[mov.reg];
		if (mov.opcode == MOV_IMMEDIATE) {
			if (mov.reg & 7)
				return false;	/* only /0 is MOV */
			value = (u64)(s64)(s32)take_u32(&mov);
		}
		mmio_write(vcpu, fault->gpa, size, size == 4 ? (u32)value : value);
	}
	vcpu->ops->step_over(vcpu, (unsigned)(mov.at - bytes));
	return true;
}
