/* SPDX-License-Identifier: MIT */
/* One vCPU and the log lines about it, for the tests of the accounting and of the trace. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/time/clock.h"
#include "arch/bootinfo/option.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "home_cpu.h"

static struct vm vm;
static struct vcpu vcpu;
static char screen[1 << 18];
static size_t screen_used;

static void show(struct log_console *console, const char *text, size_t length)
{
	assert_true(screen_used + length < sizeof(screen));
	memcpy(screen + screen_used, text, length);
	screen_used += length;
	screen[screen_used] = '\0';
}

static struct log_console console = { .write = show };

static void clear_screen(void)
{
	screen_used = 0;
	screen[0] = '\0';
}

static void assert_shown(const char *text)
{
	if (!strstr(screen, text))
		fail_msg("\"%s\" is not in:\n%s", text, screen);
}

static unsigned lines_shown(void)
{
	unsigned lines = 0;

	for (const char *at = screen; (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

/* A clock of 1 GHz that started at tick 1000. */
u64 clock_tsc_hz(void) { return 1000000000; }
u64 clock_tsc_to_ns(u64 ticks) { return ticks; }
u64 clock_tsc_at_boot(void) { return 1000; }

/* Another CPU, whose ring a test can fill. */
static struct percpu other;
static struct trace_record other_records[TRACE_RECORDS];

u32 percpu_count(void) { return 2; }
struct percpu *percpu_get(u32 index) { return index ? &other : &home; }
void *pages_alloc(unsigned order) { return NULL; }
void vm_state_changed(struct vm *v) { }

static void fixture_set_up(const struct vcpu_ops *ops)
{
	static bool added;

	if (!added)
		log_add_console(&console);
	added = true;
	clear_screen();
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	strcpy(vm.name, "web");
	vm.id = 3;
	home_reset();
	memset(&other, 0, sizeof(other));	/* without a ring: it runs no guests */
	memset(other_records, 0, sizeof(other_records));
	vcpu.vm = &vm;
	vcpu.cpu = &home;
	vcpu.ops = ops;
}
