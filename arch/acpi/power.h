/* SPDX-License-Identifier: MIT */
/* Between arch/acpi/acpi.c and arch/acpi/power.c. */
#pragma once

/* Read the FADT, and the sleep type of S5 from the DSDT. */
void acpi_power_init(void);
