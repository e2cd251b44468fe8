/* SPDX-License-Identifier: MIT */
/* The ways in which Lamina stops. */
#pragma once

#include "lib/types.h"

enum end_action { END_POWEROFF, END_REBOOT, END_HALT };

/* Chosen on the command line: onend= (default poweroff) and onfail= (default halt). */
extern enum end_action on_end, on_fail;

/*
 * A defect of Lamina or of the machine: print the text, the stack and its callers, the VMs' trace,
 * and stop by on_fail. Any context. Prints "Lamina: stopped: ..." as its last line.
 */
void panic(const char *format, ...) __printf(1, 2) __noreturn;

/* Lamina cannot go on and says why; not a defect, no registers. Last line "Lamina: stopped: ...". */
void stop(const char *format, ...) __printf(1, 2) __noreturn;

/* All VMs ended: "Lamina: all VMs ended, powering off" (or rebooting, halted), then do it. */
void finish(void) __noreturn;

/* Set by boot: prints what the VMs did last. Takes no lock. */
extern void (*panic_report_vm)(void);

/* As panic(), for an exception that nobody expects: prints the registers, too. */
struct trap_frame;
void panic_trap(const struct trap_frame *frame) __noreturn;

#define BUG_ON(condition)						\
	do {								\
		if (unlikely(condition))				\
			panic("%s:%d: %s", __FILE__, __LINE__, #condition); \
	} while (0)
