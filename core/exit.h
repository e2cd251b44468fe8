/* SPDX-License-Identifier: MIT */
/*
 * The handlers of exits that both vendors share: vendor code decodes the hardware exit and calls one
 * of these. Each handler finishes the instruction: it steps over it, raises a fault, or ends the VM.
 */
#pragma once

#include "lib/types.h"

struct vcpu;

void exit_cpuid(struct vcpu *vcpu);
void exit_io(struct vcpu *vcpu, u16 port, unsigned size, bool in);	/* IN, OUT; size 1, 2, 4 */
void exit_rdmsr(struct vcpu *vcpu);
void exit_wrmsr(struct vcpu *vcpu);
void exit_hlt(struct vcpu *vcpu);
void exit_xsetbv(struct vcpu *vcpu);
void exit_pause(struct vcpu *vcpu);		/* the guest spins: ask for another vCPU to run */
void exit_vmcall(struct vcpu *vcpu);		/* core/cpu/paravirt.c */
void exit_invalid_opcode(struct vcpu *vcpu);	/* instructions that the guest's processor does not have */
void exit_wbinvd(struct vcpu *vcpu);		/* nothing to do: all guest memory is write-back */
void exit_rdtsc(struct vcpu *vcpu, bool rdtscp);
void exit_rdpmc(struct vcpu *vcpu);
void exit_triple_fault(struct vcpu *vcpu);
/*
 * A floating-point error while the guest's CR0.NE is 0, at the next instruction that waits for such errors: a PC has
 * FERR# on IRQ 13. SDM, "MS-DOS Compatibility Sub-Mode". The instruction is executed again after the interrupt.
 */
void exit_fpu_error(struct vcpu *vcpu);

/* MOV to/from control registers, CLTS, LMSW. `reg` is an enum vcpu_reg, 0-15. */
void exit_mov_to_cr(struct vcpu *vcpu, unsigned cr, unsigned reg);
void exit_mov_from_cr(struct vcpu *vcpu, unsigned cr, unsigned reg);
void exit_clts(struct vcpu *vcpu);
void exit_lmsw(struct vcpu *vcpu, u16 value);

/* An exit that cannot be handled: log the reason, dump the state, end the VM. */
void exit_unexpected(struct vcpu *vcpu, const char *format, ...) __printf(2, 3);
