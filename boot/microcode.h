/* SPDX-License-Identifier: MIT */
/*
 * Loading microcode updates into the processors. Intel SDM, "Microcode Update Facilities"; AMD, "BIOS and Kernel
 * Developer's Guide", MSRC001_0020.
 */
#pragma once

#include "lib/types.h"

/*
 * Look in a file (lib/microcode.h) for an update that is newer than this CPU's microcode, and keep a copy of the
 * newest one so far. Logs what it finds; `name` is the file's. On the boot CPU.
 */
void microcode_offer(const void *file, u64 size, const char *name);
/*
 * Load the update that is kept into the running CPU, if it is for it and newer. True: the revision has changed,
 * and CPUID may have more features. Logs nothing, and takes no lock.
 */
bool microcode_load(void);
/* The revision of the update that is kept; 0: there is none. */
u32 microcode_offered(void);
