/* SPDX-License-Identifier: MIT */
/*
 * What a guest says to Lamina through the serial port "lamina.monitor" of its virtio-console (in Linux
 * /dev/virtio-ports/lamina.monitor): lines of text, each with one line for a reply, "ok" or "error: " and words.
 *
 *	log TEXT		a line in Lamina's log
 *	result STATUS [TEXT]	what the guest's work came to: logged, kept, and shown by the monitor's `vms`. 0 is good
 *	end [STATUS]		end the VM as port 0xf4 does; 0, the default, is a good end
 *	reset			reset the VM
 *	help			"ok: " and the commands
 *
 * A line has at most GUEST_LINE_SIZE - 1 characters, all of them printable ASCII; CR before LF is ignored. The number of
 * lines that a guest adds to Lamina's log is limited, and no command concerns another VM.
 *
 * A port, and not virtio-vsock: it needs no address family in the guest, no driver but the console's, and works from a
 * shell with echo and read.
 */
#pragma once

#include "lib/types.h"

struct vm;

#define GUEST_LINE_SIZE	 201u
#define GUEST_REPLY_SIZE 128u	/* of one reply, with its line end */
#define GUEST_REPLIES	 2048u	/* bytes of replies that wait; a power of two */
/* Lines that a guest has logged: so many may come together, and so many a second in the long run. */
#define GUEST_LOG_BURST	 50u
#define GUEST_LOG_RATE	 10u

/* Owned by the device whose port it is. */
struct guest_port {
	struct vm *vm;
	char line[GUEST_LINE_SIZE];
	u32 length;
	bool too_long, unprintable;	/* the line that is being received */
	char replies[GUEST_REPLIES];
	u32 head, tail;			/* bytes written, and read */
	u64 allowance;			/* log lines, in ticks of the TSC: at most GUEST_LOG_BURST seconds / GUEST_LOG_RATE */
	u64 counted;			/* when it was last updated */
};

void guest_port_init(struct guest_port *port, struct vm *vm);
/* Forget the line and the replies, as for another program that opens the port. Returns whether a line had begun. */
bool guest_port_close(struct guest_port *port);

/* May a character be written? Not while there is no room for a reply. */
bool guest_port_ready(const struct guest_port *port);
/* A character from the guest. Does what its line says when it ends it; without the VM lock. Returns whether it did. */
bool guest_port_take(struct guest_port *port, char c);

/* Replies: copy at most `size` bytes, and remove them. */
u32 guest_port_read(struct guest_port *port, char *to, u32 size);
bool guest_port_has_reply(const struct guest_port *port);
