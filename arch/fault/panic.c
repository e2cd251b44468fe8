/* SPDX-License-Identifier: MIT */
/* Stopping, on purpose or not. */
#include "arch/fault/panic.h"

#include <stdarg.h>

#include "arch/acpi/acpi.h"
#include "boot/bootloop.h"
#include "arch/console/console.h"
#include "arch/cpu/cpu.h"
#include "arch/bootinfo/option.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/trap.h"
#include "arch/console/uart.h"
#include "lib/log.h"
#include "lib/printf.h"

enum end_action on_end = END_POWEROFF, on_fail = END_HALT;
void (*panic_report_vm)(void);

static const char *const actions[] = {
	[END_POWEROFF] = "poweroff", [END_REBOOT] = "reboot", [END_HALT] = "halt",
};

static int set_action(struct str_view value, enum end_action *action)
{
	int choice = option_choice(value, actions, ARRAY_SIZE(actions));

	if (choice < 0)
		return choice;
	*action = choice;
	return 0;
}

static int set_on_end(struct str_view value)
{
	return set_action(value, &on_end);
}
DEFINE_OPTION(onend, "onend", "poweroff|reboot|halt",
	      "what to do when all VMs have ended (default poweroff)", set_on_end);

static int set_on_fail(struct str_view value)
{
	return set_action(value, &on_fail);
}
DEFINE_OPTION(onfail, "onfail", "halt|poweroff|reboot",
	      "what to do when Lamina itself has to stop (default halt)", set_on_fail);

static void __noreturn halt(void)
{
	uart_flush();
	for (;;) {
		irq_disable();
		__asm__ volatile("hlt");
	}
}

static void __noreturn end(enum end_action action)
{
	irq_disable();
	uart_flush();
	if (action == END_POWEROFF) {
		acpi_poweroff();
		log_error("the machine did not power off; halted");
	} else if (action == END_REBOOT) {
		machine_reset();
		log_error("the machine did not reset; halted");
	}
	halt();
}

/* By onfail=; a loop of boots that failed is not to go on by it. */
static void __noreturn end_badly(bool in_loop)
{
	end(in_loop && on_fail == END_REBOOT ? END_HALT : on_fail);
}

/* The last line is always printed, whatever loglevel= says: it is what a reader looks for. */
static void last_line(const char *format, ...) __printf(1, 2);
static void last_line(const char *format, ...)
{
	va_list args;

	log_set_level(LOG_INFO);
	va_start(args, format);
	log_vline(LOG_INFO, NULL, format, args);
	va_end(args);
}

/* A crash within the report of a crash says that much, and one within that is silent. */
static void begin_panic(void)
{
	static unsigned depth;

	irq_disable();
	/* From SVM's exit to its VMLOAD the GS base is a guest's. Only the boot CPU runs guests. */
	percpu_init_early();
	log_force_unlock();
	console_init();
	console_resume();
	switch (depth++) {
	case 0:
		return;
	case 1:
		last_line("Lamina: stopped: crashed again while reporting a crash");
		end_badly(bootloop_failed());
	default:
		halt();
	}
}

static void __noreturn end_panic(const char *why)
{
	bool in_loop = bootloop_failed();

	if (panic_report_vm)
		panic_report_vm();
	last_line("Lamina: stopped: %s", why);
	end_badly(in_loop);
}

void panic(const char *format, ...)
{
	char why[256];
	va_list args;

	begin_panic();
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	log_error("panic: %s", why);
	trap_report_caller(__builtin_frame_address(0));
	end_panic(why);
}

void panic_trap(const struct trap_frame *frame)
{
	char why[80];

	begin_panic();
	snprintf(why, sizeof(why), "unexpected exception %llu (%s) at 0x%llx",
		 (unsigned long long)frame->vector, trap_name(frame->vector),
		 (unsigned long long)frame->rip);
	log_error("panic: %s", why);
	trap_report(frame);
	end_panic(why);
}

void stop(const char *format, ...)
{
	char why[256];
	va_list args;
	bool in_loop;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	console_init();
	in_loop = bootloop_failed();
	last_line("Lamina: stopped: %s", why);
	end_badly(in_loop);
}

void finish(void)
{
	static const char *const doing[] = {
		[END_POWEROFF] = "powering off", [END_REBOOT] = "rebooting", [END_HALT] = "halted",
	};

	last_line("Lamina: all VMs ended, %s", doing[on_end]);
	end(on_end);
}
