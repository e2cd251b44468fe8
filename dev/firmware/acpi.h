/* SPDX-License-Identifier: MIT */
/*
 * The guest's ACPI tables: RSDP, RSDT and XSDT, FADT, FACS, DSDT, MADT, from GUEST_RSDP_ADDRESS up
 * to 1 MiB.
 */
#pragma once

#include "lib/types.h"

struct vm;

struct aml;

#define ACPI_OEM_ID	  "LAMINA"
#define ACPI_OEM_TABLE_ID "LAMINAVM"
#define ACPI_CREATOR_ID	  "LMNA"

/* dev/firmware/acpi_dsdt.c: declare the devices of a machine with `processors` vCPUs in the DSDT. */
void acpi_declare_machine(struct aml *aml, u32 processors);

/* Write the ACPI tables into the guest's RAM. 0; -ENOSPC: no room, -EFAULT: no RAM there; both logged. */
int acpi_tables_write(struct vm *vm);
