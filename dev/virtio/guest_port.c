/* SPDX-License-Identifier: MIT */
/* The port through which a guest reports results and asks for its own end: see guest_port.h. */
#include "dev/virtio/guest_port.h"

#include "core/irqchip.h"
#include "core/vm_log.h"
#include "core/vtimer.h"
#include "lib/string.h"

#define COMMANDS "log TEXT, result STATUS [TEXT], end [STATUS], reset, help"

static const char *const bad_status = "expected a status, a number from 0 to 4294967295";

static void put(struct guest_port *port, const char *text)
{
	while (*text)
		port->replies[port->head++ % GUEST_REPLIES] = *text++;
}

static void reply(struct guest_port *port, const char *error)
{
	put(port, error ? "error: " : "ok");
	put(port, error ? error : "");
	put(port, "\n");
}

/* --- commands: each returns NULL, or what is wrong with it --- */

struct guest_command {
	const char *name;
	const char *(*run)(struct guest_port *port, struct str_view rest);
};

/* The first word of `*rest`, which loses it and the blanks behind it. */
static struct str_view next_word(struct str_view *rest)
{
	struct str_view word = { rest->ptr, 0 };

	while (word.len < rest->len && rest->ptr[word.len] != ' ')
		word.len++;
	rest->ptr += word.len;
	rest->len -= word.len;
	while (rest->len && *rest->ptr == ' ') {
		rest->ptr++;
		rest->len--;
	}
	return word;
}

static bool parse_status(struct str_view word, u32 *status)
{
	u64 value;

	if (parse_u64_view(word, &value) || value > 0xffffffff)
		return false;
	*status = (u32)value;
	return true;
}

static u64 ticks_per_line(void)
{
	return vtimer_hz() / GUEST_LOG_RATE;
}

/* A line in Lamina's log takes a part of the allowance, which grows with time. */
static const char *allow_line(struct guest_port *port)
{
	u64 now = vtimer_now(), most = GUEST_LOG_BURST * ticks_per_line();

	port->allowance = MIN(port->allowance + MIN(now - port->counted, most), most);
	port->counted = now;
	if (port->allowance < ticks_per_line())
		return "too many lines for the log: wait a second";
	port->allowance -= ticks_per_line();
	return NULL;
}

static const char *run_log(struct guest_port *port, struct str_view rest)
{
	const char *error = rest.len ? allow_line(port) : "expected a text";

	if (!error)
		vm_info(port->vm, "guest: %s", rest.ptr);
	return error;
}

static const char *run_result(struct guest_port *port, struct str_view rest)
{
	const char *error;
	u32 status;

	if (!parse_status(next_word(&rest), &status))
		return bad_status;
	error = allow_line(port);
	if (error)
		return error;
	vm_lock(port->vm);
	vm_report_result(port->vm, status, rest.ptr);
	vm_unlock(port->vm);
	return NULL;
}

static const char *run_end(struct guest_port *port, struct str_view rest)
{
	struct str_view word = next_word(&rest);
	u32 status = 0;

	if (rest.len)
		return "expected a status and nothing else";
	if (word.len && !parse_status(word, &status))
		return bad_status;
	vm_end_debug_exit(port->vm, status);
	return NULL;
}

static const char *run_reset(struct guest_port *port, struct str_view rest)
{
	if (rest.len)
		return "expected nothing after reset";
	vm_end(port->vm, VM_END_RESET, "reset by the guest (lamina.monitor)");
	return NULL;
}

static const struct guest_command commands[] = {
	{ "log", run_log },
	{ "result", run_result },
	{ "end", run_end },
	{ "reset", run_reset },
};

/* The line is ended with a zero byte, which the rest of a view of it ends with, too. */
static void execute(struct guest_port *port)
{
	struct str_view rest = { port->line, port->length };
	struct str_view name = next_word(&rest);

	if (str_view_equals(name, "help")) {
		put(port, "ok: " COMMANDS "\n");
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (str_view_equals(name, commands[i].name)) {
			reply(port, commands[i].run(port, rest));
			return;
		}
	}
	reply(port, "there is no such command; help lists them");
}

/* --- lines --- */

static void begin_line(struct guest_port *port)
{
	port->length = 0;
	port->too_long = port->unprintable = false;
}

static void finish_line(struct guest_port *port)
{
	if (port->length && port->line[port->length - 1] == '\r')
		port->length--;
	port->line[port->length] = '\0';
	for (u32 i = 0; i < port->length; i++)
		port->unprintable |= port->line[i] < ' ' || port->line[i] > '~';
	if (port->too_long)
		reply(port, "the line has more than 200 characters");
	else if (port->unprintable)
		reply(port, "the line has characters that are not printable ASCII");
	else if (port->length)
		execute(port);
	else
		reply(port, NULL);
	begin_line(port);
}

bool guest_port_take(struct guest_port *port, char c)
{
	if (c == '\n') {
		finish_line(port);
		return true;
	}
	if (port->length < GUEST_LINE_SIZE - 1)
		port->line[port->length++] = c;
	else
		port->too_long = true;
	return false;
}

/* --- the port --- */

void guest_port_init(struct guest_port *port, struct vm *vm)
{
	*port = (struct guest_port){ .vm = vm, .counted = vtimer_now() };
	port->allowance = GUEST_LOG_BURST * ticks_per_line();
}

bool guest_port_close(struct guest_port *port)
{
	bool begun = port->length;

	begin_line(port);
	port->tail = port->head;
	return begun;
}

bool guest_port_ready(const struct guest_port *port)
{
	return port->head - port->tail <= GUEST_REPLIES - GUEST_REPLY_SIZE;
}

bool guest_port_has_reply(const struct guest_port *port)
{
	return port->head != port->tail;
}

u32 guest_port_read(struct guest_port *port, char *to, u32 size)
{
	u32 n = MIN(size, port->head - port->tail);

	for (u32 i = 0; i < n; i++)
		to[i] = port->replies[(port->tail + i) % GUEST_REPLIES];
	port->tail += n;
	return n;
}
