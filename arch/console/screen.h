/* SPDX-License-Identifier: MIT */
/*
 * The screen as a console: the boot loader's framebuffer, or the text mode of a VGA. Multiboot2's
 * framebuffer tag says which; without the tag it is the text mode that the BIOS data area tells of,
 * if the memory of such an adapter can be written and read.
 */
#pragma once

#include "lib/types.h"

/* Find the screen, clear it, and replay the log to it, unless screen=off. Says what it uses. */
void screen_init(void);

/* screen=auto: the guests' output is shown where no serial port carries it. */
void screen_serial_found(bool found);

/* Around the change of page tables, see mmio_map(): in between, what is written only is remembered. */
void screen_suspend(void);
void screen_resume(void);
