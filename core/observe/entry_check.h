/* SPDX-License-Identifier: MIT */
/*
 * The option check=entries: before each entry, look for rules of the manual that the state breaks.
 * Report it immediately if the processor enters such a state, or refuses one that breaks no rule. On a
 * processor that overwrites the state it refuses, this is the only way to see that state.
 */
#pragma once

#include "core/vcpu.h"

/*
 * The operations to run a VM with: the vendor's own or, with the option, a copy whose vcpu_run()
 * checks first. Without the option this costs an entry nothing.
 */
const struct vcpu_ops *entry_check_ops(const struct vcpu_ops *vendor);

/* Log how many entries were checked and how many alarms there were. Without the option, log nothing. */
void entry_check_print(const struct vcpu *vcpu);
