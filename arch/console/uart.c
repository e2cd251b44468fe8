/* SPDX-License-Identifier: MIT */
/* The host's serial port. National Semiconductor PC16550D data sheet, "Registers". */
#include "arch/console/uart.h"

#include "arch/apic/ioapic.h"
#include "arch/apic/irq.h"
#include "arch/cpu/cpu.h"
#include "arch/mem/mapping.h"
#include "arch/mem/paging.h"
#include "arch/time/clock.h"
#include "lib/errno.h"
#include "lib/uart16550.h"

#define FCR_ENABLE_CLEAR (FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX) /* interrupt at the first character */
#define LCR_8N1		 LCR_LENGTH

#define MAX_READS  (4 * UART_FIFO_SIZE) /* per call: a port stuck at "received" must not cause an endless loop */
#define NOBODY	   0xff		/* read where there is no register */
#define LEAST_BAUD 50u		/* the slowest speed in use */
#define UNKNOWN_BAUD 9600u	/* assumed if the divisor that was found is invalid */
#define PATIENCE_US 1000000u

static u8 get(const struct uart *uart, unsigned reg)
{
	volatile u8 *at = uart->memory + reg * uart->config.stride;

	if (uart->config.space == UART_PORTS)
		return inb((u16)(uart->config.address + reg * uart->config.stride));
	switch (uart->config.width) {
	case 4:
		return (u8)*(volatile u32 *)at;
	case 2:
		return (u8)*(volatile u16 *)at;
	default:
		return *at;
	}
}

static void put(const struct uart *uart, unsigned reg, u8 value)
{
	volatile u8 *at = uart->memory + reg * uart->config.stride;

	if (uart->config.space == UART_PORTS)
		outb((u16)(uart->config.address + reg * uart->config.stride), value);
	else if (uart->config.width == 4)
		*(volatile u32 *)at = value;
	else if (uart->config.width == 2)
		*(volatile u16 *)at = value;
	else
		*at = value;
}

/* Is it a UART? Written to only if reading shows something. All since the 8250 have a scratch register. */
static bool answers(struct uart *uart)
{
	if (get(uart, UART_LSR) == NOBODY)
		return false;
	put(uart, UART_SCRATCH, 0x5a);
	if (get(uart, UART_SCRATCH) != 0x5a)
		return false;
	put(uart, UART_SCRATCH, 0xa5);
	return get(uart, UART_SCRATCH) == 0xa5;
}

u16 uart_divisor(const struct uart_config *config)
{
	u32 rate = config->clock / 16, divisor, real;

	if (config->baud < LEAST_BAUD || config->baud > rate)
		return 0;
	divisor = (rate + config->baud / 2) / config->baud;
	real = rate / divisor;
	if (divisor > 0xffff || MAX(real, config->baud) - MIN(real, config->baud) > config->baud / 32)
		return 0;
	return (u16)divisor;
}

static void remember_line(struct uart *uart)
{
	uart->found_line = get(uart, UART_LCR) & (u8)~LCR_DLAB;
	put(uart, UART_LCR, uart->found_line | LCR_DLAB);
	uart->found_divisor = (u16)(get(uart, UART_DIVISOR_LOW) | get(uart, UART_DIVISOR_HIGH) << 8);
}

/* A divisor of 0 means: keep the line as it was found. Returns the speed in baud. */
static u32 set_line(struct uart *uart, u16 divisor)
{
	u8 line = divisor ? LCR_8N1 : uart->found_line;
	u32 baud = uart->config.baud;

	if (!divisor) {
		divisor = uart->found_divisor;
		baud = divisor ? uart->config.clock / 16 / divisor : 0;
		baud = baud < LEAST_BAUD ? UNKNOWN_BAUD : baud;
	}
	put(uart, UART_LCR, line | LCR_DLAB);
	put(uart, UART_DIVISOR_LOW, (u8)divisor);
	put(uart, UART_DIVISOR_HIGH, divisor >> 8);
	put(uart, UART_LCR, line);
	return baud;
}

static int map_registers(struct uart *uart)
{
	if (uart->config.space != UART_MEMORY)
		return 0;
	uart->memory = mmio_map(uart->config.address, UART_REGISTERS * uart->config.stride);
	return uart->memory ? 0 : -ENOMEM;
}

static void set_up(struct uart *uart, u16 divisor)
{
	put(uart, UART_IER, 0);
	uart->char_us = 10 * 1000000 / set_line(uart, divisor) + 1;
	put(uart, UART_FCR, FCR_ENABLE_CLEAR);
	put(uart, UART_MCR, MCR_DTR | MCR_RTS);
	uart->fifo = (get(uart, UART_IIR) & IIR_FIFO) == IIR_FIFO ? UART_FIFO_SIZE : 1;
	uart->patience_us = PATIENCE_US;
	uart->stalled = uart->by_interrupt = uart->sending = uart->return_sent = false;
	uart->room = 0;
	uart->busy_until = 0;
	uart->open = true;
}

int uart_open(struct uart *uart, const struct uart_config *config)
{
	struct uart_config before = uart->config;
	volatile u8 *memory_before = uart->memory;
	bool open_before = uart->open;
	u16 divisor = uart_divisor(config);
	int err;

	if (config->baud && !divisor)
		return -EINVAL;
	uart_flush(uart);
	uart->open = false;
	uart->config = *config;
	err = map_registers(uart);
	if (!err && !answers(uart))
		err = -ENODEV;
	if (err) {
		uart->config = before;
		uart->memory = memory_before;
		uart->open = open_before;
		return err;
	}
	if (!open_before || before.space != config->space || before.address != config->address)
		remember_line(uart);
	set_up(uart, divisor);
	return 0;
}

void uart_suspend(struct uart *uart)
{
	if (uart->config.space != UART_MEMORY)
		return;
	uart_flush(uart);
	uart->open = false;
}

int uart_resume(struct uart *uart)
{
	int err;

	if (uart->config.space != UART_MEMORY)
		return 0;
	err = map_registers(uart);
	uart->open = !err;
	return err;
}

static bool status_has(struct uart *uart, u8 bit)
{
	u8 status = get(uart, UART_LSR);

	/* Reading it clears the error bits. */
	if (status != NOBODY && status & LSR_OVERRUN)
		uart->overruns++;
	return status != NOBODY && status & bit;
}

/*
 * Wait for a line status bit, at most as long as a full FIFO and four characters take. Fetch input
 * meanwhile: a long report must not lose what the user types.
 */
static bool wait_for(struct uart *uart, u8 bit)
{
	u64 end = clock_deadline_us((u64)uart->char_us * (UART_FIFO_SIZE + 4));

	while (!status_has(uart, bit)) {
		if (clock_expired(end))
			return false;
		uart_poll(uart);
		cpu_relax();
	}
	return true;
}

/*
 * The device behind the port, such as a BMC, may stall it: wait longer then, but for at most PATIENCE_US
 * in total beyond the time that the line takes. Characters that are sent restore this allowance.
 */
static bool wait_until_empty(struct uart *uart)
{
	u32 usual = uart->char_us * (UART_FIFO_SIZE + 4);

	if (uart->stalled)
		return status_has(uart, LSR_THR_EMPTY);
	if (wait_for(uart, LSR_THR_EMPTY)) {
		uart->patience_us = MIN(uart->patience_us + uart->char_us * uart->fifo, PATIENCE_US);
		return true;
	}
	while (uart->patience_us >= usual) {
		uart->patience_us -= usual;
		if (wait_for(uart, LSR_THR_EMPTY))
			return true;
	}
	return false;
}

static bool send(struct uart *uart, u8 byte)
{
	if (uart->room == 0) {
		uart->stalled = !wait_until_empty(uart);
		if (uart->stalled)
			return false;
		uart->room = uart->fifo;
	}
	put(uart, UART_DATA, byte);
	uart->room--;
	return true;
}

static bool send_text(struct uart *uart, char c)
{
	if (c == '\n' && !uart->return_sent) {
		if (!send(uart, '\r'))
			return false;
		uart->return_sent = true;
	}
	if (!send(uart, (u8)c))
		return false;
	uart->return_sent = false;
	return true;
}

void uart_write(struct uart *uart, const char *text, size_t length)
{
	if (!uart->open)
		return;
	for (size_t i = 0; i < length; i++) {
		if (!send_text(uart, text[i])) {
			uart->lost += length - i;
			return;
		}
	}
}

/* Is there room in the transmitter? A port that has had none for longer than it may is stalled from then on. */
static bool has_room(struct uart *uart)
{
	if (uart->room)
		return true;
	if (status_has(uart, LSR_THR_EMPTY)) {
		uart->room = uart->fifo;
		uart->busy_until = 0;
		uart->stalled = false;
		return true;
	}
	if (!uart->busy_until)
		uart->busy_until = clock_deadline_us(PATIENCE_US + (u64)uart->char_us * (UART_FIFO_SIZE + 4));
	else if (clock_expired(uart->busy_until))
		uart->stalled = true;
	return false;
}

static void interrupt_when_empty(struct uart *uart, bool on)
{
	if (!uart->by_interrupt || uart->sending == on)
		return;
	uart->sending = on;
	put(uart, UART_IER, IER_RECEIVE | (on ? IER_TRANSMIT : 0));
}

size_t uart_put(struct uart *uart, const char *text, size_t length)
{
	size_t i = 0;

	if (!uart->open)
		return length;
	while (i < length && has_room(uart)) {
		bool is_return = text[i] == '\n' && !uart->return_sent;

		put(uart, UART_DATA, is_return ? '\r' : (u8)text[i]);
		uart->room--;
		uart->return_sent = is_return;
		i += !is_return;
	}
	interrupt_when_empty(uart, i < length && !uart->stalled);
	if (i < length && uart->stalled) {
		uart->lost += length - i;
		return length;
	}
	return i;
}

bool uart_stalled(struct uart *uart)
{
	return uart->stalled;
}

u64 uart_lost(struct uart *uart)
{
	return uart->lost;
}

void uart_flush(struct uart *uart)
{
	u64 end;

	if (!uart->open || uart->stalled || !wait_for(uart, LSR_TX_EMPTY))
		return;
	/* The device behind the port (a converter, an emulator) may still hold one more character. */
	for (end = clock_deadline_us(2 * uart->char_us); !clock_expired(end); )
		cpu_relax();
}

u64 uart_overruns(struct uart *uart)
{
	return uart->overruns;
}

/* Hold the sender off while the ring is full. Without flow control it does not notice. */
static void hold_off(struct uart *uart, bool on)
{
	if (uart->input.held == on)
		return;
	uart->input.held = on;
	put(uart, UART_MCR, MCR_DTR | (on ? 0 : MCR_RTS) | (uart->by_interrupt ? MCR_OUT2 : 0));
}

/* With a full ring characters stay in the FIFO. */
unsigned uart_poll(struct uart *uart)
{
	unsigned i;

	if (!uart->open || __atomic_test_and_set(&uart->input.draining, __ATOMIC_ACQUIRE))
		return 0;
	for (i = 0; i < MAX_READS && status_has(uart, LSR_READY); i++) {
		if (uart->input.head - READ_ONCE(uart->input.tail) == UART_RING) {
			hold_off(uart, true);
			break;
		}
		uart->input.ring[uart->input.head % UART_RING] = get(uart, UART_DATA);
		WRITE_ONCE(uart->input.head, uart->input.head + 1);
	}
	__atomic_clear(&uart->input.draining, __ATOMIC_RELEASE);
	return i;
}

int uart_read_char(struct uart *uart)
{
	int c;

	if (uart->input.tail == READ_ONCE(uart->input.head))
		return -1;
	c = uart->input.ring[uart->input.tail % UART_RING];
	WRITE_ONCE(uart->input.tail, uart->input.tail + 1);
	if (uart->input.held && uart->input.head - uart->input.tail <= UART_RING / 2) {
		hold_off(uart, false);
		uart_poll(uart);
	}
	return c;
}

bool uart_served(struct uart *uart)
{
	return !uart->open || get(uart, UART_IIR) & IIR_NONE;
}

u8 uart_irq(const struct uart *uart)
{
	if (uart->config.irq || uart->config.space != UART_PORTS)
		return uart->config.irq;
	switch (uart->config.address) {
	case 0x3f8:
	case 0x3e8:
		return 4;
	case 0x2f8:
	case 0x2e8:
		return 3;
	default:
		return 0;
	}
}

void uart_set_irq(struct uart *uart, u8 irq)
{
	uart->config.irq = irq;
}

int uart_enable_interrupt(struct uart *uart)
{
	u8 irq = uart_irq(uart);

	if (!uart->open)
		return -ENODEV;
	/* A level-triggered line may be another device's, too, and would interrupt without end. */
	if (!irq || (uart->config.irq && ioapic_isa_is_level(irq)) || ioapic_route_isa(irq, IRQ_VECTOR_UART))
		return -EOPNOTSUPP;
	uart->by_interrupt = true;
	put(uart, UART_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
	put(uart, UART_IER, IER_RECEIVE);
	/* The line is edge-triggered: a character from before would keep it high, and no edge would ever come. */
	uart_poll(uart);
	return 0;
}

void uart_raise_interrupt(struct uart *uart)
{
	interrupt_when_empty(uart, true);
}
