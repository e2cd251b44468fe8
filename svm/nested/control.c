/* SPDX-License-Identifier: MIT */
/* Writes of CR0 by L2. L0 has intercepts of its own there: svm/state.c. AMD APM vol. 2, "CR0 Read/Write Intercepts". */
#include "arch/cpu/x86.h"
#include "core/emulate/emulate.h"
#include "svm/nested/nested.h"

#define UNSELECTED (CR0_TS | CR0_MP)

/* Does the instruction change other bits than TS and MP? LMSW counts as if it did; CLTS changes TS. */
static bool is_selective_write(struct vcpu *vcpu, const struct insn *insn)
{
	u64 cr0 = svm_control_get(vcpu, CTL_CR0);

	if (insn->map != INSN_MAP_0F)
		return true;
	if (insn->opcode == 0x06)
		return false;
	return insn->opcode != 0x22 || ((vcpu_reg_read(vcpu, insn->modrm_rm) ^ cr0) & ~UNSELECTED);
}

/* The intercept of all writes comes before the selective one. *code: as L1 sees it. */
bool nsvm_intercepts_cr0_write(struct vcpu *vcpu, u64 *code)
{
	const struct svm_nested *nested = to_svm(vcpu)->nested;
	struct insn insn;
	bool selective = *code == VMEXIT_CR0_SEL_WRITE;

	*code = VMEXIT_CR_WRITE + 0;
	if (nsvm_intercepts(nested, VMEXIT_CR_WRITE + 0))
		return true;
	*code = VMEXIT_CR0_SEL_WRITE;
	return nsvm_intercepts(nested, VMEXIT_CR0_SEL_WRITE) &&
	       (selective || emulate_peek(vcpu, &insn) || is_selective_write(vcpu, &insn));
}

/* The exit code of an instruction that accesses a control register. */
static unsigned code_of(const struct insn *insn)
{
	unsigned cr = insn->lock && insn->modrm_reg == 0 ? 8 : insn->modrm_reg;

	switch (insn->opcode) {
	case 0x20:
		return VMEXIT_CR_READ + cr;
	case 0x22:
		return VMEXIT_CR_WRITE + cr;
	case 0x06:
		return VMEXIT_CR_WRITE + 0;
	default:
		return insn->digit == 4 ? VMEXIT_CR_READ + 0 : VMEXIT_CR_WRITE + 0;
	}
}

void nsvm_handle_cr(struct vcpu *vcpu)
{
	const struct svm_nested *nested = to_svm(vcpu)->nested;
	struct insn insn;
	unsigned code;

	if (emulate_fetch(vcpu, &insn))
		return;
	code = code_of(&insn) & 0x1f;
	if (nsvm_intercepts(nested, code) || (code == VMEXIT_CR_WRITE + 0 && is_selective_write(vcpu, &insn) &&
					      nsvm_intercepts(nested, VMEXIT_CR0_SEL_WRITE)))
		return;
	exit_cr_instruction(vcpu, &insn);
}
