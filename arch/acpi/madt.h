/* SPDX-License-Identifier: MIT */
/* Called by arch/acpi/acpi.c. */
#pragma once

/* Fill acpi_madt from the table, if there is one. Malformed entries are left out with a warning. */
void madt_init(void);
