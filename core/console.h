/* SPDX-License-Identifier: MIT */
/*
 * The consoles of all VMs share the consoles of the log. With one VM, its output appears as it is. With
 * several, that of the VM in front does, and lines of the others are shown whole, behind their VM's name:
 *
 *	web| text
 *
 * Control characters and escape sequences are left out of these. What a VM printed in the back is shown as it
 * is, as far as its ring still has it, when the VM comes to the front. What is typed goes to the VM in front.
 *
 * Lock order: VM lock, log, this file's own. Functions without a remark: boot CPU only, no lock held.
 */
#pragma once

#include "core/load/config.h"
#include "core/vm_console.h"
#include "lib/types.h"

struct vm;

#define CONSOLE_OUT_SIZE 16384u		/* both are powers of two */
#define CONSOLE_IN_SIZE	 1024u

/* One for each name of a VM, kept when the VM ends. */
struct vm_console {
	struct vm_console *next;	/* constant: in the order of their creation */
	char name[VM_NAME_SIZE];	/* constant */
	struct vm *vm;			/* boot CPU; NULL: the VM has ended. Atomic where another CPU looks */

	/* VM lock. */
	struct vm_console_end *ends;	/* the devices; NULL once the VM has ended */
	struct vm_console_end *input;	/* the one that gets what is typed; NULL: none */
	u64 out_head;			/* characters printed; atomic for readers without the VM lock */
	u32 in_tail;			/* characters that the guest has got; atomic, likewise */
	/* Atomic. */
	bool busy;			/* the guest waits for room */
	u64 out_sent;			/* written with the log's lock held: characters given to the log */
	/* Boot CPU; atomic for readers. */
	u32 in_head;			/* characters typed */
	/* The log's lock. */
	u64 back_from;			/* when it last left the front: characters sent before */
	/* Boot CPU. */
	bool returns;			/* it was in front when its VM ended to be started again */

	u8 in[CONSOLE_IN_SIZE];
	char *out;			/* CONSOLE_OUT_SIZE characters */
};

/* The log hook: see lib/log.h. */
bool console_collect(const char *tag, size_t room);

/* What the guest has printed and the log has not got, and the room for more. Any CPU. */
static inline u64 console_waiting(const struct vm_console *console)
{
	u64 sent = __atomic_load_n(&console->out_sent, __ATOMIC_ACQUIRE);

	return __atomic_load_n(&console->out_head, __ATOMIC_ACQUIRE) - sent;
}

static inline u64 console_room(const struct vm_console *console)
{
	u64 used = console_waiting(console);

	return used < CONSOLE_OUT_SIZE ? CONSOLE_OUT_SIZE - used : 0;
}

/*
 * Give the VM its console: the one that a VM of this name had before, or a new one. The first comes to the
 * front. Before the VM's devices are created. -ENOMEM: logged; its output then goes straight to the log.
 */
int console_attach(struct vm *vm);
/*
 * The VM's vCPUs have stopped. Wait a limited time until the console's device has taken what it printed, so that
 * the report about it comes after that.
 */
void console_drain(struct vm *vm);
/*
 * As console_drain(), and its devices will be destroyed. If it was in front, the next VM comes there;
 * `restarts`: until the VM is attached again.
 */
void console_detach(struct vm *vm, bool restarts);

/*
 * Send output that waits, and tell guests that wait for room. After the log's wake hook was called, by the
 * interrupt of the serial port, and every few milliseconds while it returns true.
 */
bool console_poll(void);

/* Type at the VM in front. Returns how many characters were taken; all, if there is no VM. */
size_t console_type(const char *text, size_t n);

/* Hold the guests' output back, in their rings, while the monitor's command line is open. */
void console_hold(bool on);

/* The name of the VM in front; "" if there never was one. */
const char *console_front(void);
/* Bring a VM to the front. -ENOENT: there is no console of this name, or number (from 1). */
int console_show(const char *name);
int console_show_number(unsigned number);
/* The next running VM, or the one before. */
void console_show_next(bool backwards);
