/* SPDX-License-Identifier: MIT */
/*
 * A 16550A serial port, from National Semiconductor's "PC16550D Universal Asynchronous
 * Receiver/Transmitter with FIFOs" data sheet. Sending and receiving take no time: the line status says that the
 * transmitter is empty as long as the VM's console has room. Only the transmitter's interrupt comes when the
 * characters would have been sent, unless the driver asks for it before; so its line makes an edge, one for a burst.
 * Characters wait in the console while the receive FIFO is full, so pasted text causes no overrun; only in loopback
 * can the guest cause one.
 */
#include "dev/isa/vuart.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vm_console.h"
#include "core/vm_log.h"
#include "core/vtimer.h"
#include "dev/isa/byte_ports.h"
#include "lib/string.h"
#include "lib/uart16550.h"

#define BAUD_BASE	115200	/* 1.8432 MHz / 16 */
#define TIMEOUT_CHARACTERS 4
#define SENT_NS 87000u	/* a character at 115200 baud; the terminal is as fast at each divisor */

struct vuart {
	struct vm *vm;
	u16 base;
	unsigned irq;
	bool has_console;
	struct vm_console_end end;
	struct vtimer timeout;		/* runs while characters wait below the trigger level */

	u8 ier, fcr, lcr, mcr, msr, scratch;
	u8 lsr_errors;			/* until LSR is read */
	u16 divisor;
	bool line;			/* level of the interrupt line */
	bool busy;			/* the console has no room: the transmitter is not empty */
	u8 sending;			/* characters whose interrupt has not come yet: 0, 1, or 2 for more */
	struct vtimer sent;		/* runs while some are, if the interrupt is enabled */
	bool transmit_pending;		/* THRE interrupt, until IIR reports it */
	bool timeout_pending;

	u8 fifo[UART_FIFO_SIZE];
	u8 fifo_first, fifo_count;
	bool looped;			/* some of it was not typed, but sent in loopback */
	u8 last_read;			/* what an empty RBR reads as */
};

/* --- interrupts --- */

static unsigned trigger_level(const struct vuart *vuart)
{
	static const u8 levels[] = { 1, 4, 8, 14 };

	return vuart->fcr & FCR_ENABLE ? levels[FCR_TRIGGER(vuart->fcr)] : 1;
}

/* The source of the highest priority. Data sheet, "Interrupt Identification Register". */
static u8 interrupt_id(const struct vuart *vuart)
{
	if ((vuart->ier & IER_LINE) && vuart->lsr_errors)
		return IIR_LINE;
	if ((vuart->ier & IER_RECEIVE) && vuart->fifo_count >= trigger_level(vuart))
		return IIR_RECEIVE;
	if ((vuart->ier & IER_RECEIVE) && vuart->timeout_pending)
		return IIR_TIMEOUT;
	if ((vuart->ier & IER_TRANSMIT) && vuart->transmit_pending)
		return IIR_TRANSMIT;
	if ((vuart->ier & IER_MODEM) && (vuart->msr & MSR_DELTAS))
		return IIR_MODEM;
	return IIR_NONE;
}

/* OUT2 connects the interrupt. Loopback forces all modem outputs inactive, OUT2 too. */
static void update_irq(struct vuart *vuart)
{
	bool connected = (vuart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
	bool line = connected && interrupt_id(vuart) != IIR_NONE;

	if (vuart->line == line)
		return;
	vuart->line = line;
	irq_line_set(vuart->vm, vuart->irq, line);
}

/* --- receiver --- */

static u64 timeout_ticks(const struct vuart *vuart)
{
	unsigned bits = 1 + 5 + (vuart->lcr & LCR_LENGTH) + !!(vuart->lcr & LCR_PARITY) +
			1 + !!(vuart->lcr & LCR_STOP);
	u64 divisor = vuart->divisor ? vuart->divisor : 1;

	return vtimer_scale(vtimer_hz(), TIMEOUT_CHARACTERS * bits * divisor, BAUD_BASE);
}

/* Restarts when a character is received or read. Data sheet, "FIFO Interrupt Mode Operation". */
static void restart_timeout(struct vuart *vuart)
{
	if (vuart->fifo_count && (vuart->fcr & FCR_ENABLE))
		vtimer_arm(&vuart->timeout, vtimer_now() + timeout_ticks(vuart));
	else
		vtimer_cancel(&vuart->timeout);
}

static void timeout_fire(struct vtimer *timer)
{
	struct vuart *vuart = container_of(timer, struct vuart, timeout);

	vuart->timeout_pending = true;
	update_irq(vuart);
}

static unsigned fifo_room(const struct vuart *vuart)
{
	return (vuart->fcr & FCR_ENABLE ? UART_FIFO_SIZE : 1) - vuart->fifo_count;
}

static void fifo_put(struct vuart *vuart, u8 c)
{
	c &= 0xff >> (3 - (vuart->lcr & LCR_LENGTH));
	if (!fifo_room(vuart)) {
		vuart->lsr_errors |= LSR_OVERRUN;
		/* The FIFO drops the new character; the single register of a 16450 takes it. */
		if (!(vuart->fcr & FCR_ENABLE)) {
			vuart->fifo[vuart->fifo_first] = c;
			vuart->looped = vuart->mcr & MCR_LOOP;
		}
		return;
	}
	vuart->looped = vuart->mcr & MCR_LOOP || (vuart->looped && vuart->fifo_count);
	vuart->fifo[(vuart->fifo_first + vuart->fifo_count++) % UART_FIFO_SIZE] = c;
	if (!vuart->timeout_pending)
		restart_timeout(vuart);
}

/*
 * Move typed characters into the FIFO, up to its trigger level: on a wire the next one takes its time, and a driver that
 * reads as many as it was interrupted for relies on the line having fallen then. In loopback the line is disconnected.
 */
static void receive(struct vuart *vuart)
{
	int c;

	while (vuart->fifo_count < trigger_level(vuart) && !(vuart->mcr & MCR_LOOP) && vuart->has_console) {
		c = vm_console_read(vuart->vm, &vuart->end);
		if (c < 0)
			return;
		fifo_put(vuart, (u8)c);
	}
}

static u8 fifo_take(struct vuart *vuart)
{
	u8 c = vuart->fifo[vuart->fifo_first];

	vuart->fifo_first = (vuart->fifo_first + 1) % UART_FIFO_SIZE;
	vuart->fifo_count--;
	return c;
}

static u8 read_data(struct vuart *vuart)
{
	if (vuart->fifo_count)
		vuart->last_read = fifo_take(vuart);
	vuart->timeout_pending = false;
	restart_timeout(vuart);
	update_irq(vuart);	/* the line falls before the next character raises it */
	receive(vuart);
	return vuart->last_read;
}

/* Another device gets what is typed now, and what this port's driver has left in the FIFO. */
static int take_back(void *device)
{
	struct vuart *vuart = device;
	u8 c;

	if (!vuart->fifo_count || vuart->looped || (vuart->mcr & MCR_LOOP))
		return -1;
	c = fifo_take(vuart);
	vuart->timeout_pending = false;
	restart_timeout(vuart);
	update_irq(vuart);
	return c;
}

static void clear_fifo(struct vuart *vuart)
{
	vuart->fifo_count = 0;
	vuart->timeout_pending = false;
	restart_timeout(vuart);
}

/* --- transmitter, modem lines, control --- */

/* The transmitter is empty, or is with the next moment that the console has room. */
static void transmitted(struct vuart *vuart)
{
	if (vuart->sending)
		vtimer_cancel(&vuart->sent);
	vuart->sending = 0;
	vuart->busy = vuart->has_console && !(vuart->mcr & MCR_LOOP) && !vm_console_ready(vuart->vm);
	vuart->transmit_pending = !vuart->busy;
}

static void sent_fire(struct vtimer *timer)
{
	struct vuart *vuart = container_of(timer, struct vuart, sent);

	transmitted(vuart);
	update_irq(vuart);
}

/* The first character, and then the whole FIFO; who has none waits for each character. */
static void expect_sent(struct vuart *vuart)
{
	unsigned characters = vuart->sending && (vuart->fcr & FCR_ENABLE) ? UART_FIFO_SIZE : 1;

	vuart->sending++;
	if (vuart->ier & IER_TRANSMIT)
		vtimer_arm(&vuart->sent, vtimer_now() + vtimer_from_ns(SENT_NS * characters));
}

static inline void will_be_sent(struct vuart *vuart)
{
	if (vuart->sending < 2)
		expect_sent(vuart);
}

static __noinline void warn_no_console(const struct vuart *vuart)
{
	if (vm_once(vuart->vm, ONCE_OTHER, vuart->base))
		vm_warn(vuart->vm, "what the guest sends to the serial port 0x%x is dropped: its console is COM1",
			vuart->base);
}

/* A guest that sends while the transmitter is not empty loses the character, as from a real one. */
static inline void transmit(struct vuart *vuart, u8 c)
{
	vuart->transmit_pending = false;
	if (unlikely(!vuart->has_console))
		warn_no_console(vuart);
	else
		vuart->busy = !vm_console_put(vuart->vm, (char)(c & (0xff >> (3 - (vuart->lcr & LCR_LENGTH)))));
	if (!vuart->busy)
		will_be_sent(vuart);
}

static void loop_back(struct vuart *vuart, u8 c)
{
	vuart->transmit_pending = false;
	fifo_put(vuart, c);
	if (!vuart->busy)
		will_be_sent(vuart);
}

/* The console has room, or characters were typed. */
static void console_changed(void *device)
{
	struct vuart *vuart = device;

	if (vuart->busy)
		transmitted(vuart);
	receive(vuart);
	update_irq(vuart);
}

/* A terminal is always ready: CTS, DSR and DCD are on. In loopback they follow the modem outputs. */
static void update_modem(struct vuart *vuart)
{
	u8 lines = MSR_CTS | MSR_DSR | MSR_DCD, changed;

	if (vuart->mcr & MCR_LOOP)
		lines = (vuart->mcr & MCR_RTS ? MSR_CTS : 0) | (vuart->mcr & MCR_DTR ? MSR_DSR : 0) |
			(vuart->mcr & MCR_OUT1 ? MSR_RI : 0) | (vuart->mcr & MCR_OUT2 ? MSR_DCD : 0);
	changed = (lines ^ vuart->msr) >> 4;
	if (lines & MSR_RI)
		changed &= ~MSR_DELTA_RI;
	vuart->msr = lines | (vuart->msr & MSR_DELTAS) | changed;
}

static void write_ier(struct vuart *vuart, u8 value)
{
	/* Enabling the interrupt of an empty transmitter raises it. */
	if (value & ~vuart->ier & IER_TRANSMIT)
		transmitted(vuart);
	vuart->ier = value & IER_BITS;
	if (vuart->has_console)
		vm_console_need(vuart->vm, &vuart->end, value & IER_RECEIVE ? CONSOLE_AWAITED : CONSOLE_POLLED);
}

static void write_fcr(struct vuart *vuart, u8 value)
{
	bool toggled = (value ^ vuart->fcr) & FCR_ENABLE;

	/* The other bits are written only together with the enable bit. */
	vuart->fcr = value & FCR_ENABLE ? value : 0;
	if (toggled || (vuart->fcr & FCR_CLEAR_RX))
		clear_fifo(vuart);
	receive(vuart);
}

static u8 read_iir(struct vuart *vuart)
{
	u8 id;

	if (vuart->sending)
		transmitted(vuart);
	id = interrupt_id(vuart);
	if (id == IIR_TRANSMIT)
		vuart->transmit_pending = false;
	/* The driver is in its interrupt handler: it has sent what it wanted to send. */
	vm_console_push(vuart->vm);
	return id | (vuart->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static u8 read_lsr(struct vuart *vuart)
{
	u8 value = (vuart->busy ? 0 : LSR_THR_EMPTY | LSR_TX_EMPTY) | vuart->lsr_errors;

	vuart->lsr_errors = 0;
	return value | (vuart->fifo_count ? LSR_READY : 0);
}

static u8 read_msr(struct vuart *vuart)
{
	u8 value = vuart->msr;

	vuart->msr &= ~MSR_DELTAS;
	return value;
}

/* --- ports --- */

static u8 read_register(struct vuart *vuart, unsigned index)
{
	bool dlab = vuart->lcr & LCR_DLAB;

	switch (index) {
	case UART_DATA:
		return dlab ? (u8)vuart->divisor : read_data(vuart);
	case UART_IER:
		return dlab ? vuart->divisor >> 8 : vuart->ier;
	case UART_IIR:
		return read_iir(vuart);
	case UART_LCR:
		return vuart->lcr;
	case UART_MCR:
		return vuart->mcr;
	case UART_LSR:
		return read_lsr(vuart);
	case UART_MSR:
		return read_msr(vuart);
	default:
		return vuart->scratch;
	}
}

static __noinline void write_register(struct vuart *vuart, unsigned index, u8 value)
{
	bool dlab = vuart->lcr & LCR_DLAB;

	switch (index) {
	case UART_DATA:	/* in loopback, else vuart_write() has sent it */
		if (dlab)
			vuart->divisor = (vuart->divisor & 0xff00) | value;
		else
			loop_back(vuart, value);
		break;
	case UART_IER:
		if (dlab)
			vuart->divisor = (u16)(value << 8) | (vuart->divisor & 0xff);
		else
			write_ier(vuart, value);
		break;
	case UART_IIR:
		write_fcr(vuart, value);
		break;
	case UART_LCR:
		vuart->lcr = value;
		break;
	case UART_MCR:
		vuart->mcr = value & MCR_BITS;
		update_modem(vuart);
		receive(vuart);
		break;
	case UART_SCRATCH:
		vuart->scratch = value;
		break;
	default:	/* writes of LSR and MSR are for factory testing only */
		break;
	}
}

static u8 vuart_read(void *device, u16 port)
{
	struct vuart *vuart = device;
	u8 value;

	/* While there is no error, a look at the line status changes nothing. */
	if (likely(port % UART_REGISTERS == UART_LSR && !vuart->lsr_errors))
		return read_lsr(vuart);
	value = read_register(vuart, port % UART_REGISTERS);
	update_irq(vuart);
	return value;
}

static void vuart_write(void *device, u16 port, u8 value)
{
	struct vuart *vuart = device;

	if (likely(port % UART_REGISTERS == UART_DATA && !(vuart->lcr & LCR_DLAB) && !(vuart->mcr & MCR_LOOP))) {
		transmit(vuart, value);
		/* What is written to send only takes an interrupt away. */
		if (likely(!vuart->line))
			return;
	} else {
		write_register(vuart, port % UART_REGISTERS, value);
	}
	update_irq(vuart);
}

/* Looks at the line status: after the first one nothing changes. Each other register has an effect of its own. */
static unsigned read_block(struct vuart *vuart, unsigned index, u8 *data, unsigned n)
{
	if (index != UART_LSR)
		return 0;
	data[0] = read_lsr(vuart);
	memset(data + 1, read_lsr(vuart), n - 1);
	update_irq(vuart);
	return n;
}

/* Characters of 8 bits, for which the console has room. They only take an interrupt away. */
static unsigned write_block(struct vuart *vuart, unsigned index, const u8 *data, unsigned n)
{
	if (index != UART_DATA || (vuart->lcr & (LCR_DLAB | LCR_LENGTH)) != LCR_LENGTH || vuart->mcr & MCR_LOOP ||
	    !vuart->has_console || vuart->busy || !vm_console_put_block(vuart->vm, (const char *)data, n))
		return 0;
	vuart->transmit_pending = false;
	for (unsigned i = 0; i < n && vuart->sending < 2; i++)
		expect_sent(vuart);
	if (unlikely(vuart->line))
		update_irq(vuart);
	return n;
}

static unsigned vuart_block(void *device, u16 port, bool in, u8 *data, unsigned n)
{
	return in ? read_block(device, port % UART_REGISTERS, data, n) : write_block(device, port % UART_REGISTERS, data, n);
}

struct vuart *vuart_create(struct vm *vm, u16 base, unsigned irq, bool has_console)
{
	struct vuart *vuart = vm_alloc(vm, sizeof(*vuart));

	if (!vuart)
		return NULL;
	vuart->vm = vm;
	vuart->base = base;
	vuart->irq = irq;
	vuart->has_console = has_console;
	/* As firmware leaves it: small kernels write to it without initializing it. */
	vuart->lcr = LCR_LENGTH;
	vuart->divisor = 1;
	vuart->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	vtimer_init_shared(&vuart->timeout, vm, timeout_fire);
	vtimer_init_shared(&vuart->sent, vm, sent_fire);
	if (byte_ports_register(vm, &(struct byte_ports){
		.name = "16550A", .base = base, .count = UART_REGISTERS,
		.read = vuart_read, .write = vuart_write, .block = vuart_block, .device = vuart }))
		return NULL;
	vuart->end = (struct vm_console_end){
		.changed = console_changed, .take_back = take_back, .device = vuart, .need = CONSOLE_POLLED };
	if (has_console)
		vm_console_connect(vm, &vuart->end);
	return vuart;
}
