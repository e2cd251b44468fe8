/* SPDX-License-Identifier: MIT */
/*
 * The SMBIOS table: that this is Lamina's virtual machine, and its memory. DMTF DSP0134, "System Management BIOS Reference
 * Specification": entry points of 2.x and of 3.0, for the same structures. It lies behind the MP table, where guests look
 * for it: 0xf0000-0xfffff. There is no structure of type 4, since what it says of the processors CPUID says better.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct fw_cfg;

#define SMBIOS_ADDRESS 0xfc000ull
#define SMBIOS_END     0xfe000ull	/* the BIOS' code follows: core/load/bios.h */

/* Write it into the guest's RAM. -EFAULT: no RAM there; logged. */
int smbios_write(struct vm *vm);
/* For firmware, which places it and corrects the entry point: as files. -ENOMEM, -ENOSPC. */
int smbios_offer(struct vm *vm, struct fw_cfg *fw_cfg);
