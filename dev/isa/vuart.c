/* SPDX-License-Identifier: MIT */
/*
 * A 16550A serial port, from National Semiconductor's "PC16550D Universal Asynchronous
 * Receiver/Transmitter with FIFOs" data sheet. Sending takes no time: the transmitter is always
 * empty. Receiving takes none either, and waits in a backlog while the receive FIFO is full, so
 * that pasted text overruns nothing; only in loopback can the guest overrun itself.
 */
#include "dev/isa/vuart.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vm_log.h"
#include "core/vtimer.h"
#include "dev/isa/byte_ports.h"

enum uart_register {
	UART_DATA,		/* RBR, THR; DLAB: divisor, low byte */
	UART_IER,		/* DLAB: divisor, high byte */
	UART_IIR,		/* write: FCR */
	UART_LCR, UART_MCR, UART_LSR, UART_MSR, UART_SCRATCH, UART_REGISTERS,
};

#define IER_RECEIVE	BIT(0)
#define IER_TRANSMIT	BIT(1)
#define IER_LINE	BIT(2)
#define IER_MODEM	BIT(3)
#define IER_BITS	0x0f

#define IIR_NONE	0x01
#define IIR_MODEM	0x00
#define IIR_TRANSMIT	0x02
#define IIR_RECEIVE	0x04
#define IIR_LINE	0x06
#define IIR_TIMEOUT	0x0c
#define IIR_FIFO	0xc0

#define FCR_ENABLE	BIT(0)
#define FCR_CLEAR_RX	BIT(1)
#define FCR_TRIGGER(v)	((v) >> 6)

#define LCR_LENGTH	0x03
#define LCR_STOP	BIT(2)
#define LCR_PARITY	BIT(3)
#define LCR_DLAB	BIT(7)

#define MCR_DTR		BIT(0)
#define MCR_RTS		BIT(1)
#define MCR_OUT1	BIT(2)
#define MCR_OUT2	BIT(3)	/* on a PC: connects the interrupt */
#define MCR_LOOP	BIT(4)
#define MCR_BITS	0x1f

#define LSR_READY	BIT(0)
#define LSR_OVERRUN	BIT(1)
#define LSR_THR_EMPTY	BIT(5)
#define LSR_TX_EMPTY	BIT(6)

#define MSR_DELTA_RI	BIT(2)	/* trailing edge only */
#define MSR_DELTAS	0x0f
#define MSR_CTS		BIT(4)
#define MSR_DSR		BIT(5)
#define MSR_RI		BIT(6)
#define MSR_DCD		BIT(7)

#define FIFO_SIZE	16
#define BAUD_BASE	115200	/* 1.8432 MHz / 16 */
#define TIMEOUT_CHARACTERS 4

struct uart {
	struct vm *vm;
	unsigned irq;
	struct vtimer timeout;		/* characters wait below the trigger level */

	u8 ier, fcr, lcr, mcr, msr, scratch;
	u8 lsr_errors;			/* until LSR is read */
	u16 divisor;
	bool transmit_pending;		/* THRE interrupt, until IIR reports it */
	bool timeout_pending;

	u8 fifo[FIFO_SIZE];
	u8 fifo_first, fifo_count;
	u8 last_read;			/* what an empty RBR still shows */
	u8 backlog[UART_BACKLOG];
	u32 backlog_first, backlog_count;
};

/* --- interrupts --- */

static unsigned trigger_level(const struct uart *uart)
{
	static const u8 levels[] = { 1, 4, 8, 14 };

	return uart->fcr & FCR_ENABLE ? levels[FCR_TRIGGER(uart->fcr)] : 1;
}

/* The source of the highest priority. Data sheet, "Interrupt Identification Register". */
static u8 interrupt_id(const struct uart *uart)
{
	if ((uart->ier & IER_LINE) && uart->lsr_errors)
		return IIR_LINE;
	if ((uart->ier & IER_RECEIVE) && uart->fifo_count >= trigger_level(uart))
		return IIR_RECEIVE;
	if ((uart->ier & IER_RECEIVE) && uart->timeout_pending)
		return IIR_TIMEOUT;
	if ((uart->ier & IER_TRANSMIT) && uart->transmit_pending)
		return IIR_TRANSMIT;
	if ((uart->ier & IER_MODEM) && (uart->msr & MSR_DELTAS))
		return IIR_MODEM;
	return IIR_NONE;
}

/* OUT2 connects the interrupt, and loopback forces the modem outputs, OUT2 with them, inactive. */
static void update_irq(struct uart *uart)
{
	bool connected = (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	irq_line_set(uart->vm, uart->irq, connected && interrupt_id(uart) != IIR_NONE);
}

/* --- receiver --- */

static u64 timeout_ticks(const struct uart *uart)
{
	unsigned bits = 1 + 5 + (uart->lcr & LCR_LENGTH) + !!(uart->lcr & LCR_PARITY) +
			1 + !!(uart->lcr & LCR_STOP);
	u64 divisor = uart->divisor ? uart->divisor : 1;

	return vtimer_scale(vtimer_hz(), TIMEOUT_CHARACTERS * bits * divisor, BAUD_BASE);
}

/* From the last character that came or was read. Data sheet, "FIFO Interrupt Mode Operation". */
static void restart_timeout(struct uart *uart)
{
	if (uart->fifo_count && (uart->fcr & FCR_ENABLE))
		vtimer_arm(&uart->timeout, vtimer_now() + timeout_ticks(uart));
	else
		vtimer_cancel(&uart->timeout);
}

static void timeout_fire(struct vtimer *timer)
{
	struct uart *uart = container_of(timer, struct uart, timeout);

	uart->timeout_pending = true;
	update_irq(uart);
}

static unsigned fifo_room(const struct uart *uart)
{
	return (uart->fcr & FCR_ENABLE ? FIFO_SIZE : 1) - uart->fifo_count;
}

static void fifo_put(struct uart *uart, u8 c)
{
	c &= 0xff >> (3 - (uart->lcr & LCR_LENGTH));
	if (!fifo_room(uart)) {
		uart->lsr_errors |= LSR_OVERRUN;
		/* The FIFO keeps what it has; the single register of a 16450 does not. */
		if (!(uart->fcr & FCR_ENABLE))
			uart->fifo[uart->fifo_first] = c;
		return;
	}
	uart->fifo[(uart->fifo_first + uart->fifo_count++) % FIFO_SIZE] = c;
	if (!uart->timeout_pending)
		restart_timeout(uart);
}

/* Let the backlog in, as far as there is room. In loopback the line is disconnected. */
static void drain_backlog(struct uart *uart)
{
	while (uart->backlog_count && fifo_room(uart) && !(uart->mcr & MCR_LOOP)) {
		fifo_put(uart, uart->backlog[uart->backlog_first]);
		uart->backlog_first = (uart->backlog_first + 1) % UART_BACKLOG;
		uart->backlog_count--;
	}
}

bool uart_receive(struct uart *uart, u8 c)
{
	if (uart->backlog_count == UART_BACKLOG)
		return false;
	uart->backlog[(uart->backlog_first + uart->backlog_count++) % UART_BACKLOG] = c;
	drain_backlog(uart);
	update_irq(uart);
	return true;
}

static u8 read_data(struct uart *uart)
{
	if (uart->fifo_count) {
		uart->last_read = uart->fifo[uart->fifo_first];
		uart->fifo_first = (uart->fifo_first + 1) % FIFO_SIZE;
		uart->fifo_count--;
	}
	uart->timeout_pending = false;
	restart_timeout(uart);
	drain_backlog(uart);
	return uart->last_read;
}

static void clear_fifo(struct uart *uart)
{
	uart->fifo_count = 0;
	uart->timeout_pending = false;
	restart_timeout(uart);
}

/* --- transmitter, modem lines, control --- */

static void transmit(struct uart *uart, u8 c)
{
	if (uart->mcr & MCR_LOOP) {
		fifo_put(uart, c);
	} else {
		char text = (char)(c & (0xff >> (3 - (uart->lcr & LCR_LENGTH))));

		vm_console_write(uart->vm, &text, 1);
	}
	uart->transmit_pending = true;
}

/* The terminal is always ready: CTS, DSR and DCD are on. Loopback takes the own outputs instead. */
static void update_modem(struct uart *uart)
{
	u8 lines = MSR_CTS | MSR_DSR | MSR_DCD, changed;

	if (uart->mcr & MCR_LOOP)
		lines = (uart->mcr & MCR_RTS ? MSR_CTS : 0) | (uart->mcr & MCR_DTR ? MSR_DSR : 0) |
			(uart->mcr & MCR_OUT1 ? MSR_RI : 0) | (uart->mcr & MCR_OUT2 ? MSR_DCD : 0);
	changed = (lines ^ uart->msr) >> 4;
	if (lines & MSR_RI)
		changed &= ~MSR_DELTA_RI;
	uart->msr = lines | (uart->msr & MSR_DELTAS) | changed;
}

static void write_ier(struct uart *uart, u8 value)
{
	/* The transmitter is empty: enabling its interrupt raises it. */
	if (value & ~uart->ier & IER_TRANSMIT)
		uart->transmit_pending = true;
	uart->ier = value & IER_BITS;
}

static void write_fcr(struct uart *uart, u8 value)
{
	bool toggled = (value ^ uart->fcr) & FCR_ENABLE;

	/* The other bits are taken only together with the enable bit. */
	uart->fcr = value & FCR_ENABLE ? value : 0;
	if (toggled || (uart->fcr & FCR_CLEAR_RX))
		clear_fifo(uart);
	drain_backlog(uart);
}

static u8 read_iir(struct uart *uart)
{
	u8 id = interrupt_id(uart);

	if (id == IIR_TRANSMIT)
		uart->transmit_pending = false;
	return id | (uart->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static u8 read_lsr(struct uart *uart)
{
	u8 value = LSR_THR_EMPTY | LSR_TX_EMPTY | uart->lsr_errors;

	uart->lsr_errors = 0;
	return value | (uart->fifo_count ? LSR_READY : 0);
}

static u8 read_msr(struct uart *uart)
{
	u8 value = uart->msr;

	uart->msr &= ~MSR_DELTAS;
	return value;
}

/* --- ports --- */

static u8 read_register(struct uart *uart, unsigned index)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (index) {
	case UART_DATA:
		return dlab ? (u8)uart->divisor : read_data(uart);
	case UART_IER:
		return dlab ? uart->divisor >> 8 : uart->ier;
	case UART_IIR:
		return read_iir(uart);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return read_lsr(uart);
	case UART_MSR:
		return read_msr(uart);
	default:
		return uart->scratch;
	}
}

static void write_register(struct uart *uart, unsigned index, u8 value)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (index) {
	case UART_DATA:
		if (dlab)
			uart->divisor = (uart->divisor & 0xff00) | value;
		else
			transmit(uart, value);
		break;
	case UART_IER:
		if (dlab)
			uart->divisor = (u16)(value << 8) | (uart->divisor & 0xff);
		else
			write_ier(uart, value);
		break;
	case UART_IIR:
		write_fcr(uart, value);
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		uart->mcr = value & MCR_BITS;
		update_modem(uart);
		drain_backlog(uart);
		break;
	case UART_SCRATCH:
		uart->scratch = value;
		break;
	default:	/* LSR and MSR are read-only but for factory testing */
		break;
	}
}

static u8 uart_read(void *device, u16 port)
{
	struct uart *uart = device;
	u8 value = read_register(uart, port % UART_REGISTERS);

	update_irq(uart);
	return value;
}

static void uart_write(void *device, u16 port, u8 value)
{
	struct uart *uart = device;

	write_register(uart, port % UART_REGISTERS, value);
	update_irq(uart);
}

struct uart *uart_create(struct vm *vm, u16 base, unsigned irq)
{
	struct uart *uart = vm_alloc(vm, sizeof(*uart));

	if (!uart)
		return NULL;
	uart->vm = vm;
	uart->irq = irq;
	/* As firmware leaves it: small kernels write to it without any set-up. */
	uart->lcr = LCR_LENGTH;
	uart->divisor = 1;
	uart->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	vtimer_init(&uart->timeout, vm_bsp(vm), timeout_fire);
	if (byte_ports_register(vm, &(struct byte_ports){
		.name = "16550A", .base = base, .count = UART_REGISTERS,
		.read = uart_read, .write = uart_write, .device = uart }))
		return NULL;
	return uart;
}
