/* SPDX-License-Identifier: MIT */
/*
 * Where the log and the guests' consoles go: a serial port, named by console= or found by probing, and the
 * screen (arch/console/screen.h).
 *
 * console=auto takes the first port that answers of those in the BIOS data area, if there is a BIOS, of
 * COM1 to COM4, and of those on PCI. ACPI's SPCR table is read later: if it names another port, the console moves there and
 * the log is replayed.
 */
#pragma once

#include "arch/console/uart.h"

/* The serial port of the consoles: for its input. */
extern struct uart console_uart;

/* Open the consoles that work this early, and replay the log to them. Once: panic() calls it, too. */
void console_init(void);

/*
 * Around paging_init(): consoles in memory lose their mapping with the boot page tables and are mapped
 * again. Those above 4 GiB are opened by console_resume(). Nothing may be logged in between.
 */
void console_suspend(void);
void console_resume(void);

/* With console=auto: move to the port that ACPI's SPCR table names, if any. After acpi_init(). */
void console_follow_acpi(void);

/* Is this the console's port? */
bool console_uses(const struct uart_config *uart);
