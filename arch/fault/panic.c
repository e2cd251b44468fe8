/* SPDX-License-Identifier: MIT */
/* Stopping when Lamina cannot continue. */
#include "arch/fault/panic.h"

#include <stdarg.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
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

#define MAX_CRASHES 4	/* within each other */

static u32 reporter;	/* index plus one of the CPU whose crash is being reported */

bool panic_elsewhere(void)
{
	u32 now = __atomic_load_n(&reporter, __ATOMIC_ACQUIRE);

	return now && now != percpu_by_stack()->index + 1;
}

/* Of CPUs that crash together one reports. */
static void become_reporter(void)
{
	u32 nobody = 0;

	__atomic_compare_exchange_n(&reporter, &nobody, percpu_by_stack()->index + 1, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_ACQUIRE);
	if (panic_elsewhere())
		cpu_stop();
}

/* A crash within the report of a crash says that much, and one within that is silent. */
void panic_begin(void)
{
	static unsigned crashes, depth;

	irq_disable();
	become_reporter();
	/* What makes the log's way out work may crash, too: then the second attempt finds less to do. */
	if (crashes++ == MAX_CRASHES)
		panic_hooks.halt();
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
