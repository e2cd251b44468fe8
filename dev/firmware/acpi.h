/* SPDX-License-Identifier: MIT */
/*
 * The guest's ACPI tables: RSDP, RSDT and XSDT, FADT, FACS, DSDT, MADT, MCFG, from GUEST_RSDP_ADDRESS up
 * to MP_TABLE_ADDRESS. ACPI, "ACPI Software Programming Model".
 */
#pragma once

#include "lib/types.h"

struct vm;

struct aml;

#define ACPI_OEM_ID	  "LAMINA"
#define ACPI_OEM_TABLE_ID "LAMINAVM"
#define ACPI_CREATOR_ID	  "LMNA"

/* Write the DSDT's contents, behind its header: the devices of a machine with `processors` vCPUs, with a PCI bus or without. */
void acpi_declare_machine(struct aml *aml, u32 processors, bool pci);

/* Write the ACPI tables into the guest's RAM. 0; -ENOSPC: no room, -EFAULT: no RAM there; both logged. */
int acpi_tables_write(struct vm *vm);
