/* SPDX-License-Identifier: MIT */
/* Input from the serial console: to the running VM, or to Lamina (boot/monitor.h). */
#include "boot/keyboard.h"

#include "arch/apic/irq.h"
#include "arch/console/uart.h"
#include "boot/monitor.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "dev/platform.h"
#include "lib/errno.h"
#include "lib/log.h"

/* For a port without an interrupt. While characters arrive: often enough that the FIFO never fills up. */
#define POLL_NS	     10000000ull
#define BUSY_POLL_NS 1000000ull
#define RETRY_NS 1000000ull	/* the guest's receive buffer was full */

static struct vtimer timer;
static bool polled;
static int typed = -1;	/* a character that the guest had no room for */

static void print_keys(void)
{
	log_info("console: type Ctrl-_ and then");
	for (const struct monitor_key *key = monitor_keys; key->key; key++)
		log_info("  %s", key->help);
}

/* The next character for the guest, or -1. Lamina's own keys are handled here or requested of the vCPU. */
static int next_for_guest(struct vm *current)
{
	static bool escaped;
	int c;

	while ((c = uart_read_char()) >= 0) {
		switch (monitor_decide(&escaped, (char)c)) {
		case MONITOR_PASS:
			return c;
		case MONITOR_WAIT:
			break;
		case MONITOR_STATISTICS:
			vcpu_request(vm_bsp(current), REQ_STATISTICS);
			break;
		case MONITOR_TRACE:
			vcpu_request(vm_bsp(current), REQ_TRACE);
			break;
		case MONITOR_STOP:
			vcpu_request(vm_bsp(current), REQ_STOP);
			break;
		case MONITOR_HELP:
			print_keys();
			break;
		}
	}
	return -1;
}

static void pump(void)
{
	struct vm *current = vm_current();
	u64 pause = POLL_NS;

	if (!current || current->state != VM_RUNNING)
		return;
	for (;;) {
		if (typed < 0)
			typed = next_for_guest(current);
		if (typed < 0)
			break;
		if (!platform_console_input(current, (char)typed)) {
			vtimer_arm(&timer, vtimer_now() + vtimer_from_ns(RETRY_NS));
			return;
		}
		typed = -1;
		pause = BUSY_POLL_NS;
	}
	if (polled)
		vtimer_arm(&timer, vtimer_now() + vtimer_from_ns(pause));
}

static void interrupt(void)
{
	uart_poll();
	pump();
}

static void timer_fired(struct vtimer *fired)
{
	if (polled)
		uart_poll();
	pump();
}

void keyboard_init(void)
{
	int err = uart_enable_interrupt();

	if (err == -ENODEV) {
		log_info("console: nothing can be typed without a serial port");
		return;
	}
	polled = err != 0;
	if (polled)
		log_info("console: serial input is polled every %llu ms", POLL_NS / 1000000);
	else
		irq_set_handler(IRQ_VECTOR_UART, interrupt);
	log_info("console: what is typed goes to the VM; Ctrl-_ ? lists the keys that are Lamina's");
}

void keyboard_attach(struct vm *vm)
{
	typed = -1;
	vtimer_init(&timer, vm_bsp(vm), timer_fired);
	vtimer_arm(&timer, vtimer_now());
}

void keyboard_detach(void)
{
	vtimer_cancel(&timer);
}
