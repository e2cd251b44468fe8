/* SPDX-License-Identifier: MIT */
/*
 * QEMU's firmware configuration device, to be read only: how many CPUs and how much RAM there are, and files. Small kernels
 * and firmware that were written for QEMU look for it at its ports. No ACPI table announces it: systems that ask there
 * first, such as Linux, do not see it.
 *
 * QEMU, "QEMU Firmware Configuration (fw_cfg) Device".
 */
#pragma once

#include "lib/types.h"

struct vm;
struct fw_cfg;

/* With the files etc/e820 and etc/boot-cpus. Claims its ports; RAM and vCPUs must exist. NULL: no memory, or no room on the bus, which was logged. */
struct fw_cfg *fw_cfg_create(struct vm *vm);
/* Before the VM runs: add a file. The name is copied, the data stays the caller's for as long as the VM exists. -ENOSPC. */
int fw_cfg_add(struct fw_cfg *fw_cfg, const char *name, const void *data, u32 size);
