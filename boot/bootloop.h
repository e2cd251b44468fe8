/* SPDX-License-Identifier: MIT */
/*
 * The option bootloop=N: boot, run the VMs, reset, N times over, to find what fails once in a hundred
 * boots. Each boot says which it is. One that fails, or resets by itself, ends the loop in words.
 *
 * The count is kept in the alarm time of the real-time clock, which needs no disk, survives a reset,
 * and, unlike other CMOS bytes, is no part of a firmware's checksum; UEFI firmwares let it be as long
 * as it is a time of day. It grows with each boot, so that no state left over makes an endless loop.
 */
#pragma once

#include "lib/types.h"

/* Count this boot, and say so. After the console is there; does nothing without the option. */
void bootloop_begin(void);
/* Stops if the last boot of the loop did not come to its end. */
void bootloop_check(void);
/* All VMs ended well: reset for the next boot. Returns after the last one, or if a key was pressed. */
void bootloop_next(void);
/* Lamina stops: the loop is over, as a line says. True if it was one: then onfail= must not reboot. */
bool bootloop_failed(void);
