/* SPDX-License-Identifier: MIT */
/* Where an instruction that exited ends, on processors that do not save the next RIP. */
#pragma once

#include "lib/types.h"
#include "svm/svm.h"

/*
 * 0: the instruction has to be decoded. Else it is the one that the exit code names, without a prefix.
 * Reads guest memory, and touches nothing else.
 */
u64 svm_unprefixed_next_rip(const struct vcpu_svm *svm);

/*
 * The general register of an unprefixed MOV to or from this control register (enum vcpu_reg), which has
 * exited. -ENOENT: it is another instruction, or has to be decoded.
 */
int svm_unprefixed_mov_cr(const struct vcpu_svm *svm, unsigned cr);

static inline u64 svm_next_rip(const struct vcpu_svm *svm)
{
	const struct vmcb_control *control = &svm->vmcb->control;

	if (likely(svm_features.nrip_save))
		return control->next_rip;
	return control->exit_code == VMEXIT_IOIO ? control->exit_info2 : svm_unprefixed_next_rip(svm);
}
