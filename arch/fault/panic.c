/* SPDX-License-Identifier: MIT */
/* Stopping when Lamina cannot continue. */
#include "arch/fault/panic.h"

#include <stdarg.h>

#include "arch/cpu/cpu.h"
#include "lib/log.h"
#include "lib/printf.h"

void log_last_line(const char *format, ...)
{
	va_list args;

	log_set_level(LOG_INFO);
	va_start(args, format);
	log_vline(LOG_INFO, NULL, format, args);
	va_end(args);
}

/* A crash while reporting a crash prints one line and ends; a third one halts in silence. */
void panic_begin(void)
{
	static unsigned depth;

	irq_disable();
	log_force_unlock();
	panic_hooks.begin(true);
	switch (depth++) {
	case 0:
		return;
	case 1:
		log_last_line("Lamina: stopped: crashed again while reporting a crash");
		panic_hooks.end(panic_hooks.end_loop());
	default:
		panic_hooks.halt();
	}
}

void panic_end(const char *why)
{
	bool in_loop = panic_hooks.end_loop();

	panic_hooks.report_vm();
	log_last_line("Lamina: stopped: %s", why);
	panic_hooks.end(in_loop);
}

void panic(const char *format, ...)
{
	char why[256];
	va_list args;

	panic_begin();
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	log_error("panic: %s", why);
	panic_hooks.report_caller(__builtin_frame_address(0));
	panic_end(why);
}

void stop(const char *format, ...)
{
	char why[256];
	va_list args;
	bool in_loop;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	panic_hooks.begin(false);
	in_loop = panic_hooks.end_loop();
	log_last_line("Lamina: stopped: %s", why);
	panic_hooks.end(in_loop);
}
