/* SPDX-License-Identifier: MIT */
/*
 * Power off, reset and the power management timer.
 * ACPI Specification, "Fixed ACPI Description Table (FADT)", "PM1 Control Registers", "Sleep Control and Status
 * Registers", "Reset Register".
 */
#pragma once

#include "lib/types.h"

/* Read the FADT, map those of its registers that are in memory, and find the sleep type of S5 in the DSDT or an SSDT. From acpi_init(). */
void acpi_power_init(void);

/* "Power Management Timer": 3,579,545 ticks a second, 24 bits. -ENODEV where there is none. */
int acpi_pm_timer_read(u32 *ticks);

/* Enter S5 (soft off). Returns only if that fails, after logging why. */
void acpi_poweroff(void);
/* Reset by the FADT's register; if that fails, by port 0xcf9, the keyboard controller, a triple fault. */
void machine_reset(void);
