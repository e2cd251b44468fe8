/* SPDX-License-Identifier: MIT */
/*
 * Instructions that access memory which is not RAM and do more than compute: on the stack, on segment registers
 * and descriptor tables. Selectors that come from there are looked for in no descriptor table: those that are not null
 * raise what a selector behind the table's end raises.
 */
#pragma once

#include "core/emulate/emulate.h"

/*
 * False: the instruction is none of these, nothing has changed. Else it is done, or a fault was raised in the guest.
 */
bool emulate_by_hand(struct vcpu *vcpu, const struct insn *insn);

/* Is it one of those that use the stack, but have no memory operand, and that Lamina does not emulate? */
bool emulate_uses_stack(const struct insn *insn);
