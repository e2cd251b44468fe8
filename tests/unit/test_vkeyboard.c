/* SPDX-License-Identifier: MIT */
/*
 * The PS/2 keyboard and its place at the 8042: scan codes, commands, interrupts. IBM, "Keyboard Technical Reference",
 * "101-/102-Key Keyboard"; "Personal Computer AT Technical Reference", "Keyboard Controller".
 */
/* link: dev/isa/vkeyboard.c dev/isa/vi8042.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include <stdio.h>
#include <string.h>

#include "dev/isa/vi8042.h"
#include "dev/isa/vkeyboard.h"

#define DATA	0x60
#define COMMAND	0x64

static struct vi8042 *vi8042;

static int set_up(void **state)
{
	struct vm *vm = fake_create(0);

	vi8042 = vi8042_create(vm);
	assert_int_equal(vi8042_connect_keyboard(vi8042), 0);
	*state = vm;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void set_mode(struct vm *vm, u8 mode)
{
	out8(vm, COMMAND, 0x60);
	out8(vm, DATA, mode);
}

static void type(struct vm *vm, const char *text)
{
	for (; *text; text++)
		fake_type(vm, *text);
}

/* The guest gets these bytes, in hexadecimal, and no more. */
static void gets(struct vm *vm, const char *expected)
{
	char got[256] = "";

	while ((in8(vm, COMMAND) & 1) && strlen(got) < 200)
		snprintf(got + strlen(got), 8, "%s%02x", got[0] ? " " : "", in8(vm, DATA));
	assert_string_equal(got, expected);
}

/* What an AT's BIOS leaves: codes of set 1, which the 8042 makes of those of set 2. */
static void codes_are_translated(void **state)
{
	struct vm *vm = *state;

	type(vm, "a");
	gets(vm, "1e 9e");
	type(vm, "A");
	gets(vm, "2a 1e 9e aa");
	type(vm, "\r");
	gets(vm, "1c 9c");
	type(vm, "\t\x7f");
	gets(vm, "0f 8f 0e 8e");
	type(vm, "\x03");
	gets(vm, "1d 2e ae 9d");
	type(vm, "\x1b[A");
	gets(vm, "e0 48 e0 c8");
	type(vm, "\x1bOP");
	gets(vm, "3b bb");
}

static void codes_without_translation(void **state)
{
	struct vm *vm = *state;

	set_mode(vm, 0x05);
	type(vm, "a");
	gets(vm, "1c f0 1c");
	type(vm, "A");
	gets(vm, "12 1c f0 1c f0 12");
	type(vm, "\x1b[D");
	gets(vm, "e0 6b e0 f0 6b");
}

/* A US keyboard, row by row, in set 1: the codes count through the rows. */
static void each_key(void **state)
{
	static const struct {
		u8 first;
		const char *plain, *shifted;
	} rows[] = {
		{ 0x02, "1234567890-=", "!@#$%^&*()_+" }, { 0x10, "qwertyuiop[]", "QWERTYUIOP{}" },
		{ 0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~" }, { 0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?" }, { 0x39, " ", "" },
	};
	struct vm *vm = *state;
	char expected[32], text[2] = "";

	for (unsigned row = 0; row < ARRAY_SIZE(rows); row++) {
		for (unsigned i = 0; rows[row].plain[i]; i++) {
			u8 code = (u8)(rows[row].first + i);

			text[0] = rows[row].plain[i];
			type(vm, text);
			snprintf(expected, sizeof(expected), "%02x %02x", code, code | 0x80);
			gets(vm, expected);
			if (!rows[row].shifted[0])
				continue;
			text[0] = rows[row].shifted[i];
			type(vm, text);
			snprintf(expected, sizeof(expected), "2a %02x %02x aa", code, code | 0x80);
			gets(vm, expected);
		}
	}
}

static void characters_without_a_key(void **state)
{
	struct vm *vm = *state;

	type(vm, "\x80\xff\x1c\x1d\x1e");
	gets(vm, "");
	type(vm, "\x1b[15~\x1b[1;5Hx");		/* of unknown sequences nothing is typed */
	gets(vm, "2d ad");
}

/* Escape alone is the key, when nothing follows for 30 ms. */
static void escape(void **state)
{
	struct vm *vm = *state;

	type(vm, "\x1b");
	gets(vm, "");
	fake_advance_ns(vm, 29000000);
	gets(vm, "");
	fake_advance_ns(vm, 2000000);
	gets(vm, "01 81");
	type(vm, "\x1b");
	type(vm, "a");
	gets(vm, "01 81 1e 9e");
	type(vm, "\x1b\x1b");
	gets(vm, "01 81");
	fake_advance_ns(vm, 40000000);
	gets(vm, "01 81");
	fake_advance_ns(vm, 40000000);
	gets(vm, "");
}

/* IRQ 1 rises for each byte, and falls when it is read. */
static void interrupts(void **state)
{
	struct vm *vm = *state;
	struct fake_line *line = &fake_of(vm)->lines[1];

	assert_false(line->level);
	type(vm, "a");
	assert_true(line->level);
	assert_int_equal(line->rises, 1);
	assert_int_equal(in8(vm, DATA), 0x1e);
	assert_int_equal(line->rises, 2);
	assert_int_equal(in8(vm, DATA), 0x9e);
	assert_false(line->level);
	assert_int_equal(in8(vm, DATA), 0x9e);	/* an empty buffer keeps its last byte */
	assert_int_equal(line->rises, 2);
	set_mode(vm, 0x44);			/* no interrupts */
	type(vm, "b");
	assert_false(line->level);
	gets(vm, "30 b0");
	type(vm, "b");
	set_mode(vm, 0x45);
	assert_true(line->level);		/* for the byte that waits */
	gets(vm, "30 b0");
}

static void the_clock_can_be_off(void **state)
{
	struct vm *vm = *state;

	out8(vm, COMMAND, 0xad);
	type(vm, "a");
	gets(vm, "");
	out8(vm, COMMAND, 0x20);
	gets(vm, "55");				/* the command byte: off, translated, tested, interrupts */
	out8(vm, COMMAND, 0xae);
	gets(vm, "1e 9e");
	out8(vm, COMMAND, 0xad);
	out8(vm, DATA, 0xf4);			/* a byte for the keyboard switches it on */
	gets(vm, "fa");
}

/* What drivers do at their start. */
static void commands(void **state)
{
	static const struct {
		u8 byte;
		const char *answer;
	} sequence[] = {
		{ 0xff, "fa aa" }, { 0xf2, "fa ab 41" }, { 0xed, "fa" }, { 0x02, "fa" }, { 0xf3, "fa" }, { 0x20, "fa" },
		{ 0xf0, "fa" }, { 0x02, "fa" }, { 0xee, "ee" }, { 0xf6, "fa" }, { 0xf4, "fa" }, { 0x01, "fe" }, { 0xfe, "fe" },
		/* A command in place of the data. */
		{ 0xed, "fa" }, { 0xf4, "fa" }, { 0x02, "fe" },
	};
	struct vm *vm = *state;

	out8(vm, COMMAND, 0xaa);
	gets(vm, "55");
	out8(vm, COMMAND, 0xab);
	gets(vm, "00");
	for (unsigned i = 0; i < ARRAY_SIZE(sequence); i++) {
		out8(vm, DATA, sequence[i].byte);
		assert_int_equal(in8(vm, COMMAND) & 0x40, 0);	/* the keyboard has answered */
		gets(vm, sequence[i].answer);
	}
	set_mode(vm, 0x05);
	out8(vm, DATA, 0xf2);
	gets(vm, "fa ab 83");
	out8(vm, DATA, 0xf0);
	out8(vm, DATA, 0x00);
	gets(vm, "fa fa 02");			/* it sends set 2 */
}

static void scanning_can_be_off(void **state)
{
	struct vm *vm = *state;

	out8(vm, DATA, 0xf5);
	gets(vm, "fa");
	type(vm, "a");
	gets(vm, "");
	out8(vm, DATA, 0xf4);
	gets(vm, "fa");
	type(vm, "b");
	gets(vm, "30 b0");
}

/* The console keeps what the keyboard has no room for. */
static void a_paste(void **state)
{
	struct vm *vm = *state;
	char expected[3 * 2 * 100 + 1] = "";

	for (unsigned i = 0; i < 100; i++)
		fake_type(vm, (char)('a' + i % 26));
	for (unsigned i = 0; i < 200; i++) {
		static const u8 codes[] = {
			0x1e, 0x30, 0x2e, 0x20, 0x12, 0x21, 0x22, 0x23, 0x17, 0x24, 0x25, 0x26, 0x32,
			0x31, 0x18, 0x19, 0x10, 0x13, 0x1f, 0x14, 0x16, 0x2f, 0x11, 0x2d, 0x15, 0x2c,
		};

		assert_int_equal(in8(vm, COMMAND) & 1, 1);
		assert_int_equal(in8(vm, DATA), codes[i / 2 % 26] | (i % 2 ? 0x80 : 0));
	}
	gets(vm, expected);
}

/* Any bytes at any time keep the model within its bounds. */
static void random_accesses(void **state)
{
	struct vm *vm = *state;
	u64 seed = 0x123456789;

	for (unsigned i = 0; i < 200000; i++) {
		u64 random = fake_random(&seed);

		if (random % 4 == 0 && fake_of(vm)->typed_count < FAKE_CONSOLE)
			type(vm, (char[]){ (char)(random >> 8 | 1), 0 });
		else if (random % 4 == 1)
			in8(vm, random & 0x100 ? DATA : COMMAND);
		else if (random % 4 == 2)
			out8(vm, random & 0x100 ? DATA : COMMAND, (u8)(random >> 16));
		else
			fake_advance_ns(vm, random >> 40);
	}
}

static void no_memory(void **state)
{
	struct vm *vm = *state;

	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	assert_true(vi8042_connect_keyboard(vi8042) < 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(codes_are_translated),
		TEST(codes_without_translation),
		TEST(each_key),
		TEST(characters_without_a_key),
		TEST(escape),
		TEST(interrupts),
		TEST(the_clock_can_be_off),
		TEST(commands),
		TEST(scanning_can_be_off),
		TEST(a_paste),
		TEST(random_accesses),
		TEST(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
