/* SPDX-License-Identifier: MIT */
/*
 * MMIO: emulation of instructions that read or write one explicit memory operand. The common ones are here.
 * Intel SDM, "Instruction Set Reference", "Opcode Map".
 */
#include "arch/cpu/x86.h"
#include "core/emulate/alu.h"
#include "core/emulate/by_hand.h"
#include "core/emulate/emulate.h"
#include "core/emulate/native.h"
#include "core/emulate/operand.h"
#include "core/emulate/watch.h"
#include "core/exit.h"
#include "core/vcpu.h"
#include "lib/errno.h"
#include "lib/printf.h"

struct access {
	struct vcpu *vcpu;
	const struct insn *insn;
	const struct tdp_fault *fault;
	struct guest_span span;
};

/* 0: done; -EFAULT: a fault was raised. */
typedef int emulator(struct access *a);

/* The processor has already translated the page that it faulted on, and checked it for this kind of access. */
static bool is_faulted_page(const struct access *a, gva_t gva, unsigned size, u32 access)
{
	bool same_kind = (access == PF_WRITE) == (a->fault->access == TDP_WRITE);
	unsigned offset = gva & ~PAGE_MASK;

	return same_kind && offset == (a->fault->gpa & ~PAGE_MASK) && offset + size <= PAGE_SIZE;
}

/* Translate the memory operand to a->span, or raise the fault; `access` is 0 or PF_WRITE. */
static int map_at(struct access *a, s64 displacement, unsigned size, u32 access)
{
	u32 rights = access | gwalk_privilege(a->vcpu);
	u64 offset = operand_offset(a->vcpu, a->insn, displacement);
	struct guest_fault fault;
	gva_t gva;
	int error;

	error = gwalk_linear(a->vcpu, (enum vcpu_segment)a->insn->segment, offset, size, rights,
			     &gva, &fault);
	if (!error && is_faulted_page(a, gva, size, access)) {
		watch_memory(a->vcpu, gva, size, access);
		a->span = (struct guest_span){ .gpa = { a->fault->gpa }, .size = { size } };
		return 0;
	}
	if (!error)
		error = gwalk_span(a->vcpu, gva, size, rights, &a->span, &fault);
	if (error)
		guest_fault_raise(a->vcpu, &fault);
	else
		watch_memory(a->vcpu, gva, size, access);
	return error;
}

static int read_memory(struct access *a, unsigned size, u64 *value)
{
	if (map_at(a, 0, size, 0))
		return -EFAULT;
	*value = operand_read(a->vcpu, &a->span);
	return 0;
}

static int write_memory(struct access *a, unsigned size, u64 value)
{
	if (map_at(a, 0, size, PF_WRITE))
		return -EFAULT;
	operand_write(a->vcpu, &a->span, value);
	return 0;
}

static u64 reg_operand(struct access *a)
{
	return operand_reg_read(a->vcpu, a->insn, a->insn->modrm_reg, a->insn->operand_size);
}

static void set_reg_operand(struct access *a, u64 value)
{
	operand_reg_write(a->vcpu, a->insn, a->insn->modrm_reg, a->insn->operand_size, value);
}

static u64 alu(struct access *a, enum alu_operation operation, u64 left, u64 right)
{
	u64 rflags = vcpu_rflags(a->vcpu);

	left = alu_execute(operation, a->insn->operand_size, left, right, &rflags);
	vcpu_reg_write(a->vcpu, REG_RFLAGS, rflags);
	return left;
}

/* memory = memory operation value; CMP, TEST and BT only set flags. */
static int alu_on_memory(struct access *a, s64 displacement, enum alu_operation operation,
			 u64 value)
{
	bool writes = operation != ALU_CMP && operation != ALU_TEST && operation != ALU_BT;
	u64 result;

	if (map_at(a, displacement, a->insn->operand_size, writes ? PF_WRITE : 0))
		return -EFAULT;
	result = alu(a, operation, operand_read(a->vcpu, &a->span), value);
	if (writes)
		operand_write(a->vcpu, &a->span, result);
	return 0;
}

/* --- moves --- */

static int mov_load(struct access *a)
{
	u64 value;

	if (read_memory(a, a->insn->operand_size, &value))
		return -EFAULT;
	set_reg_operand(a, value);
	return 0;
}

static int mov_store(struct access *a)
{
	return write_memory(a, a->insn->operand_size, reg_operand(a));
}

static int mov_immediate(struct access *a)
{
	return write_memory(a, a->insn->operand_size, (u64)a->insn->immediate);
}

static int mov_load_accumulator(struct access *a)
{
	u64 value;

	if (read_memory(a, a->insn->operand_size, &value))
		return -EFAULT;
	operand_reg_write(a->vcpu, a->insn, REG_RAX, a->insn->operand_size, value);
	return 0;
}

static int mov_store_accumulator(struct access *a)
{
	return write_memory(a, a->insn->operand_size,
			    operand_reg_read(a->vcpu, a->insn, REG_RAX, a->insn->operand_size));
}

static int extend(struct access *a, unsigned size, bool sign)
{
	u64 value;

	if (read_memory(a, size, &value))
		return -EFAULT;
	set_reg_operand(a, sign ? operand_sign_extend(value, size) : value);
	return 0;
}

static int movzx(struct access *a)
{
	return extend(a, a->insn->opcode & 1 ? 2 : 1, false);
}

static int movsx(struct access *a)
{
	return extend(a, a->insn->opcode & 1 ? 2 : 1, true);
}

static int movsxd(struct access *a)
{
	return extend(a, MIN(a->insn->operand_size, 4), true);
}

static u64 swap_bytes(u64 value, unsigned size)
{
	return __builtin_bswap64(value) >> (64 - 8 * size);
}

static int movbe_load(struct access *a)
{
	u64 value;

	if (read_memory(a, a->insn->operand_size, &value))
		return -EFAULT;
	set_reg_operand(a, swap_bytes(value, a->insn->operand_size));
	return 0;
}

static int movbe_store(struct access *a)
{
	unsigned size = a->insn->operand_size;

	return write_memory(a, size, swap_bytes(reg_operand(a), size));
}

/* --- arithmetic --- */

static int alu_to_memory(struct access *a)
{
	return alu_on_memory(a, 0, a->insn->opcode >> 3, reg_operand(a));
}

static int alu_to_register(struct access *a)
{
	enum alu_operation operation = a->insn->opcode >> 3;
	u64 value, result;

	if (read_memory(a, a->insn->operand_size, &value))
		return -EFAULT;
	result = alu(a, operation, reg_operand(a), value);
	if (operation != ALU_CMP)
		set_reg_operand(a, result);
	return 0;
}

static int alu_immediate(struct access *a)
{
	return alu_on_memory(a, 0, a->insn->digit, (u64)a->insn->immediate);
}

static int test(struct access *a)
{
	return alu_on_memory(a, 0, ALU_TEST, reg_operand(a));
}

/* F6, F7 */
static int test_not_neg(struct access *a)
{
	static const u8 operations[] = { ALU_TEST, ALU_TEST, ALU_NOT, ALU_NEG };

	return alu_on_memory(a, 0, operations[a->insn->digit], (u64)a->insn->immediate);
}

/* FE, FF */
static int inc_dec(struct access *a)
{
	return alu_on_memory(a, 0, a->insn->digit ? ALU_DEC : ALU_INC, 0);
}

/* A bit number in a register is signed, and may select a bit outside of the addressed operand. */
static int bit_test_register(struct access *a)
{
	enum alu_operation operation = ALU_BT + (a->insn->opcode >> 3 & 3);
	unsigned size = a->insn->operand_size, bits = 8 * size;
	s64 bit = (s64)operand_sign_extend(reg_operand(a), size);
	s64 unit = bit >> __builtin_ctz(bits);

	return alu_on_memory(a, unit * size, operation, (u64)bit & (bits - 1));
}

static int bit_test_immediate(struct access *a)
{
	enum alu_operation operation = ALU_BT + (a->insn->digit & 3);
	unsigned bits = 8 * a->insn->operand_size;

	return alu_on_memory(a, 0, operation, (u64)a->insn->immediate & (bits - 1));
}

/* --- exchanges --- */

static int xchg(struct access *a)
{
	u64 old, new = reg_operand(a);

	if (map_at(a, 0, a->insn->operand_size, PF_WRITE))
		return -EFAULT;
	old = operand_read(a->vcpu, &a->span);
	operand_write(a->vcpu, &a->span, new);
	set_reg_operand(a, old);
	return 0;
}

static int xadd(struct access *a)
{
	u64 old;

	if (map_at(a, 0, a->insn->operand_size, PF_WRITE))
		return -EFAULT;
	old = operand_read(a->vcpu, &a->span);
	operand_write(a->vcpu, &a->span, alu(a, ALU_ADD, old, reg_operand(a)));
	set_reg_operand(a, old);
	return 0;
}

/* The processor always writes: the old value if the comparison fails. */
static int cmpxchg(struct access *a)
{
	unsigned size = a->insn->operand_size;
	u64 old;

	if (map_at(a, 0, size, PF_WRITE))
		return -EFAULT;
	old = operand_read(a->vcpu, &a->span);
	alu(a, ALU_CMP, operand_reg_read(a->vcpu, a->insn, REG_RAX, size), old);
	if (vcpu_rflags(a->vcpu) & RFLAGS_ZF) {
		operand_write(a->vcpu, &a->span, reg_operand(a));
	} else {
		operand_write(a->vcpu, &a->span, old);
		operand_reg_write(a->vcpu, a->insn, REG_RAX, size, old);
	}
	return 0;
}

/* --- dispatch --- */

#define ALU(first)							\
	[(first) ... (first) + 1] = alu_to_memory,			\
	[(first) + 2 ... (first) + 3] = alu_to_register

static emulator *const map_one[256] = {
	ALU(0x00), ALU(0x08), ALU(0x10), ALU(0x18), ALU(0x20), ALU(0x28), ALU(0x30), ALU(0x38),
	[0x63] = movsxd,
	[0x80 ... 0x83] = alu_immediate,
	[0x84 ... 0x85] = test,
	[0x86 ... 0x87] = xchg,
	[0x88 ... 0x89] = mov_store,
	[0x8a ... 0x8b] = mov_load,
	[0xa0 ... 0xa1] = mov_load_accumulator,
	[0xa2 ... 0xa3] = mov_store_accumulator,
	[0xc6 ... 0xc7] = mov_immediate,
	[0xf6 ... 0xf7] = test_not_neg,
	[0xfe ... 0xff] = inc_dec,
};

static emulator *const map_0f[256] = {
	[0xa3] = bit_test_register, [0xab] = bit_test_register,
	[0xb3] = bit_test_register, [0xbb] = bit_test_register,
	[0xba] = bit_test_immediate,
	[0xb0 ... 0xb1] = cmpxchg,
	[0xb6 ... 0xb7] = movzx,
	[0xbe ... 0xbf] = movsx,
	[0xc0 ... 0xc1] = xadd,
	[0xc3] = mov_store,		/* MOVNTI */
};

/* Some of /0 to /7 of these opcodes are other instructions, or none. */
static bool digit_fits(const struct insn *insn)
{
	switch (insn->opcode & ~1u) {
	case 0xc6:
		return insn->digit == 0;
	case 0xf6:
		return insn->digit <= 3;
	case 0xfe:
		return insn->digit <= 1;
	}
	return true;
}

static emulator *find(struct vcpu *vcpu, const struct insn *insn)
{
	if (insn->vex)
		return NULL;
	switch (insn->map) {
	case INSN_MAP_ONE:
		if (insn->opcode == 0x63 && !vcpu_code_64(vcpu))	/* ARPL */
			return NULL;
		return digit_fits(insn) ? map_one[insn->opcode] : NULL;
	case INSN_MAP_0F:
		return map_0f[insn->opcode];
	case INSN_MAP_0F38:
		if ((insn->opcode & ~1u) != 0xf0 || insn->repne)	/* F2: CRC32 */
			return NULL;
		return insn->opcode & 1 ? movbe_store : movbe_load;
	}
	return NULL;
}

/*
 * An instruction with a memory operand that Lamina does not emulate, and that no guest's processor has: CPUID
 * announces none of them, except for gathers and scatters and the rarest ones on the stack.
 */
static void refuse(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	char why[80];

	snprintf(why, sizeof(why),
		 "%s 0x%llx, device memory, by an instruction that is not emulated",
		 fault->access == TDP_WRITE ? "write to" : "read of",
		 (unsigned long long)fault->gpa);
	emulate_refuse(vcpu, why);
}

static void refuse_delivery(struct vcpu *vcpu, unsigned vector, const struct tdp_fault *fault)
{
	exit_unexpected(vcpu, "delivery of vector %u uses 0x%llx, where there is no RAM", vector,
			(unsigned long long)fault->gpa);
}

/* The vector of INT n, INT3, INTO or INT1, whose delivery not every processor reports. -ENOENT: another instruction. */
static int software_interrupt(const struct insn *insn)
{
	if (insn->vex || insn->map != INSN_MAP_ONE)
		return -ENOENT;
	switch (insn->opcode) {
	case 0xcc:
		return X86_BP;
	case 0xcd:
		return (u8)insn->immediate;
	case 0xce:
		return X86_OF;
	case 0xf1:
		return X86_DB;
	}
	return -ENOENT;
}

/* An instruction that is not in the tables above. */
static void emulate_other(struct vcpu *vcpu, const struct insn *insn, const struct code *code,
			  const struct tdp_fault *fault)
{
	int vector = software_interrupt(insn);

	if (emulate_native(vcpu, insn, code->bytes, fault) || emulate_by_hand(vcpu, insn))
		return;
	if (vector >= 0)
		refuse_delivery(vcpu, (unsigned)vector, fault);
	else if (insn->has_memory || emulate_uses_stack(insn))
		refuse(vcpu, fault);
	else
		emulate_look_again(vcpu);
}

static void emulate_instruction(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	struct insn insn;
	struct code code;
	struct access access = { .vcpu = vcpu, .insn = &insn, .fault = fault };
	emulator *emulate;

	if (emulate_fetch_code(vcpu, &insn, &code))
		return;
	if (emulate_is_string(&insn)) {
		emulate_string(vcpu, &insn);
		return;
	}
	emulate = find(vcpu, &insn);
	if (!emulate || !insn.has_memory)
		emulate_other(vcpu, &insn, &code, fault);
	else if (!emulate(&access))
		emulate_advance(vcpu, insn.length);
}

void emulate_mmio(struct vcpu *vcpu, const struct tdp_fault *fault)
{
	if (vcpu->events.reinject.type != EVENT_NONE) {
		refuse_delivery(vcpu, vcpu->events.reinject.vector, fault);
		return;
	}
	watch_begin(vcpu);
	emulate_instruction(vcpu, fault);
	watch_end(vcpu);
}
