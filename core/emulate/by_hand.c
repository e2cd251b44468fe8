/* SPDX-License-Identifier: MIT */
/*
 * Instructions on the stack, on segment registers and on descriptor tables, when their memory is not RAM.
 * Intel SDM, "Instruction Set Reference".
 */
#include "core/emulate/by_hand.h"

#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/emulate/operand.h"
#include "core/vcpu.h"
#include "lib/bits.h"
#include "lib/errno.h"

/* --- what they have in common --- */

/* Read the memory operand. -EFAULT: a fault was raised. */
static int load(struct vcpu *vcpu, const struct insn *insn, unsigned size, u64 *value)
{
	struct guest_span span;

	if (operand_map_explicit(vcpu, insn, size, 0, &span))
		return -EFAULT;
	*value = operand_read(vcpu, &span);
	return 0;
}

static void store(struct vcpu *vcpu, const struct insn *insn, unsigned size, u64 value)
{
	struct guest_span span;

	if (operand_map_explicit(vcpu, insn, size, PF_WRITE, &span))
		return;
	operand_write(vcpu, &span, value);
	emulate_advance(vcpu, insn->length);
}

static bool protected(struct vcpu *vcpu)
{
	return (vcpu->ops->control_get(vcpu, CTL_CR0) & CR0_PE) && !(vcpu_rflags(vcpu) & RFLAGS_VM);
}

static u16 selector_of(struct vcpu *vcpu, enum vcpu_segment index)
{
	struct segment segment;

	vcpu->ops->segment_get(vcpu, index, &segment);
	return segment.selector;
}

/* --- the stack --- */

static u64 stack_mask(struct vcpu *vcpu)
{
	struct segment ss;

	if (vcpu_code_64(vcpu))
		return ~0ull;
	vcpu->ops->segment_get(vcpu, SEG_SS, &ss);
	return ss.db ? size_mask(4) : size_mask(2);
}

static void move_stack(struct vcpu *vcpu, u64 base, s64 by)
{
	u64 mask = stack_mask(vcpu), rsp = vcpu_reg_read(vcpu, REG_RSP);

	vcpu_reg_write(vcpu, REG_RSP, (rsp & ~mask) | ((base + (u64)by) & mask));
}

static int map_stack(struct vcpu *vcpu, u64 offset, unsigned size, u32 access, struct guest_span *span)
{
	return operand_map(vcpu, SEG_SS, offset & stack_mask(vcpu), size, access, span);
}

/* Where the next PUSH of this size writes. */
static int map_push(struct vcpu *vcpu, unsigned size, struct guest_span *span)
{
	return map_stack(vcpu, vcpu_reg_read(vcpu, REG_RSP) - size, size, PF_WRITE, span);
}

static void finish_push(struct vcpu *vcpu, const struct guest_span *span, unsigned size, u64 value)
{
	operand_write(vcpu, span, value & size_mask(size));
	move_stack(vcpu, vcpu_reg_read(vcpu, REG_RSP), -(s64)size);
}

static void push(struct vcpu *vcpu, const struct insn *insn, u64 value)
{
	struct guest_span span;

	if (map_push(vcpu, insn->operand_size, &span))
		return;
	finish_push(vcpu, &span, insn->operand_size, value);
	emulate_advance(vcpu, insn->length);
}

static void push_memory(struct vcpu *vcpu, const struct insn *insn)
{
	struct guest_span from, to;

	if (operand_map_explicit(vcpu, insn, insn->operand_size, 0, &from) || map_push(vcpu, insn->operand_size, &to))
		return;
	finish_push(vcpu, &to, insn->operand_size, operand_read(vcpu, &from));
	emulate_advance(vcpu, insn->length);
}

static void pop_register(struct vcpu *vcpu, const struct insn *insn)
{
	u64 rsp = vcpu_reg_read(vcpu, REG_RSP);
	struct guest_span span;

	if (map_stack(vcpu, rsp, insn->operand_size, 0, &span))
		return;
	move_stack(vcpu, rsp, insn->operand_size);
	operand_reg_write(vcpu, insn, (insn->opcode & 7) | (insn->rex & REX_B ? 8 : 0), insn->operand_size,
			  operand_read(vcpu, &span));
	emulate_advance(vcpu, insn->length);
}

/* An address that is computed from RSP is computed after RSP has changed. */
static void pop_memory(struct vcpu *vcpu, const struct insn *insn)
{
	u64 rsp = vcpu_reg_read(vcpu, REG_RSP);
	struct guest_span from, to;

	if (map_stack(vcpu, rsp, insn->operand_size, 0, &from))
		return;
	move_stack(vcpu, rsp, insn->operand_size);
	if (operand_map_explicit(vcpu, insn, insn->operand_size, PF_WRITE, &to)) {
		vcpu_reg_write(vcpu, REG_RSP, rsp);
		return;
	}
	operand_write(vcpu, &to, operand_read(vcpu, &from));
	emulate_advance(vcpu, insn->length);
}

/* PUSHF pushes RF and VM as 0. SDM, "PUSHF/PUSHFD/PUSHFQ". In virtual-8086 mode it needs IOPL 3. */
static void push_flags(struct vcpu *vcpu, const struct insn *insn)
{
	u64 rflags = vcpu_rflags(vcpu);

	if ((rflags & RFLAGS_VM) && (rflags & RFLAGS_IOPL) != RFLAGS_IOPL)
		event_raise_error(vcpu, X86_GP, 0);
	else
		push(vcpu, insn, rflags & ~(RFLAGS_RF | RFLAGS_VM));
}

static void leave(struct vcpu *vcpu, const struct insn *insn)
{
	u64 rbp = vcpu_reg_read(vcpu, REG_RBP);
	struct guest_span span;

	if (map_stack(vcpu, rbp, insn->operand_size, 0, &span))
		return;
	operand_reg_write(vcpu, insn, REG_RBP, insn->operand_size, operand_read(vcpu, &span));
	move_stack(vcpu, rbp, insn->operand_size);
	emulate_advance(vcpu, insn->length);
}

/* --- near branches --- */

static bool can_jump(struct vcpu *vcpu, u64 target)
{
	struct segment cs;

	if (vcpu_code_64(vcpu))
		return gwalk_canonical(vcpu, target);
	vcpu->ops->segment_get(vcpu, SEG_CS, &cs);
	return target <= cs.limit;
}

/* The instruction is complete, and RIP is `target`. */
static void jump(struct vcpu *vcpu, u64 target)
{
	vcpu_reg_write(vcpu, REG_RIP, target);
	emulate_advance(vcpu, 0);
}

static void jump_to_memory(struct vcpu *vcpu, const struct insn *insn)
{
	u64 target;

	if (load(vcpu, insn, insn->operand_size, &target))
		return;
	if (can_jump(vcpu, target))
		jump(vcpu, target);
	else
		event_raise_error(vcpu, X86_GP, 0);
}

static void call(struct vcpu *vcpu, const struct insn *insn, u64 target)
{
	u64 next = vcpu_reg_read(vcpu, REG_RIP) + insn->length;
	struct guest_span span;

	if (!can_jump(vcpu, target)) {
		event_raise_error(vcpu, X86_GP, 0);
		return;
	}
	if (map_push(vcpu, insn->operand_size, &span))
		return;
	finish_push(vcpu, &span, insn->operand_size, next);
	jump(vcpu, target);
}

static void call_memory(struct vcpu *vcpu, const struct insn *insn)
{
	u64 target;

	if (!load(vcpu, insn, insn->operand_size, &target))
		call(vcpu, insn, target);
}

static void call_register(struct vcpu *vcpu, const struct insn *insn)
{
	call(vcpu, insn, operand_reg_read(vcpu, insn, insn->modrm_rm, insn->operand_size));
}

static void call_relative(struct vcpu *vcpu, const struct insn *insn)
{
	u64 target = vcpu_reg_read(vcpu, REG_RIP) + insn->length + (u64)insn->immediate;

	call(vcpu, insn, target & size_mask(insn->operand_size));
}

/* With C2, the immediate operand says how many bytes of arguments are to be removed, too. */
static void ret(struct vcpu *vcpu, const struct insn *insn)
{
	u64 rsp = vcpu_reg_read(vcpu, REG_RSP), target;
	struct guest_span span;

	if (map_stack(vcpu, rsp, insn->operand_size, 0, &span))
		return;
	target = operand_read(vcpu, &span);
	if (!can_jump(vcpu, target)) {
		event_raise_error(vcpu, X86_GP, 0);
		return;
	}
	move_stack(vcpu, rsp, (s64)insn->operand_size + (u16)insn->immediate);
	jump(vcpu, target);
}

/* --- segment registers --- */

/* Raise #GP for a selector that no descriptor table has. SDM, "Error Code". */
static void no_such_selector(struct vcpu *vcpu, u16 selector)
{
	event_raise_error(vcpu, X86_GP, selector & 0xfffc);
}

/*
 * -EFAULT: a fault was raised. Real and virtual-8086 mode take any value; SS takes no null selector but in 64-bit
 * mode.
 */
static int load_segment(struct vcpu *vcpu, enum vcpu_segment index, u16 selector)
{
	struct segment segment;
	bool null_fits = index != SEG_SS || (vcpu_code_64(vcpu) && vcpu_cpl(vcpu) != 3 &&
					     (selector & 3) == vcpu_cpl(vcpu));

	vcpu->ops->segment_get(vcpu, index, &segment);
	if (!protected(vcpu)) {
		segment.base = (u64)selector << 4;
	} else if ((selector & 0xfffc) == 0 && null_fits) {
		segment.unusable = true;
		if (index == SEG_SS)
			segment.dpl = (u8)vcpu_cpl(vcpu);
	} else {
		no_such_selector(vcpu, selector);
		return -EFAULT;
	}
	segment.selector = selector;
	vcpu->ops->segment_set(vcpu, index, &segment);
	return 0;
}

/* MOV to a segment register. CS, and numbers without a register, are #UD. */
static void mov_to_segment(struct vcpu *vcpu, const struct insn *insn)
{
	u64 selector;

	if (insn->digit == SEG_CS || insn->digit > SEG_GS)
		event_raise(vcpu, X86_UD);
	else if (!load(vcpu, insn, 2, &selector) && !load_segment(vcpu, insn->digit, (u16)selector))
		emulate_advance(vcpu, insn->length);
}

static void mov_from_segment(struct vcpu *vcpu, const struct insn *insn)
{
	if (insn->digit > SEG_GS)
		event_raise(vcpu, X86_UD);
	else
		store(vcpu, insn, 2, selector_of(vcpu, insn->digit));
}

/* LDS, LES, LSS, LFS, LGS: an offset, and a selector behind it. */
static void load_far_pointer(struct vcpu *vcpu, const struct insn *insn, enum vcpu_segment index)
{
	unsigned size = insn->operand_size;
	struct guest_span offset, selector;
	u64 address = operand_offset(vcpu, insn, 0), value;

	if (operand_map(vcpu, insn->segment, address, size, 0, &offset) ||
	    operand_map(vcpu, insn->segment, operand_offset(vcpu, insn, size), 2, 0, &selector))
		return;
	value = operand_read(vcpu, &offset);
	if (load_segment(vcpu, index, (u16)operand_read(vcpu, &selector)))
		return;
	operand_reg_write(vcpu, insn, insn->modrm_reg, size, value);
	emulate_advance(vcpu, insn->length);
}

static void far_branch(struct vcpu *vcpu, const struct insn *insn)
{
	struct guest_span span;

	if (!operand_map(vcpu, insn->segment, operand_offset(vcpu, insn, insn->operand_size), 2, 0, &span))
		no_such_selector(vcpu, (u16)operand_read(vcpu, &span));
}

/* --- system registers --- */

static void set_zf(struct vcpu *vcpu, bool zf)
{
	vcpu_reg_write(vcpu, REG_RFLAGS, (vcpu_rflags(vcpu) & ~(u64)RFLAGS_ZF) | (zf ? RFLAGS_ZF : 0));
}

/* With UMIP, SLDT, STR, SMSW, SGDT and SIDT are for CPL 0. */
static bool may_store_tables(struct vcpu *vcpu)
{
	if (!(vcpu->ops->control_get(vcpu, CTL_CR4) & CR4_UMIP) || vcpu_cpl(vcpu) == 0)
		return true;
	event_raise_error(vcpu, X86_GP, 0);
	return false;
}

static bool is_privileged(struct vcpu *vcpu)
{
	if (vcpu_cpl(vcpu) == 0)
		return true;
	event_raise_error(vcpu, X86_GP, 0);
	return false;
}

/* LLDT takes a null selector, LTR takes none. */
static void load_system_segment(struct vcpu *vcpu, const struct insn *insn)
{
	struct segment ldtr = { .unusable = true };
	u64 selector;

	if (!is_privileged(vcpu) || load(vcpu, insn, 2, &selector))
		return;
	if (insn->digit == 3 || selector & 0xfffc) {
		no_such_selector(vcpu, (u16)selector);
		return;
	}
	ldtr.selector = (u16)selector;
	vcpu->ops->segment_set(vcpu, SEG_LDTR, &ldtr);
	emulate_advance(vcpu, insn->length);
}

/* VERR, VERW, LAR, LSL: no descriptor is found. */
static void find_no_descriptor(struct vcpu *vcpu, const struct insn *insn)
{
	u64 selector;

	if (load(vcpu, insn, 2, &selector))
		return;
	set_zf(vcpu, false);
	emulate_advance(vcpu, insn->length);
}

static void group_6(struct vcpu *vcpu, const struct insn *insn)
{
	if (!protected(vcpu) || insn->digit > 5)
		event_raise(vcpu, X86_UD);
	else if (insn->digit > 3)
		find_no_descriptor(vcpu, insn);
	else if (insn->digit > 1)
		load_system_segment(vcpu, insn);
	else if (may_store_tables(vcpu))
		store(vcpu, insn, 2, selector_of(vcpu, insn->digit ? SEG_TR : SEG_LDTR));
}

/* The limit, and behind it the base: 8 bytes in 64-bit mode, else 4. */
static int map_table(struct vcpu *vcpu, const struct insn *insn, u32 access, struct guest_span *limit,
		     struct guest_span *base)
{
	return operand_map(vcpu, insn->segment, operand_offset(vcpu, insn, 0), 2, access, limit) ||
	       operand_map(vcpu, insn->segment, operand_offset(vcpu, insn, 2), vcpu_code_64(vcpu) ? 8 : 4, access,
			   base);
}

static void store_table(struct vcpu *vcpu, const struct insn *insn)
{
	struct descriptor_table table;
	struct guest_span limit, base;

	if (!may_store_tables(vcpu) || map_table(vcpu, insn, PF_WRITE, &limit, &base))
		return;
	vcpu->ops->table_get(vcpu, insn->digit == 1, &table);
	operand_write(vcpu, &limit, table.limit);
	operand_write(vcpu, &base, vcpu_code_64(vcpu) ? table.base : (u32)table.base);
	emulate_advance(vcpu, insn->length);
}

/* With 16-bit operands the base has 24 bits. */
static void load_table(struct vcpu *vcpu, const struct insn *insn)
{
	struct descriptor_table table;
	struct guest_span limit, base;

	if (!is_privileged(vcpu) || map_table(vcpu, insn, 0, &limit, &base))
		return;
	table.limit = (u16)operand_read(vcpu, &limit);
	table.base = operand_read(vcpu, &base);
	if (insn->operand_size == 2)
		table.base &= 0xffffff;
	if (vcpu_code_64(vcpu) && !gwalk_canonical(vcpu, table.base)) {
		event_raise_error(vcpu, X86_GP, 0);
		return;
	}
	vcpu->ops->table_set(vcpu, insn->digit == 3, &table);
	emulate_advance(vcpu, insn->length);
}

static void lmsw(struct vcpu *vcpu, const struct insn *insn)
{
	u64 value;

	if (!is_privileged(vcpu) || load(vcpu, insn, 2, &value))
		return;
	if (unlikely(vcpu->l2_runs) && vcpu->ops->nested_lmsw && vcpu->ops->nested_lmsw(vcpu, (u16)value, insn->length))
		return;
	if (control_write_cr0(vcpu, control_lmsw_value(vcpu->ops->control_get(vcpu, CTL_CR0), (u16)value)))
		event_raise_error(vcpu, X86_GP, 0);
	else
		emulate_advance(vcpu, insn->length);
}

static void group_7(struct vcpu *vcpu, const struct insn *insn)
{
	if (insn->digit < 2)
		store_table(vcpu, insn);
	else if (insn->digit < 4)
		load_table(vcpu, insn);
	else if (insn->digit == 6)
		lmsw(vcpu, insn);
	else if (insn->digit != 4)	/* INVLPG accesses no memory */
		event_raise(vcpu, X86_UD);
	else if (may_store_tables(vcpu))
		store(vcpu, insn, 2, (u16)vcpu->ops->control_get(vcpu, CTL_CR0));
}

/* --- the rest --- */

static void xlat(struct vcpu *vcpu, const struct insn *insn)
{
	u64 offset = (vcpu_reg_read(vcpu, REG_RBX) + (u8)vcpu_reg_read(vcpu, REG_RAX)) & size_mask(insn->address_size);
	struct guest_span span;

	if (operand_map(vcpu, insn->segment, offset, 1, 0, &span))
		return;
	operand_reg_write(vcpu, insn, REG_RAX, 1, operand_read(vcpu, &span));
	emulate_advance(vcpu, insn->length);
}

/* ARPL: the operand's RPL becomes at least the register's. */
static void arpl(struct vcpu *vcpu, const struct insn *insn)
{
	u64 rpl = vcpu_reg_read(vcpu, insn->modrm_reg) & 3, selector;
	struct guest_span span;

	if (!protected(vcpu)) {
		event_raise(vcpu, X86_UD);
		return;
	}
	if (operand_map_explicit(vcpu, insn, 2, PF_WRITE, &span))
		return;
	selector = operand_read(vcpu, &span);
	set_zf(vcpu, (selector & 3) < rpl);
	if ((selector & 3) < rpl)
		operand_write(vcpu, &span, (selector & ~3ull) | rpl);
	emulate_advance(vcpu, insn->length);
}

/* BOUND: two signed limits. */
static void bound(struct vcpu *vcpu, const struct insn *insn)
{
	unsigned size = insn->operand_size;
	s64 index = (s64)operand_sign_extend(operand_reg_read(vcpu, insn, insn->modrm_reg, size), size);
	struct guest_span lower, upper;

	if (operand_map(vcpu, insn->segment, operand_offset(vcpu, insn, 0), size, 0, &lower) ||
	    operand_map(vcpu, insn->segment, operand_offset(vcpu, insn, size), size, 0, &upper))
		return;
	if (index < (s64)operand_sign_extend(operand_read(vcpu, &lower), size) ||
	    index > (s64)operand_sign_extend(operand_read(vcpu, &upper), size))
		event_raise(vcpu, X86_BR);
	else
		emulate_advance(vcpu, insn->length);
}

static void hint(struct vcpu *vcpu, const struct insn *insn)
{
	emulate_advance(vcpu, insn->length);
}

/* --- dispatch --- */

/* CLFLUSH, CLFLUSHOPT, CLWB; prefetches and hints, of which a processor takes those that it does not know for NOP. */
static bool is_hint(const struct insn *insn)
{
	if (insn->opcode == 0xae)
		return insn->digit == 7 || (insn->digit == 6 && insn->operand_size_prefix);
	return insn->opcode == 0x0d || (insn->opcode >= 0x18 && insn->opcode <= 0x1f);
}

static bool memory_0f(struct vcpu *vcpu, const struct insn *insn)
{
	if (is_hint(insn))
		hint(vcpu, insn);
	else if (insn->opcode == 0x00)
		group_6(vcpu, insn);
	else if (insn->opcode == 0x01)
		group_7(vcpu, insn);
	else if ((insn->opcode == 0x02 || insn->opcode == 0x03) && protected(vcpu))
		find_no_descriptor(vcpu, insn);
	else if (insn->opcode == 0xb2)
		load_far_pointer(vcpu, insn, SEG_SS);
	else if (insn->opcode == 0xb4 || insn->opcode == 0xb5)
		load_far_pointer(vcpu, insn, insn->opcode == 0xb4 ? SEG_FS : SEG_GS);
	else
		return false;
	return true;
}

static bool group_5(struct vcpu *vcpu, const struct insn *insn)
{
	static void (*const operations[8])(struct vcpu *vcpu, const struct insn *insn) = {
		[2] = call_memory, [3] = far_branch, [4] = jump_to_memory, [5] = far_branch, [6] = push_memory,
	};

	if (!operations[insn->digit])
		return false;
	operations[insn->digit](vcpu, insn);
	return true;
}

static bool memory_one(struct vcpu *vcpu, const struct insn *insn)
{
	switch (insn->opcode) {
	case 0x62:
		bound(vcpu, insn);
		return true;
	case 0x63:
		arpl(vcpu, insn);
		return true;
	case 0x8c:
		mov_from_segment(vcpu, insn);
		return true;
	case 0x8e:
		mov_to_segment(vcpu, insn);
		return true;
	case 0x8f:
		pop_memory(vcpu, insn);
		return true;
	case 0xc4: case 0xc5:
		load_far_pointer(vcpu, insn, insn->opcode == 0xc4 ? SEG_ES : SEG_DS);
		return true;
	case 0xff:
		return group_5(vcpu, insn);
	}
	return false;
}

/* PUSH of ES, CS, SS, DS, FS and GS; INSN_NO_REGISTER: another instruction. */
static u8 pushed_segment(const struct insn *insn)
{
	if (insn->map == INSN_MAP_0F && (insn->opcode == 0xa0 || insn->opcode == 0xa8))
		return insn->opcode == 0xa0 ? SEG_FS : SEG_GS;
	if (insn->map == INSN_MAP_ONE && (insn->opcode & ~0x18) == 0x06)
		return insn->opcode >> 3;
	return INSN_NO_REGISTER;
}

static bool on_stack(struct vcpu *vcpu, const struct insn *insn)
{
	u8 reg = (insn->opcode & 7) | (insn->rex & REX_B ? 8 : 0);

	if (pushed_segment(insn) != INSN_NO_REGISTER)
		push(vcpu, insn, selector_of(vcpu, pushed_segment(insn)));
	else if (insn->map != INSN_MAP_ONE)
		return false;
	else if ((insn->opcode & ~7) == 0x50)
		push(vcpu, insn, vcpu_reg_read(vcpu, reg));
	else if ((insn->opcode & ~7) == 0x58)
		pop_register(vcpu, insn);
	else if (insn->opcode == 0x68 || insn->opcode == 0x6a)
		push(vcpu, insn, (u64)insn->immediate);
	else if (insn->opcode == 0x9c)
		push_flags(vcpu, insn);
	else if (insn->opcode == 0xc2 || insn->opcode == 0xc3)
		ret(vcpu, insn);
	else if (insn->opcode == 0xc9)
		leave(vcpu, insn);
	else if (insn->opcode == 0xd7)
		xlat(vcpu, insn);
	else if (insn->opcode == 0xe8)
		call_relative(vcpu, insn);
	else if (insn->opcode == 0xff && insn->digit == 2)
		call_register(vcpu, insn);
	else
		return false;
	return true;
}

bool emulate_by_hand(struct vcpu *vcpu, const struct insn *insn)
{
	if (insn->vex)
		return false;
	if (!insn->has_memory)
		return on_stack(vcpu, insn);
	if (insn->map == INSN_MAP_ONE)
		return memory_one(vcpu, insn);
	return insn->map == INSN_MAP_0F && memory_0f(vcpu, insn);
}

/* POP to a segment register, PUSHA, POPA, far calls and returns, POPF, ENTER, INT and IRET. */
bool emulate_uses_stack(const struct insn *insn)
{
	u8 opcode = insn->opcode;

	if (insn->vex || insn->has_memory)
		return false;
	if (insn->map == INSN_MAP_0F)
		return opcode == 0xa1 || opcode == 0xa9;
	return insn->map == INSN_MAP_ONE &&
	       ((opcode & ~0x18) == 0x07 || opcode == 0x60 || opcode == 0x61 || opcode == 0x9a || opcode == 0x9d ||
		opcode == 0xc8 || (opcode >= 0xca && opcode <= 0xcf) || opcode == 0xf1);
}
