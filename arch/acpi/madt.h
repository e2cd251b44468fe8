/* SPDX-License-Identifier: MIT */
/* Between arch/acpi/acpi.c and arch/acpi/madt.c. */
#pragma once

/* Fill acpi_madt from the table, if there is one. */
void madt_init(void);
