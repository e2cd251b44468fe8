/* SPDX-License-Identifier: MIT */
/*
 * The log: levelled lines, each with a prefix of seconds, CPU and VM, sent to every registered
 * console and kept in a memory ring that a console registered later replays.
 *
 * Any context may log: interrupts on or off, traps, panic. One lock orders the lines; a CPU that
 * crashes calls log_force_unlock() first, so that a report never waits for the lock it interrupted.
 */
#pragma once

#include <stdarg.h>

#include "lib/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/*
 * A device that shows log text. write() must be bounded in time, and an NMI may call it at any time,
 * even while it runs. Lines end with \n alone; write() adds what its device needs, such as \r.
 */
struct log_console {
	void (*write)(struct log_console *console, const char *text, size_t length);
	/*
	 * For buffered output, without waiting: returns how many characters were taken. Call log_poll() when
	 * the device has room again. NULL: write() is used, by log_poll() only.
	 */
	size_t (*put)(struct log_console *console, const char *text, size_t length);
	u64 sent;		/* the log's: characters of the ring that it has got */
	bool without_guests;	/* gets no output of guests, except in a replay */
	/* Set by write(), which must not log: a warning, printed once when the line is over. */
	const char *complaint;
	struct log_console *next;
};

/* Time and CPU for the prefix; NULL hooks print zeros. Set once, early in start-up. */
struct log_hooks {
	u64 (*now_us)(void);	/* microseconds since start */
	u32 (*cpu)(void);	/* index of the running CPU */
	/*
	 * Move at most `room` characters of the guests' waiting output to the log, by log_collected(), and
	 * return whether there were any. With `tag`: of that VM only, for a line about it comes next. Called
	 * with the log's lock held. May be NULL.
	 */
	bool (*collect)(const char *tag, size_t room);
	/* Text waits, and log_poll() is to be called within two milliseconds. Any context; takes no lock. May be NULL. */
	void (*wake)(void);
	/* log_make_room() waits: let others run meanwhile, where that is possible. May be NULL. */
	void (*pause)(void);
};

void log_set_hooks(const struct log_hooks *hooks);
/* Lines less important than this are dropped. LOG_INFO at first. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/*
 * The console stays owned by the caller and must never be freed. The memory ring is replayed to it,
 * after a line that says how many earlier lines the ring has lost, if any.
 */
void log_add_console(struct log_console *console);
/* The same replay, to a console that was added earlier and now writes to another device. */
void log_replay(struct log_console *console);

/*
 * Print one line. A newline is added. `tag` names the VM ("web"), or is NULL for Lamina itself:
 *   [    0.123456 cpu0] text
 *   [    0.123456 cpu0 web] text
 * Errors and warnings carry the word: "[...] error: text", "[...] warning: text".
 * A text with embedded newlines becomes several prefixed lines.
 */
void log_line(enum log_level level, const char *tag, const char *format, ...) __printf(3, 4);
void log_vline(enum log_level level, const char *tag, const char *format, va_list args);

#define log_error(...) log_line(LOG_ERROR, NULL, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, NULL, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, NULL, __VA_ARGS__)

/*
 * Pass guest console output through, unprefixed. A log line that follows an unfinished guest line
 * starts on a line of its own.
 */
void log_guest_output(const char *text, size_t length);

/* The same from within the collect hook, and whether the text so far ends in the middle of a line. */
void log_collected(const char *text, size_t length);
bool log_line_unfinished(void);

#define LOG_PROMPT_SIZE 160
/* With its final 0. After log_make_room() there is room for one line that long, and for the prompt. */
#define LOG_TEXT_SIZE	16384u
/* Text of Lamina's own without prefixes, such as a reply of the monitor: whole lines, at most LOG_TEXT_SIZE. */
void log_text(const char *text);

/*
 * Show a line that is being typed: log lines appear above it. Call again when it has changed; NULL ends it
 * with a line feed. Longer texts are ignored.
 */
void log_set_prompt(const char *text);

/* --- buffered output ---
 *
 * At first text is written to the consoles before the call returns. When output is buffered, no caller waits
 * for a device: text is put into the memory ring, and whoever gets the drain token sends a piece of it. The
 * rest follows by log_drain() and log_poll(). A line for which the ring has no room is dropped; one line
 * reports how many were.
 */

/* Off: sends everything that waits, first. */
void log_set_buffered(bool on);
/* Send what waits, as much as the devices take without waiting. Any context where no collect hook runs. */
void log_drain(void);
/* A guest's output waits for the collect hook, and is not sent right now: have log_poll() called. */
void log_expect_poll(void);
/*
 * The same, and the consoles without put(). On one CPU, after the wake hook was called, and every few
 * milliseconds while it returns true: text is waiting.
 */
bool log_poll(void);
/* For reports of many lines: wait until the ring is half empty, as long as the devices take something. */
void log_make_room(void);
/* Send all that waits, and wait for it: before the machine is switched off. */
void log_flush(void);

/* Release the lock, whichever CPU holds it, and end buffered output: for a CPU that crashes. */
void log_force_unlock(void);
