/* SPDX-License-Identifier: MIT */
/* The choice of the serial port, and the option for it. */
#include "arch/console/console.h"

#include "arch/acpi/acpi.h"
#include "arch/bootinfo/bootinfo.h"
#include "arch/bootinfo/option.h"
#include "arch/console/choice.h"
#include "arch/console/screen.h"
#include "arch/console/uart_pci.h"
#include "arch/mem/mapping.h"
#include "arch/mem/paging.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/printf.h"

#define MOST_PCI_PORTS	 8u	/* that console=auto tries */
#define BDA_SERIAL_PORTS 0x400	/* four words: the ports of COM1 to COM4, or 0 */

struct uart console_uart;

static struct log_console serial;
static struct uart_config current;	/* space UART_NONE: no port is open */
static bool opened, suspended, postponed;

static struct console_choice wanted;

static int set_console(struct str_view value)
{
	struct console_choice choice;
	int err = console_choice_parse(value, &choice);

	if (!err)
		wanted = choice;
	return err;
}
DEFINE_OPTION(console, "console", CONSOLE_VALUES,
	      "serial port of the log and of the guests' consoles; auto takes what ACPI's SPCR or"
	      " the BIOS data area name, else the first of COM1 to COM4 and of PCI; keep leaves the speed"
	      " (default auto,115200; CLOCK 1843200 Hz; STRIDE 1 byte, else 2 or 4, mmio only)",
	      set_console);

/* Reports the first time that the port stalls, and the first time that it continues. */
static void report_stall(struct log_console *console)
{
	static char words[80];
	static enum { FINE, STALLED, RECOVERED } reported;

	if (reported == FINE && uart_stalled(&console_uart)) {
		console->complaint = "console: the serial port takes no more characters: going on without it";
		reported = STALLED;
	} else if (reported == STALLED && !uart_stalled(&console_uart)) {
		snprintf(words, sizeof(words), "console: the serial port goes on; %llu characters are lost",
			 (ull)uart_lost(&console_uart));
		console->complaint = words;
		reported = RECOVERED;
	}
}

static void write_uart(struct log_console *console, const char *text, size_t length)
{
	uart_write(&console_uart, text, length);
	report_stall(console);
}

static size_t put_uart(struct log_console *console, const char *text, size_t length)
{
	size_t taken = uart_put(&console_uart, text, length);

	report_stall(console);
	return taken;
}

static bool same_place(const struct uart_config *a, const struct uart_config *b)
{
	return a->space == b->space && a->address == b->address;
}

bool console_uses(const struct uart_config *uart)
{
	return current.space != UART_NONE && same_place(uart, &current);
}

/* "port 0x3f8, 115200 baud" */
static const char *describe(const struct uart_config *uart)
{
	static char words[80];
	char speed[32] = "speed as it was";

	if (uart->baud)
		snprintf(speed, sizeof(speed), "%u baud", uart->baud);
	snprintf(words, sizeof(words), "serial port %s0x%llx, %s",
		 uart->space == UART_MEMORY ? "in memory at " : "", (ull)uart->address, speed);
	return words;
}

/* 0, or an error with its reason in *why. -EAGAIN: possible only after paging_init(). */
static int open_uart(const struct uart_config *uart, const char **why)
{
	bool first = current.space == UART_NONE;
	int err;

	*why = "that is RAM";
	if (uart->space == UART_MEMORY && boot_info_has_ram(uart->address, PAGE_SIZE))
		return -EINVAL;
	err = uart_open(&console_uart, uart);
	*why = err == -ENODEV ? "no 16550 answers there" :
	       err == -EINVAL ? "the clock does not give that speed" : "it cannot be mapped";
	if (err == -ENOMEM && !paging_is_final())
		return -EAGAIN;
	if (err)
		return err;
	current = *uart;
	screen_serial_found(true);
	if (first)
		log_add_console(&serial);
	return 0;
}

/* --- console=auto --- */

static bool try(u16 port, const char *origin)
{
	struct uart_config uart = wanted.uart;
	const char *why;

	uart.space = UART_PORTS;
	uart.address = port;
	if (open_uart(&uart, &why))
		return false;
	log_info("console: %s: the first that answers %s", describe(&uart), origin);
	return true;
}

static bool try_bios_ports(void)
{
	const volatile u16 *ports;

	if (boot_info.uefi || boot_info.kexec)
		return false;
	ports = firmware_map(BDA_SERIAL_PORTS, 4 * sizeof(*ports));
	for (unsigned i = 0; ports && i < 4; i++) {
		u16 port = ports[i];

		if (port >= 0x100 && port % 8 == 0 && try(port, "of those in the BIOS data area"))
			return true;
	}
	return false;
}

static bool try_usual_ports(void)
{
	static const u16 usual[] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };

	for (unsigned i = 0; i < ARRAY_SIZE(usual); i++)
		if (try(usual[i], "of COM1 to COM4"))
			return true;
	return false;
}

/* Often a management engine's, with nobody behind it: the screen goes on showing all. */
static bool try_pci_ports(void)
{
	struct uart_config uart = wanted.uart;
	const char *why;

	for (unsigned n = 0; n < MOST_PCI_PORTS && uart_pci_find(n, &uart, &why) == 0; n++) {
		int err = open_uart(&uart, &why);

		postponed = err == -EAGAIN;
		if (postponed)
			return true;
		if (err)
			continue;
		screen_serial_found(false);
		log_info("console: %s: the first that answers on PCI", describe(&uart));
		return true;
	}
	return false;
}

static void choose(void)
{
	if (!try_bios_ports() && !try_usual_ports() && !try_pci_ports())
		log_warn("console: no serial port answers, of those in the BIOS data area, of COM1 to COM4, and on PCI");
}

/* --- what was asked for --- */

static int open_wanted(const char **why)
{
	struct uart_config uart = wanted.uart;
	int err;

	if (wanted.kind == CONSOLE_PCI) {
		err = wanted.located ? uart_pci_at(wanted.pci, &uart, why) :
				       uart_pci_find(wanted.number, &uart, why);
		if (err)
			return err;
	}
	err = open_uart(&uart, why);
	if (!err)
		log_info("console: %s, as console= says", describe(&uart));
	return err;
}

/* If the port of console= cannot be used, take another one: any console is better than none. */
static void open_or_choose(void)
{
	const char *why;
	int err = open_wanted(&why);

	postponed = err == -EAGAIN;
	if (!err || postponed)
		return;
	log_error("console: the port of console= cannot be used: %s: taking console=auto", why);
	wanted.kind = CONSOLE_AUTO;
	choose();
}

void console_init(void)
{
	if (opened)
		return;
	opened = true;
	serial.write = write_uart;
	serial.put = put_uart;
	if (!wanted.uart.clock)		/* no valid console= was given */
		console_choice_parse(str_view_of("auto"), &wanted);
	screen_serial_found(false);
	screen_init();
	if (wanted.kind == CONSOLE_AUTO)
		choose();
	else if (wanted.kind != CONSOLE_NONE)
		open_or_choose();
}

void console_suspend(void)
{
	suspended = true;
	uart_suspend(&console_uart);
	screen_suspend();
}

void console_resume(void)
{
	if (!suspended)
		return;
	suspended = false;
	if (uart_resume(&console_uart))
		current.space = UART_NONE;
	screen_resume();
	if (!postponed || !paging_is_final())
		return;
	postponed = false;
	if (wanted.kind == CONSOLE_AUTO)
		choose();
	else
		open_or_choose();
}

/* --- ACPI --- */

static void follow(struct uart_config *uart)
{
	const char *why;

	if (wanted.speed_given) {
		uart->baud = wanted.uart.baud;
		uart->clock = wanted.uart.clock;
	}
	if (same_place(uart, &current) && uart->baud == current.baud) {
		uart_set_irq(&console_uart, uart->irq);
		return;
	}
	log_info("console: %s: ACPI's SPCR table says so, going on there", describe(uart));
	if (open_uart(uart, &why)) {
		log_warn("console: %s: %s: staying", describe(uart), why);
		return;
	}
	log_replay(&serial);
}

void console_follow_acpi(void)
{
	const struct acpi_header *table;
	struct console_choice choice;
	const char *why;
	int err;

	if (wanted.kind != CONSOLE_AUTO)
		return;
	table = acpi_find("SPCR", 0);
	if (!table)
		return;
	err = console_choice_spcr(table, &choice, &why);
	if (!err && choice.kind == CONSOLE_PCI)
		err = uart_pci_at(choice.pci, &choice.uart, &why);
	if (err)
		log_line(err == -ENOENT ? LOG_INFO : LOG_WARN, NULL,
			 "console: ACPI's SPCR table %s: ignored", why);
	else
		follow(&choice.uart);
}
