/* SPDX-License-Identifier: MIT */
/* Emulation of the instructions that exit and that the hardware does not explain. */
#pragma once

#include "core/exit.h"
#include "lib/insn.h"
#include "lib/types.h"

struct vcpu;

/*
 * Fetch and decode the instruction at the guest's CS:RIP. 0; -EFAULT: a fault was raised in the guest
 * (or the VM ended) and the caller just returns.
 */
int emulate_fetch(struct vcpu *vcpu, struct insn *insn);

/* Carry out one memory access to MMIO (or one bounded batch of a REP string) and step over it. */
void emulate_mmio(struct vcpu *vcpu, const struct nested_fault *fault);

/* INS and OUTS, with REP in bounded batches. */
void emulate_string_io(struct vcpu *vcpu, const struct io_exit *io);

/* RIP += length, wrapped to the code segment's width; clears the STI/MOV-SS shadow through skip semantics. */
void emulate_advance(struct vcpu *vcpu, unsigned length);
