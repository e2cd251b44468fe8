/* SPDX-License-Identifier: MIT */
/*
 * The end of an instruction that exited, on processors that do not save the next RIP.
 * AMD APM vol. 2, "State Saved on Exit", "IOIO Intercepts".
 */
#pragma once

#include "lib/types.h"
#include "svm/svm.h"

/*
 * The RIP behind the instruction that exited, if it is the one that the exit code names, without a prefix;
 * 0: it has to be decoded. Reads guest memory and changes nothing.
 */
u64 svm_unprefixed_next_rip(const struct vcpu_svm *svm);

/*
 * The general register (enum vcpu_reg) of the MOV to or from this control register that exited, with no
 * prefix but REX. -ENOENT: it is another instruction, or has to be decoded.
 */
int svm_unprefixed_mov_cr(const struct vcpu_svm *svm, unsigned cr);

/* The RIP behind the instruction that exited; 0: it has to be decoded. IOIO exits report it in EXITINFO2. */
static inline u64 svm_next_rip(const struct vcpu_svm *svm)
{
	const struct vmcb_control *control = &svm->vmcb->control;

	if (likely(svm_features.nrip_save))
		return control->next_rip;
	return control->exit_code == VMEXIT_IOIO ? control->exit_info2 : svm_unprefixed_next_rip(svm);
}
