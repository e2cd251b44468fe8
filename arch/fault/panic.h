/* SPDX-License-Identifier: MIT */
/*
 * How Lamina stops where it cannot go on. Everything may call this, so it includes nothing of what may:
 * what it needs from above comes by hooks.
 */
#pragma once

#include "lib/types.h"

/*
 * A defect of Lamina or of the machine: print the text, the stack and its callers, the VMs' trace,
 * and stop as onfail= says. Any context. Prints "Lamina: stopped: ..." as its last line.
 */
void panic(const char *format, ...) __printf(1, 2) __noreturn;

/* Lamina cannot go on and says why; not a defect, no registers. Last line "Lamina: stopped: ...". */
void stop(const char *format, ...) __printf(1, 2) __noreturn;

/* For a panic with a report of its own: open the log; log `why`, the report, then stop. Any context. */
void panic_begin(void);
void panic_end(const char *why) __noreturn;

/* Is another CPU reporting a crash? Then this one has to stop. Any context. */
bool panic_elsewhere(void);

/* A line that is always printed, whatever loglevel= says: the last one is what a reader looks for. */
void log_last_line(const char *format, ...) __printf(1, 2);

/*
 * What panic() and stop() have done for them, in this order. Constant, so that it is there from the
 * first instruction on; boot/ending.c defines it.
 */
struct panic_hooks {
	/* Make the log's way out work. `crash`: assume no state, neither the GS base nor the console's. */
	void (*begin)(bool crash);
	/* Print the stack and the callers of the function with this __builtin_frame_address(0). */
	void (*report_caller)(const u64 *frame);
	/* Print what the VMs did last. Takes no lock. */
	void (*report_vm)(void);
	/* End the loop of boots. True if there was one: the machine must not reboot. */
	bool (*end_loop)(void);
	/* As onfail= says. */
	void (*end)(bool in_loop) __noreturn;
	/* Where that fails, too. */
	void (*halt)(void) __noreturn;
};
extern const struct panic_hooks panic_hooks;

#define BUG_ON(condition)						\
	do {								\
		if (unlikely(condition))				\
			panic("%s:%d: %s", __FILE__, __LINE__, #condition); \
	} while (0)
