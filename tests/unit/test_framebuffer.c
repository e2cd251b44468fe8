/* SPDX-License-Identifier: MIT */
/* Glyphs in framebuffers of every layout that a boot loader may describe, and of impossible ones. */
/* link: arch/console/framebuffer.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/console/framebuffer.h"
#include "hostile.h"
#include "lib/multiboot.h"

/* 'A' is one pixel in its upper left corner, below the margin; # is full. */
const u8 font[FONT_GLYPHS][FONT_ROWS] = {
	['#' - FONT_FIRST] = { [0 ... FONT_ROWS - 1] = 0xfe },
	['A' - FONT_FIRST] = { 0x80 },
};

static struct mb2_framebuffer_rgb rgb888 = { 16, 8, 8, 8, 0, 8 };

static struct boot_framebuffer layout(u32 width, u32 height, u8 bits, u32 padding,
				      const struct mb2_framebuffer_rgb *rgb)
{
	return (struct boot_framebuffer) {
		.address = 0xfd000000, .width = width, .height = height, .bits_per_pixel = bits,
		.pitch = width * ((bits + 7u) / 8) + padding, .type = MB2_FRAMEBUFFER_RGB,
		.colours = (const u8 *)rgb, .colours_size = sizeof(*rgb),
	};
}

static u32 pixel(const u8 *memory, const struct boot_framebuffer *fb, u32 x, u32 y)
{
	u32 value = 0, bytes = (fb->bits_per_pixel + 7u) / 8;

	memcpy(&value, memory + y * fb->pitch + x * bytes, bytes);
	return value;
}

static void test_sizes(void **state)
{
	static const struct {
		u32 width, height, scale, columns, rows;
	} sizes[] = {
		{ 640, 480, 1, 80, 30 }, { 800, 600, 1, 100, 37 }, { 1024, 768, 1, 128, 48 },
		{ 1280, 1024, 1, 160, 64 }, { 1920, 1080, 2, 120, 33 }, { 3840, 2160, 4, 120, 33 },
		{ 320, 200, 1, 40, 12 }, { 8, 16, 1, 1, 1 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct boot_framebuffer fb = layout(sizes[i].width, sizes[i].height, 32, 0, &rgb888);
		unsigned columns, rows;

		assert_null(framebuffer_init(&fb, &columns, &rows));
		assert_int_equal(framebuffer_scale(), sizes[i].scale);
		assert_int_equal(columns, sizes[i].columns);
		assert_int_equal(rows, sizes[i].rows);
		assert_int_equal(framebuffer_size(), sizes[i].width * sizes[i].height * 4);
	}
}

/* Draw one 'A' and check every byte of the memory, the padding behind the lines included. */
static void check_layout(u32 width, u32 height, u8 bits, u32 padding,
			 const struct mb2_framebuffer_rgb *rgb, u32 colour)
{
	struct boot_framebuffer fb = layout(width, height, bits, padding, rgb);
	unsigned columns, rows, scale, x0, y0;
	u8 *memory;

	assert_null(framebuffer_init(&fb, &columns, &rows));
	scale = framebuffer_scale();
	memory = malloc(framebuffer_size());
	memset(memory, 0x77, framebuffer_size());
	framebuffer_set_memory(memory);
	framebuffer_clear();
	framebuffer_draw(columns - 1, rows - 1, '#');
	framebuffer_draw(columns - 1, rows - 1, 'A');
	x0 = (columns - 1) * FONT_WIDTH * scale;
	y0 = ((rows - 1) * FONT_HEIGHT + FONT_MARGIN) * scale;
	for (u32 y = 0; y < height; y++) {
		for (u32 x = 0; x < width; x++) {
			bool set = x - x0 < scale && y - y0 < scale;

			assert_int_equal(pixel(memory, &fb, x, y), set ? colour : 0);
		}
		for (u32 i = 0; i < padding; i++)
			assert_int_equal(memory[(y + 1) * fb.pitch - 1 - i], 0x77);
	}
	free(memory);
}

static void test_layouts(void **state)
{
	static struct mb2_framebuffer_rgb bgr888 = { 0, 8, 8, 8, 16, 8 };
	static struct mb2_framebuffer_rgb rgb565 = { 11, 5, 5, 6, 0, 5 };
	static struct mb2_framebuffer_rgb rgb555 = { 10, 5, 5, 5, 0, 5 };
	static struct mb2_framebuffer_rgb rgb332 = { 5, 3, 2, 3, 0, 2 };
	static struct mb2_framebuffer_rgb deep = { 20, 10, 10, 10, 0, 10 };
	static struct mb2_framebuffer_rgb green = { 0, 0, 8, 8, 0, 0 };

	/* Two thirds of each colour's range: 0xaa of 0xff. */
	check_layout(640, 480, 32, 0, &rgb888, 0xaaaaaa);
	check_layout(641, 481, 24, 3, &bgr888, 0xaaaaaa);
	check_layout(650, 480, 16, 14, &rgb565, 21 << 11 | 42 << 5 | 21);
	check_layout(640, 480, 15, 0, &rgb555, 21 << 10 | 21 << 5 | 21);
	check_layout(643, 480, 8, 5, &rgb332, 5 << 5 | 5 << 2 | 2);
	check_layout(640, 480, 32, 4, &deep, 0x2a8u << 20 | 0x2a8 << 10 | 0x2a8);
	check_layout(640, 480, 32, 0, &green, 0xaa00);
	check_layout(1600, 960, 32, 0, &rgb888, 0xaaaaaa);
	check_layout(2400, 1440, 24, 0, &rgb888, 0xaaaaaa);
}

/* The lightest and the darkest entry, wherever they are. */
static void test_palette(void **state)
{
	static const u8 palette[] = {
		4, 0,  10, 10, 10,  0, 0, 0,  90, 90, 90,  255, 250, 250,
	};
	struct boot_framebuffer fb = layout(640, 480, 8, 0, &rgb888);
	unsigned columns, rows;
	u8 *memory;

	fb.type = MB2_FRAMEBUFFER_INDEXED;
	fb.colours = exact_copy(palette, sizeof(palette));
	fb.colours_size = sizeof(palette);
	assert_null(framebuffer_init(&fb, &columns, &rows));
	memory = malloc(framebuffer_size());
	framebuffer_set_memory(memory);
	framebuffer_clear();
	framebuffer_draw(0, 0, 'A');
	assert_int_equal(pixel(memory, &fb, 0, FONT_MARGIN), 3);
	assert_int_equal(pixel(memory, &fb, 1, FONT_MARGIN), 1);
	assert_int_equal(pixel(memory, &fb, 639, 479), 1);
	free(memory);
	/* A palette that is cut off, or whose count is too large. */
	fb.colours_size = 5;
	assert_string_equal(framebuffer_init(&fb, &columns, &rows), "its palette has only one shade");
	fb.colours_size = 1;
	assert_string_equal(framebuffer_init(&fb, &columns, &rows), "it has no palette");
	free((void *)fb.colours);
}

/* VGA's mode 12h as GRUB describes it: a byte is 8 pixels of one row. Its last pixels, and what is behind them, too. */
static void test_planes(void **state)
{
	struct boot_framebuffer fb = {
		.address = 0xa0000, .width = 640, .height = 480, .pitch = 80, .bits_per_pixel = 1,
		.type = MB2_FRAMEBUFFER_INDEXED,
	};
	u8 memory[80 * 480 + 8];
	unsigned columns, rows;

	assert_true(framebuffer_is_planar(&fb));
	assert_null(framebuffer_init(&fb, &columns, &rows));
	assert_int_equal(columns, 80);
	assert_int_equal(rows, 30);
	assert_int_equal(framebuffer_size(), 80 * 480);
	memset(memory, 0x5a, sizeof(memory));
	framebuffer_set_memory(memory);
	framebuffer_clear();
	for (size_t i = 0; i < sizeof(memory); i++)
		assert_int_equal(memory[i], i < 80 * 480 ? 0 : 0x5a);
	framebuffer_draw(79, 29, 'A');
	for (unsigned y = 0; y < FONT_HEIGHT; y++) {
		unsigned row = y - FONT_MARGIN;

		assert_int_equal(memory[(29 * FONT_HEIGHT + y) * 80 + 79], row < FONT_ROWS ? font['A' - FONT_FIRST][row] : 0);
		assert_int_equal(memory[(29 * FONT_HEIGHT + y) * 80 + 78], 0);
	}
	fb.pitch = 79;
	assert_non_null(framebuffer_init(&fb, &columns, &rows));
	fb.bits_per_pixel = 0;
	fb.pitch = 80;
	assert_false(framebuffer_is_planar(&fb));
	assert_non_null(framebuffer_init(&fb, &columns, &rows));
}

static void test_impossible(void **state)
{
	static struct mb2_framebuffer_rgb outside = { 25, 8, 8, 8, 0, 8 }, none = { 0 };
	static struct mb2_framebuffer_rgb behind = { 32, 0, 8, 8, 0, 8 };
	struct boot_framebuffer bad[] = {
		layout(0, 480, 32, 0, &rgb888), layout(640, 0, 32, 0, &rgb888),
		layout(7, 16, 32, 0, &rgb888), layout(8, 15, 32, 0, &rgb888),
		layout(640, 480, 0, 0, &rgb888), layout(640, 480, 33, 0, &rgb888),
		layout(640, 480, 64, 0, &rgb888), layout(640, 480, 32, -1u, &rgb888),
		layout(0xffffffff, 480, 32, 0, &rgb888), layout(640, 0xffffffff, 32, 0, &rgb888),
		layout(640, 480, 32, 0x7fffffff, &rgb888), layout(640, 480, 32, 0, &outside),
		layout(640, 480, 24, 0, &outside), layout(640, 480, 16, 0, &rgb888),
		layout(640, 480, 32, 0, &behind), layout(640, 480, 32, 0, &none),
		layout(640, 480, 32, 0, &rgb888),
	};
	unsigned columns, rows;

	bad[ARRAY_SIZE(bad) - 1].colours_size = sizeof(rgb888) - 1;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_non_null(framebuffer_init(&bad[i], &columns, &rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_palette),
		cmocka_unit_test(test_planes),
		cmocka_unit_test(test_impossible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
