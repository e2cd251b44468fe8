/* SPDX-License-Identifier: MIT */
/* Emulation of the instructions that exit and that the hardware does not explain. */
#pragma once

#include "core/exit.h"
#include "lib/insn.h"
#include "lib/types.h"

struct vcpu;

/*
 * Fetch and decode the instruction at the guest's CS:RIP. 0; -EFAULT: a fault was raised in the
 * guest (or the VM ended) and the caller just returns.
 */
int emulate_fetch(struct vcpu *vcpu, struct insn *insn);

/* Carry out one memory access to MMIO (or one bounded batch of a REP string) and step over it. */
void emulate_mmio(struct vcpu *vcpu, const struct tdp_fault *fault);

/* The same for plain MOV, faster. False: it is another instruction, and nothing has been done. */
bool emulate_mmio_fast(struct vcpu *vcpu, const struct tdp_fault *fault);

/* INS and OUTS, with REP in bounded batches. */
void emulate_string_io(struct vcpu *vcpu, const struct io_exit *io);

/*
 * The instruction is done: RIP moves on by `length`, cut to 32 bits outside of 64-bit code. All
 * that a completed instruction brings about happens here (see also vcpu_ops.instruction_done).
 */
void emulate_advance(struct vcpu *vcpu, unsigned length);

/* End the VM with the reason and the instruction's bytes: it is none that is emulated here. */
void emulate_refuse(struct vcpu *vcpu, const char *why);

/* Without decode assists: decode the instruction, which is one of the above or SMSW. */
void exit_cr_decode(struct vcpu *vcpu);
