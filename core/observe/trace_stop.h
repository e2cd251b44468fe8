/* SPDX-License-Identifier: MIT */
/*
 * The option trace.stop=: end a VM at the first record of the trace that matches, before it executes
 * another instruction.
 */
#pragma once

#include "core/vcpu.h"

/*
 * The operations to run a VM with: `ops` or, with the option, a copy that looks at the records of each
 * exit and of its handler. Without the option this costs nothing.
 */
const struct vcpu_ops *trace_stop_ops(const struct vcpu_ops *ops);
