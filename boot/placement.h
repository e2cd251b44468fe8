/* SPDX-License-Identifier: MIT */
/* Which CPUs run guests, and which of them is the home of which vCPU. */
#pragma once

#include "lib/types.h"

struct percpu;
struct vm_config;

/* Does the host's user let this CPU run guests (the options cpus= and nosmt)? NULL, or why not, in words. */
const char *placement_leaves_out(const struct percpu *cpu);

/*
 * Choose the home CPU of each vCPU: those that the VM's cpus= names, in turn, or else the CPUs with the
 * fewest vCPUs, different ones within a VM while there are enough, cores before threads. -EINVAL: cpus=
 * names a CPU that runs no guests, or none is left with room; logged.
 */
int placement_choose(const struct vm_config *config, struct percpu **homes);
