/* SPDX-License-Identifier: MIT */
/* The monitor's command line at a serial port of its own. */
#include "arch/apic/irq.h"
#include "arch/bootinfo/option.h"
#include "arch/console/choice.h"
#include "arch/console/console.h"
#include "core/monitor.h"
#include "lib/errno.h"
#include "lib/lineedit.h"
#include "lib/log.h"

static struct uart_config wanted;	/* space UART_NONE: no port */
static struct uart port;
static bool is_open;

/* Boot CPU. */
static struct line_editor editor;
static bool too_long, complete;		/* the line is to be executed */
static struct monitor_reply reply;
static size_t sent;			/* of the reply */

static int set_monitor(struct str_view value)
{
	struct console_choice choice;

	if (console_choice_parse(value, &choice) ||
	    (choice.kind != CONSOLE_NONE && (choice.kind != CONSOLE_UART || choice.uart.space != UART_PORTS)))
		return -EINVAL;
	wanted = choice.kind == CONSOLE_NONE ? (struct uart_config) { 0 } : choice.uart;
	return 0;
}
DEFINE_OPTION(monitor, "monitor", "none|com1|com2|com3|com4|0xPORT[,BAUD]",
	      "serial port of the monitor's command line: one command per line, help lists them (default none)",
	      set_monitor);

void monitor_port_init(void)
{
	int err;

	if (wanted.space == UART_NONE)
		return;
	err = console_uses(&wanted) ? -EBUSY : uart_open(&port, &wanted);
	if (err) {
		log_error("monitor: the port 0x%llx of monitor= cannot be used: %s", (ull)wanted.address,
			  err == -EBUSY ? "it is the console's" :
			  err == -ENODEV ? "no 16550 answers there" : "the clock does not give that speed");
		return;
	}
	is_open = true;
	log_info("monitor: command line at serial port 0x%llx, %u baud%s", (ull)wanted.address, wanted.baud,
		 uart_enable_interrupt(&port) ? ", polled" : "");
}

bool monitor_port_is_open(void)
{
	return is_open;
}

static void take(char c)
{
	size_t before = editor.length;

	switch (line_editor_type(&editor, c)) {
	case LINE_DONE:
		/* CR LF is one line end. */
		complete = editor.length || c == '\r' || too_long;
		break;
	case LINE_LEFT:
		line_editor_clear(&editor, false);
		break;
	default:
		too_long |= (u8)c >= ' ' && editor.length == before && before + 1 == LINE_SIZE;
		break;
	}
}

/* Not while a command is executed, for then the reply is being written. */
static void send(void)
{
	if (complete)
		return;
	sent += uart_put(&port, reply.text + sent, reply.length - sent);
}

bool monitor_port_poll(void)
{
	int c;

	if (!is_open)
		return false;
	do {
		uart_poll(&port);
		send();
		while (!complete && sent == reply.length && (c = uart_read_char(&port)) >= 0)
			take((char)c);
	} while (!complete && !uart_served(&port) && sent < reply.length);
	return complete;
}

void monitor_port_run(const struct monitor_ops *ops)
{
	static const char words[] = "error: the line is too long\n";

	while (complete) {
		if (too_long) {
			__builtin_memcpy(reply.text, words, sizeof(words));
			reply.length = sizeof(words) - 1;
		} else {
			monitor_execute(ops, editor.text, &reply);
		}
		line_editor_clear(&editor, false);
		sent = 0;
		complete = too_long = false;
		monitor_port_poll();
	}
}
