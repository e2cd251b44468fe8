/* SPDX-License-Identifier: MIT */
/*
 * The monitor: Lamina's own keys at the serial console, which follow Ctrl-_, and a command line. It runs in the
 * service thread, outside of any VM's loop. The command line is also at a serial port of its own, with
 * monitor=: one command per line, and one reply for each.
 */
#pragma once

#include "core/disks.h"
#include "core/load/config.h"
#include "lib/log.h"
#include "lib/textscreen.h"
#include "lib/types.h"

struct monitor_vm {
	char name[VM_NAME_SIZE];
	const char *state;	/* a word: "running", "paused", "ended" ... */
	u32 vcpus;
	u64 memory;		/* bytes */
	u64 uptime_s;
	bool has_result;
	u32 result;		/* the last one that its guest has reported, */
	char result_text[96];	/* as far as there is room */
};

struct monitor_cpu {
	u32 index, apic_id;
	char runs[48];		/* what, in words: "web/0", "idle", "parked" */
	u32 load;		/* percent */
};

struct monitor_mem {		/* bytes */
	u64 total;		/* RAM of the machine */
	u64 guests;		/* of that, in use by VMs */
	u64 disks;		/* of that, by overlays and disks in RAM */
	u64 pool, pool_used;	/* of Lamina itself */
};

#define MONITOR_NET_DROPS 8u	/* reasons, at most */

/* A port of a switch, and what it has counted since its VM started. */
struct monitor_net {
	const char *network;	/* the switch's name */
	const char *vm;
	u32 index;		/* among the VM's ports */
	u8 mac[6];
	bool trunk, up;		/* up: the guest's driver is ready */
	bool broken;		/* the device does nothing until the driver resets it */
	u32 queues;		/* that receive */
	u64 received_frames, received_bytes, sent_frames, sent_bytes;
	struct {
		const char *reason;	/* a word; NULL ends the list */
		u64 count;
	} drops[MONITOR_NET_DROPS + 1];
};

/*
 * What the monitor can do. Called in the service thread. VMs and CPUs are counted from 0. Those that act return
 * 0 or an error: -EINVAL if it is not possible in the VM's state. Reports go to the log.
 */
struct monitor_ops {
	unsigned (*vm_count)(void);
	bool (*vm_info)(unsigned vm, struct monitor_vm *info);
	int (*start)(unsigned vm);
	int (*stop)(unsigned vm);
	int (*pause)(unsigned vm);
	int (*resume)(unsigned vm);
	int (*reset)(unsigned vm);
	unsigned (*cpu_count)(void);
	bool (*cpu_info)(unsigned cpu, struct monitor_cpu *info);
	void (*stats)(unsigned vm);
	void (*trace)(unsigned vm);
	void (*dump)(unsigned vm);
	void (*mem)(struct monitor_mem *info);
	int (*screen)(unsigned vm, struct textscreen *screen);
	bool (*disk_info)(unsigned vm, unsigned disk, struct disk_info *info);
	int (*disk_reset)(unsigned vm, unsigned disk);	/* as disks_reset() */
	/* Ports are counted over all VMs, with gaps: false, there is none with that number. */
	unsigned (*net_count)(void);
	bool (*net_info)(unsigned port, struct monitor_net *info);
};

/* --- core/monitor.c --- */

/* Before input is taken. `ops` must stay. */
void monitor_init(const struct monitor_ops *ops);

/*
 * A character typed at the console. false: it is for the VM in front. Wakes the service thread if there is
 * something to do. Interrupt handlers of the boot CPU.
 */
bool monitor_takes(char c);

/* In the service thread, after service_wake(): do what was typed. */
void monitor_run_pending(void);

/* Boot CPU, every few milliseconds while it returns true: the key Escape may be waiting. */
bool monitor_poll(void);

/* --- core/monitor_keys.c: pure --- */

enum monitor_action {
	MONITOR_PASS,		/* send the character to the guest */
	MONITOR_WAIT,		/* that was Ctrl-_: the next key decides */
	MONITOR_STATISTICS,
	MONITOR_TRACE,
	MONITOR_SCREEN,
	MONITOR_STOP,
	MONITOR_HELP,
	MONITOR_NEXT, MONITOR_PREVIOUS,
	MONITOR_NUMBER,		/* the digit says which VM */
	MONITOR_COMMAND,	/* open the command line */
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

/* --- core/monitor_command.c and the files beside it: pure but for ops, the consoles' choice and the log level --- */

#define MONITOR_REPLY_SIZE LOG_TEXT_SIZE	/* in JSON a reply is one line */

struct monitor_reply {
	char text[MONITOR_REPLY_SIZE];
	size_t length;
	bool cut;
};

/*
 * Execute a command line, and fill in the reply: lines, the last of which is "ok" or "error: words". With -j it is
 * one line with a JSON object that has a member "ok", and "error" if that is false. Returns false for `quit`.
 */
bool monitor_execute(const struct monitor_ops *ops, const char *line, struct monitor_reply *reply);

/* The lines of a VM's text screen, and where its cursor is, as the reply to `screen`, without the last line. -EINVAL. */
int monitor_screen(const struct monitor_ops *ops, unsigned vm, struct monitor_reply *reply);

/*
 * The candidates for the last word of the line, separated by blanks, are put in the reply. Returns their number;
 * `more` gets what can be appended in any case.
 */
unsigned monitor_complete(const struct monitor_ops *ops, const char *line, char *more, size_t size,
			  struct monitor_reply *reply);

/* --- core/monitor_port.c --- */

/* Open the port of monitor=. Logs which, or why not. After ioapic_init(). */
void monitor_port_init(void);
/* Move characters; returns true if a command waits for the service thread. The UART's interrupt, and every 10 ms. */
bool monitor_port_poll(void);
bool monitor_port_is_open(void);
/* In the service thread. */
void monitor_port_run(const struct monitor_ops *ops);
