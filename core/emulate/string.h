/* SPDX-License-Identifier: MIT */
/* String instructions on memory: MOVS, CMPS, STOS, LODS, SCAS. */
#pragma once

#include "lib/insn.h"
#include "lib/types.h"

struct vcpu;

bool emulate_is_string(const struct insn *insn);

/*
 * Carry it out. A REP prefix is good for a bounded number of iterations: then the guest is entered
 * with RIP unchanged, and the instruction goes on from its registers.
 */
void emulate_string(struct vcpu *vcpu, const struct insn *insn);
