/* SPDX-License-Identifier: MIT */
/* The screens of VMs as lines of their consoles. */
/* link: boot/screens.c lib/textscreen.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "boot/screens.h"
#include "core/console.h"
#include "core/vm.h"
#include "core/vm_alloc.h"
#include "core/vm_console.h"
#include "dev/isa/vvga.h"
#include "dev/platform.h"
#include "lib/errno.h"

static struct vm vm;
static struct platform platform;
static struct vm_console console;
static u16 memory[0x4000];
static struct vvga_view now;
static bool unreadable, no_memory, locked;
static char printed[32768];
static void *allocated;

int vm_copy_memory(struct vm *of, gpa_t gpa, void *to, u64 size)
{
	assert_ptr_equal(of, &vm);
	assert_int_equal(gpa, 0xb8000);
	assert_int_equal(size, sizeof(memory));
	if (unreadable)
		return -EFAULT;
	memcpy(to, memory, size);
	return 0;
}

void vvga_view(const struct vvga *vvga, struct vvga_view *view)
{
	assert_true(locked);
	*view = now;
}

void vm_lock(struct vm *of) { locked = true; }
void vm_unlock(struct vm *of) { locked = false; }

size_t vm_console_write(struct vm *of, const char *text, size_t n)
{
	assert_true(locked);
	strncat(printed, text, n);
	return n;
}

void *vm_alloc(struct vm *of, size_t size)
{
	allocated = no_memory ? NULL : calloc(1, size);
	return allocated;
}

const char *vm_name(const struct vm *of) { return "vm"; }

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	strcat(printed, "error: ");
	strcat(printed, format);
}

static int set_up(void **state)
{
	memset(&vm, 0, sizeof(vm));
	memset(&console, 0, sizeof(console));
	memset(memory, 0, sizeof(memory));
	platform.vvga = (struct vvga *)&platform;
	vm.platform = &platform;
	vm.console = &console;
	now = (struct vvga_view){ .columns = 80, .rows = 25, .cursor = true, .cursor_column = 3, .cursor_row = 2 };
	printed[0] = '\0';
	unreadable = no_memory = false;
	allocated = NULL;
	return 0;
}

static int tear_down(void **state)
{
	free(allocated);
	return 0;
}

static void show(unsigned cell, const char *text)
{
	for (; *text; text++)
		memory[cell++ % ARRAY_SIZE(memory)] = 0x700 | (u8)*text;
}

static void prints(const char *expected)
{
	assert_string_equal(printed, expected);
	printed[0] = '\0';
}

static void the_screen_is_read(void **state)
{
	static struct textscreen screen;

	now.start = 16384 - 160;		/* the last two rows of the page, then its first */
	show(now.start, "one");
	show(now.start + 80, "two");
	show(0, "three");
	assert_int_equal(screen_read(&vm, &screen), 0);
	assert_int_equal(screen.columns, 80);
	assert_int_equal(screen.rows, 25);
	assert_true(screen.cursor);
	assert_int_equal(screen.cursor_column, 3);
	assert_int_equal(screen.cursor_row, 2);
	assert_string_equal(screen.lines[0], "one");
	assert_string_equal(screen.lines[1], "two");
	assert_string_equal(screen.lines[2], "three");
	for (unsigned row = 3; row < 25; row++)
		assert_string_equal(screen.lines[row], "");
	unreadable = true;
	assert_int_equal(screen_read(&vm, &screen), -EFAULT);
	unreadable = false;
	platform.vvga = NULL;
	assert_int_equal(screen_read(&vm, &screen), -EFAULT);
	vm.platform = NULL;
	assert_int_equal(screen_read(&vm, &screen), -EFAULT);
}

/* A line is printed when the screen has not changed since the last look. */
static void new_lines_are_printed(void **state)
{
	struct screen_watch *watch = screen_watch(&vm);

	screen_poll(watch, false);
	show(0, "Hel");
	screen_poll(watch, false);
	prints("");
	show(3, "lo");
	screen_poll(watch, false);
	prints("");
	screen_poll(watch, false);
	prints("Hello\n");
	screen_poll(watch, false);
	prints("");
	show(160, "below");
	screen_poll(watch, false);
	screen_poll(watch, false);
	prints("below\n");
}

static void a_screen_that_changes_all_the_time(void **state)
{
	struct screen_watch *watch = screen_watch(&vm);

	for (unsigned i = 0; i < 3; i++) {
		show(0, "0");
		memory[0] += (u16)i;
		screen_poll(watch, false);
		prints("");
	}
	show(0, "9");
	screen_poll(watch, false);
	prints("9\n");
}

static void the_last_screen_is_printed(void **state)
{
	struct screen_watch *watch = screen_watch(&vm);

	show(80, "panic");
	screen_poll(watch, true);
	prints("panic\n");
}

/* Nothing is lost while the console is full. */
static void a_full_console(void **state)
{
	struct screen_watch *watch = screen_watch(&vm);

	show(0, "text");
	console.out_head = CONSOLE_OUT_SIZE - 4;	/* of 5 that are needed */
	screen_poll(watch, false);
	screen_poll(watch, false);
	prints("");
	console.out_sent = 1;
	screen_poll(watch, false);
	prints("text\n");
	vm.console = NULL;				/* then the log takes it */
	show(0, "more");
	screen_poll(watch, true);
	prints("more\n");
}

static void memory_that_cannot_be_read(void **state)
{
	struct screen_watch *watch = screen_watch(&vm);

	show(0, "text");
	unreadable = true;
	screen_poll(watch, true);
	prints("");
	free(watch);
	no_memory = true;
	assert_null(screen_watch(&vm));
	prints("error: vga=lines: no memory to remember its screen, which is not printed");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_screen_is_read),
		TEST(new_lines_are_printed),
		TEST(a_screen_that_changes_all_the_time),
		TEST(the_last_screen_is_printed),
		TEST(a_full_console),
		TEST(memory_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
