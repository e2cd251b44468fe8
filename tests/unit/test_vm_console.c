/* SPDX-License-Identifier: MIT */
/*
 * The consoles of several VMs at one serial port: who is shown how, that nothing is lost, that nobody is kept
 * from printing, what comes to the front, and where typed characters go.
 */
/* link: core/console.c core/vm_console.c lib/log.c lib/printf.c lib/string.c */
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

#include "arch/bootinfo/option.h"
#include "apart.h"
#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "core/console.h"
#include "core/vm.h"
#include "core/vm_console.h"
#include "core/irqchip.h"
#include "lib/errno.h"
#include "lib/log.h"

#define SAID (1 << 22)

static char said[SAID];
static size_t said_length;
static size_t room = SIZE_MAX;
static u64 now = 1000000000;
static bool no_memory;
static struct vm web, db, mail;
static struct uart_model {
	struct vm *vm;
	struct vm_console_end end;
	unsigned changes;
	char taken;	/* from the console, and not read by its driver; 0: nothing */
} uarts[3], hvc;

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
	put_port(console, text, length);
}

static struct log_console port = { .write = write_port, .put = put_port };

void *page_alloc(void)
{
	return no_memory ? NULL : calloc(1, PAGE_SIZE);
}

void *pages_alloc(unsigned order)
{
	return calloc(1, PAGE_SIZE << order);
}

void page_free(void *page)
{
	free(page);
}

void vm_lock(struct vm *vm) { spin_lock(&vm->lock); }
void vm_unlock(struct vm *vm) { spin_unlock(&vm->lock); }

u64 clock_us_since_boot(void)
{
	return __atomic_load_n(&now, __ATOMIC_RELAXED);
}

/* Each look at the clock takes a while. */
u64 clock_deadline_us(u64 us) { return now + us; }
bool clock_expired(u64 deadline) { return __atomic_add_fetch(&now, 100, __ATOMIC_RELAXED) >= deadline; }

static size_t room_per_pause;	/* what the port sends meanwhile */

void service_pause(void) { room += room == SIZE_MAX ? 0 : room_per_pause; }

static u64 no_time(void)
{
	return 0;
}

static const struct log_hooks hooks = { .now_us = no_time, .collect = console_collect };

#define LOG "[    0.000000 cpu0] "

static void changed(void *device)
{
	struct uart_model *uart = device;

	/* The VM lock is held. */
	assert_int_not_equal(__atomic_load_n(&uart->vm->lock.next, __ATOMIC_RELAXED),
			     __atomic_load_n(&uart->vm->lock.served, __ATOMIC_RELAXED));
	uart->changes++;
}

static int take_back(void *device)
{
	struct uart_model *uart = device;
	int c = uart->taken ? uart->taken : -1;

	uart->taken = 0;
	return c;
}

static void connect(struct vm *vm, struct uart_model *uart, enum vm_console_need need)
{
	uart->vm = vm;
	uart->end = (struct vm_console_end){
		.changed = changed, .take_back = take_back, .device = uart, .need = need };
	vm_console_connect(vm, &uart->end);
}

static void start(struct vm *vm, const char *name, struct uart_model *uart)
{
	memset(vm, 0, sizeof(*vm));
	strcpy(vm->name, name);
	assert_int_equal(console_attach(vm), 0);
	connect(vm, uart, CONSOLE_POLLED);
}

static void start_two(void)
{
	start(&web, "web", &uarts[0]);
	start(&db, "db", &uarts[1]);
}

static int begin(void **state)
{
	log_set_hooks(&hooks);
	log_add_console(&port);
	log_set_buffered(true);
	return 0;
}

static void print(struct vm *vm, const char *text)
{
	size_t n = strlen(text), taken;

	vm_lock(vm);
	taken = vm_console_write(vm, text, n);
	vm_unlock(vm);
	assert_int_equal(taken, n);
}

static void clear(void)
{
	memset(said, 0, said_length);
	said_length = 0;
}

static void send_all(void)
{
	room = SIZE_MAX;
	for (unsigned i = 0; i < 10000 && console_poll(); i++)
		;
}

/* --- what is shown --- */

static void test_one_vm_appears_as_it_is(void **state)
{
	start(&web, "web", &uarts[0]);
	print(&web, "\033[1mlogin:\033[0m \r\n\a\x80# ");
	send_all();
	assert_string_equal(said, "\033[1mlogin:\033[0m \r\n\a\x80# ");
}

/* A byte without a line end is sent by the poll, if not before. */
static void test_single_bytes(void **state)
{
	start(&web, "web", &uarts[0]);
	for (unsigned i = 0; i < 63; i++)
		print(&web, "x");
	assert_int_equal(said_length, 0);
	print(&web, "x");
	assert_int_equal(said_length, 64);
	print(&web, "y");
	print(&web, "\n");
	assert_int_equal(said_length, 66);
	print(&web, "#");
	vm_console_push(&web);
	assert_int_equal(said_length, 67);
	print(&web, "#");
	assert_false(console_poll());
	assert_int_equal(said_length, 68);
}

static void test_lines_of_others_have_their_name(void **state)
{
	start_two();
	print(&web, "in front\n");
	print(&db, "ready\r\n");
	print(&db, "no line end");
	send_all();
	assert_string_equal(said, "in front\ndb| ready\n");
	print(&db, " yet\nmore\n");
	send_all();
	assert_string_equal(said, "in front\ndb| ready\ndb| no line end yet\ndb| more\n");
}

static void test_control_characters_of_others_are_left_out(void **state)
{
	start_two();
	print(&db, "\033[2J\033[1;31mred\033[0m\tand\033c\a \b\x7f\xc3\xa4\r\n\033]\n");
	send_all();
	assert_string_equal(said, "db| red\tand \xc3\xa4\ndb| \n");
}

static void test_a_long_line_is_cut(void **state)
{
	char text[401], expected[512];

	start_two();
	memset(text, 'x', 400);
	text[400] = '\0';
	print(&db, text);
	send_all();
	snprintf(expected, sizeof(expected), "db| %.192s\ndb| %.192s\n", text, text);
	assert_string_equal(said, expected);
	print(&db, "\n");
	send_all();
	assert_string_equal(said + strlen(expected), "db| xxxxxxxxxxxxxxxx\n");
}

/* The line in front that is being printed gets time to end; a prompt does not end, and gets a new line. */
static void test_a_line_in_front_is_not_broken_while_it_grows(void **state)
{
	start_two();
	print(&web, "one ");
	print(&db, "ready\n");
	console_poll();
	assert_string_equal(said, "one ");
	print(&web, "line\n");
	console_poll();
	assert_string_equal(said, "one line\ndb| ready\n");
	clear();
	print(&web, "# ");
	print(&db, "again\n");
	console_poll();
	now += 60000;
	console_poll();
	assert_string_equal(said, "# \ndb| again\n");
	print(&web, "ls\n");
	send_all();
	assert_string_equal(said, "# \ndb| again\nls\n");
}

/* At most 200 ms: a VM that never ends its line keeps nobody from printing. */
static void test_a_line_that_never_ends(void **state)
{
	start_two();
	print(&web, ".");
	print(&db, "ready\n");
	for (unsigned i = 0; i < 25; i++) {
		now += 10000;
		print(&web, ".");
		console_poll();
	}
	assert_non_null(strstr(said, ".\ndb| ready\n"));
}

static void test_the_log_begins_a_line(void **state)
{
	start_two();
	print(&web, "# ");
	log_info("a");
	console_poll();
	log_info("b");
	print(&db, "ready\n");
	log_line(LOG_INFO, "db", "ended");
	send_all();
	assert_string_equal(said, "# \n" LOG "a\n" LOG "b\ndb| ready\n[    0.000000 cpu0 db] ended\n");
}

/* --- fairness and back-pressure --- */

static unsigned lines_of(const char *what)
{
	unsigned n = 0;

	for (const char *at = said; (at = strstr(at, what)); at++)
		n++;
	return n;
}

static void refill(struct vm *vm, const char *line)
{
	vm_lock(vm);
	while (console_room(vm->console) > 64)
		vm_console_write(vm, line, strlen(line));
	vm_unlock(vm);
}

/* The VM in front and one in the back print without end; the third and the log still come through. */
static void test_a_flood_keeps_nobody_from_printing(void **state)
{
	start_two();
	start(&mail, "mail", &uarts[2]);
	room = 0;
	for (unsigned i = 0; i < 1000; i++) {
		refill(&web, "flood in front\n");
		refill(&db, "flood in the back\n");
		if (i == 10)
			print(&mail, "here\n");
		if (i == 20)
			log_info("the log");
		room = 16;
		console_poll();
	}
	assert_true(strstr(said, "mail| here\n") && strstr(said, "mail| here\n") < said + 1600);
	assert_true(strstr(said, "the log\n") && strstr(said, "the log\n") < said + 1600);
	assert_in_range(lines_of("db| flood"), 20, 600);
	assert_in_range(lines_of("flood in front"), 200, 1000);
}

static size_t fill(struct vm *vm)
{
	size_t n = 0;

	vm_lock(vm);
	while (vm_console_ready(vm)) {
		char c = (char)('a' + n % 26);

		assert_int_equal(vm_console_write(vm, &c, 1), 1);
		n++;
	}
	vm_unlock(vm);
	return n;
}

/* What was printed before the ring was full is sent, in order; then the guest's serial port hears of the room. */
static void test_a_full_ring_is_busy_and_loses_nothing(void **state)
{
	size_t taken;

	start(&web, "web", &uarts[0]);
	room = 0;
	taken = fill(&web);
	assert_in_range(taken, CONSOLE_OUT_SIZE - VM_CONSOLE_BURST, CONSOLE_OUT_SIZE + 256);
	assert_true(console_poll());
	assert_int_equal(uarts[0].changes, 0);
	room = 16;
	assert_true(console_poll());
	assert_int_equal(uarts[0].changes, 0);	/* not for every few bytes */
	send_all();
	assert_int_equal(uarts[0].changes, 1);
	vm_lock(&web);
	assert_true(vm_console_ready(&web));
	vm_unlock(&web);
	assert_int_equal(said_length, taken);
	for (size_t i = 0; i < taken; i++)
		assert_int_equal(said[i], 'a' + i % 26);
	/* No further call without a further wait. */
	console_poll();
	assert_int_equal(uarts[0].changes, 1);
}

/* A driver that does not look loses only what the ring has no room for. */
static void test_writing_to_a_full_ring(void **state)
{
	start(&web, "web", &uarts[0]);
	room = 0;
	fill(&web);
	vm_lock(&web);
	assert_int_equal(vm_console_write(&web, "0123456789abcdefghij", 20), VM_CONSOLE_BURST - 1);
	assert_int_equal(vm_console_write(&web, "x", 1), 0);
	vm_unlock(&web);
}

/*
 * A device that keeps the rest leaves room for a burst of the serial port, which was ready; both hear when there is
 * room again, also if that came between the look and the wait.
 */
static void test_two_devices_flood(void **state)
{
	static char text[2 * CONSOLE_OUT_SIZE];
	size_t taken = 0, n;

	start(&web, "web", &uarts[0]);
	connect(&web, &hvc, CONSOLE_UNREAD);
	memset(text, 'h', sizeof(text));
	room = 0;
	vm_lock(&web);
	while ((n = vm_console_send(&web, text, sizeof(text))) != 0)
		taken += n;
	assert_in_range(taken, CONSOLE_OUT_SIZE - VM_CONSOLE_BURST, CONSOLE_OUT_SIZE + 256);
	assert_true(vm_console_ready(&web));
	for (unsigned i = 0; i < VM_CONSOLE_BURST; i++)
		assert_int_equal(vm_console_write(&web, "u", 1), 1);
	assert_false(vm_console_ready(&web));
	assert_int_equal(vm_console_send(&web, text, 1), 0);
	vm_unlock(&web);
	assert_true(console_poll());
	assert_int_equal(hvc.changes, 0);
	send_all();
	assert_int_equal(uarts[0].changes, 1);
	assert_int_equal(hvc.changes, 1);
	assert_int_equal(said_length, taken + VM_CONSOLE_BURST);
}

/* The serial port's way: a character at a time, and whether there is room for a burst behind it. */
static void test_a_character_at_a_time(void **state)
{
	size_t put = 0;
	bool ready = true;

	start(&web, "web", &uarts[0]);
	vm_lock(&web);
	for (unsigned i = 0; i < 63; i++)
		assert_true(vm_console_put(&web, (char)('a' + i % 26)));
	assert_int_equal(said_length, 0);		/* sent with a line, or 64 of them */
	assert_true(vm_console_put(&web, (char)('a' + 63 % 26)));
	assert_int_equal(said_length, 64);
	assert_true(vm_console_put(&web, 'x'));
	assert_true(vm_console_put(&web, '\n'));
	assert_int_equal(said_length, 66);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(said[i], 'a' + i % 26);
	assert_int_equal(said[65], '\n');
	/* The port takes no more: the ring fills up. */
	room = 0;
	for (; ready; put++) {
		ready = vm_console_put(&web, (char)('a' + put % 26));
		assert_int_equal(ready, console_room(web.console) >= VM_CONSOLE_BURST);
	}
	assert_true(web.console->busy);			/* who waits for room is told */
	/* Up to the last place, and not beyond it. */
	for (unsigned i = 0; i < VM_CONSOLE_BURST - 1; i++)
		assert_false(vm_console_put(&web, (char)('a' + put++ % 26)));
	assert_int_equal(console_room(web.console), 0);
	assert_false(vm_console_put(&web, '#'));
	vm_unlock(&web);
	send_all();
	assert_int_equal(said_length, 66 + put);
	for (size_t i = 0; i < put; i++)
		assert_int_equal(said[66 + i], 'a' + i % 26);
}

/* Several characters in one go: sent as single ones are, and only where a burst has room behind them. */
static void test_blocks_of_characters(void **state)
{
	static const char line[] = "0123456789\nabcdefghijklmnopqrstuvwxyz";
	char text[48];
	size_t put = 0;

	start(&web, "web", &uarts[0]);
	vm_lock(&web);
	/* Not sent, but by the end of a line, wherever it is, or with the 64th. */
	for (unsigned i = 0; i < 20; i++) {
		memset(text, '\v', sizeof(text));	/* a bit from '\n' */
		assert_true(vm_console_put_block(&web, text, 20));
		assert_int_equal(said_length, put);
		memset(text, 0x8a, sizeof(text));
		text[i] = '\n';
		assert_true(vm_console_put_block(&web, text, 20));
		put += 40;
		assert_int_equal(said_length, put);
		for (; put % 64; put++)
			assert_true(vm_console_put(&web, '-'));
	}
	memset(text, 'x', sizeof(text));
	assert_true(vm_console_put_block(&web, text, 48));
	assert_int_equal(said_length, put);
	assert_true(vm_console_put_block(&web, text, 15));
	assert_int_equal(said_length, put);
	assert_true(vm_console_put_block(&web, text, 1));
	put += 64;
	assert_int_equal(said_length, put);
	clear();
	assert_true(vm_console_put_block(&web, line, sizeof(line) - 1));
	assert_memory_equal(said, line, sizeof(line) - 1);
	put += sizeof(line) - 1;
	/* The port takes no more. Around the ring's end they have to come singly, as where there is no room. */
	room = 0;
	for (unsigned pieces = 0; console_room(web.console) >= VM_CONSOLE_BURST + 40; pieces++) {
		bool whole = web.console->out_head % CONSOLE_OUT_SIZE + 40 <= CONSOLE_OUT_SIZE;

		assert_int_equal(vm_console_put_block(&web, text, 40), whole);
		for (unsigned i = 0; !whole && i < 40; i++)
			assert_true(vm_console_put(&web, 'x'));
	}
	assert_true(vm_console_ready(&web));
	assert_false(vm_console_put_block(&web, text, 40));
	assert_false(vm_console_put_block(&web, text, (unsigned)console_room(web.console) - VM_CONSOLE_BURST + 1));
	assert_true(vm_console_put_block(&web, text, (unsigned)console_room(web.console) - VM_CONSOLE_BURST));
	assert_int_equal(console_room(web.console), VM_CONSOLE_BURST);
	assert_true(vm_console_ready(&web));
	assert_false(vm_console_put_block(&web, text, 1));
	vm_unlock(&web);
}

/* The scar: output of a VM in the back that fills its ring, then a change of the front, then typing. */
static void test_flood_switch_and_type(void **state)
{
	const char *last;

	start_two();
	room = 0;
	fill(&db);
	assert_int_equal(console_show("db"), 0);
	assert_int_equal(console_type("x", 1), 1);
	vm_lock(&db);
	assert_int_equal(vm_console_read(&db, &uarts[1].end), 'x');	/* input needs no room for output */
	vm_unlock(&db);
	send_all();
	assert_true(uarts[1].changes >= 2);
	print(&db, "last\n");
	send_all();
	last = strstr(said, "last\n");
	assert_non_null(last);
	/* All that it printed, as it is. */
	assert_true(said_length > CONSOLE_OUT_SIZE - VM_CONSOLE_BURST);
}

/* --- which is in front --- */

static void test_what_was_printed_in_the_back_is_replayed(void **state)
{
	start_two();
	print(&web, "web\n");
	print(&db, "\033[1mone\033[0m\r\n$ ");
	send_all();
	clear();
	assert_int_equal(console_show("db"), 0);
	send_all();
	assert_string_equal(said, "[console: db is in front]\n\033[1mone\033[0m\r\n$ ");
	assert_string_equal(console_front(), "db");
	/* What it printed in front is not replayed again. */
	clear();
	console_show("web");
	print(&db, "two\n");
	now += 60000;
	send_all();
	console_show("db");
	send_all();
	assert_string_equal(said, "\n[console: web is in front]\ndb| two\n[console: db is in front]\ntwo\n");
}

static void test_a_long_replay_begins_with_a_line(void **state)
{
	char line[32];

	start_two();
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(line, sizeof(line), "line %04u\n", i);
		print(&db, line);
		send_all();
	}
	clear();
	console_show("db");
	send_all();
	assert_memory_equal(said, "[console: db is in front]\nline ", 31);
	assert_in_range(said_length, CONSOLE_OUT_SIZE - 320, CONSOLE_OUT_SIZE);
	assert_string_equal(said + said_length - 10, "line 1999\n");
}

static void test_next_and_previous(void **state)
{
	start_two();
	start(&mail, "mail", &uarts[2]);
	assert_string_equal(console_front(), "web");
	console_show_next(false);
	assert_string_equal(console_front(), "db");
	console_show_next(false);
	console_show_next(false);
	assert_string_equal(console_front(), "web");
	console_show_next(true);
	assert_string_equal(console_front(), "mail");
	console_show_next(true);
	assert_string_equal(console_front(), "db");
	assert_int_equal(console_show_number(3), 0);
	assert_string_equal(console_front(), "mail");
	assert_int_equal(console_show_number(4), -ENOENT);
	assert_int_equal(console_show("other"), -ENOENT);
	/* A VM that has ended is passed over, but can be shown. */
	console_detach(&web, false);
	console_show_next(false);
	assert_string_equal(console_front(), "db");
	assert_int_equal(console_show_number(1), 0);
	assert_string_equal(console_front(), "web");
}

static void test_alone_there_is_no_next(void **state)
{
	console_show_next(false);
	assert_string_equal(console_front(), "");
	start(&web, "web", &uarts[0]);
	console_show_next(false);
	console_show_next(true);
	send_all();
	assert_string_equal(said, "");
}

/* VMs one after the other, as they were started: each appears as it is, without a remark. */
static void test_one_vm_after_the_other(void **state)
{
	start(&web, "web", &uarts[0]);
	print(&web, "first\n");
	console_detach(&web, false);
	start(&db, "db", &uarts[1]);
	print(&db, "second\n# ");
	send_all();
	assert_string_equal(said, "first\nsecond\n# ");
}

/* As long as the port takes it, all of the first comes before anything of the second. */
static void test_a_slow_port_at_the_end(void **state)
{
	char text[1024];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	start(&web, "web", &uarts[0]);
	room = 0;
	room_per_pause = 16;
	for (unsigned i = 0; i < 15; i++)
		print(&web, text);
	console_detach(&web, false);
	start(&db, "db", &uarts[1]);
	print(&db, "second\n");
	room = SIZE_MAX;
	send_all();
	assert_int_equal(strspn(said, "x"), 15 * 1023);
	assert_string_equal(said + 15 * 1023, "second\n");
}

/* It is not waited for when nothing is sent, nor when the user holds the console. */
static void test_a_stuck_port_at_the_end(void **state)
{
	u64 before;

	start(&web, "web", &uarts[0]);
	room = 0;
	room_per_pause = 0;
	print(&web, "text\n");
	before = now;
	console_detach(&web, false);
	assert_in_range(now - before, 0, 4000000);
	room = SIZE_MAX;
	start_two();
	console_hold(true);
	print(&web, "more\n");
	before = now;
	console_detach(&web, false);
	assert_in_range(now - before, 0, 1000);
	console_hold(false);
}

/* Nor is a line without an end, in the back. */
static void test_an_unfinished_line_at_the_end(void **state)
{
	u64 before = now;

	start_two();
	print(&db, "# ");
	console_detach(&db, false);
	assert_in_range(now - before, 0, 1000);
	send_all();
	assert_string_equal(said, "db| # \n");
}

static void test_the_front_ends(void **state)
{
	start_two();
	print(&db, "one\n");
	send_all();
	clear();
	console_detach(&web, false);
	send_all();
	assert_string_equal(said, "[console: db is in front]\none\n");
	console_detach(&db, false);
	assert_string_equal(console_front(), "db");
}

/* It gets its place back, unless another was chosen meanwhile. */
static void test_a_vm_that_restarts_comes_back(void **state)
{
	start_two();
	console_detach(&web, true);
	assert_string_equal(console_front(), "db");
	start(&web, "web", &uarts[0]);
	assert_string_equal(console_front(), "web");
	console_show_number(2);
	assert_string_equal(console_front(), "db");	/* the order stayed */
	console_show_number(1);
	console_detach(&web, true);
	console_show("db");
	start(&web, "web", &uarts[0]);
	assert_string_equal(console_front(), "db");
}

/* The last line of a VM in the back is shown although it has no end. */
static void test_the_last_line_of_a_vm(void **state)
{
	start_two();
	print(&db, "killed");
	send_all();
	assert_string_equal(said, "");
	console_detach(&db, false);
	send_all();
	assert_string_equal(said, "db| killed\n");
}

static void test_a_held_console(void **state)
{
	start_two();
	console_hold(true);
	print(&web, "web\n");
	print(&db, "db\n");
	log_info("log");
	assert_false(console_poll());
	assert_string_equal(said, LOG "log\n");
	console_hold(false);
	send_all();
	assert_non_null(strstr(said, "web\n"));
	assert_non_null(strstr(said, "db| db\n"));
}

static void test_no_memory(void **state)
{
	memset(&web, 0, sizeof(web));
	strcpy(web.name, "web");
	no_memory = true;
	assert_int_equal(console_attach(&web), -ENOMEM);
	print(&web, "still printed\n");
	vm_lock(&web);
	assert_true(vm_console_ready(&web));
	assert_int_equal(vm_console_read(&web, &uarts[0].end), -1);
	connect(&web, &uarts[0], CONSOLE_POLLED);
	vm_console_need(&web, &uarts[0].end, CONSOLE_AWAITED);
	assert_int_equal(vm_console_send(&web, "sent\n", 5), 5);
	vm_unlock(&web);
	assert_non_null(strstr(said, "error: no memory for its console"));
	assert_non_null(strstr(said, "\nstill printed\n"));
	console_detach(&web, false);
}

/* --- input --- */

static int read_at(struct uart_model *uart)
{
	int c;

	vm_lock(uart->vm);
	c = vm_console_read(uart->vm, &uart->end);
	vm_unlock(uart->vm);
	return c;
}

static int read_char(struct vm *vm)
{
	return read_at(vm == &web ? &uarts[0] : &uarts[1]);
}

static void need(struct uart_model *uart, enum vm_console_need need)
{
	vm_lock(uart->vm);
	vm_console_need(uart->vm, &uart->end, need);
	vm_unlock(uart->vm);
}

/*
 * With a serial port and a virtio-console, each character comes to one of them: to the one that is used, then to the
 * serial port, if its driver waits for input. Neither is lost or read twice what the first has taken and not read.
 */
static void test_input_goes_to_one_device(void **state)
{
	start(&web, "web", &uarts[0]);
	connect(&web, &hvc, CONSOLE_UNREAD);
	console_type("ab", 2);
	assert_int_equal(read_at(&hvc), -1);
	uarts[0].taken = (char)read_at(&uarts[0]);
	hvc.changes = 0;
	need(&hvc, CONSOLE_OPEN);
	assert_int_equal(hvc.changes, 1);
	need(&hvc, CONSOLE_OPEN);
	assert_int_equal(hvc.changes, 1);
	console_type("c", 1);
	assert_int_equal(read_at(&uarts[0]), -1);
	assert_int_equal(read_at(&hvc), 'a');
	assert_int_equal(read_at(&hvc), 'b');
	uarts[0].changes = 0;
	need(&uarts[0], CONSOLE_AWAITED);
	assert_int_equal(uarts[0].changes, 1);
	assert_int_equal(read_at(&hvc), -1);
	assert_int_equal(read_at(&uarts[0]), 'c');
	assert_int_equal(read_at(&uarts[0]), -1);
	need(&uarts[0], CONSOLE_POLLED);
	console_type("d", 1);
	assert_int_equal(read_at(&hvc), 'd');
	need(&hvc, CONSOLE_UNREAD);
	console_type("e", 1);
	assert_int_equal(read_at(&uarts[0]), 'e');
	need(&uarts[0], CONSOLE_UNREAD);
	console_type("f", 1);
	assert_int_equal(read_at(&uarts[0]), -1);
	assert_int_equal(read_at(&hvc), -1);
}

/* Of two that need it alike, the first. */
static void test_the_first_device_has_the_input(void **state)
{
	start(&web, "web", &uarts[0]);
	connect(&web, &hvc, CONSOLE_POLLED);
	console_type("a", 1);
	assert_int_equal(read_at(&hvc), -1);
	assert_int_equal(read_at(&uarts[0]), 'a');
}

static void test_input_goes_to_the_front(void **state)
{
	start_two();
	assert_int_equal(console_type("ab", 2), 2);
	assert_int_equal(uarts[0].changes, 1);
	assert_int_equal(uarts[1].changes, 0);
	console_show("db");
	assert_int_equal(console_type("\xff", 1), 1);
	assert_int_equal(read_char(&web), 'a');
	assert_int_equal(read_char(&web), 'b');
	assert_int_equal(read_char(&web), -1);
	assert_int_equal(read_char(&db), 0xff);
	assert_int_equal(read_char(&db), -1);
}

static void test_a_full_input_takes_no_more(void **state)
{
	unsigned n = 0;

	start(&web, "web", &uarts[0]);
	for (; console_type(&(char){ (char)n }, 1); n++)
		;
	assert_int_equal(n, CONSOLE_IN_SIZE);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(read_char(&web), (u8)i);
	assert_int_equal(console_type("x", 1), 1);
	assert_int_equal(read_char(&web), 'x');
}

/* Nor does a VM that starts again get what was typed for the one before. */
static void test_input_for_nobody(void **state)
{
	assert_int_equal(console_type("abc", 3), 3);
	start(&web, "web", &uarts[0]);
	assert_int_equal(read_char(&web), -1);
	console_type("old", 3);
	console_detach(&web, true);
	assert_int_equal(console_type("none", 4), 4);
	start(&web, "web", &uarts[0]);
	assert_int_equal(read_char(&web), -1);
}

/* --- many CPUs --- */

#define COUNT 3000

static unsigned finished;

static void *print_many(void *vm)
{
	char line[32];

	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(line, sizeof(line), "%s %04u\n", ((struct vm *)vm)->name, i);
		for (char *c = line; *c;) {
			vm_lock(vm);
			if (vm_console_ready(vm))
				c += vm_console_write(vm, c, 1);
			vm_unlock(vm);
		}
	}
	__atomic_fetch_add(&finished, 1, __ATOMIC_RELEASE);
	return NULL;
}

static unsigned next_of(const char *line, const char *format, unsigned next)
{
	unsigned number;

	if (sscanf(line, format, &number) != 1)
		return next;
	assert_int_equal(number, next);
	return next + 1;
}

/* Two VMs print on CPUs of their own, the boot CPU polls: no byte is lost, no line is broken or out of order. */
static void test_many_cpus(void **state)
{
	unsigned next[2] = { 0 };
	pthread_t threads[2];

	start_two();
	assert_int_equal(pthread_create(&threads[0], NULL, print_many, &web), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, print_many, &db), 0);
	while (__atomic_load_n(&finished, __ATOMIC_ACQUIRE) < 2) {
		console_poll();
		console_type("x", 1);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	send_all();
	for (const char *line = said; *line; line = strchr(line, '\n') + 1) {
		next[0] = next_of(line, "web %u\n", next[0]);
		next[1] = next_of(line, "db| db %u\n", next[1]);
	}
	/* No time passes, so that no line in front was broken. */
	assert_int_equal(next[0], COUNT);
	assert_int_equal(next[1], COUNT);
}

#define T(name) cmocka_unit_test_setup(name, begin)

static const struct CMUnitTest tests[] = {
	T(test_one_vm_appears_as_it_is),
	T(test_single_bytes),
	T(test_lines_of_others_have_their_name),
	T(test_control_characters_of_others_are_left_out),
	T(test_a_long_line_is_cut),
	T(test_a_line_in_front_is_not_broken_while_it_grows),
	T(test_a_line_that_never_ends),
	T(test_the_log_begins_a_line),
	T(test_a_flood_keeps_nobody_from_printing),
	T(test_a_full_ring_is_busy_and_loses_nothing),
	T(test_writing_to_a_full_ring),
	T(test_two_devices_flood),
	T(test_a_character_at_a_time),
	T(test_blocks_of_characters),
	T(test_flood_switch_and_type),
	T(test_what_was_printed_in_the_back_is_replayed),
	T(test_a_long_replay_begins_with_a_line),
	T(test_next_and_previous),
	T(test_alone_there_is_no_next),
	T(test_one_vm_after_the_other),
		T(test_a_slow_port_at_the_end), T(test_a_stuck_port_at_the_end), T(test_an_unfinished_line_at_the_end),
	T(test_the_front_ends),
	T(test_a_vm_that_restarts_comes_back),
	T(test_the_last_line_of_a_vm),
	T(test_a_held_console),
	T(test_no_memory),
	T(test_input_goes_to_the_front),
	T(test_input_goes_to_one_device),
	T(test_the_first_device_has_the_input),
	T(test_a_full_input_takes_no_more),
	T(test_input_for_nobody),
	T(test_many_cpus),
};

/* The consoles stay, so each test is a process of its own. */
int main(void)
{
	return run_apart("test_vm_console", tests, ARRAY_SIZE(tests));
}
