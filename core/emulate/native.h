/* SPDX-License-Identifier: MIT */
/*
 * Instructions that access memory which is not RAM, executed by the processor itself on a copy of their operand: all
 * that core/emulate/native_rules.h lists. The copy is read before, in accesses of 1, 2, 4 and 8 bytes, and what
 * the instruction writes is written behind it.
 */
#pragma once

#include "core/emulate/emulate.h"

/*
 * False: the instruction is none of these, nothing has changed. Else it is done, or a fault was raised in the guest.
 * `bytes`: what `insn` was decoded from.
 */
bool emulate_native(struct vcpu *vcpu, const struct insn *insn, const u8 *bytes, const struct tdp_fault *fault);
