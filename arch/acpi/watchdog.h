/* SPDX-License-Identifier: MIT */
/* Called by arch/acpi/acpi.c. */
#pragma once

/* Log a watchdog that ACPI's WDAT or WDRT describes and that runs: Lamina stops none, and it will reset the machine. */
void watchdog_init(void);
