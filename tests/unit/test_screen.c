/* SPDX-License-Identifier: MIT */
/* Which screen is used, by the boot loader's tag or the BIOS data area, and the changes of page tables. */
/* link: arch/console/screen.c arch/console/framebuffer.c lib/terminal.c lib/log.c lib/printf.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/bootinfo/bootinfo.h"
#include "arch/cpu/cpu.h"
#include "arch/console/framebuffer.h"
#include "arch/bootinfo/option.h"
#include "arch/mem/mapping.h"
#include "arch/mem/paging.h"
#include "arch/console/screen.h"
#include "lib/log.h"
#include "lib/multiboot.h"
#include "apart.h"

#define WIDTH	640
#define HEIGHT	480
#define COLUMNS 80

struct boot_info boot_info;

/* Every character is drawn as its code, in the first row below the margin. */
const u8 font[FONT_GLYPHS][FONT_ROWS] = {
	['x' - FONT_FIRST] = { 'x' }, ['y' - FONT_FIRST] = { 'y' },
};

static u16 vga[2][0x2000 / 2];		/* what lies at the physical address, before and after */
static u32 pixels[2][WIDTH * HEIGHT];
static u8 bda[0x100];
static bool final, ram;
static char seen[4096];

static u16 plain_ram = 0x1234;	/* where a VGA would have its planes */

void *mmio_map(hpa_t pa, u64 size)
{
	assert_in_range(pa, 0xa0000, 0xbffff);
	if (pa < 0xb0000)
		return &plain_ram;
	return (char *)vga[final] + (pa - (pa < 0xb8000 ? 0xb0000 : 0xb8000));
}

void *framebuffer_map(hpa_t pa, u64 size)
{
	assert_int_equal(size, sizeof(pixels[0]));
	return pa < GIB(4) || final ? pixels[final] : NULL;
}

void *firmware_map(hpa_t pa, u64 size)
{
	assert_int_equal(pa, 0x400);
	return bda;
}

bool boot_info_has_ram(hpa_t pa, u64 size)
{
	return ram;
}

void outb(u16 port, u8 value)
{
}

static void see(struct log_console *console, const char *text, size_t length)
{
	strncat(seen, text, length);
}

static int begin(void **state)
{
	static struct log_console eye = { .write = see };

	log_add_console(&eye);
	memset(vga, 0x11, sizeof(vga));
	memset(pixels, 0x11, sizeof(pixels));
	return 0;
}

static struct mb2_framebuffer_rgb colours = { 16, 8, 8, 8, 0, 8 };

static void give_framebuffer(hpa_t address)
{
	boot_info.framebuffer = (struct boot_framebuffer) {
		.address = address, .width = WIDTH, .height = HEIGHT, .pitch = WIDTH * 4,
		.bits_per_pixel = 32, .type = MB2_FRAMEBUFFER_RGB, .colours = (const u8 *)&colours,
		.colours_size = sizeof(colours),
	};
}

static void give_text_tag(hpa_t address, u32 columns, u32 rows, u32 pitch)
{
	boot_info.framebuffer = (struct boot_framebuffer) {
		.address = address, .width = columns, .height = rows, .pitch = pitch,
		.bits_per_pixel = 16, .type = MB2_FRAMEBUFFER_EGA_TEXT,
	};
}

static void give_bios_mode(u8 mode, u16 columns, u8 last_row)
{
	bda[0x49] = mode;
	memcpy(&bda[0x4a], &columns, 2);
	bda[0x84] = last_row;
}

/* The first row that the log's prefix is followed by: "[    0.000000 cpu0] xy" is at column 20. */
static bool pixels_show(const u32 *memory, unsigned row, char c)
{
	u8 bits = 0;

	for (unsigned x = 0; x < 8; x++)
		bits |= memory[(row * FONT_HEIGHT + FONT_MARGIN) * WIDTH + 20 * 8 + x] ? 0x80 >> x : 0;
	return bits == c;
}

/* Of the screen, by all that was logged. */
static unsigned count_lines(void)
{
	unsigned lines = 0;

	for (const char *line = seen, *end; (end = strchr(line, '\n')); line = end + 1)
		lines += MAX((unsigned)(end - line + COLUMNS - 1) / COLUMNS, 1u);
	return lines;
}

static void test_text_by_tag(void **state)
{
	give_text_tag(0xb8000, 80, 25, 160);
	screen_init();
	assert_non_null(strstr(seen, "VGA text, 80 by 25 characters"));
	assert_int_equal(vga[0][0], 0x700 | '[');
	assert_int_equal(vga[0][24 * 80 + 79], 0x700 | ' ');
	assert_int_equal(vga[0][25 * 80], 0x1111);	/* and nothing beyond */
}

static void test_text_by_the_bios(void **state)
{
	give_bios_mode(3, 132, 42);
	screen_init();
	assert_non_null(strstr(seen, "VGA text, 132 by 43 characters"));
}

/* A plain EGA's BIOS or older leaves no number of rows. */
static void test_monochrome(void **state)
{
	give_bios_mode(7, 80, 0);
	screen_init();
	assert_non_null(strstr(seen, "VGA text, 80 by 25 characters"));
	assert_int_equal(vga[0][0], 0x700 | '[');
}

static void assert_no_screen(void)
{
	u16 before = vga[0][0];

	screen_init();
	assert_non_null(strstr(seen, "screen: none"));
	assert_int_equal(vga[0][0], before);
	assert_int_equal(pixels[0][0], 0x11111111);
	screen_suspend();
	screen_resume();
	log_info("x");
}

/* Under UEFI there is no BIOS data area: its contents are not taken for a text mode. */
static void test_no_bios(void **state)
{
	memset(bda, 0xff, sizeof(bda));
	assert_no_screen();
}

static void test_no_bios_but_what_looks_like_one(void **state)
{
	boot_info.uefi = true;
	give_bios_mode(3, 80, 24);
	assert_no_screen();
}

static void test_graphics_mode(void **state)
{
	give_bios_mode(0x12, 80, 29);
	assert_no_screen();
}

/* GRUB announces VGA's mode of 16 colours even without an adapter. RAM may be there. */
static void test_planes_without_an_adapter(void **state)
{
	boot_info.framebuffer = (struct boot_framebuffer) {
		.address = 0xa0000, .width = 640, .height = 480, .pitch = 80, .bits_per_pixel = 1,
		.type = MB2_FRAMEBUFFER_INDEXED,
	};
	assert_no_screen();
	assert_non_null(strstr(seen, "640 by 480 pixels at 0xa0000: no VGA answers there"));
	assert_int_equal(plain_ram, 0x1234);
}

static void test_impossible_text(void **state)
{
	static const struct {
		hpa_t address;
		u32 columns, rows, pitch;
	} bad[] = {
		{ 0xb8000, 0, 25, 160 }, { 0xb8000, 80, 0, 160 }, { 0xb8000, 80, 25, 159 },
		{ 0xb8001, 80, 25, 160 }, { 0xb8000, 257, 25, 514 }, { 0xb8000, 80, 205, 160 },
		{ 0xb8000, 80, 25, 0x80000000 }, { 0x100000, 80, 25, 160 }, { 0x9fff0, 80, 25, 160 },
		{ 0xbf800, 80, 25, 160 }, { ~0ull, 80, 25, 160 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		give_text_tag(bad[i].address, bad[i].columns, bad[i].rows, bad[i].pitch);
		seen[0] = '\0';
		assert_no_screen();
	}
}

static void test_framebuffer_before_and_after(void **state)
{
	unsigned row;

	give_framebuffer(0xfd000000);
	screen_init();
	row = count_lines();
	log_info("x");
	assert_true(pixels_show(pixels[0], row, 'x'));
	assert_int_equal(pixels[0][WIDTH * HEIGHT - 1], 0);	/* cleared to its end */

	/* The same memory at another address: nothing is lost, and nothing is drawn twice. */
	memcpy(pixels[1], pixels[0], sizeof(pixels[0]));
	screen_suspend();
	log_info("y");
	final = true;
	screen_resume();
	assert_true(pixels_show(pixels[1], row, 'x'));
	assert_true(pixels_show(pixels[1], row + 1, 'y'));
	assert_false(pixels_show(pixels[0], row + 1, 'y'));
	log_info("x");
	assert_true(pixels_show(pixels[1], row + 2, 'x'));
}

/* A panic before the page tables change: the boot loader's are used again. */
static void test_resumed_early(void **state)
{
	unsigned row;

	give_framebuffer(0xfd000000);
	screen_init();
	screen_suspend();
	screen_resume();
	row = count_lines();
	log_info("x");
	assert_true(pixels_show(pixels[0], row, 'x'));
}

static void test_framebuffer_above_4_gib(void **state)
{
	unsigned row;

	give_framebuffer(0x4000000000);
	screen_init();
	row = count_lines();
	log_info("x");
	assert_int_equal(pixels[0][0], 0x11111111);
	screen_suspend();
	final = true;
	screen_resume();
	assert_true(pixels_show(pixels[1], row, 'x'));
	assert_int_equal(pixels[1][WIDTH * HEIGHT - 1], 0);
}

static void test_framebuffers_that_cannot_be(void **state)
{
	ram = true;
	give_framebuffer(0x200000);
	assert_no_screen();
	assert_non_null(strstr(seen, "warning: screen: "));
	ram = false;
	give_framebuffer(-(u64)4096);
	seen[0] = '\0';
	assert_no_screen();
	assert_non_null(strstr(seen, "warning: screen: "));
	give_framebuffer(0xfd000000);
	boot_info.framebuffer.type = 3;
	seen[0] = '\0';
	assert_no_screen();
	assert_non_null(strstr(seen, "unknown type 3"));
}

static void test_guests_are_shown_where_no_serial_port_is(void **state)
{
	give_text_tag(0xb8000, 80, 25, 160);
	screen_init();
	screen_serial_found(true);
	log_guest_output("guest\n", 6);
	assert_int_equal(vga[0][(count_lines() - 1) * 80], 0x700 | ' ');
	screen_serial_found(false);
	log_guest_output("guest\n", 6);
	assert_int_equal(vga[0][(count_lines() - 2) * 80], 0x700 | 'g');
}

#define screen_test(name) cmocka_unit_test_setup(name, begin)

static const struct CMUnitTest tests[] = {
	screen_test(test_text_by_tag),
	screen_test(test_text_by_the_bios),
	screen_test(test_monochrome),
	screen_test(test_no_bios),
	screen_test(test_no_bios_but_what_looks_like_one),
	screen_test(test_graphics_mode),
	screen_test(test_planes_without_an_adapter),
	screen_test(test_impossible_text),
	screen_test(test_framebuffer_before_and_after),
	screen_test(test_resumed_early),
	screen_test(test_framebuffer_above_4_gib),
	screen_test(test_framebuffers_that_cannot_be),
	screen_test(test_guests_are_shown_where_no_serial_port_is),
};

/* The screen is found once per boot, so each test is a process of its own. */
int main(void)
{
	return run_apart("test_screen", tests, ARRAY_SIZE(tests));
}
