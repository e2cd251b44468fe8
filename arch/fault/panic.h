/* SPDX-License-Identifier: MIT */
/*
 * How Lamina stops when it cannot continue. Any code may call this, so this includes nothing from
 * higher layers: it calls them by hooks.
 */
#pragma once

#include "lib/types.h"

/*
 * A defect of Lamina or of the machine: print the text, the stack and its callers, the VMs' trace,
 * and stop as onfail= says. Any context. Prints "Lamina: stopped: ..." as its last line.
 */
void panic(const char *format, ...) __printf(1, 2) __noreturn;

/* Lamina cannot continue, for a reason that is no defect. Last line "Lamina: stopped: ..."; no registers. */
void stop(const char *format, ...) __printf(1, 2) __noreturn;

/* panic() in two halves, for a report of the caller's own between them. Any context; turns interrupts off. */
void panic_begin(void);
void panic_end(const char *why) __noreturn;

/* Is another CPU reporting a crash? Then this one has to stop. Any context. */
bool panic_elsewhere(void);

/* A line that is always printed, whatever loglevel= says: the last one is what a reader looks for. */
void log_last_line(const char *format, ...) __printf(1, 2);

/*
 * What panic() and stop() call in higher layers. Constant, so that they work from the first instruction
 * on; boot/ending.c defines it.
 */
struct panic_hooks {
	/* Make this_cpu() and the consoles work. `crash`: trust neither the GS base nor the consoles' state. */
	void (*begin)(bool crash);
	/* Print the stack and the callers of the function with this __builtin_frame_address(0). */
	void (*report_caller)(const u64 *frame);
	/* Print what each CPU does, this one at Lamina's `rip`: for an NMI's report, too. Takes no lock. */
	void (*report_places)(u64 rip);
	/* What this CPU runs, in words, for another one's report. In an NMI's handler. */
	void (*describe_guest)(char *words, size_t size);
	/* Print which VM was running, and its trace. Takes no lock. */
	void (*report_vm)(void);
	/* End the loop of bootloop=. True if there was one: then the machine must not reboot. */
	bool (*end_loop)(void);
	/* Power off, reboot or halt, as onfail= says. */
	void (*end)(bool in_loop) __noreturn;
	/* Halt: when even the report of a crash in a crash report crashes. */
	void (*halt)(void) __noreturn;
};
extern const struct panic_hooks panic_hooks;

#define BUG_ON(condition)						\
	do {								\
		if (unlikely(condition))				\
			panic("%s:%d: %s", __FILE__, __LINE__, #condition); \
	} while (0)
