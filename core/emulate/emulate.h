/* SPDX-License-Identifier: MIT */
/* Emulation of the instructions that exit and that the hardware does not explain. */
#pragma once

#include "lib/insn.h"
#include "lib/types.h"

struct vcpu;

struct io_exit {	/* of a string instruction */
	u16 port;
	u8 size;		/* 1, 2, 4 */
	bool in, rep;
};

enum tdp_access { TDP_READ, TDP_WRITE, TDP_FETCH };

struct tdp_fault {
	gpa_t gpa;
	enum tdp_access access;
	bool walk;		/* while walking the guest's page tables */
	const char *what;	/* "EPT violation", "nested page fault" */
};

/* Handle the exit of an access that the second-level page tables do not map: MMIO, or the VM ends. */
void exit_tdp_fault(struct vcpu *vcpu, const struct tdp_fault *fault);

/*
 * Fetch and decode the instruction at the guest's CS:RIP. 0; -EFAULT: a fault was raised in the
 * guest (or the VM ended) and the caller just returns.
 */
int emulate_fetch(struct vcpu *vcpu, struct insn *insn);

/* Carry out one memory access to MMIO (or one bounded batch of a REP string) and step over it. */
void emulate_mmio(struct vcpu *vcpu, const struct tdp_fault *fault);

/* Fast path for a plain MOV. False: it is some other access, and nothing has been done. */
bool emulate_mmio_fast(struct vcpu *vcpu, const struct tdp_fault *fault);

/*
 * An access to a control register where the hardware does not report the instruction: decode it and
 * call exit_mov_to_cr(), exit_mov_from_cr(), exit_clts() or exit_lmsw(), or carry out SMSW.
 */
void exit_cr_decode(struct vcpu *vcpu);

/* Handle the exit of INS or OUTS, with REP in bounded batches. */
void emulate_string_io(struct vcpu *vcpu, const struct io_exit *io);

/* String instructions on memory: MOVS, CMPS, STOS, LODS, SCAS. */
bool emulate_is_string(const struct insn *insn);

/*
 * Carry one out. A REP prefix runs for a bounded number of iterations: then the guest is entered with
 * RIP unchanged, and the instruction continues from its registers.
 */
void emulate_string(struct vcpu *vcpu, const struct insn *insn);

/*
 * The instruction is done: RIP moves on by `length`, cut to 32 bits outside of 64-bit code. All
 * that a completed instruction brings about happens here (see also vcpu_ops.instruction_done).
 */
void emulate_advance(struct vcpu *vcpu, unsigned length);

/* End the VM with the reason and the instruction's bytes: it is none that is emulated here. */
void emulate_refuse(struct vcpu *vcpu, const char *why);
