/* SPDX-License-Identifier: MIT */
/*
 * Control register accesses whose instruction the hardware does not report.
 * Intel SDM, "MOV—Move to/from Control Registers", "CLTS", "LMSW", "SMSW".
 */
#include "arch/cpu/x86.h"
#include "core/emulate/emulate.h"
#include "core/emulate/operand.h"
#include "core/emulate/watch.h"
#include "core/exit.h"
#include "core/vcpu.h"

/* AMD APM vol. 3, "MOV CRn": LOCK MOV CR0 accesses CR8, for code that cannot use a REX prefix. */
static unsigned control_register(const struct insn *insn)
{
	return insn->lock && insn->modrm_reg == 0 ? 8 : insn->modrm_reg;
}

static void lmsw(struct vcpu *vcpu, const struct insn *insn)
{
	struct guest_span span;

	if (!insn->has_memory)
		exit_lmsw(vcpu, (u16)vcpu_reg_read(vcpu, insn->modrm_rm));
	else if (!operand_map_explicit(vcpu, insn, 2, 0, &span))
		exit_lmsw(vcpu, (u16)operand_read(vcpu, &span));
}

/* A register gets as much of CR0 as the operand size says, memory always 16 bits. */
static void smsw(struct vcpu *vcpu, const struct insn *insn)
{
	u64 cr0 = vcpu->ops->control_get(vcpu, CTL_CR0);
	struct guest_span span;

	if (insn->has_memory) {
		if (operand_map_explicit(vcpu, insn, 2, PF_WRITE, &span))
			return;
		operand_write(vcpu, &span, (u16)cr0);
	} else {
		operand_reg_write(vcpu, insn, insn->modrm_rm, insn->operand_size, cr0);
	}
	emulate_advance(vcpu, insn->length);
}

void exit_cr_instruction(struct vcpu *vcpu, const struct insn *insn)
{
	watch_begin(vcpu);
	if (insn->map == INSN_MAP_0F && insn->opcode == 0x22)
		exit_mov_to_cr(vcpu, control_register(insn), insn->modrm_rm);
	else if (insn->map == INSN_MAP_0F && insn->opcode == 0x20)
		exit_mov_from_cr(vcpu, control_register(insn), insn->modrm_rm);
	else if (insn->map == INSN_MAP_0F && insn->opcode == 0x06)
		exit_clts(vcpu);
	else if (insn->map == INSN_MAP_0F && insn->opcode == 0x01 && insn->digit == 6)
		lmsw(vcpu, insn);
	else if (insn->map == INSN_MAP_0F && insn->opcode == 0x01 && insn->digit == 4)
		smsw(vcpu, insn);
	else
		emulate_look_again(vcpu);
	watch_end(vcpu);
}

void exit_cr_decode(struct vcpu *vcpu)
{
	struct insn insn;

	if (!emulate_fetch(vcpu, &insn))
		exit_cr_instruction(vcpu, &insn);
}
