/* SPDX-License-Identifier: MIT */
/*
 * Buffered output of the log: no caller waits for a device, the order stays, what is lost is counted, guests'
 * output waits with the guests, and many CPUs log and send at the same time.
 */
/* link: lib/log.c lib/printf.c lib/string.c */
/* libs: -lpthread */
/* cflags: -fno-sanitize=address -fsanitize=thread */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "apart.h"
#include "lib/log.h"

#define RING 32768
#define SAID (1 << 22)

/* --- a serial port, a screen, guests --- */

static char said[SAID], shown[SAID];
static size_t said_length, shown_length;
static size_t room = SIZE_MAX;		/* that the port has without waiting */
static bool waited;			/* write() of the port was called */
static unsigned woken;
static u64 now;
static bool time_passes;
static char guest[RING];		/* what a guest has printed and the log has not got */
static size_t guest_length;
static __thread u32 cpu;

static size_t put_port(struct log_console *console, const char *text, size_t length)
{
	size_t n = MIN(length, room);

	assert_true(said_length + n < SAID);
	memcpy(said + said_length, text, n);
	said_length += n;
	room -= room == SIZE_MAX ? 0 : n;
	return n;
}

static void write_port(struct log_console *console, const char *text, size_t length)
{
	waited = true;
	memcpy(said + said_length, text, length);
	said_length += length;
}

static void write_screen(struct log_console *console, const char *text, size_t length)
{
	memcpy(shown + shown_length, text, length);
	shown_length += length;
}

static struct log_console port = { .write = write_port, .put = put_port };
static struct log_console screen = { .write = write_screen, .without_guests = true };

static bool collect(const char *tag, size_t most)
{
	size_t n = MIN(most, guest_length);

	if (tag && strcmp(tag, "web"))
		return false;
	log_collected(guest, n);
	memmove(guest, guest + n, guest_length - n);
	guest_length -= n;
	return n != 0;
}

static void wake(void)
{
	__atomic_fetch_add(&woken, 1, __ATOMIC_RELAXED);
}

static u64 get_now(void)
{
	return time_passes ? now += 1000 : now;
}

static u32 get_cpu(void)
{
	return cpu;
}

static const struct log_hooks hooks = {
	.now_us = get_now, .cpu = get_cpu, .collect = collect, .wake = wake,
};

static int begin(void **state)
{
	log_set_hooks(&hooks);
	log_add_console(&screen);
	log_add_console(&port);
	log_set_buffered(true);
	waited = false;
	return 0;
}

static void print(const char *text)
{
	memcpy(guest + guest_length, text, strlen(text));
	guest_length += strlen(text);
}

#define PREFIX "[    0.000000 cpu0] "

/* --- tests --- */

static void test_what_fits_is_sent_immediately(void **state)
{
	log_info("a");
	assert_string_equal(said, PREFIX "a\n");
	assert_false(waited);
}

static void test_nobody_waits_for_the_port(void **state)
{
	room = 5;
	log_info("a");
	log_info("b");
	assert_string_equal(said, "[    ");
	room = 3;
	assert_true(log_poll());
	assert_string_equal(said, "[    0.0");
	room = SIZE_MAX;
	assert_false(log_poll());
	assert_string_equal(said, PREFIX "a\n" PREFIX "b\n");
	assert_false(waited);
}

/* A call sends 256 bytes and no more, even if the port takes everything. */
static void test_a_call_sends_a_bounded_piece(void **state)
{
	room = 0;
	for (unsigned i = 0; i < 100; i++)
		log_info("line %u", i);
	room = SIZE_MAX;
	log_drain();
	assert_int_equal(said_length, 256);
}

static void test_the_hook_is_called_once(void **state)
{
	log_info("a");
	/* The screen waits for the poll. */
	assert_int_equal(woken, 1);
	log_info("b");
	assert_int_equal(woken, 1);
	assert_false(log_poll());
	log_info("c");
	assert_int_equal(woken, 2);
	room = 0;
	log_info("d");
	assert_true(log_poll());
	log_info("e");
	assert_int_equal(woken, 2);
	room = SIZE_MAX;
	assert_false(log_poll());
	log_expect_poll();
	log_expect_poll();
	assert_int_equal(woken, 3);
}

static void test_the_screen_is_written_by_the_poll(void **state)
{
	log_info("a");
	assert_string_equal(shown, "");
	log_poll();
	assert_string_equal(shown, PREFIX "a\n");
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* Lines are dropped, not characters; those that were accepted stay; one line says how many are missing. */
static void test_a_full_ring_counts_what_is_lost(void **state)
{
	unsigned lost, next = 0;
	char *report;

	room = 0;
	for (unsigned i = 0; i < 3000; i++)
		log_info("line %04u", i);
	room = SIZE_MAX;
	while (log_poll())
		;
	log_info("last");
	log_flush();
	report = strstr(said, "warning: ");
	assert_non_null(report);
	assert_int_equal(sscanf(report, "warning: %u lines of the log are lost", &lost), 1);
	assert_int_equal(count(said, "lines of the log are lost"), 1);
	assert_int_equal(count(said, "line 0") + count(said, "line 1") + count(said, "line 2") + lost, 3000);
	/* The accepted ones are the first, in order, and nothing was written over. */
	for (char *line = said; line < report - 40; next++) {
		char expected[64];
		int length = snprintf(expected, sizeof(expected), PREFIX "line %04u\n", next);

		assert_memory_equal(line, expected, length);
		line += length;
	}
	assert_int_equal(next, 3000 - lost);
	assert_non_null(strstr(report, "last\n"));
}

/* The report does not need a further line of the log. */
static void test_lost_lines_are_reported_by_the_poll(void **state)
{
	room = 0;
	for (unsigned i = 0; i < 3000; i++)
		log_info("line");
	room = SIZE_MAX;
	while (log_poll())
		;
	log_poll();
	assert_non_null(strstr(said, "lines of the log are lost"));
}

static void test_flush_sends_everything(void **state)
{
	room = 0;
	log_info("a");
	print("guest\n");
	log_flush();
	assert_string_equal(said, PREFIX "a\nguest\n");
	assert_string_equal(shown, PREFIX "a\n");
	assert_true(waited);
}

static void test_switching_it_off_sends_everything(void **state)
{
	room = 0;
	log_info("a");
	log_set_buffered(false);
	assert_string_equal(said, PREFIX "a\n");
	log_info("b");
	assert_string_equal(said, PREFIX "a\n" PREFIX "b\n");
	assert_false(log_poll());
}

/* A crash report follows what waited, although another CPU has stopped with the drain token. */
static void test_a_crash_prints_what_waits_first(void **state)
{
	room = 0;
	log_info("a");
	log_force_unlock();
	log_error("crash");
	assert_string_equal(said, PREFIX "a\n" PREFIX "error: crash\n");
	assert_string_equal(shown, PREFIX "a\n" PREFIX "error: crash\n");
}

/* It stays with the guest, whose serial port says that it is busy. */
static void test_guests_output_waits_with_the_guest(void **state)
{
	room = 0;
	for (unsigned i = 0; i < 100; i++)
		print("0123456789");
	log_drain();
	assert_int_equal(guest_length, 1000 - 256);
	log_drain();
	assert_int_equal(guest_length, 1000 - 256);
	room = SIZE_MAX;
	while (guest_length)
		log_poll();
	log_flush();
	assert_int_equal(said_length, 1000);
}

static void test_a_line_about_a_vm_follows_its_output(void **state)
{
	room = 10;
	for (unsigned i = 0; i < 100; i++)
		print("0123456789");
	print("\n");
	log_info("other");
	log_line(LOG_INFO, "web", "ended");
	assert_int_equal(guest_length, 0);
	log_flush();
	assert_non_null(strstr(said, "0123456789\n[    0.000000 cpu0 web] ended\n"));
	assert_string_equal(shown, PREFIX "other\n[    0.000000 cpu0 web] ended\n");
}

static void test_log_lines_begin_a_line(void **state)
{
	print("# ");
	log_drain();
	log_info("a");
	assert_string_equal(said, "# \n" PREFIX "a\n");
}

static void test_a_screen_that_falls_behind(void **state)
{
	for (unsigned i = 0; i < 2000; i++)
		log_info("line %04u", i);
	while (log_poll())
		;
	assert_int_equal(count(said, "line "), 2000);
	assert_non_null(strstr(shown, "(lines of the log are left out"));
	assert_non_null(strstr(shown, "line 1999\n"));
}

static void test_make_room_waits_while_something_is_taken(void **state)
{
	time_passes = true;
	room = 0;
	for (unsigned i = 0; i < 1000; i++)
		log_info("line %04u", i);
	log_make_room();		/* the port takes nothing: two seconds */
	assert_in_range(now, 2000000, 5000000);
	room = SIZE_MAX;
	log_make_room();
	assert_true(said_length > 8000);
	assert_false(waited);
}

/* However full the log was: the reply of the monitor in one line. */
static void test_the_longest_text_has_room(void **state)
{
	static char text[LOG_TEXT_SIZE];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 2] = '\n';
	text[sizeof(text) - 1] = 0;
	log_set_prompt("> a prompt");
	room = 0;
	for (unsigned i = 0; i < 1000; i++)
		log_info("line %04u", i);
	room = SIZE_MAX;
	log_make_room();
	log_text(text);
	while (log_poll())
		;
	assert_non_null(strstr(said, text));
}

static void test_a_prompt_stays_below_the_log(void **state)
{
	print("guest");
	log_drain();
	log_set_prompt("> ");
	log_set_prompt("> a");
	log_set_prompt("> ab");
	log_set_prompt("> a");
	assert_string_equal(said, "guest\n> ab\b \b");
	said_length = 0;
	log_info("line");
	assert_string_equal(said, "\r\033[K" PREFIX "line\n> a");
	memset(said, 0, 64);
	said_length = 0;
	log_set_prompt("> help");	/* from the history */
	assert_string_equal(said, "\r\033[K> help");
	memset(said, 0, 64);
	said_length = 0;
	log_set_prompt(NULL);
	log_text("reply\n");
	assert_string_equal(said, "\nreply\n");
}

/* --- many CPUs --- */

#define THREADS 4
#define LINES	1000

static void *log_many(void *index)
{
	cpu = (u32)(uintptr_t)index;
	for (int i = 0; i < LINES; i++)
		log_info("%u:%04d", cpu, i);
	return NULL;
}

/* While all of them log, each sends pieces of what the others wrote, and one polls. Every line is whole. */
static void test_many_cpus_log_and_send(void **state)
{
	pthread_t threads[THREADS];
	int next[THREADS] = { 0 };
	unsigned lost = 0, n = 0;

	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_many, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < 2000; i++)
		log_poll();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	while (log_poll())
		;
	log_flush();

	for (char *line = said; *line; line = strchr(line, '\n') + 1) {
		unsigned from, missing;
		int number;

		if (sscanf(line, "[    0.000000 cpu%u] warning: %u lines", &from, &missing) == 2) {
			lost += missing;
			continue;
		}
		assert_int_equal(sscanf(line, "[    0.000000 cpu%u] %*u:%d\n", &from, &number), 2);
		assert_in_range(from, 1, THREADS);
		assert_true(number >= next[from - 1]);
		next[from - 1] = number + 1;
		n++;
	}
	assert_int_equal(n + lost, THREADS * LINES);
}

#define T(name) cmocka_unit_test_setup(name, begin)

static const struct CMUnitTest tests[] = {
	T(test_what_fits_is_sent_immediately),
	T(test_nobody_waits_for_the_port),
	T(test_a_call_sends_a_bounded_piece),
	T(test_the_hook_is_called_once),
	T(test_the_screen_is_written_by_the_poll),
	T(test_a_full_ring_counts_what_is_lost),
	T(test_lost_lines_are_reported_by_the_poll),
	T(test_flush_sends_everything),
	T(test_switching_it_off_sends_everything),
	T(test_a_crash_prints_what_waits_first),
	T(test_guests_output_waits_with_the_guest),
	T(test_a_line_about_a_vm_follows_its_output),
	T(test_log_lines_begin_a_line),
	T(test_a_screen_that_falls_behind),
	T(test_make_room_waits_while_something_is_taken),
	T(test_the_longest_text_has_room),
	T(test_a_prompt_stays_below_the_log),
	T(test_many_cpus_log_and_send),
};

/* A console cannot be removed, so each test is a process of its own. */
int main(void)
{
	return run_apart("test_log_buffered", tests, ARRAY_SIZE(tests));
}
