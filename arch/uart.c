/* SPDX-License-Identifier: MIT */
/* The host's serial port. National Semiconductor PC16550D data sheet, "Registers". */
#include "arch/uart.h"

#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/ioapic.h"
#include "arch/irq.h"
#include "lib/errno.h"

enum {	/* registers */
	DATA, INTERRUPT_ENABLE, FIFO_CONTROL, LINE_CONTROL, MODEM_CONTROL, LINE_STATUS,
	MODEM_STATUS, SCRATCH,
	DIVISOR_LOW = 0, DIVISOR_HIGH = 1, INTERRUPT_ID = 2,
};

#define IER_RECEIVED	 BIT(0)
#define FCR_ENABLE_CLEAR 0x07	/* FIFOs on and emptied, interrupt at the first character */
#define IIR_FIFO_ON	 0xc0
#define LCR_8N1		 0x03
#define LCR_DIVISOR	 BIT(7)
#define MCR_DTR_RTS	 0x03
#define MCR_OUT2	 BIT(3)	/* gates the interrupt line on a PC */
#define LSR_RECEIVED	 BIT(0)
#define LSR_THR_EMPTY	 BIT(5)
#define LSR_ALL_SENT	 BIT(6)

#define CLOCK_RATE 115200u
#define FIFO_SIZE  16
#define RING_SIZE  1024u	/* a power of two */
#define MAX_READS  (4 * FIFO_SIZE) /* per visit: a port stuck at "received" must not hold us */

static struct {
	u16 port;		/* 0: no port */
	u16 fifo;		/* characters that fit once the transmitter is empty */
	u32 char_us;		/* one character on the wire, rounded up */
	u8 ring[RING_SIZE];
	u32 head, tail;		/* characters ever put in and taken out */
	bool draining;		/* somebody is moving characters to the ring */
} uart;

static u8 get(unsigned reg)
{
	return inb(uart.port + reg);
}

static void put(unsigned reg, u8 value)
{
	outb(uart.port + reg, value);
}

/* An 8250 has no scratch register, but every machine that runs us has a 16450 or better. */
static bool answers(void)
{
	put(SCRATCH, 0x5a);
	if (get(SCRATCH) != 0x5a)
		return false;
	put(SCRATCH, 0xa5);
	return get(SCRATCH) == 0xa5 && get(LINE_STATUS) != 0xff;
}

int uart_init(u16 port, u32 baud)
{
	u16 divisor;

	if (baud == 0 || baud > CLOCK_RATE || CLOCK_RATE % baud || CLOCK_RATE / baud > 0xffff)
		return -EINVAL;
	uart.port = port;
	if (!answers()) {
		uart.port = 0;
		return -ENODEV;
	}
	divisor = CLOCK_RATE / baud;
	put(INTERRUPT_ENABLE, 0);
	put(LINE_CONTROL, LCR_8N1 | LCR_DIVISOR);
	put(DIVISOR_LOW, (u8)divisor);
	put(DIVISOR_HIGH, divisor >> 8);
	put(LINE_CONTROL, LCR_8N1);
	put(FIFO_CONTROL, FCR_ENABLE_CLEAR);
	put(MODEM_CONTROL, MCR_DTR_RTS);
	uart.fifo = (get(INTERRUPT_ID) & IIR_FIFO_ON) == IIR_FIFO_ON ? FIFO_SIZE : 1;
	uart.char_us = 10 * 1000000 / baud + 1;
	return 0;
}

/*
 * Wait for a line status bit for as long as a full FIFO and a bit may take. Input is fetched
 * meanwhile: a long report must not cost what somebody types.
 */
static bool wait_for(u8 bit)
{
	u64 end = clock_deadline_us((u64)uart.char_us * (FIFO_SIZE + 4));

	while (!(get(LINE_STATUS) & bit)) {
		if (clock_expired(end))
			return false;
		uart_poll();
		cpu_relax();
	}
	return true;
}

static void send(u8 byte, unsigned *room)
{
	if (*room == 0) {
		wait_for(LSR_THR_EMPTY);
		*room = uart.fifo;
	}
	put(DATA, byte);
	--*room;
}

void uart_write(const char *text, size_t length)
{
	unsigned room = 0;

	if (!uart.port)
		return;
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n')
			send('\r', &room);
		send((u8)text[i], &room);
	}
}

void uart_flush(void)
{
	u64 end;

	if (!uart.port || !wait_for(LSR_ALL_SENT))
		return;
	/* What stands behind the port (a converter, an emulator) may hold a character more. */
	for (end = clock_deadline_us(2 * uart.char_us); !clock_expired(end); )
		cpu_relax();
}

void uart_poll(void)
{
	if (!uart.port || __atomic_test_and_set(&uart.draining, __ATOMIC_ACQUIRE))
		return;
	for (unsigned i = 0; i < MAX_READS && get(LINE_STATUS) & LSR_RECEIVED; i++) {
		u8 byte = get(DATA);

		if (uart.head - uart.tail < RING_SIZE)
			uart.ring[uart.head++ % RING_SIZE] = byte;
	}
	__atomic_clear(&uart.draining, __ATOMIC_RELEASE);
}

int uart_read_char(void)
{
	if (uart.tail == READ_ONCE(uart.head))
		return -1;
	return uart.ring[uart.tail++ % RING_SIZE];
}

static int isa_irq(u16 port)
{
	switch (port) {
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

	if (!uart.port)
		return -ENODEV;
	irq = isa_irq(uart.port);
	if (irq < 0)
		return irq;
	irq_set_handler(IRQ_VECTOR_UART, uart_poll);
	err = ioapic_route_isa(irq, IRQ_VECTOR_UART);
	if (err)
		return err;
	put(MODEM_CONTROL, MCR_DTR_RTS | MCR_OUT2);
	put(INTERRUPT_ENABLE, IER_RECEIVED);
	/* The line is edge-triggered: what came before would hold it high for ever. */
	uart_poll();
	return 0;
}
