/* SPDX-License-Identifier: MIT */
/* Clearing a VM's RAM before it runs. CPUs that have nothing else to do help. */
#pragma once

#include "lib/types.h"

struct vm;

/*
 * Zero all of it, as it may hold data of another VM or a boot module, and report how far it has got where that takes
 * seconds. The VM's space is the current one. In the service thread, which pauses on the way. One VM at a time.
 */
void guest_mem_clear(struct vm *vm);

/*
 * On a CPU that has no vCPU to run: clear a piece of what is to be cleared, which takes some ten microseconds. False:
 * there is none. Interrupts off. The current address space is that of the loaded vCPU, or Lamina's own, and is so again.
 */
bool guest_mem_clear_help(void);
