/* SPDX-License-Identifier: MIT */
/* Lamina's own keys at the serial console: Ctrl-_, then one more. */
#pragma once

#include "lib/types.h"

enum monitor_action {
	MONITOR_PASS,		/* send the character to the guest */
	MONITOR_WAIT,		/* that was Ctrl-_: the next key decides */
	MONITOR_STATISTICS,
	MONITOR_TRACE,
	MONITOR_STOP,
	MONITOR_HELP,
};

/* What to do with the next character. `*escaped`: the one before was Ctrl-_; kept between calls. */
enum monitor_action monitor_decide(bool *escaped, char c);

struct monitor_key {
	char key;
	enum monitor_action action;
	const char *help;
};

/* The keys that may follow Ctrl-_; an entry with key 0 ends the list. */
extern const struct monitor_key monitor_keys[];
