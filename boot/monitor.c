/* SPDX-License-Identifier: MIT */
/* Recognizes Lamina's own keys. Pure: boot/keyboard.c acts on them. */
#include "boot/monitor.h"

#define ESCAPE_KEY 0x1f	/* Ctrl-_ */

const struct monitor_key monitor_keys[] = {
	{ 's', MONITOR_STATISTICS, "s: statistics of the VM's exits" },
	{ 't', MONITOR_TRACE, "t: the last entries and exits" },
	{ 'q', MONITOR_STOP, "q: stop the VM" },
	{ ESCAPE_KEY, MONITOR_PASS, "Ctrl-_: send Ctrl-_ to the guest" },
	{ '?', MONITOR_HELP, "?: this list" },
	{ 0 },
};

enum monitor_action monitor_decide(bool *escaped, char c)
{
	if (!*escaped) {
		*escaped = c == ESCAPE_KEY;
		return *escaped ? MONITOR_WAIT : MONITOR_PASS;
	}
	*escaped = false;
	for (const struct monitor_key *key = monitor_keys; key->key; key++) {
		if (key->key == c)
			return key->action;
	}
	return MONITOR_HELP;
}
