/* SPDX-License-Identifier: MIT */
/* Operands of emulated instructions. Intel SDM, "Operand Addressing". */
#include "core/emulate/operand.h"

#include "arch/cpu/x86.h"
#include "core/emulate/watch.h"
#include "core/io.h"
#include "core/mem/guest_mem.h"
#include "core/vm.h"
#include "lib/bits.h"
#include "lib/string.h"

u64 operand_sign_extend(u64 value, unsigned size)
{
	unsigned unused = 64 - 8 * size;

	return (u64)((s64)(value << unused) >> unused);
}

/* --- registers --- */

static bool is_high_byte(const struct insn *insn, unsigned number, unsigned size)
{
	return size == 1 && !insn->rex && number >= 4;
}

u64 operand_reg_read(struct vcpu *vcpu, const struct insn *insn, unsigned number, unsigned size)
{
	if (is_high_byte(insn, number, size))
		return vcpu_reg_read(vcpu, number - 4) >> 8 & 0xff;
	return vcpu_reg_read(vcpu, number) & size_mask(size);
}

void operand_reg_write(struct vcpu *vcpu, const struct insn *insn, unsigned number, unsigned size,
		       u64 value)
{
	u64 mask = size == 4 ? ~0ull : size_mask(size);

	value &= size_mask(size);
	if (is_high_byte(insn, number, size)) {
		number -= 4;
		mask <<= 8;
		value <<= 8;
	}
	vcpu_reg_write(vcpu, number, (vcpu_reg_read(vcpu, number) & ~mask) | value);
}

u64 address_reg_read(struct vcpu *vcpu, const struct insn *insn, enum vcpu_reg reg)
{
	return vcpu_reg_read(vcpu, reg) & size_mask(insn->address_size);
}

void address_reg_write(struct vcpu *vcpu, const struct insn *insn, enum vcpu_reg reg, u64 value)
{
	u64 mask = insn->address_size == 2 ? size_mask(2) : ~0ull;

	vcpu_reg_write(vcpu, reg, (vcpu_reg_read(vcpu, reg) & ~mask) |
				  (value & size_mask(insn->address_size)));
}

/* --- memory --- */

u64 operand_offset(struct vcpu *vcpu, const struct insn *insn, s64 displacement)
{
	u64 offset = (u64)insn->displacement + (u64)displacement;

	if (insn->base == INSN_REG_RIP)
		offset += vcpu_reg_read(vcpu, REG_RIP) + insn->length;
	else if (insn->base != INSN_NO_REGISTER)
		offset += vcpu_reg_read(vcpu, insn->base);
	if (insn->index != INSN_NO_REGISTER)
		offset += vcpu_reg_read(vcpu, insn->index) * insn->scale;
	return offset & size_mask(insn->address_size);
}

int operand_map(struct vcpu *vcpu, enum vcpu_segment segment, u64 offset, unsigned size, u32 access,
		struct guest_span *span)
{
	struct guest_fault fault;
	gva_t gva;
	int error;

	access |= gwalk_privilege(vcpu);
	error = gwalk_linear(vcpu, segment, offset, size, access, &gva, &fault);
	if (!error)
		error = gwalk_span(vcpu, gva, size, access, span, &fault);
	if (error)
		guest_fault_raise(vcpu, &fault);
	else
		watch_memory(vcpu, gva, size, access);
	return error;
}

int operand_map_explicit(struct vcpu *vcpu, const struct insn *insn, unsigned size, u32 access,
			 struct guest_span *span)
{
	u64 offset = operand_offset(vcpu, insn, 0);

	return operand_map(vcpu, (enum vcpu_segment)insn->segment, offset, size, access, span);
}

/* The part of an operand in one page: RAM, or MMIO, in accesses whose sizes are powers of two. */
static u64 piece_read(struct vcpu *vcpu, gpa_t gpa, unsigned size)
{
	u64 value = 0;
	unsigned half;

	if (!guest_read(vcpu->vm, gpa, &value, size))
		return value;
	if ((size & (size - 1)) == 0)
		return mmio_read(vcpu, gpa, size) & size_mask(size);
	half = size > 4 ? 4 : 2;
	value = piece_read(vcpu, gpa, half);
	return value | piece_read(vcpu, gpa + half, size - half) << (8 * half);
}

static void piece_write(struct vcpu *vcpu, gpa_t gpa, unsigned size, u64 value)
{
	unsigned half;

	if (!guest_write(vcpu->vm, gpa, &value, size))
		return;
	if ((size & (size - 1)) == 0) {
		mmio_write(vcpu, gpa, size, value & size_mask(size));
		return;
	}
	half = size > 4 ? 4 : 2;
	piece_write(vcpu, gpa, half, value);
	piece_write(vcpu, gpa + half, size - half, value >> (8 * half));
}

u64 operand_read(struct vcpu *vcpu, const struct guest_span *span)
{
	u64 value = piece_read(vcpu, span->gpa[0], span->size[0]);

	if (span->size[1])
		value |= piece_read(vcpu, span->gpa[1], span->size[1]) << (8 * span->size[0]);
	return value;
}

void operand_write(struct vcpu *vcpu, const struct guest_span *span, u64 value)
{
	piece_write(vcpu, span->gpa[0], span->size[0], value);
	if (span->size[1])
		piece_write(vcpu, span->gpa[1], span->size[1], value >> (8 * span->size[0]));
}
