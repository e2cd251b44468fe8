/* SPDX-License-Identifier: MIT */
/* Keys for Lamina in what is typed at the console: Ctrl-_ and one more. */
#pragma once

#include "lib/types.h"

enum monitor_action {
	MONITOR_PASS,		/* the guest's */
	MONITOR_WAIT,		/* the first key of two */
	MONITOR_STATISTICS,
	MONITOR_TRACE,
	MONITOR_STOP,
	MONITOR_HELP,
};

/* What to do about the next character. Keeps the state of its one console in `*escaped`. */
enum monitor_action monitor_decide(bool *escaped, char c);

struct monitor_key {
	char key;
	enum monitor_action action;
	const char *help;
};

/* Each key that follows Ctrl-_, the last one with key 0. */
extern const struct monitor_key monitor_keys[];
