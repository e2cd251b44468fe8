/* SPDX-License-Identifier: MIT */
/*
 * The guest's ACPI tables: RSDP, RSDT and XSDT, FADT, FACS, DSDT, MADT, from GUEST_RSDP_ADDRESS up
 * to 1 MiB. Written by acpi_tables_write() of dev/platform.h.
 */
#pragma once

#include "lib/types.h"

struct vm;

struct aml;

#define ACPI_OEM_ID	  "LAMINA"
#define ACPI_OEM_TABLE_ID "LAMINAVM"
#define ACPI_CREATOR_ID	  "LMNA"

/* dev/firmware/acpi_dsdt.c: what the DSDT declares, for a machine with so many processors. */
void acpi_declare_machine(struct aml *aml, u32 processors);

/* Write the ACPI tables into the guest's RAM. 0, -ENOMEM, -ENOSPC. */
int acpi_tables_write(struct vm *vm);
