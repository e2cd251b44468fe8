/* SPDX-License-Identifier: MIT */
/*
 * The screen as a console: the boot loader's framebuffer, or a VGA text mode. The boot loader says which;
 * if it does not, it is the text mode that the BIOS data area describes, provided that the adapter's
 * memory can be written and read.
 */
#pragma once

#include "lib/types.h"

/* Find the screen, clear it, and replay the log to it, unless screen=off. Logs what it uses. */
void screen_init(void);

/* With screen=auto: show the guests' output, too, if no serial port was found that somebody surely reads. */
void screen_serial_found(bool found);

/* Around paging_init(): the mapping is lost with the boot page tables. In between, output is only stored. */
void screen_suspend(void);
void screen_resume(void);
