/* SPDX-License-Identifier: MIT */
/* Our vsnprintf() against the C library's, over every combination of flags, width and length. */
/* link: lib/printf.c lib/string.c */
/* cflags: -ULAMINA_HOST_TEST -Dvsnprintf=our_vsnprintf -Dsnprintf=our_snprintf */
/* cflags: -Wno-format -Wno-format-security */
/* cflags: -Dmemcpy=our_memcpy -Dmemmove=our_memmove -Dmemset=our_memset */
/* cflags: -Dmemcmp=our_memcmp -Dstrlen=our_strlen -Dstrnlen=our_strnlen */
/* cflags: -Dstrcmp=our_strcmp -Dstrncmp=our_strncmp -Dstrchr=our_strchr */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/printf.h"
#include "lib/string.h"

#define SIZE 160

/* Print with both and compare the text, the returned length and the bytes after the text. */
static void compare(size_t size, const char *format, ...)
{
	char ours[SIZE], theirs[SIZE];
	va_list args;
	int our_length, their_length;

	memset(ours, '~', SIZE);
	memset(theirs, '~', SIZE);
	va_start(args, format);
	our_length = vsnprintf(ours, size, format, args);
	va_end(args);
	va_start(args, format);
	their_length = __builtin_vsnprintf(theirs, size, format, args);
	va_end(args);
	if (our_length != their_length || memcmp(ours, theirs, SIZE))
		fail_msg("\"%s\": ours %d \"%.*s\", expected %d \"%.*s\"", format, our_length, SIZE,
			 ours, their_length, SIZE, theirs);
}

/* Calls visit() with "%<flags><width><precision>" for all of them. */
static void each_prefix(void (*visit)(const char *prefix))
{
	static const char *const widths[] = { "", "1", "2", "7", "25" };
	static const char *const precisions[] = { "", ".", ".0", ".1", ".3", ".9", ".24" };
	static const char flags[] = "-0+ #";

	for (unsigned int set = 0; set < 32; set++) {
		for (size_t w = 0; w < ARRAY_SIZE(widths); w++) {
			for (size_t p = 0; p < ARRAY_SIZE(precisions); p++) {
				char prefix[16] = "%";
				size_t n = 1;

				for (int i = 0; i < 5; i++) {
					if (set & BIT(i))
						prefix[n++] = flags[i];
				}
				str_copy(prefix + n, widths[w], sizeof(prefix) - n);
				str_copy(prefix + strlen(prefix), precisions[p], 4);
				visit(prefix);
			}
		}
	}
}

static void format_of(char *format, const char *prefix, const char *length, char conversion)
{
	str_copy(format, prefix, 24);
	str_copy(format + strlen(format), length, 3);
	str_copy(format + strlen(format), (char[]){ conversion, '|', 0 }, 3);
}

static const u64 values[] = {
	0, 1, 7, 8, 9, 10, 42, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 0x7fffffff,
	0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
	0xfffffffffffffffe, 0xffffffffffffffff, 0x123456789abcdef0, 1000000007,
};

static void visit_numbers(const char *prefix)
{
	static const char *const lengths[] = { "hh", "h", "", "l", "ll", "z", "t" };
	static const char conversions[] = "diuxXo";
	char format[32];

	for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
		for (const char *c = conversions; *c; c++) {
			format_of(format, prefix, lengths[l], *c);
			for (size_t v = 0; v < ARRAY_SIZE(values); v++)
				compare(SIZE, format, values[v]);
		}
	}
}

static void test_numbers(void **state)
{
	each_prefix(visit_numbers);
}

static void visit_strings(const char *prefix)
{
	static const char *const texts[] = { "", "x", "hello", "a longer text than the width is" };
	char format[32];

	for (size_t t = 0; t < ARRAY_SIZE(texts); t++) {
		format_of(format, prefix, "", 's');
		compare(SIZE, format, texts[t]);
	}
	format_of(format, prefix, "", 'c');
	compare(SIZE, format, 'c');
	compare(SIZE, format, 0);
}

static void test_strings_and_characters(void **state)
{
	each_prefix(visit_strings);
}

/* The C library prints (nil) for NULL; the standard leaves that open, and 0x0 is easier to read. */
static void test_pointers(void **state)
{
	char text[32];

	compare(SIZE, "%p|%20p|%-20p|", (void *)0x1234, (void *)-1, (void *)0x8000000000000000);
	assert_int_equal(snprintf(text, sizeof(text), "%p", NULL), 3);
	assert_string_equal(text, "0x0");
}

static void test_star(void **state)
{
	for (int width = -12; width <= 12; width++) {
		for (int precision = -3; precision <= 12; precision++) {
			compare(SIZE, "%*.*d|", width, precision, 1234);
			compare(SIZE, "%0*.*x|", width, precision, 0xbeef);
			compare(SIZE, "%-*.*s|", width, precision, "abcdef");
		}
	}
}

static void test_truncation_at_every_size(void **state)
{
	for (size_t size = 0; size < 40; size++)
		compare(size, "[%5llu.%06llu cpu%u%s] %-8s|%#x", 12ull, 345ull, 3u, " web", "text",
			0xabcu);
}

static void test_no_buffer_is_needed_to_count(void **state)
{
	assert_int_equal(snprintf(NULL, 0, "%s-%d", "abc", 12345), 9);
}

static void test_percent_and_plain_text(void **state)
{
	compare(SIZE, "100%% of %d", 5);
	compare(SIZE, "");
	compare(SIZE, "%%%%");
}

static void test_precision_bounds_what_is_read(void **state)
{
	char *text = malloc(3); /* no NUL, and AddressSanitizer guards what is behind */
	char out[8];

	text[0] = 'a', text[1] = 'b', text[2] = 'c';
	assert_int_equal(snprintf(out, sizeof(out), "%.3s", text), 3);
	assert_string_equal(out, "abc");
	free(text);
}

static void test_mistakes_are_harmless(void **state)
{
	char out[16];

	assert_int_equal(snprintf(out, sizeof(out), "%s", (char *)NULL), 6);
	assert_string_equal(out, "(null)");
	assert_int_equal(snprintf(out, sizeof(out), "a%"), 1);
	assert_string_equal(out, "a");
	assert_int_equal(snprintf(out, sizeof(out), "a%-08.3l"), 1);
	assert_int_equal(snprintf(out, sizeof(out), "%q"), 1);
	assert_string_equal(out, "q");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_strings_and_characters),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_star),
		cmocka_unit_test(test_truncation_at_every_size),
		cmocka_unit_test(test_no_buffer_is_needed_to_count),
		cmocka_unit_test(test_percent_and_plain_text),
		cmocka_unit_test(test_precision_bounds_what_is_read),
		cmocka_unit_test(test_mistakes_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
