/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables as files of the firmware configuration device: the firmware puts them where it likes, and then corrects the
 * addresses and checksums in them, as a file of commands says. QEMU, "Linker/loader interface" (hw/acpi/bios-linker-loader.c).
 */
#pragma once

struct vm;
struct fw_cfg;

/* After acpi_tables_write(), before the VM runs. -ENOMEM, -ENOSPC. */
int table_loader_offer(struct vm *vm, struct fw_cfg *fw_cfg);
