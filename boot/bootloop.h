/* SPDX-License-Identifier: MIT */
/*
 * The option bootloop=N: boot, run the VMs and reset, N times, to find faults that occur once in a
 * hundred boots. Each boot logs its number. A boot that fails, or resets unexpectedly, ends the loop
 * with a line that says so.
 *
 * The count is kept in the alarm time of the real-time clock. That needs no disk, survives a reset and,
 * unlike other CMOS bytes, is not covered by the firmware's checksum; UEFI firmware leaves it alone as
 * long as it is a valid time of day. The count only grows, so a stale state cannot loop forever.
 */
#pragma once

#include "lib/types.h"

/* Count this boot and log its number. After console_init(). Does nothing without bootloop=. */
void bootloop_begin(void);
/* stop()s if the previous boot of the loop did not complete. */
void bootloop_check(void);
/* All VMs ended well: reset for the next boot. Returns without a loop, after its last boot, or on a key. */
void bootloop_next(void);
/* Lamina stops: end the loop and log that. True if there was a loop: then onfail= must not reboot. */
bool bootloop_failed(void);
