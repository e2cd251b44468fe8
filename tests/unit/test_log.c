/* SPDX-License-Identifier: MIT */
/* The log: prefixes, levels, guest output between lines, the memory ring, lines of many CPUs. */
/* link: lib/log.c lib/printf.c lib/string.c */
/* libs: -lpthread */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "lib/log.h"

#define CAPTURE (1 << 20)
#define RING	32768

/* A console that stores its output, and can call a function in the middle of a write. */
struct capture {
	struct log_console console;
	char text[CAPTURE];
	size_t length;
	void (*interrupt)(void);
};

static void capture_write(struct log_console *console, const char *text, size_t length)
{
	struct capture *capture = container_of(console, struct capture, console);
	void (*interrupt)(void) = capture->interrupt;

	assert_true(capture->length + length < CAPTURE);
	memcpy(capture->text + capture->length, text, length);
	capture->length += length;
	capture->text[capture->length] = '\0';
	capture->interrupt = NULL;
	if (interrupt)
		interrupt();
}

/* A console cannot be removed, so all tests share one; each starts with it empty. */
static struct capture screen = { .console.write = capture_write };
static struct capture whole = { .console.write = capture_write }; /* never emptied */
static u64 now;
static __thread u32 cpu;

static u64 get_now(void)
{
	return now;
}

static u32 get_cpu(void)
{
	return cpu;
}

static const struct log_hooks hooks = { .now_us = get_now, .cpu = get_cpu };

static int begin(void **state)
{
	log_guest_output("\n", 1);
	log_set_level(LOG_INFO);
	now = 0;
	cpu = 0;
	screen.length = 0;
	screen.text[0] = '\0';
	screen.interrupt = NULL;
	return 0;
}

static int set_up(void **state)
{
	log_add_console(&whole.console);
	log_add_console(&screen.console);
	/* An empty line, so that the first character that a full ring loses is a line. */
	log_guest_output("\n", 1);
	/* Before there is a clock, the prefix has zeros. */
	log_info("first");
	assert_string_equal(screen.text, "\n[    0.000000 cpu0] first\n");
	log_set_hooks(&hooks);
	return 0;
}

static void test_prefix(void **state)
{
	now = 12345678;
	cpu = 3;
	log_info("value %d", 42);
	log_line(LOG_INFO, "web", "hello");
	assert_string_equal(screen.text, "[   12.345678 cpu3] value 42\n"
					 "[   12.345678 cpu3 web] hello\n");
}

static void test_a_long_tag_is_cut(void **state)
{
	char tag[200], expected[200];

	memset(tag, 't', sizeof(tag));
	tag[sizeof(tag) - 1] = '\0';
	log_line(LOG_ERROR, tag, "x");
	snprintf(expected, sizeof(expected), "[    0.000000 cpu0 %.32s] error: x\n", tag);
	assert_string_equal(screen.text, expected);
}

/* With the largest numbers and the longest tag it needs 80 characters, one more than there is room for. */
static void test_the_longest_prefix_loses_its_last_blank(void **state)
{
	now = UINT64_MAX;
	cpu = UINT32_MAX - 1;
	log_line(LOG_WARN, "12345678901234567890123456789012", "text");
	assert_string_equal(screen.text, "[18446744073709.551615 cpu4294967294 "
					 "12345678901234567890123456789012] warning:text\n");
	assert_int_equal(screen.length, strlen(screen.text));
}

static void test_levels(void **state)
{
	log_error("e");
	log_warn("w");
	log_debug("dropped");
	assert_int_equal(log_get_level(), LOG_INFO);
	log_set_level(LOG_DEBUG);
	log_debug("d");
	log_set_level(LOG_ERROR);
	log_warn("dropped");
	assert_string_equal(screen.text, "[    0.000000 cpu0] error: e\n"
					 "[    0.000000 cpu0] warning: w\n"
					 "[    0.000000 cpu0] d\n");
}

static void test_embedded_newlines_get_prefixes(void **state)
{
	log_line(LOG_WARN, "a", "one\n\ntwo\n");
	assert_string_equal(screen.text, "[    0.000000 cpu0 a] warning: one\n"
					 "[    0.000000 cpu0 a] warning: \n"
					 "[    0.000000 cpu0 a] warning: two\n");
}

static void test_a_text_that_is_too_long_says_so(void **state)
{
	char text[2000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
	assert_true(screen.length > 500 && screen.length < 600);
	assert_string_equal(screen.text + screen.length - 6, "xx...\n");
}

/* One call takes 511 characters; the last three of a longer text are dots. */
static void test_where_a_text_is_cut(void **state)
{
	for (int length = 500; length < 530; length++) {
		char text[600], expected[600];

		memset(text, 'x', sizeof(text));
		text[length] = '\0';
		snprintf(expected, sizeof(expected), "[    0.000000 cpu0] %.*s%s\n",
			 length > 511 ? 508 : length, text, length > 511 ? "..." : "");
		screen.length = 0;
		log_info("%s", text);
		assert_string_equal(screen.text, expected);
	}
}

static void guest(const char *text)
{
	log_guest_output(text, strlen(text));
}

static void test_guest_output_passes_through(void **state)
{
	guest("login: \033[1mroot\r\n");
	log_info("a");
	assert_string_equal(screen.text, "login: \033[1mroot\r\n[    0.000000 cpu0] a\n");
}

static void test_a_line_never_continues_a_guests_line(void **state)
{
	guest("# ");
	log_info("a");
	log_info("b");
	guest("ls\n\r");
	log_info("c");
	guest("progress 10%\r");
	log_info("d");
	assert_string_equal(screen.text, "# \n[    0.000000 cpu0] a\n[    0.000000 cpu0] b\n"
					 "ls\n\r[    0.000000 cpu0] c\n"
					 "progress 10%\r\n[    0.000000 cpu0] d\n");
}

/* Output of a single character begins and ends lines, too. */
static void test_single_characters_of_a_guest(void **state)
{
	guest("$");
	log_info("a");
	guest("$ ");
	guest("\n");
	log_info("b");
	guest("%");
	guest("\r");
	log_info("c");
	assert_string_equal(screen.text, "$\n[    0.000000 cpu0] a\n$ \n[    0.000000 cpu0] b\n"
					 "%\r\n[    0.000000 cpu0] c\n");
}

static void test_a_later_console_gets_what_was_said(void **state)
{
	static struct capture late = { .console.write = capture_write };

	log_info("before");
	guest("guest");
	log_add_console(&late.console);
	log_info("after");
	assert_non_null(strstr(late.text, "[    0.000000 cpu0] before\nguest\n"
					  "[    0.000000 cpu0] after\n"));
	/* From the very first line on. */
	assert_memory_equal(late.text, "\n[    0.000000 cpu0] first\n", 27);
}

/* The console added first has everything: a ring that is just full has lost nothing of it yet. */
static void test_a_ring_that_is_just_full_replays_everything(void **state)
{
	static struct capture full = { .console.write = capture_write };
	static struct capture over = { .console.write = capture_write };

	assert_true(whole.length < RING);
	while (whole.length < RING)
		guest("x");
	log_add_console(&full.console);
	assert_string_equal(full.text, whole.text);

	guest("y");
	log_add_console(&over.console);
	/* The empty line, and with it the next one, as if its first characters were lost, too. */
	assert_non_null(strstr(over.text, "(2 earlier lines are lost: the log in memory keeps 32 KiB)\n"));
	assert_string_equal(strchr(over.text, '\n') + 1, strchr(strchr(whole.text, '\n') + 1, '\n') + 1);
}

static void test_a_full_ring_replays_whole_lines(void **state)
{
	static struct capture late = { .console.write = capture_write };
	int lost, first, before;
	size_t length;
	char last[64];
	char *text;

	/* The lines of the tests before this one count, too. */
	for (before = 0, text = whole.text; (text = strchr(text, '\n')); text++)
		before++;
	for (int i = 0; i < 3000; i++)
		log_info("line %d", i);
	log_add_console(&late.console);
	text = strchr(late.text, '\n') + 1;
	length = strlen(text);
	assert_in_range(length, RING - 40, RING);
	/* It is the end of the whole log, from the beginning of a line. */
	assert_string_equal(text, screen.text + screen.length - length);
	assert_int_equal(screen.text[screen.length - length - 1], '\n');
	/* All missing lines are counted: these, and one that log_add_console() has counted. */
	assert_int_equal(sscanf(late.text, "(%d earlier lines are lost", &lost), 1);
	assert_int_equal(sscanf(text, "[    0.000000 cpu0] line %d", &first), 1);
	assert_int_equal(lost, before + first);
	snprintf(last, sizeof(last), "line 2999\n");
	assert_string_equal(late.text + late.length - strlen(last), last);
}

static void test_a_ring_without_a_line_end_is_replayed_whole(void **state)
{
	static struct capture late = { .console.write = capture_write };

	for (int i = 0; i < RING + 100; i++)
		guest("x");
	log_add_console(&late.console);
	assert_string_equal(strchr(late.text, '\n') + 1, screen.text + screen.length - RING);
}

static void test_a_console_without_guests(void **state)
{
	static struct capture own = { .console = { capture_write, .without_guests = true } };

	log_add_console(&own.console);
	own.length = 0;
	guest("# ls");
	log_info("a");
	guest("bin\n");
	log_info("b");
	assert_string_equal(own.text, "[    0.000000 cpu0] a\n[    0.000000 cpu0] b\n");
	assert_string_equal(screen.text, "# ls\n[    0.000000 cpu0] a\nbin\n[    0.000000 cpu0] b\n");
}

static void complain(void)
{
	screen.console.complaint = "the cable is out";
}

/* Once, and not in the middle of the text that is being written. */
static void test_a_complaint_waits_for_the_end_of_the_line(void **state)
{
	screen.interrupt = complain;
	log_info("a");
	log_info("b");
	screen.interrupt = complain;
	guest("c\n");
	assert_string_equal(screen.text, "[    0.000000 cpu0] a\n"
					 "[    0.000000 cpu0] warning: the cable is out\n"
					 "[    0.000000 cpu0] b\nc\n"
					 "[    0.000000 cpu0] warning: the cable is out\n");
}

static struct capture complaining = { .console.write = capture_write };

static void complain_of_the_replay(void)
{
	complaining.console.complaint = "too slow";
}

static void test_a_complaint_of_a_replay_follows_it(void **state)
{
	static const char warning[] = "[    0.000000 cpu0] warning: too slow\n";

	complaining.interrupt = complain_of_the_replay;
	log_add_console(&complaining.console);
	assert_string_equal(screen.text, warning);
	screen.length = 0;
	screen.text[0] = '\0';
	complaining.interrupt = complain_of_the_replay;
	log_replay(&complaining.console);
	assert_string_equal(screen.text, warning);
}

static void test_replay_to_another_place(void **state)
{
	log_info("a");
	screen.length = 0;
	log_replay(&screen.console);
	assert_string_equal(screen.text + screen.length - 22, "[    0.000000 cpu0] a\n");
	log_info("b");
	assert_string_equal(screen.text + screen.length - 44,
			    "[    0.000000 cpu0] a\n[    0.000000 cpu0] b\n");
}

static void log_from_nmi(void)
{
	log_error("nmi");
}

/* An NMI in the middle of a line must be able to log on the CPU that holds the lock. */
static void test_a_line_may_be_interrupted_by_a_line(void **state)
{
	screen.interrupt = log_from_nmi;
	log_info("interrupted");
	assert_non_null(strstr(screen.text, "error: nmi\n"));
	assert_non_null(strstr(screen.text, "interrupted\n"));
	/* And the lock is free afterwards, for another CPU. */
	cpu = 1;
	log_info("other");
	assert_non_null(strstr(screen.text, "cpu1] other\n"));
}

static void crash_on_another_cpu(void)
{
	cpu = 5;
	log_force_unlock();
	log_error("crash");
}

/* CPU 0 has stopped in the middle of a line forever: CPU 5 still reports its crash. */
static void test_force_unlock_takes_the_lock_from_a_stopped_cpu(void **state)
{
	screen.interrupt = crash_on_another_cpu;
	log_info("stopped");
	assert_non_null(strstr(screen.text, "cpu5] error: crash\n"));
	cpu = 6;
	log_info("free");
	assert_non_null(strstr(screen.text, "cpu6] free\n"));
}

static pthread_t other_cpu;
static struct capture *interrupted;

static void *log_on_another_cpu(void *unused)
{
	cpu = 7;
	log_info("other");
	return NULL;
}

/* While a line is interrupted, even by lines of its own CPU, another CPU has to wait. */
static void start_another_cpu(void)
{
	size_t before;

	log_info("nested");
	before = interrupted->length;
	assert_int_equal(pthread_create(&other_cpu, NULL, log_on_another_cpu, NULL), 0);
	usleep(50000);
	assert_int_equal(interrupted->length, before);
}

static void interrupt(struct capture *capture)
{
	interrupted = capture;
	capture->interrupt = start_another_cpu;
}

static void assert_other_cpu_waited(void)
{
	assert_int_equal(pthread_join(other_cpu, NULL), 0);
	assert_non_null(strstr(screen.text, "cpu7] other\n"));
	screen.length = 0;
	screen.text[0] = '\0';
}

static void test_other_cpus_wait_for_each_kind_of_output(void **state)
{
	static struct capture late = { .console.write = capture_write };

	interrupt(&screen);
	log_info("a");
	assert_other_cpu_waited();
	interrupt(&screen);
	guest("b\n");
	assert_other_cpu_waited();
	interrupt(&late);
	log_add_console(&late.console);
	assert_other_cpu_waited();
	interrupt(&late);
	log_replay(&late.console);
	assert_other_cpu_waited();
}

#define THREADS 4
#define LINES	500

static void *log_many(void *index)
{
	cpu = (u32)(uintptr_t)index;
	for (int i = 0; i < LINES; i++)
		log_line(LOG_INFO, "vm", "%u:%d\n%u:%d", cpu, i, cpu, i);
	return NULL;
}

/* Every line is whole, the two lines of one call follow each other, and each CPU's are in order. */
static void test_lines_of_many_cpus_do_not_mix(void **state)
{
	pthread_t threads[THREADS];
	int next[THREADS] = { 0 };
	char *line = screen.text;

	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_many, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);

	for (int i = 0; i < THREADS * LINES; i++) {
		char expected[128];
		unsigned int from;
		size_t length;

		assert_int_equal(sscanf(line, "[    0.000000 cpu%u vm]", &from), 1);
		assert_in_range(from, 0, THREADS - 1);
		length = (size_t)snprintf(expected, sizeof(expected),
					  "[    0.000000 cpu%u vm] %u:%d\n"
					  "[    0.000000 cpu%u vm] %u:%d\n",
					  from, from, next[from], from, from, next[from]);
		assert_memory_equal(line, expected, length);
		next[from]++;
		line += length;
	}
	assert_int_equal(*line, '\0');
}

#define log_test(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	/* The replay of the first line comes first, as long as the ring still has it. */
	const struct CMUnitTest tests[] = {
		log_test(test_single_characters_of_a_guest),
		log_test(test_a_later_console_gets_what_was_said),
		log_test(test_prefix),
		log_test(test_a_long_tag_is_cut),
		log_test(test_the_longest_prefix_loses_its_last_blank),
		log_test(test_levels),
		log_test(test_embedded_newlines_get_prefixes),
		log_test(test_a_text_that_is_too_long_says_so),
		log_test(test_where_a_text_is_cut),
		log_test(test_guest_output_passes_through),
		log_test(test_a_line_never_continues_a_guests_line),
		log_test(test_a_ring_that_is_just_full_replays_everything),
		log_test(test_a_full_ring_replays_whole_lines),
		log_test(test_a_ring_without_a_line_end_is_replayed_whole),
		log_test(test_a_console_without_guests),
		log_test(test_a_complaint_waits_for_the_end_of_the_line),
		log_test(test_a_complaint_of_a_replay_follows_it),
		log_test(test_replay_to_another_place),
		log_test(test_a_line_may_be_interrupted_by_a_line),
		log_test(test_force_unlock_takes_the_lock_from_a_stopped_cpu),
		log_test(test_other_cpus_wait_for_each_kind_of_output),
		log_test(test_lines_of_many_cpus_do_not_mix),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
