/* SPDX-License-Identifier: MIT */
/* The loop of cold boots: its count across resets, what ends it, and what must not start it. */
/* link: lib/keyval.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/acpi/power.h"
#include "boot/bootloop.h"
#include "arch/time/clock.h"
#include "arch/bootinfo/option.h"
#include "arch/fault/panic.h"
#include "arch/time/rtc.h"
#include "arch/console/uart.h"
#include "lib/errno.h"
#include "lib/log.h"

#define NO_TIME 0xffffffffu

static u32 alarm_time;		/* of the clock; NO_TIME: no time of day */
static bool alarm_lost;		/* the clock does not keep what is written */
static int keys;		/* that will be typed */
static char said[4096];
static jmp_buf end;
enum { RESET = 1, STOPPED };

void log_set_buffered(bool on) { assert_false(on); }

int rtc_alarm_read(u32 *second)
{
	*second = alarm_time;
	return alarm_time == NO_TIME ? -EINVAL : 0;
}

void rtc_alarm_write(u32 second)
{
	assert_true(second < 86400);
	if (!alarm_lost)
		alarm_time = second;
}

void machine_reset(void)
{
	longjmp(end, RESET);
}

void stop(const char *format, ...)
{
	bootloop_failed();
	longjmp(end, STOPPED);
}

u64 clock_deadline_us(u64 us)
{
	return us;
}

bool clock_expired(u64 deadline)
{
	static unsigned calls;

	return ++calls % 10 == 0;
}

struct uart console_uart;

void uart_flush(struct uart *uart) { }

static bool poll_seen;

unsigned uart_poll(struct uart *uart)
{
	poll_seen = true;
	return 0;
}

int uart_read_char(struct uart *uart)
{
	return poll_seen && keys > 0 ? keys-- : -1;
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t used = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + used, sizeof(said) - used, format, args);
	va_end(args);
	strncat(said, "\n", sizeof(said) - strlen(said) - 1);
}

/* Included, not linked, because a reset of the machine must reset its variables, the option's too. */
#include "boot/bootloop.c"

static int choose(const char *value)
{
	return option_bootloop.set((struct str_view) { value, strlen(value) });
}

/* Start the machine with the option, and with variables as after loading. */
static void power_on(const char *value)
{
	boots = boot = 0;
	interrupted = poll_seen = false;
	said[0] = 0;
	if (value)
		assert_int_equal(choose(value), 0);
	bootloop_begin();
}

/* All goes well up to the end; how it goes on. */
static int end_well(void)
{
	int how = setjmp(end);

	if (!how) {
		bootloop_check();
		bootloop_next();
	}
	return how;
}

static void expect_said(const char *words)
{
	if (!strstr(said, words))
		fail_msg("not \"%s\" but: %s", words, said);
}

static void test_option(void **state)
{
	assert_int_equal(choose("0"), -EINVAL);
	assert_int_equal(choose("1000"), -EINVAL);
	assert_int_equal(choose("x"), -EINVAL);
	assert_int_equal(choose("999"), 0);
}

static void test_off(void **state)
{
	alarm_time = 4711;
	power_on(NULL);
	assert_int_equal(end_well(), 0);
	assert_false(bootloop_failed());
	assert_int_equal(alarm_time, 4711);
	assert_string_equal(said, "");
}

static void test_every_length(void **state)
{
	static const char *const lengths[] = { "1", "2", "3", "60", "999" };
	char words[64];

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		unsigned n = (unsigned)atoi(lengths[i]);

		alarm_time = i % 2 ? 0 : NO_TIME;
		for (unsigned k = 1; k <= n; k++) {
			power_on(lengths[i]);
			snprintf(words, sizeof(words), "bootloop: boot %u of %u\n", k, n);
			expect_said(words);
			assert_int_equal(end_well(), k < n ? RESET : 0);
		}
		snprintf(words, sizeof(words), "all %u boots done", n);
		expect_said(words);
		power_on(lengths[i]);
		expect_said("boot 1 of ");
	}
}

/* Whatever the registers hold, the loop ends: it starts again, or stops, or continues up to N. */
static void test_any_leftover(void **state)
{
	unsigned anew = 0;

	for (u32 time = 0; time < 86400; time++) {
		unsigned most = 0;

		alarm_time = time;
		power_on("7");
		if (interrupted)
			continue;
		anew += boot == 1;
		for (;;) {
			assert_in_range(++most, 1, 7);
			if (end_well() != RESET)
				break;
			power_on("7");
		}
		expect_said("all 7 boots done");
	}
	assert_true(anew > 86380);
}

static void test_other_length(void **state)
{
	alarm_time = 0;
	power_on("10");
	assert_int_equal(end_well(), RESET);
	power_on("11");
	expect_said("boot 1 of 11");
}

/* Power loss, a triple fault, a watchdog: the next boot reports it, and the one after that is the first. */
static void test_interrupted(void **state)
{
	alarm_time = 0;
	power_on("5");
	assert_int_equal(end_well(), RESET);
	power_on("5");
	expect_said("boot 2 of 5");
	power_on("5");
	assert_int_equal(end_well(), STOPPED);
	assert_true(bootloop_failed());
	power_on("5");
	expect_said("boot 1 of 5");
}

static void test_failed(void **state)
{
	alarm_time = 0;
	power_on("5");
	assert_int_equal(end_well(), RESET);
	power_on("5");
	assert_true(bootloop_failed());
	expect_said("boot 2 of 5 failed");
	power_on("5");
	expect_said("boot 1 of 5");
}

static void test_key(void **state)
{
	alarm_time = 0;
	power_on("5");
	keys = 1;
	assert_int_equal(end_well(), 0);
	expect_said("ended by a key after boot 1 of 5");
	power_on("5");
	expect_said("boot 1 of 5");
	poll_seen = true; /* typed while a VM ran: not meant for the loop */
	keys = 3;
	assert_int_equal(end_well(), RESET);
}

static void test_alarm_not_kept(void **state)
{
	alarm_time = 0;
	alarm_lost = true;
	power_on("5");
	alarm_lost = false;
	expect_said("does not keep");
	assert_int_equal(end_well(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_any_leftover),
		cmocka_unit_test(test_other_length),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_alarm_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
