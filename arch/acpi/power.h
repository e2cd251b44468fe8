/* SPDX-License-Identifier: MIT */
/* Called by arch/acpi/acpi.c. */
#pragma once

/* Read the FADT, map its reset register, and find the sleep type of S5 in the DSDT or an SSDT. */
void acpi_power_init(void);
