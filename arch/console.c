/* SPDX-License-Identifier: MIT */
/* The serial console and its option. */
#include "arch/console.h"

#include "arch/option.h"
#include "arch/uart.h"
#include "lib/errno.h"
#include "lib/log.h"

static const struct {
	const char *name;
	u16 port;
} ports[] = {
	{ "com1", 0x3f8 }, { "com2", 0x2f8 }, { "com3", 0x3e8 }, { "com4", 0x2e8 },
	{ "none", 0 },
};

static u16 console_port = 0x3f8;
static u32 console_baud = 115200;

static int parse_port(struct str_view name, u16 *port)
{
	u64 number;

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		if (str_view_equals(name, ports[i].name)) {
			*port = ports[i].port;
			return 0;
		}
	}
	if (parse_u64_view(name, &number) || number == 0 || number > 0xfff8)
		return -EINVAL;
	*port = (u16)number;
	return 0;
}

static int set_console(struct str_view value)
{
	struct str_view baud = { value.ptr, 0 };
	struct str_view name = value;
	u64 number = console_baud;
	u16 port;

	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] != ',')
			continue;
		name.len = i;
		baud = (struct str_view) { value.ptr + i + 1, value.len - i - 1 };
		if (parse_u64_view(baud, &number))
			return -EINVAL;
		break;
	}
	if (parse_port(name, &port) || number == 0 || number > 115200 || 115200 % number)
		return -EINVAL;
	console_port = port;
	console_baud = (u32)number;
	return 0;
}
DEFINE_OPTION(console, "console", "com1|com2|com3|com4|0xPORT|none[,BAUD]",
	      "serial port of the log and of the guests' consoles (default com1,115200)",
	      set_console);

static void write_uart(struct log_console *console, const char *text, size_t length)
{
	uart_write(text, length);
}

void console_init(void)
{
	static struct log_console serial = { .write = write_uart };
	static bool done;

	if (done)
		return;
	done = true;
	if (!console_port)
		return;
	if (uart_init(console_port, console_baud) == 0)
		log_add_console(&serial);
	else
		log_error("console: no serial port answers at 0x%x", console_port);
}
