/* SPDX-License-Identifier: MIT */
/*
 * Power off, reset and the power management timer.
 * ACPI Specification, "Fixed ACPI Description Table (FADT)", "PM1 Control Registers".
 */
#pragma once

#include "lib/types.h"

/* Read the FADT, and the sleep type of S5 from the DSDT. From acpi_init(). */
void acpi_power_init(void);

/* "Power Management Timer": 3,579,545 ticks a second, 24 bits. -ENODEV where there is none. */
int acpi_pm_timer_read(u32 *ticks);

/* Enter S5. Returns only if that did not work; then it has said why. */
void acpi_poweroff(void);
/* Reset by the FADT's register, port 0xcf9, the keyboard controller, a triple fault. */
void machine_reset(void);
