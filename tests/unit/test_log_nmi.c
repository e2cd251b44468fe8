/* SPDX-License-Identifier: MIT */
/* The log while an NMI logs, too, on the CPU whose output it interrupts: nothing is lost, and nothing is sent twice. */
/* link: lib/printf.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/string.h"

static void *copy_with_nmi(void *to, const void *from, size_t n);

#define memcpy copy_with_nmi
#include "lib/log.c"
#undef memcpy

#define NMI_LINE "[    0.000000 cpu0] error: nmi\n"

static char text[1 << 18];
static size_t length;
static unsigned copies_until_nmi, puts_until_nmi;	/* 0: none comes */

static void nmi(void)
{
	log_error("nmi");
	log_flush();	/* as arch/fault/nmi.c does */
}

static void crash(void)
{
	log_force_unlock();
	log_error("crash");
}

static void (*interrupt)(void);

/* Of the copies, the ring's are the ones that an NMI must not find half done. */
static void *copy_with_nmi(void *to, const void *from, size_t n)
{
	memcpy(to, from, n / 2);
	if (copies_until_nmi && !--copies_until_nmi)
		interrupt();
	return memcpy((char *)to + n / 2, (const char *)from + n / 2, n - n / 2);
}

static void store(struct log_console *console, const char *piece, size_t n)
{
	assert_true(length + n < sizeof(text));
	memcpy(text + length, piece, n);
	length += n;
	text[length] = '\0';
}

static size_t put(struct log_console *console, const char *piece, size_t n)
{
	store(console, piece, n);
	if (puts_until_nmi && !--puts_until_nmi)
		nmi();
	return n;
}

static struct log_console screen = { .write = store, .put = put };

static int set_up(void **state)
{
	log_add_console(&screen);
	return 0;
}

static int begin(void **state)
{
	copies_until_nmi = puts_until_nmi = 0;
	interrupt = nmi;
	log_guest_output("\n", 1);
	length = 0;
	text[0] = '\0';
	return 0;
}

static unsigned count(const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)); at++)
		n++;
	return n;
}

/* What was printed, without the NMI's line, and without the end of the guest's line that it has to begin behind. */
static void assert_printed(const char *expected)
{
	char *at = strstr(text, NMI_LINE);

	assert_non_null(at);
	memmove(at, at + strlen(NMI_LINE), strlen(at + strlen(NMI_LINE)) + 1);
	if (at > text && at[-1] == '\n')
		memmove(at - 1, at, strlen(at) + 1);
	assert_string_equal(text, expected);
}

/* At each of the pieces that the text is copied in, and at each place of the ring, its end among them. */
static void test_while_text_goes_into_the_ring(void **state)
{
	for (unsigned i = 0; i < 2000; i++) {
		begin(NULL);
		copies_until_nmi = i % 3 + 1;
		log_guest_output("abcdefghijklmnopqrstuvwxyz", 26);
		assert_printed("abcdefghijklmnopqrstuvwxyz");
		assert_true(screen.sent == ring_end);
	}
}

/* Of a guest's text only the text is hidden, not what Lamina says meanwhile. */
static void test_whose_text_it_is(void **state)
{
	u64 from, lines_end;
	unsigned of_guests = 0;

	begin(NULL);
	from = ring_end;
	copies_until_nmi = 2;
	log_guest_output("abcdefghijklmnopqrstuvwxyz", 26);
	lines_end = ring_end;
	for (u64 at = from; at < lines_end; at++) {
		bool letter = ring[at % LOG_SIZE] == '\n' || is_guests(at);

		of_guests += is_guests(at) && ring[at % LOG_SIZE] != '\n';
		assert_true(letter || strchr(NMI_LINE, ring[at % LOG_SIZE]));
	}
	assert_int_equal(of_guests, 26);
}

/* An NMI that comes while a console takes a piece sends the whole ring itself. */
static void test_while_a_piece_is_sent(void **state)
{
	log_set_buffered(true);
	puts_until_nmi = 1;
	log_guest_output("abcdefghijklmnopqrstuvwxyz\n", 27);
	assert_true(screen.sent == ring_end);
	assert_int_equal(count("left out"), 0);
	assert_int_equal(count(NMI_LINE), 1);
	log_info("after");
	assert_int_equal(count(NMI_LINE), 1);
	assert_int_equal(count("after"), 1);
	assert_int_equal(count("left out"), 0);
	log_set_buffered(false);
}

/* A CPU that was stopped in the middle of a piece will not go on: the crash's report has the piece. */
static void test_of_a_cpu_that_was_stopped(void **state)
{
	copies_until_nmi = 2;
	interrupt = crash;
	memset(ring, '#', sizeof(ring));
	log_guest_output("abcdefghijklmnopqrstuvwxyz", 26);
	assert_non_null(strstr(text, "] error: crash\n"));
	assert_null(strchr(text, '#'));
}

#define log_test(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		log_test(test_while_text_goes_into_the_ring),
		log_test(test_whose_text_it_is),
		log_test(test_while_a_piece_is_sent),
		log_test(test_of_a_cpu_that_was_stopped),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
