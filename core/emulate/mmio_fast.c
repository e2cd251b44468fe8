/* SPDX-License-Identifier: MIT */
/*
 * Fast path for nearly all MMIO: plain MOV between a general register, or from an immediate, and 4 or
 * 8 bytes of memory, with no prefix but REX. It uses no opcode tables and raises no faults;
 * core/emulate/mmio.c does all other instructions, and could do these.
 * Intel SDM, "Instruction Format", "ModR/M and SIB Bytes".
 */
#include "core/emulate/code.h"
#include "core/emulate/emulate.h"
#include "core/io.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define REX_B BIT(0)
#define REX_X BIT(1)
#define REX_R BIT(2)
#define REX_W BIT(3)

enum { MOV_STORE = 0x89, MOV_LOAD = 0x8b, MOV_IMMEDIATE = 0xc7 };

struct cursor {
	const u8 *at;		/* the next byte of the instruction */
	u8 opcode, rex, reg;
	u32 low;		/* of the operand's address */
};

static inline u32 take_u32(struct cursor *q)
{
	u32 value = q->at[0] | q->at[1] << 8 | q->at[2] << 16 | (u32)q->at[3] << 24;

	q->at += 4;
	return value;
}

/*
 * Of the address only the low half: where in its page the operand begins is all that is compared
 * with what the processor reports. RIP-relative ones want the instruction's length, RSP is not in
 * regs[]: false.
 */
static bool take_operand(struct cursor *q, const struct vcpu *vcpu, bool code_64)
{
	u8 modrm = *q->at++, mod = modrm >> 6, rm = modrm & 7;
	unsigned base = rm | (q->rex & REX_B ? 8 : 0);

	q->reg = (modrm >> 3 & 7) | (q->rex & REX_R ? 8 : 0);
	q->low = 0;
	if (mod == 3 || q->reg == REG_RSP)
		return false;
	if (rm == 4) {		/* SIB */
		u8 sib = *q->at++;
		unsigned index = (sib >> 3 & 7) | (q->rex & REX_X ? 8 : 0);

		rm = sib & 7;
		base = rm | (q->rex & REX_B ? 8 : 0);
		if (index != 4)
			q->low = (u32)vcpu->regs[index] << (sib >> 6);
		if (rm == 5 && mod == 0) {
			q->low += take_u32(q);
			return true;
		}
	} else if (rm == 5 && mod == 0) {
		q->low = take_u32(q);
		return !code_64;
	}
	if (base == REG_RSP)
		return false;
	q->low += (u32)vcpu->regs[base];
	if (mod == 1)
		q->low += (u32)(s32)(s8)*q->at++;
	else if (mod == 2)
		q->low += take_u32(q);
	return true;
}

bool emulate_mmio_fast(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	u8 bytes[INSN_MAX_LENGTH + 1];
	struct cursor q = { .at = bytes };
	unsigned size = 4, offset = (unsigned)fault->gpa & ~PAGE_MASK;
	struct code_view view;
	const u8 *code;
	u64 value;

	if (fault->walk || fault->access == TDP_FETCH || vcpu->events.reinject.type != EVENT_NONE ||
	    fault->gpa < vcpu->vm->mem.low_size || fault->gpa >= GUEST_HIGH_RAM)
		return false;
	vcpu->ops->code_view(vcpu, &view);
	if (view.mode == INSN_MODE_16)
		return false;
	code = code_at(vcpu->vm, &view, vcpu->exit_rip);
	if (!code)
		return false;
	/* Another processor of the guest may write there: what is decoded is what has been read. */
	__builtin_memcpy(bytes, code, INSN_MAX_LENGTH);

	if (view.mode == INSN_MODE_64 && (*q.at & 0xf0) == 0x40)
		q.rex = *q.at++;
	q.opcode = *q.at++;
	if (q.opcode != MOV_LOAD && q.opcode != MOV_STORE && q.opcode != MOV_IMMEDIATE)
		return false;
	if (q.rex & REX_W)
		size = 8;
	if (!take_operand(&q, vcpu, view.mode == INSN_MODE_64) || (q.low & ~PAGE_MASK) != offset ||
	    offset + size > PAGE_SIZE || (q.opcode == MOV_LOAD) != (fault->access == TDP_READ))
		return false;

	if (q.opcode == MOV_LOAD) {
		value = mmio_read(vcpu, fault->gpa, size);
		vcpu->regs[q.reg] = size == 4 ? (u32)value : value;
	} else {
		value = vcpu->regs[q.reg];
		if (q.opcode == MOV_IMMEDIATE) {
			if (q.reg & 7)
				return false;	/* only /0 is MOV */
			value = (u64)(s64)(s32)take_u32(&q);
		}
		mmio_write(vcpu, fault->gpa, size, size == 4 ? (u32)value : value);
	}
	vcpu->ops->step_over(vcpu, (unsigned)(q.at - bytes));
	return true;
}
