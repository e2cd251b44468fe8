/* SPDX-License-Identifier: MIT */
/* The serial ports' input and output while VMs run. */
#include "boot/keyboard.h"

#include "arch/apic/irq.h"
#include "arch/console/console.h"
#include "arch/time/clock.h"
#include "boot/operations.h"
#include "core/console.h"
#include "core/monitor.h"
#include "core/sched.h"
#include "core/service.h"
#include "core/vtimer.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/uart16550.h"

#define POLL_US	 10000u
/* For a port without an interrupt, while characters move: often enough that its FIFO never fills up. */
#define BUSY_POLL_US 1000u
#define WAKE_NS	 1000000u
#define READER_US 2000000u	/* with a guest that reads nothing, before Lamina's keys get through to it */
#define MAX_ROUNDS  16u

static bool present, by_interrupt;
/*
 * Both on the boot CPU, which also gets the interrupts. An interrupt that has come is trusted, until a poll finds a
 * character that it has not announced; a second poll gives it time to come after all.
 */
static bool trusted, doubted, reported;
/* At the last look the port was perhaps not empty. Then its line stays high, and announces nothing. */
static bool backlog;
static int typed = -1;		/* a character that the VM had no room for */
static u64 typed_us;
static u64 dropped, overruns;	/* not yet reported; already reported */

/* --- input --- */

static bool deliver(void)
{
	char c = (char)typed;

	if (typed >= 0 && !console_type(&c, 1)) {
		if (clock_us_since_boot() - typed_us < READER_US)
			return false;
		dropped++;
	} else if (typed >= 0 && dropped) {
		log_warn("console: %llu typed characters are lost: the VM did not read them", (ull)dropped);
		dropped = 0;
	}
	typed = -1;
	return true;
}

static bool pump(void)
{
	bool any = false;
	int c;

	while (deliver() && (c = uart_read_char(&console_uart)) >= 0) {
		any = true;
		if (monitor_takes((char)c))
			continue;
		typed = c;
		if (!dropped)
			typed_us = clock_us_since_boot();
	}
	return any || typed >= 0;
}

static void report_overruns(void)
{
	u64 now = uart_overruns(&console_uart);

	if (now == overruns)
		return;
	log_warn("console: the serial port had no room for typed characters, %llu times", (ull)(now - overruns));
	overruns = now;
}

/* --- both --- */

static bool move(bool *more, unsigned *received)
{
	bool any;

	*received = uart_poll(&console_uart);
	any = pump();
	*more = console_poll();
	if (monitor_port_poll())
		service_wake();
	return any;
}

static void interrupt(void)
{
	bool more, served = false;
	unsigned received;

	/* One whose character a poll has just taken, or one with something to report; another port may have raised it. */
	trusted = trusted || doubted || !uart_served(&console_uart);
	doubted = false;
	for (unsigned i = 0; i < MAX_ROUNDS && !served; i++) {
		move(&more, &received);
		served = uart_served(&console_uart);
	}
	backlog = typed >= 0 || !served;
	/* While the port's line stays high it gives no further interrupt. */
	if (more || typed >= 0 || !served)
		keyboard_wake();
}

/* A poll, with `received` characters: is the interrupt to be relied on? */
static bool can_wait_for_interrupt(unsigned received)
{
	bool may_be_silent = backlog;

	backlog = typed >= 0 || received > UART_FIFO_SIZE;
	if (may_be_silent || backlog)
		return by_interrupt && trusted;
	if (doubted && !reported) {
		reported = true;
		log_info("console: serial input is polled every %u ms, for interrupt %u does not come", POLL_US / 1000,
			 uart_irq(&console_uart));
	}
	doubted = by_interrupt && received;
	if (received)
		trusted = false;
	return by_interrupt && trusted;
}

u64 keyboard_poll(void)
{
	unsigned received;
	bool more, any = move(&more, &received), waits = can_wait_for_interrupt(received);

	report_overruns();
	if (!waits && (any || more))
		return BUSY_POLL_US;
	if (more || (present && !waits) || monitor_port_is_open() || monitor_poll() || typed >= 0)
		return POLL_US;
	return 0;
}

void keyboard_init(void)
{
	int err;

	irq_set_handler(IRQ_VECTOR_UART, interrupt);
	monitor_init(&operations);
	monitor_port_init();
	err = uart_enable_interrupt(&console_uart);
	present = err != -ENODEV;
	if (!present) {
		log_info("console: nothing can be typed without a serial port");
		return;
	}
	by_interrupt = !err;
	trusted = doubted = reported = false;
	if (by_interrupt) {
		uart_raise_interrupt(&console_uart);
		log_info("console: serial input by interrupt %u, polled until one has come", uart_irq(&console_uart));
	} else {
		log_info("console: serial input is polled every %u ms", POLL_US / 1000);
	}
	log_info("console: what is typed goes to the VM; Ctrl-_ ? lists the keys that are Lamina's");
}

/* --- when to poll --- */

static struct vtimer timer;	/* of the boot CPU */
static bool wanted;		/* atomic: from keyboard_wake() until the timer fires */

void keyboard_wake(void)
{
	if (!__atomic_exchange_n(&wanted, true, __ATOMIC_SEQ_CST))
		sched_poke();
}

/* Wait a little: more is likely to follow. */
static void poked(void)
{
	u64 soon = vtimer_now() + vtimer_from_ns(WAKE_NS);

	if (!timer.armed || timer.deadline > soon)
		vtimer_arm(&timer, soon);
}

static void timer_fired(struct vtimer *fired)
{
	u64 pause;

	__atomic_store_n(&wanted, false, __ATOMIC_SEQ_CST);
	pause = keyboard_poll();
	if (pause)
		vtimer_arm(&timer, vtimer_now() + vtimer_from_ns(pause * 1000));
}

void keyboard_start(void)
{
	vtimer_init_on(&timer, sched_timers(), timer_fired);
	sched_set_poke(poked);
	log_set_buffered(true);
	vtimer_arm(&timer, vtimer_now());
}
