/* SPDX-License-Identifier: MIT */
/* The monitor's commands and their replies; what is typed at the console, and what appears there. */
/* link: core/monitor_command.c core/monitor_reply.c core/monitor_command_screen.c */
/* link: core/monitor_command_disk.c core/monitor_command_net.c core/monitor.c core/monitor_keys.c lib/lineedit.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/time/clock.h"
#include "core/console.h"
#include "core/monitor.h"
#include "core/sched.h"
#include "hostile.h"
#include "lib/errno.h"
#include "lib/log.h"

/* --- the machine --- */

static struct monitor_vm vms[] = {
	{ .name = "web", .state = "running", .vcpus = 2, .memory = 512ull << 20, .uptime_s = 71 },
	{ .name = "web2", .state = "paused", .vcpus = 1, .memory = 16ull << 20, .uptime_s = 5 },
	{ .name = "d\"b\\", .state = "ended", .vcpus = 1, .memory = 16ull << 20 },
};
static unsigned vm_count = 3, cpu_count = 2;
static char done[256];		/* the operations, in order */
static int result;
static const char *front = "web2";
static enum log_level level;
static char said[32768];
static bool held;
static u64 now = 1000000;
static unsigned woken;
static bool port_runs;

static unsigned count_vms(void)
{
	return vm_count;
}

static bool describe_vm(unsigned i, struct monitor_vm *info)
{
	assert_true(i < vm_count);
	*info = vms[i % 3];
	return true;
}

static void note(const char *what, unsigned vm)
{
	snprintf(done + strlen(done), sizeof(done) - strlen(done), "%s %u, ", what, vm);
}

#define OPERATION(name)			\
	static int do_##name(unsigned vm)	\
	{					\
		note(#name, vm);		\
		return result;			\
	}
OPERATION(start)
OPERATION(stop)
OPERATION(pause)
OPERATION(resume)
OPERATION(reset)

#define REPORT(name)			\
	static void do_##name(unsigned vm)	\
	{					\
		note(#name, vm);		\
	}
REPORT(stats)
REPORT(trace)
REPORT(dump)

static unsigned count_cpus(void)
{
	return cpu_count;
}

static bool describe_cpu(unsigned i, struct monitor_cpu *info)
{
	*info = (struct monitor_cpu) { i, 0x10 + i, "web/0", 99 };
	return i != 2;
}

static void describe_memory(struct monitor_mem *info)
{
	*info = (struct monitor_mem) { 4096ull << 20, 544ull << 20, 64 << 20, 8 << 20, 1 << 20 };
}

/* Three rows; the last VM has ended. */
static bool cursor = true;

static bool full_screen;

static int show_screen(unsigned i, struct textscreen *screen)
{
	if (full_screen) {
		*screen = (struct textscreen) { TEXTSCREEN_COLUMNS, TEXTSCREEN_ROWS, true, TEXTSCREEN_COLUMNS - 1,
						TEXTSCREEN_ROWS - 1, { "" } };
		for (unsigned row = 0; row < TEXTSCREEN_ROWS; row++)
			memset(screen->lines[row], '"', TEXTSCREEN_COLUMNS);
		return 0;
	}
	*screen = (struct textscreen) { 80, 3, cursor, 4, 1, { "a \"text\"", "lin", "" } };
	return i == 2 ? -EINVAL : 0;
}

/* There is no port 1. */
static unsigned count_nets(void)
{
	return 3;
}

static bool net_is_broken;

static bool describe_net(unsigned port, struct monitor_net *info)
{
	static const struct monitor_net first = {
		"lan", "web", 0, { 0x52, 0x54, 0, 0xa, 0xb, 0xc }, true, true, false, 2, 10, 1000, 20, 30000,
		{ { "full", 3 }, { "short", 0 }, { "source", 5 } },
	}, second = {
		"back", "web2", 1, { 2, 0, 0, 0, 0, 1 }, false, false, false, 0, 0, 0, 0, 0, { { "full", 0 } },
	};

	if (port == 1)
		return false;
	*info = port ? second : first;
	info->broken = port && net_is_broken;
	return true;
}

/* The first VM has three disks, the second one. */
static bool describe_disk(unsigned vm, unsigned disk, struct disk_info *info)
{
	static const struct disk_info disks[][3] = {
		{ { "root", 4 << 20, .overlay = 2 << 20, .overlay_used = 12288, .bytes_read = 8192, .bytes_written = 1024 },
		  { "root", 4 << 20, .read_only = true, .errors = 2 },
		  { "ram", 1 << 20, .ram = true, .dropped = true } },
		{ { "data", 512, .overlay = 4096 } },
	};

	if (vm > 1 || disk >= (vm ? 1 : 3))
		return false;
	*info = disks[vm][disk];
	return true;
}

static int reset_disk_of(unsigned vm, unsigned disk)
{
	struct disk_info info;

	if (!describe_disk(vm, disk, &info))
		return -ENOENT;
	if (info.read_only)
		return -EINVAL;
	note("disk", vm * 10 + disk);
	return 0;
}

static const struct monitor_ops ops = {
	count_vms, describe_vm, do_start, do_stop, do_pause, do_resume, do_reset, count_cpus, describe_cpu,
	do_stats, do_trace, do_dump, describe_memory, show_screen,
	describe_disk, reset_disk_of, count_nets, describe_net,
};

const char *console_front(void)
{
	return front;
}

int console_show(const char *name)
{
	snprintf(done + strlen(done), sizeof(done) - strlen(done), "show %s, ", name);
	return strcmp(name, "web2") ? 0 : -ENOENT;
}

int console_show_number(unsigned number)
{
	note("number", number);
	return number > 3 ? -ENOENT : 0;
}

void console_show_next(bool backwards)
{
	note("next", backwards);
}

void console_hold(bool on)
{
	held = on;
}

void log_set_level(enum log_level new_level)
{
	level = new_level;
}

void log_line(enum log_level at, const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said + strlen(said), sizeof(said) - strlen(said), format, args);
	va_end(args);
	strcat(said, "\n");
}

void log_text(const char *text)
{
	strcat(said, text);
}

void log_make_room(void) { }

void log_set_prompt(const char *text)
{
	strcat(said, text ? "<" : "<>\n");
	if (text) {
		strcat(said, text);
		strcat(said, ">");
	}
}

u64 clock_us_since_boot(void)
{
	return now;
}

void service_wake(void)
{
	woken++;
}

void monitor_port_run(const struct monitor_ops *unused)
{
	port_runs = true;
}

static int begin(void **state)
{
	vm_count = 3;
	cpu_count = 2;
	result = 0;
	done[0] = said[0] = '\0';
	level = LOG_INFO;
	woken = 0;
	monitor_init(&ops);
	return 0;
}

/* --- commands --- */

static struct monitor_reply reply;

static const char *execute(const char *line)
{
	assert_int_equal(monitor_execute(&ops, line, &reply), strcmp(line, "quit") != 0);
	assert_int_equal(reply.length, strlen(reply.text));
	return reply.text;
}

#define assert_reply(line, expected) assert_string_equal(execute(line), expected)

static void test_lists(void **state)
{
	assert_reply("vms",
		     "   1 web                     running  vcpus 2, 512 MiB, up 71 s\n"
		     "*  2 web2                    paused   vcpus 1, 16 MiB, up 5 s\n"
		     "   3 d\"b\\                    ended    vcpus 1, 16 MiB, up 0 s\n"
		     "ok\n");
	assert_reply("cpus", "  0 APIC ID 0x10, load 99 %, web/0\n  1 APIC ID 0x11, load 99 %, web/0\nok\n");
	assert_reply("mem", "RAM 4194304 KiB, of that VMs 557056 KiB, of that their disks 65536 KiB; Lamina's own 8192 KiB, "
			    "of that used 1024 KiB\nok\n");
	vm_count = 0;
	assert_reply("vms", "ok\n");
	assert_non_null(strstr(execute("help"), "\nstats [VM]: "));
}

static void test_results(void **state)
{
	vms[0].has_result = vms[2].has_result = true;
	vms[2].result = 4294967295u;
	strcpy(vms[2].result_text, "2 of \"3\" passed");
	assert_reply("vms",
		     "   1 web                     running  vcpus 2, 512 MiB, up 71 s, result 0\n"
		     "*  2 web2                    paused   vcpus 1, 16 MiB, up 5 s\n"
		     "   3 d\"b\\                    ended    vcpus 1, 16 MiB, up 0 s, result 4294967295: 2 of \"3\" passed\n"
		     "ok\n");
	assert_non_null(strstr(execute("vms -j"), "\"uptime\":71,\"front\":false,\"result\":{\"status\":0,\"text\":\"\"}},"));
	assert_non_null(strstr(execute("vms -j"), "\"front\":true},"));
	assert_non_null(strstr(execute("vms -j"), "\"result\":{\"status\":4294967295,\"text\":\"2 of \\\"3\\\" passed\"}}]}"));
	vms[0].has_result = vms[2].has_result = false;
}

static void test_json(void **state)
{
	assert_reply("vms -j",
		     "{\"ok\":true,\"vms\":["
		     "{\"index\":1,\"name\":\"web\",\"state\":\"running\",\"vcpus\":2,\"memory\":536870912,"
		     "\"uptime\":71,\"front\":false},"
		     "{\"index\":2,\"name\":\"web2\",\"state\":\"paused\",\"vcpus\":1,\"memory\":16777216,"
		     "\"uptime\":5,\"front\":true},"
		     "{\"index\":3,\"name\":\"d\\\"b\\\\\",\"state\":\"ended\",\"vcpus\":1,\"memory\":16777216,"
		     "\"uptime\":0,\"front\":false}]}\n");
	cpu_count = 4;	/* without the third */
	assert_non_null(strstr(execute("-j cpus"), "\"index\":1,\"apic\":17,\"load\":99,\"runs\":\"web/0\"},"
						   "{\"index\":3,"));
	assert_reply("-j mem", "{\"ok\":true,\"total\":4294967296,\"guests\":570425344,\"disks\":67108864,"
			       "\"pool\":8388608,\"pool_used\":1048576}\n");
	assert_reply("-j stop web", "{\"ok\":true}\n");
	assert_reply("-j start no", "{\"ok\":false,\"error\":\"there is no such VM\"}\n");
	assert_memory_equal(execute("help -j"), "{\"ok\":true,\"commands\":[\"vms\",\"cpus\",", 36);
	assert_reply("-j", "{\"ok\":true}\n");
}

static void test_nets(void **state)
{
#define LINE_WEB "lan web:0 52:54:00:0a:0b:0c trunk, up, queues 2, received 10 frames 1000 bytes, sent 20 frames 30000 bytes, " \
		 "dropped: full 3, source 5\n"
#define LINE_DB  "back web2:1 02:00:00:00:00:01, down, queues 0, received 0 frames 0 bytes, sent 0 frames 0 bytes\n"
	assert_reply("net", LINE_WEB LINE_DB "ok\n");
	assert_reply("net web", LINE_WEB "ok\n");
	assert_reply("net 2", LINE_DB "ok\n");
	assert_reply("net none", "error: there is no such VM\n");
	assert_reply("net web2 -j", "{\"ok\":true,\"ports\":[{\"switch\":\"back\",\"vm\":\"web2\",\"index\":1,"
		     "\"mac\":\"02:00:00:00:00:01\",\"trunk\":false,\"up\":false,\"broken\":false,\"queues\":0,"
		     "\"received\":{\"frames\":0,\"bytes\":0},\"sent\":{\"frames\":0,\"bytes\":0},"
		     "\"dropped\":{\"full\":0}}]}\n");
	assert_non_null(strstr(execute("-j net"), "\"received\":{\"frames\":10,\"bytes\":1000},\"sent\":{\"frames\":20,"
			       "\"bytes\":30000},\"dropped\":{\"full\":3,\"short\":0,\"source\":5}},{\"switch\":\"back\""));
	net_is_broken = true;
	assert_non_null(strstr(execute("net web2"), ":01, broken, queues 0,"));
	assert_non_null(strstr(execute("-j net web2"), "\"up\":false,\"broken\":true,"));
	net_is_broken = false;
}

static void test_disks(void **state)
{
	assert_reply("disk",
		     "web:0 root, 4096 KiB, overlay 12 of 2048 KiB, read 8 KiB, written 1 KiB, 0 errors\n"
		     "web:1 root, 4096 KiB, read-only, read 0 KiB, written 0 KiB, 2 errors\n"
		     "web:2 ram, 1024 KiB, empty at first, read 0 KiB, written 0 KiB, 0 errors; what was written is dropped when "
		     "the VM starts next\n"
		     "web2:0 data, 0 KiB, overlay 0 of 4 KiB, read 0 KiB, written 0 KiB, 0 errors\n"
		     "ok\n");
	assert_non_null(strstr(execute("disk -j"),
			       "{\"ok\":true,\"disks\":[{\"vm\":\"web\",\"index\":0,\"image\":\"root\",\"size\":4194304,"
			       "\"readonly\":false,\"ram\":false,\"overlay\":2097152,\"overlay_used\":12288,\"dropped\":false,"
			       "\"read\":8192,\"written\":1024,\"errors\":0},{\"vm\":\"web\",\"index\":1,"));
	assert_reply("disk reset web:0", "what was written is dropped when the VM starts next: `reset VM' does that now\nok\n");
	assert_reply("disk reset 2:0 -j", "{\"ok\":true}\n");
	assert_string_equal(done, "disk 0, disk 10, ");
	assert_reply("disk reset web:1", "error: it is read-only: there is nothing to drop\n");
	assert_reply("disk reset web:3", "error: there is no such disk; `disk' lists them\n");
	assert_reply("disk reset web:8", "error: there is no such disk; `disk' lists them\n");
	assert_reply("disk reset web:", "error: there is no such disk; `disk' lists them\n");
	assert_reply("disk reset web", "error: there is no such disk; `disk' lists them\n");
	assert_reply("disk reset :0", "error: there is no such disk; `disk' lists them\n");
	assert_reply("disk reset no:0", "error: there is no such disk; `disk' lists them\n");
	assert_reply("disk reset", "error: expected nothing, or reset VM:NUMBER\n");
	assert_reply("disk drop web:0", "error: expected nothing, or reset VM:NUMBER\n");
	assert_reply("disk reset web:0 x", "error: too many words\n");
}

static void test_operations(void **state)
{
	assert_reply("start web", "ok\n");
	assert_reply("  stop   web2  ", "ok\n");
	assert_reply("pause 3", "ok\n");
	assert_reply("resume d\"b\\", "ok\n");
	assert_reply("reset web", "ok\n");
	assert_reply("stats", "ok\n");
	assert_reply("trace web2", "ok\n");
	assert_reply("dump 1", "ok\n");
	assert_string_equal(done, "start 0, stop 1, pause 2, resume 2, reset 0, stats 0, stats 1, stats 2, "
				  "trace 1, dump 0, ");
}

static void test_operations_that_fail(void **state)
{
	result = -EINVAL;
	assert_reply("pause web", "error: that is not possible in the VM's state\n");
	result = -ENOMEM;
	assert_reply("start web", "error: there is not enough memory\n");
	result = -EOPNOTSUPP;
	assert_reply("start web", "error: that is not supported\n");
	result = -EIO;
	assert_reply("start web", "error: it failed\n");
}

static void test_the_front(void **state)
{
	assert_reply("console web", "ok\n");
	assert_reply("console 2", "error: that VM has no console: it was never started\n");
	assert_string_equal(done, "show web, show web2, ");
}

/* Without the blank rows at its end. Columns and rows count from 1, as on a terminal. */
static void test_screen(void **state)
{
	assert_reply("screen web", "a \"text\"\nlin\n[screen: 80 columns, 3 rows, cursor at column 5, row 2]\nok\n");
	assert_reply("screen -j 1", "{\"ok\":true,\"columns\":80,\"rows\":3,\"cursor\":[5,2],"
		     "\"lines\":[\"a \\\"text\\\"\",\"lin\",\"\"]}\n");
	cursor = false;
	assert_reply("screen web", "a \"text\"\nlin\n[screen: 80 columns, 3 rows, no cursor]\nok\n");
	assert_non_null(strstr(execute("-j screen web"), "\"cursor\":null,"));
	cursor = true;
	assert_reply("screen 3", "error: that is not possible in the VM's state\n");
	assert_reply("-j screen 3", "{\"ok\":false,\"error\":\"that is not possible in the VM's state\"}\n");
	assert_reply("screen", "error: expected the name of a VM\n");
}

static void test_log_level(void **state)
{
	assert_reply("log debug", "ok\n");
	assert_int_equal(level, LOG_DEBUG);
	assert_reply("log error", "ok\n");
	assert_int_equal(level, LOG_ERROR);
	assert_reply("log", "error: expected error, warn, info or debug\n");
	assert_reply("log all", "error: expected error, warn, info or debug\n");
	assert_int_equal(level, LOG_ERROR);
}

static void test_wrong_lines(void **state)
{
	assert_reply("", "ok\n");
	assert_reply("   ", "ok\n");
	assert_reply("vm", "error: there is no such command; help lists them\n");
	assert_reply("VMS", "error: there is no such command; help lists them\n");
	assert_reply("vms web", "error: too many words\n");
	assert_reply("stop web web", "error: too many words\n");
	assert_reply("a b c d e f", "error: too many words\n");
	assert_reply("stop", "error: expected the name of a VM\n");
	assert_reply("stop we", "error: there is no such VM\n");
	assert_reply("stop 0", "error: there is no such VM\n");
	assert_reply("stop 4", "error: there is no such VM\n");
	assert_reply("stats 4", "error: there is no such VM\n");
	assert_reply("quit", "ok\n");
	assert_string_equal(done, "");
}

static void test_a_reply_that_is_too_long(void **state)
{
	vm_count = 1000;
	assert_reply("vms", "error: the reply is too long\n");
	assert_reply("vms -j", "{\"ok\":false,\"error\":\"the reply is too long\"}\n");
}

/* Of the largest screen, where each character needs a backslash: all of it. */
static void test_the_longest_screen(void **state)
{
	static const char begin[] = "{\"ok\":true,\"columns\":132,\"rows\":60,\"cursor\":[132,60],", end[] = "\\\"\"]}\n";
	const char *said;
	unsigned quotes = 0;

	full_screen = true;
	said = execute("screen web -j");
	full_screen = false;
	assert_memory_equal(said, begin, sizeof(begin) - 1);
	for (const char *c = strstr(said, "\\\""); c; c = strstr(c + 2, "\\\""))
		quotes++;
	assert_int_equal(quotes, 132 * 60);
	assert_string_equal(said + strlen(said) - (sizeof(end) - 1), end);
}

static void test_hostile_lines(void **state)
{
	static const char *const words[] = { "vms", "-j", " ", "stop", "web", "log", "\"", "stats", "2", "xyz" };
	u64 seed = 3;

	for (unsigned i = 0; i < 20000; i++) {
		char line[128] = "";

		for (u64 n = next_random(&seed) % 8; n; n--) {
			strcat(line, words[next_random(&seed) % 10]);
			strcat(line, next_random(&seed) % 4 ? " " : "");
		}
		done[0] = '\0';
		monitor_execute(&ops, line, &reply);
		assert_int_equal(reply.text[reply.length - 1], '\n');
		assert_true(strstr(reply.text, "ok") || strstr(reply.text, "error: "));
	}
}

static void assert_completes(const char *line, unsigned count, const char *more, const char *candidates)
{
	char text[64];

	assert_int_equal(monitor_complete(&ops, line, text, sizeof(text), &reply), count);
	assert_string_equal(text, more);
	assert_string_equal(reply.text, candidates);
}

static void test_completion(void **state)
{
	assert_completes("v", 1, "ms ", "vms\n");
	assert_completes("st", 3, "", "start stop stats\n");
	assert_completes("sta", 2, "", "start stats\n");
	assert_completes("re", 2, "s", "resume reset\n");
	assert_completes("x", 0, "", "\n");
	assert_completes("stop ", 3, "", "web web2 d\"b\\\n");
	assert_completes("stop w", 2, "eb", "web web2\n");
	assert_completes("stop web2", 1, " ", "web2\n");
	assert_completes("-j stop d", 1, "\"b\\ ", "d\"b\\\n");
}

/* --- at the console --- */

static void type(const char *text)
{
	for (; *text; text++) {
		assert_true(monitor_takes(*text));
		monitor_run_pending();
	}
}

static void test_the_guest_gets_the_rest(void **state)
{
	assert_false(monitor_takes('x'));
	assert_true(monitor_takes(0x1f));
	assert_true(monitor_takes('n'));
	assert_true(monitor_takes(0x1f));
	assert_true(monitor_takes('p'));
	assert_true(monitor_takes(0x1f));
	assert_true(monitor_takes('2'));
	assert_true(monitor_takes(0x1f));
	assert_false(monitor_takes(0x1f));	/* twice: one for the guest */
	assert_false(monitor_takes('n'));
	/* The change of the front is not left to the service thread. */
	assert_string_equal(done, "next 0, next 1, number 2, ");
	assert_int_equal(woken, 0);
}

static void test_keys_of_the_front(void **state)
{
	type("\x1fs\x1ft\x1fq");
	assert_string_equal(done, "stats 1, trace 1, stop 1, ");
	assert_int_equal(woken, 3);
	type("\x1f?");
	assert_non_null(strstr(said, "  q: stop the VM\n"));
	said[0] = '\0';
	type("\x1fv");
	assert_string_equal(said, "a \"text\"\nlin\n[screen: 80 columns, 3 rows, cursor at column 5, row 2]\n");
	front = "d\"b\\";
	said[0] = '\0';
	type("\x1fv");
	assert_string_equal(said, "console: the VM has no screen in its state\n");
	front = "none";
	said[0] = '\0';
	type("\x1fs");
	assert_string_equal(said, "console: there is no VM\n");
	front = "web2";
	said[0] = '\0';
	type("\x1f" "9");
	assert_string_equal(said, "console: there is no VM number 9\n");
	assert_true(port_runs);
}

static void test_the_command_line(void **state)
{
	type("\x1f:");
	assert_true(held);
	type("st\b\bvm\ts\r");
	assert_non_null(strstr(said, "<lamina> ><lamina> s><lamina> st><lamina> s><lamina> ><lamina> v><lamina> vm>"
				     "<lamina> vms ><lamina> vms s><>\n"
				     "error: too many words\n<lamina> >"));
	said[0] = '\0';
	type("\x1b[A\r");		/* from the history */
	assert_non_null(strstr(said, "<lamina> vms s><>\nerror: too many words\n"));
	said[0] = '\0';
	type("st\t");
	assert_string_equal(said, "<lamina> s><lamina> st>start stop stats\n<lamina> st>");
	assert_true(held);
	type("\x15quit\r");
	assert_false(held);
	assert_false(monitor_takes('x'));
}

static void test_leaving_the_command_line(void **state)
{
	type("\x1f:vms\x03");
	assert_false(held);
	assert_false(monitor_takes('x'));
	/* Escape, and nothing after it for 30 ms. */
	type("\x1f:\x1b");
	assert_true(monitor_poll());
	now += 31000;
	woken = 0;
	assert_true(monitor_poll());
	assert_int_equal(woken, 1);
	assert_true(held);
	monitor_run_pending();
	assert_false(held);
	assert_false(monitor_poll());
}

/* More than the queue has room for, before the service thread runs: the rest is dropped, nothing else breaks. */
static void test_a_full_queue(void **state)
{
	type("\x1f:");
	for (unsigned i = 0; i < 1000; i++)
		assert_true(monitor_takes('x'));
	monitor_run_pending();
	said[0] = '\0';
	type("\x03");
	assert_false(held);
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_lists), T(test_json), T(test_operations), T(test_operations_that_fail), T(test_the_front),
		T(test_results), T(test_disks), T(test_nets), T(test_screen), T(test_the_longest_screen),
		T(test_log_level), T(test_wrong_lines), T(test_a_reply_that_is_too_long), T(test_hostile_lines),
		T(test_completion), T(test_the_guest_gets_the_rest), T(test_keys_of_the_front),
		T(test_the_command_line), T(test_leaving_the_command_line), T(test_a_full_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
