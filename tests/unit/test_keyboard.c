/* SPDX-License-Identifier: MIT */
/* Typed characters on their way from the serial port to the VM in front, and how often the ports are polled. */
/* link: boot/keyboard.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/apic/irq.h"
#include "arch/console/console.h"
#include "arch/time/clock.h"
#include "boot/keyboard.h"
#include "boot/operations.h"
#include "core/console.h"
#include "core/irqchip.h"
#include "core/monitor.h"
#include "core/vtimer.h"
#include "lib/errno.h"
#include "lib/log.h"

struct uart console_uart;
const struct monitor_ops operations;

static const char *typed = "";
static char got[8192], said[1024];
static size_t vm_room;
static bool output_waits, port_open, escape_waits, port_waits;
static u64 now = 5000000, overruns;
static int interrupt_error, unserved;
static irq_handler_t handler;

int uart_read_char(struct uart *uart)
{
	return *typed ? (u8)*typed++ : -1;
}

static unsigned received, raised;

/* What arrives is also what can be read. */
unsigned uart_poll(struct uart *uart)
{
	unsigned n = received;

	received = 0;
	return n;
}

void uart_raise_interrupt(struct uart *uart)
{
	raised++;
}

u8 uart_irq(const struct uart *uart)
{
	return 4;
}

u64 uart_overruns(struct uart *uart)
{
	return overruns;
}

bool uart_served(struct uart *uart)
{
	return unserved-- <= 0;
}

int uart_enable_interrupt(struct uart *uart)
{
	return interrupt_error;
}

void irq_set_handler(u8 vector, irq_handler_t function)
{
	assert_int_equal(vector, IRQ_VECTOR_UART);
	handler = function;
}

size_t console_type(const char *text, size_t n)
{
	assert_int_equal(n, 1);
	if (!vm_room)
		return 0;
	vm_room--;
	got[strlen(got)] = *text;
	return 1;
}

bool console_poll(void)
{
	return output_waits;
}

bool monitor_takes(char c)
{
	return c == '!';
}

void monitor_init(const struct monitor_ops *ops) { }
void monitor_run_pending(void) { }
void monitor_port_init(void) { }

bool monitor_poll(void)
{
	return escape_waits;
}

bool monitor_port_poll(void)
{
	return port_waits;
}

bool monitor_port_is_open(void)
{
	return port_open;
}

u64 clock_us_since_boot(void)
{
	return now;
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said + strlen(said), sizeof(said) - strlen(said), format, args);
	va_end(args);
}

void log_set_buffered(bool on) { }

struct vcpu *vm_bsp(struct vm *vm)
{
	return NULL;
}

void vtimer_init_on(struct vtimer *timer, struct vtimer_list *list, void (*fire)(struct vtimer *timer)) { }
struct vtimer_list *sched_timers(void) { return NULL; }
void sched_set_poke(void (*function)(void)) { }
void sched_poke(void) { }
void service_wake(void) { }
void vtimer_arm(struct vtimer *timer, u64 deadline) { }
void vtimer_cancel(struct vtimer *timer) { }

u64 vtimer_now(void)
{
	return 0;
}

u64 vtimer_from_ns(u64 ns)
{
	return ns;
}

static int begin(void **state)
{
	vm_room = SIZE_MAX;
	keyboard_poll();	/* what a test before has left */
	typed = "";
	memset(got, 0, sizeof(got));
	memset(said, 0, sizeof(said));
	output_waits = port_open = escape_waits = port_waits = false;
	interrupt_error = received = raised = 0;
	keyboard_init();
	unserved = 1;
	handler();	/* the one that was raised */
	unserved = 0;
	return 0;
}

static void test_input_goes_to_the_vm(void **state)
{
	typed = "ab!c";
	handler();
	assert_string_equal(got, "abc");
}

/* The interrupt's line is edge-triggered: go on until the port reports nothing, but not without end. */
static void test_until_the_port_is_served(void **state)
{
	unserved = 5;
	handler();
	assert_int_equal(unserved, -1);
	unserved = 1000000;
	handler();
	assert_true(unserved > 999900);
}

/* The VM has no room: what was typed waits in the port's buffer, and is tried again. */
static void test_a_full_vm(void **state)
{
	vm_room = 2;
	typed = "abcd";
	handler();
	assert_string_equal(got, "ab");
	assert_int_equal(strlen(typed), 1);
	assert_int_equal(keyboard_poll(), 10000);
	vm_room = 5;
	assert_int_equal(keyboard_poll(), 0);
	assert_string_equal(got, "abcd");
	assert_string_equal(strstr(said, "lost") ? "lost" : "", "");
}

/* After two seconds Lamina's keys get through; what the VM had no room for is counted. */
static void test_a_vm_that_reads_nothing(void **state)
{
	vm_room = 0;
	typed = "abcdef!";
	handler();
	now += 1999000;
	keyboard_poll();
	assert_int_equal(strlen(typed), 6);
	now += 2000;
	keyboard_poll();
	assert_string_equal(typed, "");
	assert_null(strstr(said, "lost"));
	vm_room = 10;
	typed = "x";
	handler();
	assert_string_equal(got, "x");
	assert_non_null(strstr(said, "console: 6 typed characters are lost: the VM did not read them"));
}

static void test_overruns_are_reported_once(void **state)
{
	overruns += 3;
	keyboard_poll();
	assert_non_null(strstr(said, "had no room for typed characters, 3 times"));
	memset(said, 0, sizeof(said));
	keyboard_poll();
	assert_string_equal(said, "");
}

static void test_how_often_it_is_polled(void **state)
{
	assert_int_equal(keyboard_poll(), 0);
	output_waits = true;
	assert_int_equal(keyboard_poll(), 10000);	/* for the interrupt may be lost */
	output_waits = false;
	port_open = true;
	assert_int_equal(keyboard_poll(), 10000);
	port_open = false;
	escape_waits = true;
	assert_int_equal(keyboard_poll(), 10000);
	escape_waits = false;
	assert_int_equal(keyboard_poll(), 0);
	/* Without an interrupt a FIFO of 16 characters at 115200 baud fills up, or is empty, in 1.4 ms. */
	interrupt_error = -EOPNOTSUPP;
	keyboard_init();
	assert_non_null(strstr(said, "console: serial input is polled every 10 ms"));
	assert_int_equal(keyboard_poll(), 10000);
	typed = "a";
	assert_int_equal(keyboard_poll(), 1000);
	output_waits = true;
	assert_int_equal(keyboard_poll(), 1000);
	output_waits = false;
	interrupt_error = -ENODEV;
	keyboard_init();
	assert_non_null(strstr(said, "nothing can be typed without a serial port"));
	assert_int_equal(keyboard_poll(), 0);
}

/* A port whose interrupt is not the usual one, or is blocked: poll from the beginning, and say so once. */
static void test_an_interrupt_that_never_comes(void **state)
{
	keyboard_init();
	assert_int_equal(raised, 2);		/* once in begin() */
	assert_int_equal(keyboard_poll(), 10000);
	typed = "a";
	received = 1;
	assert_int_equal(keyboard_poll(), 1000);
	assert_string_equal(got, "a");
	assert_null(strstr(said, "polled every"));
	assert_int_equal(keyboard_poll(), 10000);
	assert_non_null(strstr(said, "polled every 10 ms, for interrupt 4 does not come"));
	memset(said, 0, sizeof(said));
	received = 1;
	keyboard_poll();
	keyboard_poll();
	assert_string_equal(said, "");
}

/* The interrupt of another port on the same vector proves nothing. */
static void test_another_ports_interrupt(void **state)
{
	keyboard_init();
	unserved = 0;
	handler();
	assert_int_equal(keyboard_poll(), 10000);
	unserved = 1;
	handler();
	assert_int_equal(keyboard_poll(), 0);
}

/* A poll was faster than the interrupt, which comes before the next poll: nothing is wrong. */
static void test_a_late_interrupt(void **state)
{
	received = 1;
	output_waits = true;
	assert_int_equal(keyboard_poll(), 1000);
	output_waits = false;
	unserved = 0;
	handler();
	assert_int_equal(keyboard_poll(), 0);
	assert_null(strstr(said, "polled every"));
}

/* It does not come from some moment on: polled again. */
static void test_an_interrupt_that_stops(void **state)
{
	assert_int_equal(keyboard_poll(), 0);
	received = 1;
	keyboard_poll();
	assert_int_equal(keyboard_poll(), 10000);
	assert_non_null(strstr(said, "does not come"));
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_input_goes_to_the_vm), T(test_until_the_port_is_served), T(test_a_full_vm),
		T(test_a_vm_that_reads_nothing), T(test_overruns_are_reported_once), T(test_how_often_it_is_polled),
		T(test_an_interrupt_that_never_comes), T(test_another_ports_interrupt), T(test_a_late_interrupt),
		T(test_an_interrupt_that_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
