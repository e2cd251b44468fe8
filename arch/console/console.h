/* SPDX-License-Identifier: MIT */
/*
 * Where the log and the guests' consoles go: a serial port, which console= names or which is looked
 * for, and the screen (arch/console/screen.h).
 *
 * console=auto takes the first that answers of the ports in the BIOS data area, if there is a BIOS,
 * and of COM1 to COM4. That is early; ACPI's SPCR table is read later, and if it names another port, the
 * console moves there and the log is replayed.
 */
#pragma once

/* Open what works this early, once; the log so far is replayed to it. panic() calls it as well. */
void console_init(void);

/*
 * Around paging_init(): what is mapped by the boot page tables has to be mapped anew. What is in
 * memory above 4 GiB is opened by console_resume(). Nothing may be logged in between.
 */
void console_suspend(void);
void console_resume(void);

/* With console=auto: let ACPI's SPCR table have its word. After acpi_init(). */
void console_follow_acpi(void);
