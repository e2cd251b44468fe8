/* SPDX-License-Identifier: MIT */
/*
 * QEMU's firmware configuration device, to be read only: how many CPUs and how much RAM there are, and the file etc/e820.
 * Small kernels and firmware that were written for QEMU look for it at its ports. No ACPI table announces it: systems
 * that ask there first, such as Linux, do not see it.
 *
 * QEMU, "QEMU Firmware Configuration (fw_cfg) Device".
 */
#pragma once

struct vm;

/* Claims its ports; RAM and vCPUs must exist. -ENOMEM, or as pio_register(). */
int fw_cfg_create(struct vm *vm);
