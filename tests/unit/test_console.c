/* SPDX-License-Identifier: MIT */
/*
 * Which serial port is chosen, by console=, the BIOS data area, ACPI's SPCR and PCI; and how much time a
 * dead or stuck port costs. This file fakes the 16550s and PCI functions.
 */
/* link: arch/console/choice.c arch/console/choice_spcr.c arch/console/uart.c arch/console/uart_pci.c arch/pci/pci.c */
/* link: lib/log.c lib/printf.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/console/console.c"

#include "arch/mem/mapping.h"
#include "arch/time/clock.h"
#include "arch/cpu/cpu.h"
#include "arch/apic/ioapic.h"
#include "arch/apic/irq.h"
#include "apart.h"
#include "hostile.h"

/* --- the machine --- */

enum { ANSWERS, STUCK, VANISHED };

static struct port {
	u16 base;
	int state;
	u8 line, scratch, fifo, divisor[2];
	u8 enabled, modem;		/* interrupts; modem control */
	bool slow;			/* takes 16 characters, and no more until drain() */
	unsigned in_fifo;
	const char *typed;		/* what is received; NULL: nothing */
	bool overrun;
	char said[1 << 18];
	size_t length;
} ports[4];

static struct function {
	u8 bus, device, function;
	u32 registers[16];
	u32 size[PCI_BARS];
} functions[3];

static u16 bda[4];
static u8 memory[64];		/* of a UART, at any address */
static u64 mapped;
static bool final, memory_is_ram;
static u64 now;
static const struct acpi_header *spcr_table;
static struct { bool found; } shown_serial;
static char seen[1 << 18];	/* by a console that is always there */

static struct port *port_at(u16 port)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		if (ports[i].base && port >= ports[i].base && port < ports[i].base + 8)
			return &ports[i];
	return NULL;
}

u8 inb(u16 at)
{
	struct port *p = port_at(at);

	if (!p || p->state == VANISHED)
		return 0xff;
	switch (at - p->base) {
	case 0: case 1:
		if (p->line & 0x80)
			return p->divisor[at - p->base];
		return at == p->base && p->typed && *p->typed ? (u8)*p->typed++ : 0;
	case 2:
		return p->fifo & 1 ? 0xc1 : 0x01;
	case 3:
		return p->line;
	case 5:
		return (p->state == STUCK || (p->slow && p->in_fifo) ? 0x00 : 0x60) |
		       (p->typed && *p->typed) | (p->overrun ? 0x02 : 0);
	case 7:
		return p->scratch;
	default:
		return 0;
	}
}

void outb(u16 at, u8 value)
{
	struct port *p = port_at(at);

	if (!p || p->state == VANISHED)
		return;
	switch (at - p->base) {
	case 0: case 1:
		if (p->line & 0x80)
			p->divisor[at - p->base] = value;
		else if (at == p->base && p->length + 1 < sizeof(p->said)) {
			p->said[p->length++] = (char)value;
			assert_true(!p->slow || p->in_fifo++ < 16);
		} else if (at == p->base + 1) {
			p->enabled = value;
		}
		break;
	case 4:
		p->modem = value;
		break;
	case 2:
		p->fifo = value;
		break;
	case 3:
		p->line = value;
		break;
	case 7:
		p->scratch = value;
	}
}

static u32 config_address;

static struct function *selected(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(functions); i++) {
		struct function *f = &functions[i];

		if (f->registers[0] && config_address >> 31 && (config_address >> 16 & 0xff) == f->bus &&
		    (config_address >> 11 & 31) == f->device && (config_address >> 8 & 7) == f->function)
			return f;
	}
	return NULL;
}

void outl(u16 port, u32 value)
{
	struct function *f = selected();
	unsigned reg = (config_address & 0xff) / 4;

	if (port == 0xcf8)
		config_address = value;
	else if (f && reg >= 4 && reg < 10)
		/* A base address keeps only the bits above its size, and its type. */
		f->registers[reg] = (value & ~(f->size[reg - 4] - 1)) | (f->registers[reg] & 0xf);
	else if (f && reg == 1)
		f->registers[1] = value & 0xffff;
}

u32 inl(u16 port)
{
	struct function *f = selected();
	unsigned reg = (config_address & 0xff) / 4;

	return !f ? 0xffffffff : reg < 16 && (reg < 4 || reg > 9 || f->size[reg - 4]) ?
	       f->registers[reg] : 0;
}

/* Each reading of the clock takes a microsecond. */
u64 clock_deadline_us(u64 us)
{
	return now + us;
}

bool clock_expired(u64 deadline)
{
	return ++now >= deadline;
}

bool paging_is_final(void)
{
	return final;
}

void *mmio_map(hpa_t pa, u64 size)
{
	mapped = pa;
	return pa < GIB(4) || final ? memory : NULL;
}

void *firmware_map(hpa_t pa, u64 size)
{
	assert_int_equal(pa, 0x400);
	return bda;
}

struct boot_info boot_info;

bool boot_info_has_ram(hpa_t pa, u64 size)
{
	return memory_is_ram;
}

const struct acpi_header *acpi_find(const char *signature, unsigned n)
{
	return spcr_table;
}

void irq_set_handler(u8 vector, irq_handler_t handler)
{
}

static u8 routed;		/* the ISA interrupt */
static u8 level_irq = 9;

int ioapic_route_isa(u8 irq, u8 vector)
{
	routed = irq;
	return 0;
}

bool ioapic_isa_is_level(u8 irq)
{
	return irq == level_irq;
}

void screen_init(void)
{
}

void screen_serial_found(bool found)
{
	shown_serial.found = found;
}

void screen_suspend(void)
{
}

void screen_resume(void)
{
}

static void see(struct log_console *console, const char *text, size_t length)
{
	strncat(seen, text, length);
}

static int begin(void **state)
{
	static struct log_console eye = { .write = see };

	log_add_console(&eye);
	log_info("first");
	return 0;
}

static struct port *add_port(unsigned i, u16 base)
{
	ports[i].base = base;
	ports[i].divisor[0] = 12;	/* 9600 baud */
	return &ports[i];
}

static unsigned divisor(const struct port *p)
{
	return p->divisor[0] | p->divisor[1] << 8;
}

static struct function *add_function(unsigned i, u8 bus, u8 device, u32 class)
{
	functions[i] = (struct function) { .bus = bus, .device = device };
	functions[i].registers[0] = 0x00021b36;
	functions[i].registers[2] = class << 8;
	return &functions[i];
}

static void add_bar(struct function *f, unsigned i, u32 value, u32 size)
{
	f->registers[4 + i] = value;
	f->size[i] = size;
}

static void option(const char *value)
{
	assert_int_equal(set_console(str_view_of(value)), 0);
}

#define assert_seen(words)     assert_non_null(strstr(seen, words))
#define assert_not_seen(words) assert_null(strstr(seen, words))
#define assert_said(p, words)  assert_non_null(strstr((p)->said, words))

/* --- console=auto --- */

static void test_auto_takes_what_the_bios_names(void **state)
{
	struct port *com1 = add_port(0, 0x3f8), *other = add_port(1, 0x3220);

	bda[0] = 0x2f8;		/* is not there */
	bda[1] = 0x3221;	/* is no port */
	bda[2] = 0x3220;
	console_init();
	assert_seen("serial port 0x3220, 115200 baud: the first that answers of those in the BIOS data area");
	assert_said(other, "first\r\n");
	assert_int_equal(com1->length, 0);
	assert_int_equal(divisor(other), 1);
	assert_int_equal(other->line, 3);
	assert_true(shown_serial.found);
}

/* Under UEFI the area may contain anything: the ports that it seems to name are not written to. */
static void test_auto_ignores_what_is_no_bios_data(void **state)
{
	struct port *com1 = add_port(0, 0x3f8), *other = add_port(1, 0x600);

	boot_info.uefi = true;
	bda[0] = 0x600;
	console_init();
	assert_said(com1, "first\r\n");
	assert_int_equal(other->scratch, 0);
	assert_int_equal(other->length, 0);
}

static void test_auto_without_a_bios(void **state)
{
	struct port *com4 = add_port(0, 0x2e8);

	console_init();
	assert_seen("serial port 0x2e8, 115200 baud: the first that answers of COM1 to COM4");
	assert_said(com4, "first\r\n");
}

static void test_no_port_at_all(void **state)
{
	console_init();
	assert_seen("warning: console: no serial port answers");
	assert_false(shown_serial.found);
	assert_true(now < 1000);	/* and there was no wait */
	assert_int_equal(uart_enable_interrupt(&console_uart), -ENODEV);
}

/* The last resort. The first one does not answer; and nobody may be behind the second. */
static void test_auto_on_pci(void **state)
{
	struct port *uart = add_port(0, 0xc100);

	add_bar(add_function(0, 0, 3, 0x070002), 0, 0xc001, 8);
	add_bar(add_function(1, 0, 4, 0x070002), 0, 0xc101, 8);
	console_init();
	assert_seen("serial port 0xc100, 115200 baud: the first that answers on PCI");
	assert_said(uart, "first\r\n");
	assert_not_seen("warning");
	assert_false(shown_serial.found);
}

static void test_auto_prefers_com1(void **state)
{
	struct port *com1 = add_port(0, 0x3f8), *uart = add_port(1, 0xc100);
	struct function *f = add_function(1, 0, 4, 0x070002);

	add_bar(f, 0, 0xc101, 8);
	console_init();
	assert_said(com1, "first\r\n");
	assert_int_equal(uart->scratch, 0);
	assert_int_equal(f->registers[1], 0);
}

/* In memory where only the final page tables reach. */
static void test_auto_on_pci_later(void **state)
{
	struct function *f = add_function(0, 0, 4, 0x070002);

	add_bar(f, 0, 0xfe000004, 0x1000);
	f->registers[5] = 1;		/* 64 bits wide */
	f->size[1] = 1;
	memory[5] = 0x60;
	console_init();
	assert_not_seen("console: ");
	console_suspend();
	final = true;
	console_resume();
	assert_seen("serial port in memory at 0x1fe000000, 115200 baud: the first that answers on PCI");
	assert_false(shown_serial.found);
}

/* --- console= --- */

static void test_a_named_port(void **state)
{
	struct port *com1 = add_port(0, 0x3f8), *com2 = add_port(1, 0x2f8);

	option("com2,19200");
	bda[0] = 0x3f8;
	console_init();
	assert_said(com2, "first\r\n");
	assert_int_equal(com1->length, 0);
	assert_int_equal(divisor(com2), 6);
	assert_seen("serial port 0x2f8, 19200 baud, as console= says");
}

static void test_keep(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	com1->line = 0x1a;	/* 7 data bits, even parity */
	option("0x3f8,keep");
	console_init();
	assert_int_equal(divisor(com1), 12);
	assert_int_equal(com1->line, 0x1a);
	assert_said(com1, "speed as it was");
}

/* An invalid divisor would mean hours per line: a stuck port must not cost that. */
static void test_keep_what_makes_no_sense(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	com1->divisor[0] = com1->divisor[1] = 0xff;
	com1->state = STUCK;
	option("0x3f8,keep");
	console_init();
	log_info("second");
	assert_int_equal(divisor(com1), 0xffff);
	assert_in_range(now, 0, 2000000);
}

static void test_another_clock(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	option("com1,115200/14745600");
	console_init();
	assert_int_equal(divisor(com1), 8);
}

static void test_none(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	option("none");
	console_init();
	console_follow_acpi();
	assert_int_equal(com1->length, 0);
}

static void test_a_named_port_that_is_not_there(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	option("com3");
	console_init();
	assert_said(com1, "error: console: the port of console= cannot be used: no 16550 answers there");
}

/* Registers four bytes apart, in memory that only the final page tables can map. */
static void test_memory(void **state)
{
	option("mmio,0x1fe000000,115200,4");
	memory[5 * 4] = 0x60;
	console_init();
	assert_not_seen("cannot be used");
	console_suspend();
	final = true;
	console_resume();
	assert_int_equal(mapped, 0x1fe000000);
	assert_seen("serial port in memory at 0x1fe000000, 115200 baud, as console= says");
	assert_int_equal(memory[0], '\n');	/* the last character */
	assert_int_equal(memory[3 * 4], 3);
	assert_int_equal(memory[1], 0);		/* between the registers */
}

static void test_memory_that_moves_with_the_page_tables(void **state)
{
	option("mmio,0xfe000000");
	memory[5] = 0x60;
	console_init();
	assert_int_equal(memory[0], '\n');
	console_suspend();
	memory[0] = 0;
	log_info("not now");
	assert_int_equal(memory[0], 0);
	final = true;
	console_resume();
	log_info("now");
	assert_int_equal(memory[0], '\n');
}

static void test_memory_that_is_ram(void **state)
{
	u8 before[sizeof(memory)];

	memset(memory, 0x60, sizeof(memory));
	memcpy(before, memory, sizeof(memory));
	memory_is_ram = true;
	option("mmio,0x200000");
	console_init();
	assert_seen("cannot be used: that is RAM");
	assert_memory_equal(memory, before, sizeof(memory));
}

static void test_pci(void **state)
{
	struct port *second = add_port(0, 0xc008);
	struct function *f = add_function(0, 0, 4, 0x070002);

	add_bar(f, 0, 0xc001, 16);	/* two UARTs */
	option("pci,1");
	console_init();
	assert_seen("serial port 0xc008, 115200 baud, as console= says");
	assert_said(second, "first\r\n");
	assert_int_equal(f->registers[1], PCI_COMMAND_IO);
	assert_int_equal(f->registers[4], 0xc001);
	assert_int_equal(uart_enable_interrupt(&console_uart), -EOPNOTSUPP);
}

static void test_pci_by_place_and_in_memory(void **state)
{
	struct function *f;

	/* A modem's class; a function without an address from the firmware; the wanted one. */
	add_bar(add_function(0, 0, 3, 0x070302), 0, 0xd001, 8);
	add_bar(add_function(1, 0, 4, 0x070002), 0, 0x0001, 8);
	f = add_function(2, 0x1a, 0x1f, 0x070002);
	add_bar(f, 2, 0xfe000004, 0x1000);
	f->registers[7] = 1;		/* 64 bits wide */
	f->size[3] = 1;
	memory[5] = 0x60;
	final = true;
	option("pci,1a:1f.0");
	console_init();
	assert_int_equal(mapped, 0x1fe000000);
	assert_seen("serial port in memory at 0x1fe000000");
	assert_int_equal(f->registers[1], PCI_COMMAND_MEMORY);
}

/* The same UART in I/O space and in memory, as on Intel's management engine, counts once. */
static void test_pci_counts_a_uart_once(void **state)
{
	struct function *f = add_function(0, 0, 22, 0x070002);
	struct uart_config uart = { 0 };
	const char *why;

	add_bar(f, 0, 0xf0a1, 8);
	add_bar(f, 1, 0xfe000000, 0x1000);
	add_bar(add_function(1, 2, 0, 0x070002), 0, 0xe001, 8);
	assert_int_equal(uart_pci_find(0, &uart, &why), 0);
	assert_int_equal(uart.address, 0xf0a0);
	assert_int_equal(uart_pci_find(1, &uart, &why), 0);
	assert_int_equal(uart.address, 0xe000);
	assert_int_equal(uart_pci_find(2, &uart, &why), -ENODEV);
}

static void test_pci_that_is_no_serial_port(void **state)
{
	add_bar(add_function(0, 0, 2, 0x020000), 0, 0xc001, 32);
	option("pci,00:02.0");
	console_init();
	assert_seen("cannot be used: names a PCI function that is no serial port");
	assert_int_equal(functions[0].registers[1], 0);
}

static void test_values_of_the_option(void **state)
{
	static const char *const good[] = {
		"auto", "auto,9600", "auto,keep", "none", "com1", "com4,300", "0x3f8", "0x3f8,115200",
		"pci", "pci,3", "pci,0,9600", "pci,ff:1f.7", "pci,0:0.0,keep", "mmio,0xfe000000",
		"com1,50", "mmio,0xfe000000,keep,2", "com1,1500000/24000000",
	};
	static const char *const bad[] = {
		"", ",", "com5", "com1,", "com1,0", "com1,1", "com1,49", "com1,115201/16", "com1,9600/", "com1,9600,4",
		"com1,100000", "0", "0xfff9", "mmio", "mmio,", "mmio,0", "mmio,0x10000000000000",
		"mmio,0xfe000000,9600,3", "mmio,0xfe000000,9600,8", "mmio,0xfe000000,9600,1,1",
		"pci,", "pci,64", "pci,115200", "pci,1:2", "pci,100:0.0", "pci,0:20.0", "pci,0:1f.8",
		"pci,:.", "pci,0:1.0x", "pci,g:0.0", "keep", "auto,auto", "com1,9600,1,1,1",
	};
	struct console_choice choice;

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
		if (console_choice_parse(str_view_of(good[i]), &choice))
			fail_msg("refused: %s", good[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		if (console_choice_parse(str_view_of(bad[i]), &choice) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
}

static void test_hostile_values(void **state)
{
	static const char alphabet[] = "0123456789abcfmoipxkeun,:./-";
	u64 random = 1;

	for (unsigned i = 0; i < 200000; i++) {
		char *text = malloc(24);
		size_t length = next_random(&random) % 24;
		struct console_choice choice;

		for (size_t c = 0; c < length; c++)
			text[c] = alphabet[next_random(&random) % (sizeof(alphabet) - 1)];
		if (!console_choice_parse((struct str_view) { text, length }, &choice))
			assert_true(!choice.uart.baud || uart_divisor(&choice.uart));
		free(text);
	}
}

/* --- ports that fail --- */

static void log_much(unsigned lines)
{
	for (unsigned i = 0; i < lines; i++)
		log_info("line %u of many that a port may take or not take", i);
}

/* A second, and the time of a few characters, whatever is logged; reported once, not in between. */
static void test_a_stuck_port(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);
	const char *told;

	com1->state = STUCK;
	console_init();
	log_much(2000);
	assert_in_range(now, 900000, 1100000);
	assert_int_equal(com1->length, 0);
	told = strstr(seen, "takes no more characters");
	assert_non_null(told);
	assert_null(strstr(told + 1, "takes no more characters"));
	uart_flush(&console_uart);
	assert_in_range(now, 900000, 1100000);
}

static void test_a_stuck_port_that_recovers(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	console_init();
	com1->state = STUCK;
	log_much(10);
	com1->state = ANSWERS;
	log_info("again");
	log_info("and again");
	assert_said(com1, "again\r\n");
	assert_said(com1, "the serial port goes on;");
	assert_said(com1, "and again\r\n");
	assert_int_equal(strstr(com1->said, "line 3"), NULL);
	/* The allowance grows again with characters that are sent, and not before. */
	now = 0;
	com1->state = STUCK;
	log_much(10);
	assert_true(now < 200000);
}

/* It reads all ones: ready for everything, with something received. */
static void test_a_port_that_vanishes(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	console_init();
	com1->state = VANISHED;
	log_much(2000);
	assert_seen("takes no more characters");
	assert_true(now < 1200000);
	uart_poll(&console_uart);
	assert_int_equal(uart_read_char(&console_uart), -1);
}

/* --- without waiting --- */

static struct port *slow_port(void)
{
	struct port *com1 = add_port(0, 0x3f8);

	option("com1");
	console_init();
	assert_int_equal(uart_enable_interrupt(&console_uart), 0);
	com1->length = 0;
	memset(com1->said, 0, sizeof(com1->said));
	now = 0;
	com1->slow = true;
	com1->in_fifo = 1;	/* it is still sending */
	console_uart.room = 0;
	return com1;
}

/* As much as the FIFO takes, and an interrupt for the rest; none when there is no rest. */
static void test_put_fills_the_fifo(void **state)
{
	struct port *com1 = slow_port();

	assert_int_equal(uart_put(&console_uart, "0123456789abcdefghij", 20), 0);
	assert_int_equal(com1->enabled, 0x03);
	com1->in_fifo = 0;
	assert_int_equal(uart_put(&console_uart, "0123456789abcdefghij", 20), 16);
	assert_int_equal(com1->enabled, 0x03);
	com1->in_fifo = 0;
	assert_int_equal(uart_put(&console_uart, "ghij", 4), 4);
	assert_int_equal(com1->enabled, 0x01);
	assert_string_equal(com1->said, "0123456789abcdefghij");
	/* The FIFO was seen empty: there is room for 12 more, whatever the status says now. */
	assert_int_equal(uart_put(&console_uart, "0123456789abcdef", 16), 12);
	assert_true(now < 10);
}

/* The FIFO may be full between a carriage return and its line feed. */
static void test_put_splits_a_line_end(void **state)
{
	struct port *com1 = slow_port();

	com1->in_fifo = 0;
	assert_int_equal(uart_put(&console_uart, "0123456789abcde\n", 16), 15);
	assert_string_equal(com1->said, "0123456789abcde\r");
	assert_int_equal(uart_put(&console_uart, "\n", 1), 0);
	com1->in_fifo = 0;
	assert_int_equal(uart_put(&console_uart, "\n\n", 2), 2);
	assert_string_equal(com1->said, "0123456789abcde\r\n\r\n");
	/* Also if the rest is written with waiting, as in a crash report. */
	assert_int_equal(uart_put(&console_uart, "012345678901\n", 13), 12);
	com1->slow = false;
	uart_write(&console_uart, "\nx\n", 3);
	assert_string_equal(com1->said + 19, "012345678901\r\nx\r\n");
}

/* It takes nothing for a second: from then on it is stalled, takes everything, and loses it. */
static void test_put_to_a_port_that_stalls(void **state)
{
	struct port *com1 = slow_port();

	com1->state = STUCK;
	while (!uart_put(&console_uart, "abc", 3))
		;
	assert_in_range(now, 1000000, 1010000);
	assert_true(uart_stalled(&console_uart));
	assert_int_equal(uart_lost(&console_uart), 3);
	assert_int_equal(uart_put(&console_uart, "abc", 3), 3);
	assert_int_equal(com1->length, 0);
	com1->state = ANSWERS;
	com1->in_fifo = 0;
	assert_int_equal(uart_put(&console_uart, "def", 3), 3);
	assert_string_equal(com1->said, "def");
	assert_false(uart_stalled(&console_uart));
	assert_int_equal(uart_lost(&console_uart), 6);
}

static void test_put_without_a_port(void **state)
{
	static struct uart none;

	assert_int_equal(uart_put(&none, "abc", 3), 3);
	assert_true(uart_served(&none));
	assert_int_equal(uart_read_char(&none), -1);
}

/* The ring is full: the rest stays in the port, and RTS is off until half of the ring is read. */
static void test_input_is_held_off(void **state)
{
	struct port *com1 = slow_port();
	static char text[3001];

	memset(text, 'x', 3000);
	com1->typed = text;
	for (unsigned i = 0; i < 100; i++)
		uart_poll(&console_uart);
	assert_int_equal(com1->typed - text, UART_RING);
	assert_int_equal(com1->modem, 0x09);
	for (unsigned i = 0; i < UART_RING / 2 - 1; i++)
		assert_int_equal(uart_read_char(&console_uart), 'x');
	assert_int_equal(com1->modem, 0x09);
	uart_read_char(&console_uart);
	assert_int_equal(com1->modem, 0x0b);
	assert_true(com1->typed - text > UART_RING);	/* no interrupt would fetch it */
	assert_int_equal(uart_overruns(&console_uart), 0);
	com1->overrun = true;
	uart_poll(&console_uart);
	com1->overrun = false;
	assert_true(uart_overruns(&console_uart) > 0);
}

/* --- ACPI --- */

static struct {
	u8 bytes[96];
} spcr;

static void put(unsigned at, u64 value, unsigned size)
{
	memcpy(&spcr.bytes[at], &value, size);
}

static void make_spcr(u8 space, u64 address, u8 baud)
{
	memset(&spcr, 0, sizeof(spcr));
	memcpy(spcr.bytes, "SPCR", 4);
	put(4, 80, 4);
	spcr.bytes[8] = 2;
	spcr.bytes[40] = space;
	spcr.bytes[41] = 8;
	spcr.bytes[43] = 1;
	put(44, address, 8);
	spcr.bytes[58] = baud;
	put(64, 0xffffffff, 4);
	spcr_table = (const struct acpi_header *)spcr.bytes;
}

static void test_spcr_moves_the_console(void **state)
{
	struct port *com1 = add_port(0, 0x3f8), *com2 = add_port(1, 0x2f8);

	make_spcr(1, 0x2f8, 3);
	console_init();
	console_follow_acpi();
	log_info("last");
	/* The old port gets the line that names the new one, the new one gets the whole log. */
	assert_said(com1, "serial port 0x2f8, 9600 baud: ACPI's SPCR table says so, going on there\r\n");
	assert_null(strstr(com1->said, "last"));
	assert_said(com2, "first\r\n");
	assert_said(com2, "going on there\r\n");
	assert_said(com2, "last\r\n");
	assert_int_equal(divisor(com2), 12);
}

/* "Interrupt Type", "IRQ", "Global System Interrupt": bit 0 for the 8259s, bit 1 for the I/O APIC. */
static void spcr_interrupt(u8 type, u8 irq, u32 gsi)
{
	put(52, type, 1);
	put(53, irq, 1);
	put(54, gsi, 4);
}

static void test_spcr_names_the_interrupt(void **state)
{
	static const struct {
		u8 type, irq;
		u32 gsi;
		u8 expected;	/* 0: polled */
	} cases[] = {
		{ 3, 5, 5, 5 }, { 2, 0, 10, 10 }, { 1, 11, 99, 11 }, { 0, 5, 5, 4 }, { 2, 5, 40, 4 }, { 3, 9, 9, 0 },
		{ 1, 200, 5, 4 }, { 8, 5, 5, 4 },
	};

	add_port(0, 0x3f8);
	add_port(1, 0x3e8);
	console_init();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_spcr(1, i % 2 ? 0x3e8 : 0x3f8, 7);	/* the port at hand, and another */
		spcr_interrupt(cases[i].type, cases[i].irq, cases[i].gsi);
		console_follow_acpi();
		make_spcr(1, i % 2 ? 0x3e8 : 0x3f8, 7);
		spcr_interrupt(cases[i].type, cases[i].irq, cases[i].gsi);
		console_follow_acpi();
		routed = 0;
		assert_int_equal(uart_enable_interrupt(&console_uart), cases[i].expected ? 0 : -EOPNOTSUPP);
		assert_int_equal(routed, cases[i].expected);
	}
}

static void test_the_interrupt_is_raised(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	option("com1");
	console_init();
	assert_int_equal(uart_irq(&console_uart), 4);
	assert_int_equal(uart_enable_interrupt(&console_uart), 0);
	assert_int_equal(com1->enabled, 0x01);
	uart_raise_interrupt(&console_uart);
	assert_int_equal(com1->enabled, 0x03);	/* the transmitter is empty */
	uart_put(&console_uart, "a", 1);
	assert_int_equal(com1->enabled, 0x01);
}

static void test_spcr_with_the_speed_as_it_was(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	make_spcr(1, 0x3f8, 0);
	com1->line = 0x1b;
	console_init();
	assert_int_equal(divisor(com1), 1);
	console_follow_acpi();
	assert_int_equal(divisor(com1), 12);
	assert_int_equal(com1->line, 0x1b);
	assert_said(com1, "speed as it was");
}

static void test_spcr_that_changes_nothing(void **state)
{
	add_port(0, 0x3f8);
	make_spcr(1, 0x3f8, 7);
	console_init();
	console_follow_acpi();
	assert_not_seen("SPCR");
}

static void test_the_user_knows_better_than_spcr(void **state)
{
	struct port *com1 = add_port(0, 0x3f8), *com2 = add_port(1, 0x2f8);

	make_spcr(1, 0x2f8, 3);
	option("com1");
	console_init();
	console_follow_acpi();
	assert_int_equal(com2->length, 0);
	assert_said(com1, "as console= says");
}

static void test_the_speed_of_auto_is_the_users(void **state)
{
	struct port *com2 = add_port(1, 0x2f8);

	add_port(0, 0x3f8);
	make_spcr(1, 0x2f8, 3);
	option("auto,57600");
	console_init();
	console_follow_acpi();
	assert_int_equal(divisor(com2), 2);
}

static void test_spcr_in_memory(void **state)
{
	add_port(0, 0x3f8);
	make_spcr(0, 0x1fedc9000, 0);
	spcr.bytes[36] = 0x12;
	spcr.bytes[43] = 3;	/* accesses of 32 bits */
	memory[5 * 4] = 0x60;
	console_init();
	final = true;
	console_follow_acpi();
	assert_int_equal(mapped, 0x1fedc9000);
	assert_int_equal(memory[0], '\n');
	assert_int_equal(memory[7 * 4], 0xa5);
}

static void test_spcr_on_pci(void **state)
{
	struct port *second = add_port(0, 0xd000);
	struct function *f = add_function(0, 3, 5, 0x070002);

	/* The base address may have changed since the table was made. */
	make_spcr(1, 0xc000, 7);
	add_bar(f, 0, 0xd001, 8);
	put(64, 0x1b360002, 4);
	spcr.bytes[68] = 3;
	spcr.bytes[69] = 5;
	console_init();
	console_follow_acpi();
	assert_said(second, "first\r\n");
}

/* With a clock of its own, and a speed that has no code. */
static void test_spcr_of_revision_4(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	make_spcr(1, 0x3f8, 0);
	put(4, 90, 4);
	spcr.bytes[8] = 4;
	put(76, 48000000, 4);
	put(80, 1500000, 4);
	console_init();
	console_follow_acpi();
	assert_int_equal(divisor(com1), 2);
}

static void test_spcr_names_a_port_that_is_not_there(void **state)
{
	struct port *com1 = add_port(0, 0x3f8);

	make_spcr(1, 0x2f8, 7);
	console_init();
	console_follow_acpi();
	assert_said(com1, "warning: console: serial port 0x2f8, 115200 baud: no 16550 answers there: staying");
	log_info("last");
	assert_said(com1, "last\r\n");
	assert_int_equal(divisor(com1), 1);
}

static void test_bad_spcr(void **state)
{
	static const struct {
		unsigned at;
		u64 value;
		unsigned size;
		const char *words;
	} bad[] = {
		{ 4, 79, 4, "is too short" },
		{ 4, 36, 4, "is too short" },
		{ 44, 0, 8, "says that there is no console" },
		{ 36, 3, 1, "another kind of port" },		/* an ARM PL011 */
		{ 36, 0xff, 1, "another kind of port" },
		{ 40, 2, 1, "neither in memory nor in I/O space" },
		{ 40, 0x7f, 1, "neither in memory nor in I/O space" },
		{ 44, 0xfff9, 8, "impossible address" },
		{ 44, ~0ull, 8, "impossible address" },
	};
	struct port *com1 = add_port(0, 0x3f8);

	console_init();
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		make_spcr(1, 0x2f8, 7);
		put(bad[i].at, bad[i].value, bad[i].size);
		seen[0] = '\0';
		console_follow_acpi();
		assert_seen("console: ACPI's SPCR table ");
		assert_seen(bad[i].words);
		assert_seen(": ignored");
	}
	log_info("last");
	assert_said(com1, "last\r\n");
}

static void test_hostile_spcr(void **state)
{
	u64 random = 7;

	add_port(0, 0x3f8);
	console_init();
	for (unsigned i = 0; i < 20000; i++) {
		u8 *table;
		unsigned length = 36 + (unsigned)(next_random(&random) % 61);
		struct console_choice choice;
		const char *why;

		make_spcr(i & 1, 0x2f8, 7);
		for (unsigned k = 0; k < 6; k++)
			spcr.bytes[8 + next_random(&random) % 88] = (u8)next_random(&random);
		put(4, length, 4);
		table = malloc(length);		/* the sanitizer checks that nothing beyond its end is read */
		memcpy(table, spcr.bytes, length);
		if (!console_choice_spcr((const struct acpi_header *)table, &choice, &why)) {
			assert_true(choice.uart.space == UART_PORTS || choice.uart.space == UART_MEMORY);
			assert_true(choice.uart.space == UART_MEMORY || choice.uart.address <= 0xfff8);
			assert_true(!choice.uart.baud || uart_divisor(&choice.uart));
		}
		free(table);
	}
}

#define console_test(name) cmocka_unit_test_setup(name, begin)

static const struct CMUnitTest tests[] = {
	console_test(test_auto_takes_what_the_bios_names),
	console_test(test_auto_ignores_what_is_no_bios_data),
		console_test(test_auto_without_a_bios),
	console_test(test_no_port_at_all),
	console_test(test_a_named_port),
	console_test(test_keep),
		console_test(test_keep_what_makes_no_sense),
	console_test(test_another_clock),
	console_test(test_none),
	console_test(test_a_named_port_that_is_not_there),
	console_test(test_memory),
	console_test(test_memory_that_moves_with_the_page_tables),
	console_test(test_memory_that_is_ram),
	console_test(test_auto_on_pci),
	console_test(test_auto_prefers_com1),
	console_test(test_auto_on_pci_later),
	console_test(test_pci),
	console_test(test_pci_by_place_and_in_memory),
	console_test(test_pci_counts_a_uart_once),
	console_test(test_pci_that_is_no_serial_port),
	console_test(test_values_of_the_option),
	console_test(test_hostile_values),
	console_test(test_a_stuck_port),
	console_test(test_a_stuck_port_that_recovers),
	console_test(test_a_port_that_vanishes),
	console_test(test_put_fills_the_fifo),
	console_test(test_put_splits_a_line_end),
	console_test(test_put_to_a_port_that_stalls),
	console_test(test_put_without_a_port),
	console_test(test_input_is_held_off),
	console_test(test_spcr_moves_the_console),
	console_test(test_spcr_names_the_interrupt),
	console_test(test_the_interrupt_is_raised),
	console_test(test_spcr_with_the_speed_as_it_was),
	console_test(test_spcr_that_changes_nothing),
	console_test(test_the_user_knows_better_than_spcr),
	console_test(test_the_speed_of_auto_is_the_users),
	console_test(test_spcr_in_memory),
	console_test(test_spcr_on_pci),
	console_test(test_spcr_of_revision_4),
	console_test(test_spcr_names_a_port_that_is_not_there),
	console_test(test_bad_spcr),
	console_test(test_hostile_spcr),
};

/* A console is opened once per boot, so each test is a process of its own. */
int main(void)
{
	return run_apart("test_console", tests, ARRAY_SIZE(tests));
}
