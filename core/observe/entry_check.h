/* SPDX-License-Identifier: MIT */
/*
 * The option check=entries: before each entry, look for the rules of the manual that the state
 * breaks. A processor that enters such a state all the same, or refuses one that breaks no rule, is
 * reported immediately. It is also the only view of what a processor refused where it overwrites that.
 */
#pragma once

#include "core/vcpu.h"

/*
 * The table to run a VM by: the vendor's own, or where the option asks for it one whose vcpu_run()
 * checks first. Without the option an entry pays nothing.
 */
const struct vcpu_ops *entry_check_ops(const struct vcpu_ops *vendor);

/* How many entries were checked and what came of it; nothing without the option. */
void entry_check_print(const struct vcpu *vcpu);
