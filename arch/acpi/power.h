/* SPDX-License-Identifier: MIT */
/* Called by arch/acpi/acpi.c. */
#pragma once

/* Read the FADT, and the sleep type of S5 from the DSDT. */
void acpi_power_init(void);
