/* SPDX-License-Identifier: MIT */
/*
 * Emulation of instructions that exit, where the hardware does not report what they do. All functions:
 * interrupts off, on the CPU where the vCPU is loaded.
 */
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
	bool watched;		/* the guest has enabled breakpoints: DR7_ENABLED */
	const char *what;	/* "EPT violation", "nested page fault" */
};

/* Handle the exit of an access that the second-level page tables do not map: MMIO, or the VM ends. */
void exit_tdp_fault(struct vcpu *vcpu, const struct tdp_fault *fault);
/* The guest's code or its page tables are where there is a device: the VM ends. */
void exit_code_in_device(struct vcpu *vcpu, const struct tdp_fault *fault);

/*
 * Fetch and decode the instruction at the guest's CS:RIP. 0, or -EFAULT: a fault was raised in the
 * guest, or the VM ended, and the caller has nothing left to do.
 */
int emulate_fetch(struct vcpu *vcpu, struct insn *insn);

/* Decode it without a trace in the guest. -EFAULT: its bytes are out of reach; -EINVAL: they are no instruction. */
int emulate_peek(struct vcpu *vcpu, struct insn *insn);
/* The bytes that were fetched, and their number: the instruction, and what follows it. */
struct code {
	u8 bytes[INSN_MAX_LENGTH];
	unsigned length;
};
int emulate_fetch_code(struct vcpu *vcpu, struct insn *insn, struct code *code);

/* The mode that the guest's code is decoded in. */
enum insn_mode emulate_mode(struct vcpu *vcpu);

/*
 * The instruction at RIP is not the one that exited: another CPU of the guest has changed the code since. Leave
 * RIP where it is, so that the processor executes what is there now. Bounded: the vCPU that comes here again
 * and again for the same RIP gets #UD.
 */
void emulate_look_again(struct vcpu *vcpu);

/*
 * Emulate the instruction that accessed MMIO, and step over it. A REP string instruction may stay at
 * RIP, to continue at the next entry: see emulate_string().
 */
void emulate_mmio(struct vcpu *vcpu, const struct tdp_fault *fault);

/* Fast path for a plain MOV. False: the slow path must emulate the access; nothing has changed. */
bool emulate_mmio_fast(struct vcpu *vcpu, const struct tdp_fault *fault);

/*
 * A control register access whose instruction the hardware does not report: decode it and call
 * exit_mov_to_cr(), exit_mov_from_cr(), exit_clts() or exit_lmsw(), or emulate SMSW.
 */
void exit_cr_decode(struct vcpu *vcpu);
void exit_cr_instruction(struct vcpu *vcpu, const struct insn *insn);	/* the same, decoded by the caller */

/* Emulate INS or OUTS; with REP as emulate_string() does. */
void emulate_string_io(struct vcpu *vcpu, const struct io_exit *io);

/* Is it a string instruction on memory: MOVS, CMPS, STOS, LODS or SCAS? */
bool emulate_is_string(const struct insn *insn);

/*
 * Emulate one of these. With a REP prefix it stops after 256 iterations, after a millisecond, when the vCPU
 * has a request pending, after one iteration with RFLAGS.TF, after one that hits a breakpoint, or when the VM has
 * ended: then RIP still points to the instruction, which continues from its registers when the guest is entered again.
 */
void emulate_string(struct vcpu *vcpu, const struct insn *insn);

/*
 * Complete an instruction of `length` bytes: advance RIP, truncated to 32 bits outside of 64-bit code,
 * clear RFLAGS.RF, and call vcpu_ops.instruction_done().
 */
void emulate_advance(struct vcpu *vcpu, unsigned length);

/*
 * The instruction is not emulated: raise #UD, as a processor that does not have it. Logs `why` and the bytes at RIP,
 * once for a page of code.
 */
void emulate_refuse(struct vcpu *vcpu, const char *why);
