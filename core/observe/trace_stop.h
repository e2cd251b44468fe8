/* SPDX-License-Identifier: MIT */
/*
 * The option trace.stop=: end a VM at the first record of the trace that matches, before it executes
 * another instruction.
 */
#pragma once

#include "core/vcpu.h"

/*
 * The table to run a VM by: `ops`, or where the option asks for it one that looks at what each exit
 * and each handler has written. Without the option neither pays anything.
 */
const struct vcpu_ops *trace_stop_ops(const struct vcpu_ops *ops);
