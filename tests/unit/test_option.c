/* SPDX-License-Identifier: MIT */
/* Lamina's command line: values, errors, and the file name that some boot loaders put in front. */
/* link: lib/keyval.c lib/string.c lib/printf.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A table that the linker collects, like the product's. */
#define options_start __start_option_table
#define options_end   __stop_option_table
#include "arch/bootinfo/option.c"

static unsigned errors;
static char error[1024], errors_said[4096];
static char port[32];
static unsigned helped;
static enum { RED, GREEN, DARK_GREEN } colour;

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	if (level != LOG_ERROR)
		return;
	va_start(args, format);
	vsnprintf(error, sizeof(error), format, args);
	va_end(args);
	errors += error[0] != ' ';	/* the lines of a list belong to the one before */
	strcat(strcat(errors_said, error), "\n");
}

void log_set_level(enum log_level level) { }

static int set_port(struct str_view value)
{
	return str_view_equals(value, "bad") || !str_view_copy(port, value, sizeof(port)) ? -EINVAL : 0;
}

static int set_help(struct str_view value)
{
	helped++;
	return 0;
}

#define LONG_NAME "a-name-of-forty-characters-for-one-option"	/* far longer than any */
static const struct option table[] __attribute__((section("option_table"), used)) = {
	{ "port", "PORT", "a port, 1 to 9", set_port },
	{ "help", NULL, "help", set_help },
	{ "colour", "red|green|dark-green", "a colour", .choice = (u32 *)&colour },
	{ LONG_NAME "1", NULL, "", set_help }, { LONG_NAME "2", NULL, "", set_help }, { LONG_NAME "3", NULL, "", set_help },
	{ LONG_NAME "4", NULL, "", set_help }, { LONG_NAME "5", NULL, "", set_help }, { LONG_NAME "6", NULL, "", set_help },
	{ LONG_NAME "7", NULL, "", set_help }, { "last", NULL, "", set_help },
};

static void apply_line(const char *line, bool file_name)
{
	errors = helped = 0;
	errors_said[0] = 0;
	port[0] = 0;
	options_apply(line, file_name);
}

static void test_values(void **state)
{
	apply_line("port=com1 help", false);
	assert_string_equal(port, "com1");
	assert_int_equal(helped, 1);
	assert_int_equal(errors, 0);

	apply_line("port help=1 port=bad other=2 port=\"x", false);
	assert_string_equal(port, "");
	assert_int_equal(helped, 0);
	assert_int_equal(errors, 5);
}

/* The whole word, and no part of the list; what is wrong changes nothing. */
static void test_choices(void **state)
{
	static const char *const wrong[] = {
		"colour", "colour=", "colour=gree", "colour=greens", "colour=dark", "colour=green|dark-green", "colour=|",
		"colour=Red",
	};

	apply_line("colour=green", false);
	assert_int_equal(colour, GREEN);
	apply_line("colour=red", false);
	assert_int_equal(colour, RED);
	apply_line("colour=dark-green", false);
	assert_int_equal(colour, DARK_GREEN);
	assert_int_equal(errors, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		apply_line(wrong[i], false);
		assert_int_equal(errors, 1);
		assert_int_equal(colour, DARK_GREEN);
	}
	assert_non_null(strstr(error, "colour=Red: expected colour=red|green|dark-green: a colour"));
}

/* The range of a number is in the option's help only. */
static void test_error_says_what_is_expected(void **state)
{
	char line[256] = "port=bad";

	apply_line(line, false);
	assert_string_equal(error, "command line: port=bad: expected port=PORT: a port, 1 to 9");
	memset(line + 5, 'x', 100);
	apply_line(line, false);
	assert_non_null(strstr(error, "x: expected port=PORT: a port, 1 to 9"));
	assert_int_equal(strspn(strchr(error, '=') + 1, "x"), 64);
	apply_line("help=1", false);
	assert_string_equal(error, "command line: help takes no value");
}

/* However many options there are, each is named, and no name is cut. */
static void test_unknown_option(void **state)
{
	char line[1000];

	apply_line("prot=com1", false);
	assert_int_equal(errors, 1);
	assert_non_null(strstr(errors_said, "command line: unknown option \"prot\": expected one of\n"));
	for (const struct option *option = table; option < table + ARRAY_SIZE(table); option++) {
		const char *found = strstr(errors_said, option->name);

		assert_non_null(found);
		assert_non_null(strchr(",\n", found[strlen(option->name)]));
	}
	/* One that is too long is quoted in part, and the list still follows. */
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	apply_line(line, false);
	assert_non_null(strstr(errors_said, "x\": expected one of\n"));
	assert_non_null(strstr(errors_said, "last\n"));
}

static void test_no_file_name(void **state)
{
	apply_line("lamina.elf port=com1", false);
	assert_string_equal(port, "com1");
	assert_int_equal(errors, 1);
	apply_line("port=com1 /boot/lamina.elf", false);
	assert_int_equal(errors, 1);
	apply_line("", false);
	assert_int_equal(errors, 0);
}

/* A path cannot be anything else. */
static void test_path(void **state)
{
	apply_line("/boot/lamina.elf port=com1", false);
	assert_string_equal(port, "com1");
	assert_int_equal(errors, 0);
	apply_line("(hd0,1)/boot/a=b.elf port=com1", false);
	assert_string_equal(port, "com1");
	assert_int_equal(errors, 0);
}

/* QEMU and kexec give a path and iPXE an URI; GRUB gives neither. */
static void test_file_name(void **state)
{
	static const char *const names[] = {
		"", "lamina.elf ", "build/lamina.elf ", "/a=b/lamina.elf ", "http://10.0.2.2/boot?id=7 ",
	};
	char line[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(line, sizeof(line), "%sport=com1 help", names[i]);
		apply_line(line, true);
		assert_string_equal(port, "com1");
		assert_int_equal(helped, 1);
		assert_int_equal(errors, 0);
	}
	apply_line("help", true);
	assert_int_equal(helped, 1);
	apply_line("", true);
	apply_line("lamina.elf", true);
	assert_int_equal(errors, 0);

	apply_line("lamina.elf lamina.elf", true);
	assert_int_equal(errors, 1);
	apply_line("prot=com1", true);
	assert_int_equal(errors, 1);
	apply_line("port", true);
	assert_int_equal(errors, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_choices),
		cmocka_unit_test(test_error_says_what_is_expected),
		cmocka_unit_test(test_unknown_option),
		cmocka_unit_test(test_no_file_name),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_file_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
