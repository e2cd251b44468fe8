/* SPDX-License-Identifier: MIT */
/* Recognizes Lamina's own keys. Pure: core/monitor.c acts on them. */
#include "core/monitor.h"

#define ESCAPE_KEY 0x1f	/* Ctrl-_ */

const struct monitor_key monitor_keys[] = {
	{ 'n', MONITOR_NEXT, "n: show the next VM" },
	{ 'p', MONITOR_PREVIOUS, "p: show the VM before" },
	{ '1', MONITOR_NUMBER, "1..9: show the first, second ... VM" },
	{ 's', MONITOR_STATISTICS, "s: statistics of the VM's exits" },
	{ 't', MONITOR_TRACE, "t: the last entries and exits" },
	{ 'v', MONITOR_SCREEN, "v: the VM's VGA text screen" },
	{ 'q', MONITOR_STOP, "q: stop the VM" },
	{ ':', MONITOR_COMMAND, ":: command line" },
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
	if (c >= '1' && c <= '9')
		return MONITOR_NUMBER;
	for (const struct monitor_key *key = monitor_keys; key->key; key++) {
		if (key->key == c)
			return key->action;
	}
	return MONITOR_HELP;
}
