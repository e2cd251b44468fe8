/* SPDX-License-Identifier: MIT */
/*
 * The handlers of exits that both vendors share: vendor code decodes the hardware exit and calls one
 * of these. Each handler finishes the instruction: it steps over it, raises a fault, or ends the VM.
 */
#pragma once

#include "lib/types.h"

struct vcpu;

/*
 * The result of an unknown hypercall in RAX: as from KVM, whose CPUID leaves are offered.
 * Linux, Documentation/virt/kvm/x86/hypercalls.rst; KVM_ENOSYS.
 */
#define HYPERCALL_UNKNOWN ((u64)-1000)

void exit_cpuid(struct vcpu *vcpu);
void exit_io(struct vcpu *vcpu, u16 port, unsigned size, bool in);	/* IN, OUT; size 1, 2, 4 */
void exit_rdmsr(struct vcpu *vcpu);
void exit_wrmsr(struct vcpu *vcpu);
void exit_hlt(struct vcpu *vcpu);
void exit_xsetbv(struct vcpu *vcpu);
void exit_vmcall(struct vcpu *vcpu);		/* there are no hypercalls yet: each returns HYPERCALL_UNKNOWN */
void exit_invalid_opcode(struct vcpu *vcpu);	/* instructions that the guest's processor does not have */
void exit_wbinvd(struct vcpu *vcpu);		/* nothing to do: all guest memory is write-back */
void exit_rdtsc(struct vcpu *vcpu, bool rdtscp);
void exit_rdpmc(struct vcpu *vcpu);
void exit_triple_fault(struct vcpu *vcpu);

/* MOV to/from control registers, CLTS, LMSW. `reg` is an enum vcpu_reg, 0-15. */
void exit_mov_to_cr(struct vcpu *vcpu, unsigned cr, unsigned reg);
void exit_mov_from_cr(struct vcpu *vcpu, unsigned cr, unsigned reg);
void exit_clts(struct vcpu *vcpu);
void exit_lmsw(struct vcpu *vcpu, u16 value);

/* An exit that cannot be handled: log the reason, dump the state, end the VM. */
void exit_unexpected(struct vcpu *vcpu, const char *format, ...) __printf(2, 3);
