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

#define RING_SIZE  1024u	/* a power of two */
#define MAX_READS  (4 * UART_FIFO_SIZE) /* per call: a port stuck at "received" must not cause an endless loop */
#define NOBODY	   0xff		/* read where there is no register */
#define LEAST_BAUD 50u		/* the slowest speed in use */
#define UNKNOWN_BAUD 9600u	/* assumed if the divisor that was found is invalid */
#define PATIENCE_US 1000000u

static struct {
	struct uart_config config;
	volatile u8 *memory;	/* the registers, with UART_MEMORY */
	bool open;
	u16 fifo;		/* characters that fit once the transmitter is empty */
	u8 found_line;		/* line control and divisor before uart_open() changed them */
	u16 found_divisor;
	u32 char_us;		/* one character on the wire, rounded up */
	u32 patience_us;	/* that may still be waited beyond the time that the line takes */
	bool stalled;
	u64 lost;
} uart;

/* Separate from the port's state: received characters survive a change of the port. */
static struct {
	u8 ring[RING_SIZE];
	u32 head, tail;		/* characters put in and taken out so far */
	bool draining;		/* uart_poll() is moving characters to the ring */
} input;

static u8 get(unsigned reg)
{
	volatile u8 *at = uart.memory + reg * uart.config.stride;

	if (uart.config.space == UART_PORTS)
		return inb((u16)(uart.config.address + reg * uart.config.stride));
	switch (uart.config.width) {
	case 4:
		return (u8)*(volatile u32 *)at;
	case 2:
		return (u8)*(volatile u16 *)at;
	default:
		return *at;
	}
}

static void put(unsigned reg, u8 value)
{
	volatile u8 *at = uart.memory + reg * uart.config.stride;

	if (uart.config.space == UART_PORTS)
		outb((u16)(uart.config.address + reg * uart.config.stride), value);
	else if (uart.config.width == 4)
		*(volatile u32 *)at = value;
	else if (uart.config.width == 2)
		*(volatile u16 *)at = value;
	else
		*at = value;
}

/* Is it a UART? Written to only if reading shows something. All since the 8250 have a scratch register. */
static bool answers(void)
{
	if (get(UART_LSR) == NOBODY)
		return false;
	put(UART_SCRATCH, 0x5a);
	if (get(UART_SCRATCH) != 0x5a)
		return false;
	put(UART_SCRATCH, 0xa5);
	return get(UART_SCRATCH) == 0xa5;
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

static void remember_line(void)
{
	uart.found_line = get(UART_LCR) & (u8)~LCR_DLAB;
	put(UART_LCR, uart.found_line | LCR_DLAB);
	uart.found_divisor = (u16)(get(UART_DIVISOR_LOW) | get(UART_DIVISOR_HIGH) << 8);
}

/* A divisor of 0 means: keep the line as it was found. Returns the speed in baud. */
static u32 set_line(u16 divisor)
{
	u8 line = divisor ? LCR_8N1 : uart.found_line;
	u32 baud = uart.config.baud;

	if (!divisor) {
		divisor = uart.found_divisor;
		baud = divisor ? uart.config.clock / 16 / divisor : 0;
		baud = baud < LEAST_BAUD ? UNKNOWN_BAUD : baud;
	}
	put(UART_LCR, line | LCR_DLAB);
	put(UART_DIVISOR_LOW, (u8)divisor);
	put(UART_DIVISOR_HIGH, divisor >> 8);
	put(UART_LCR, line);
	return baud;
}

static int map_registers(void)
{
	if (uart.config.space != UART_MEMORY)
		return 0;
	uart.memory = mmio_map(uart.config.address, UART_REGISTERS * uart.config.stride);
	return uart.memory ? 0 : -ENOMEM;
}

static void set_up(u16 divisor)
{
	put(UART_IER, 0);
	uart.char_us = 10 * 1000000 / set_line(divisor) + 1;
	put(UART_FCR, FCR_ENABLE_CLEAR);
	put(UART_MCR, MCR_DTR | MCR_RTS);
	uart.fifo = (get(UART_IIR) & IIR_FIFO) == IIR_FIFO ? UART_FIFO_SIZE : 1;
	uart.patience_us = PATIENCE_US;
	uart.stalled = false;
	uart.open = true;
}

int uart_open(const struct uart_config *config)
{
	__typeof__(uart) before;
	u16 divisor = uart_divisor(config);
	int err;

	if (config->baud && !divisor)
		return -EINVAL;
	uart_flush();
	before = uart;
	uart.open = false;
	uart.config = *config;
	err = map_registers();
	if (!err && !answers())
		err = -ENODEV;
	if (err) {
		uart = before;
		return err;
	}
	if (!before.open || before.config.space != config->space ||
	    before.config.address != config->address)
		remember_line();
	set_up(divisor);
	return 0;
}

void uart_suspend(void)
{
	if (uart.config.space != UART_MEMORY)
		return;
	uart_flush();
	uart.open = false;
}

int uart_resume(void)
{
	int err;

	if (uart.config.space != UART_MEMORY)
		return 0;
	err = map_registers();
	uart.open = !err;
	return err;
}

static bool status_has(u8 bit)
{
	u8 status = get(UART_LSR);

	return status != NOBODY && status & bit;
}

/*
 * Wait for a line status bit, at most as long as a full FIFO and four characters take. Fetch input
 * meanwhile: a long report must not lose what the user types.
 */
static bool wait_for(u8 bit)
{
	u64 end = clock_deadline_us((u64)uart.char_us * (UART_FIFO_SIZE + 4));

	while (!status_has(bit)) {
		if (clock_expired(end))
			return false;
		uart_poll();
		cpu_relax();
	}
	return true;
}

/*
 * The device behind the port, such as a BMC, may stall it: wait longer then, but for at most PATIENCE_US
 * in total beyond the time that the line takes. Characters that are sent restore this allowance.
 */
static bool wait_until_empty(void)
{
	u32 usual = uart.char_us * (UART_FIFO_SIZE + 4);

	if (uart.stalled)
		return status_has(LSR_THR_EMPTY);
	if (wait_for(LSR_THR_EMPTY)) {
		uart.patience_us = MIN(uart.patience_us + uart.char_us * uart.fifo, PATIENCE_US);
		return true;
	}
	while (uart.patience_us >= usual) {
		uart.patience_us -= usual;
		if (wait_for(LSR_THR_EMPTY))
			return true;
	}
	return false;
}

static bool send(u8 byte, unsigned *room)
{
	if (*room == 0) {
		uart.stalled = !wait_until_empty();
		if (uart.stalled)
			return false;
		*room = uart.fifo;
	}
	put(UART_DATA, byte);
	--*room;
	return true;
}

void uart_write(const char *text, size_t length)
{
	unsigned room = 0;

	if (!uart.open)
		return;
	for (size_t i = 0; i < length; i++) {
		if ((text[i] == '\n' && !send('\r', &room)) || !send((u8)text[i], &room)) {
			uart.lost += length - i;
			return;
		}
	}
}

bool uart_stalled(void)
{
	return uart.stalled;
}

u64 uart_lost(void)
{
	return uart.lost;
}

void uart_flush(void)
{
	u64 end;

	if (!uart.open || uart.stalled || !wait_for(LSR_TX_EMPTY))
		return;
	/* The device behind the port (a converter, an emulator) may still hold one more character. */
	for (end = clock_deadline_us(2 * uart.char_us); !clock_expired(end); )
		cpu_relax();
}

void uart_poll(void)
{
	if (!uart.open || __atomic_test_and_set(&input.draining, __ATOMIC_ACQUIRE))
		return;
	for (unsigned i = 0; i < MAX_READS && status_has(LSR_READY); i++) {
		u8 byte = get(UART_DATA);

		if (input.head - input.tail < RING_SIZE)
			input.ring[input.head++ % RING_SIZE] = byte;
	}
	__atomic_clear(&input.draining, __ATOMIC_RELEASE);
}

int uart_read_char(void)
{
	if (input.tail == READ_ONCE(input.head))
		return -1;
	return input.ring[input.tail++ % RING_SIZE];
}

static int isa_irq(void)
{
	if (uart.config.space != UART_PORTS)
		return -EOPNOTSUPP;
	switch (uart.config.address) {
	case 0x3f8:
	case 0x3e8:
		return 4;
	case 0x2f8:
	case 0x2e8:
		return 3;
	default:
		return -EOPNOTSUPP;
	}
}

int uart_enable_interrupt(void)
{
	int irq, err;

	if (!uart.open)
		return -ENODEV;
	irq = isa_irq();
	if (irq < 0)
		return irq;
	irq_set_handler(IRQ_VECTOR_UART, uart_poll);
	err = ioapic_route_isa(irq, IRQ_VECTOR_UART);
	if (err)
		return -EOPNOTSUPP;
	put(UART_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
	put(UART_IER, IER_RECEIVE);
	/* The line is edge-triggered: a character from before would keep it high, and no edge would ever come. */
	uart_poll();
	return 0;
}
