/* SPDX-License-Identifier: MIT */
/* Draws glyphs as pixels. Never reads the framebuffer: that is slow on every machine. */
#include "arch/console/framebuffer.h"

#include "lib/multiboot.h"

/* Glyphs are enlarged as long as this many columns and rows fit on the screen. */
#define GOOD_COLUMNS 100u
#define GOOD_ROWS    30u

#define GREY	  0xaau	/* of 0xff, for each colour */
#define MAX_BYTES MIB(256)

static struct {
	volatile u8 *memory;
	u32 pitch, width, height;
	unsigned scale;
	unsigned bytes;		/* of a pixel; 0: a bit each, the highest of a byte is the leftmost */
	u32 foreground, background;
} fb;

static u32 field(u8 position, u8 size)
{
	u32 value = size >= 8 ? GREY << (size - 8) : GREY >> (8 - size);

	return value << position;
}

static bool in_pixel(u8 position, u8 size, unsigned bits)
{
	return size <= 16 && position < bits && position + size <= bits;
}

static const char *choose_rgb(const struct boot_framebuffer *info)
{
	const struct mb2_framebuffer_rgb *rgb = (const void *)info->colours;
	unsigned bits = fb.bytes * 8;

	if (info->colours_size < sizeof(*rgb))
		return "it does not say where the colours are in a pixel";
	if (!in_pixel(rgb->red_position, rgb->red_size, bits) ||
	    !in_pixel(rgb->green_position, rgb->green_size, bits) ||
	    !in_pixel(rgb->blue_position, rgb->blue_size, bits))
		return "its colours are outside of the pixel";
	fb.foreground = field(rgb->red_position, rgb->red_size) |
			field(rgb->green_position, rgb->green_size) |
			field(rgb->blue_position, rgb->blue_size);
	fb.background = 0;
	return fb.foreground ? NULL : "it has no colours";
}

/* Choose the palette's lightest and darkest colours. */
static const char *choose_indexed(const struct boot_framebuffer *info)
{
	const struct mb2_framebuffer_palette *palette = (const void *)info->colours;
	unsigned count, lightest = 0, darkest = 3 * 0xff;
	const u8 (*rgb)[3];

	if (fb.bytes != 1)
		return "its palette is for more than 8 bits";
	if (info->colours_size < sizeof(*palette))
		return "it has no palette";
	rgb = palette->rgb;
	count = (unsigned)MIN((info->colours_size - sizeof(*palette)) / 3, (size_t)palette->count);
	for (unsigned i = 0; i < MIN(count, 256u); i++) {
		unsigned light = rgb[i][0] + rgb[i][1] + rgb[i][2];

		if (light > lightest) {
			lightest = light;
			fb.foreground = i;
		}
		if (light < darkest) {
			darkest = light;
			fb.background = i;
		}
	}
	return lightest > darkest ? NULL : "its palette has only one shade";
}

bool framebuffer_is_planar(const struct boot_framebuffer *info)
{
	return info->type == MB2_FRAMEBUFFER_INDEXED && info->bits_per_pixel == 1;
}

const char *framebuffer_init(const struct boot_framebuffer *info, unsigned *columns, unsigned *rows)
{
	fb = (__typeof__(fb)) {
		.pitch = info->pitch, .width = info->width, .height = info->height,
		.bytes = framebuffer_is_planar(info) ? 0 : (info->bits_per_pixel + 7u) / 8u,
	};
	if (fb.width < FONT_WIDTH || fb.height < FONT_HEIGHT || fb.width > 0xffff ||
	    fb.height > 0xffff)
		return "no character fits, or far too many";
	if (fb.bytes > 4 || (!fb.bytes && !framebuffer_is_planar(info)) ||
	    fb.pitch < (fb.bytes ? fb.width * fb.bytes : fb.width / 8) ||
	    framebuffer_size() > MAX_BYTES)
		return "its lines have an impossible length";
	fb.scale = MIN(fb.width / (FONT_WIDTH * GOOD_COLUMNS), fb.height / (FONT_HEIGHT * GOOD_ROWS));
	fb.scale = MAX(fb.scale, 1u);
	*columns = fb.width / (FONT_WIDTH * fb.scale);
	*rows = fb.height / (FONT_HEIGHT * fb.scale);
	if (!fb.bytes)
		return fb.scale == 1 ? NULL : "it has too many pixels for its kind";
	return info->type == MB2_FRAMEBUFFER_RGB ? choose_rgb(info) : choose_indexed(info);
}

u64 framebuffer_size(void)
{
	return (u64)fb.pitch * fb.height;
}

unsigned framebuffer_scale(void)
{
	return fb.scale;
}

void framebuffer_set_memory(void *memory)
{
	fb.memory = memory;
}

/* Returns the address of the next one. */
static volatile u8 *put_pixel(volatile u8 *at, u32 pixel)
{
	switch (fb.bytes) {
	case 4:
		*(volatile u32 *)at = pixel;
		break;
	case 3:
		at[2] = (u8)(pixel >> 16);
		/* fall through */
	case 2:
		at[1] = (u8)(pixel >> 8);
		/* fall through */
	case 1:
		at[0] = (u8)pixel;
	}
	return at + fb.bytes;
}

/* All bytes of the background are equal (black, or a palette index), so write whole words. */
void framebuffer_clear(void)
{
	u64 word = fb.background * 0x0101010101010101ull;
	u32 length = fb.bytes ? fb.width * fb.bytes : fb.width / 8;

	for (u32 y = 0; y < fb.height; y++) {
		volatile u8 *line = fb.memory + (u64)y * fb.pitch;
		u32 x = 0;

		while (x < length) {
			if (IS_ALIGNED((u64)line + x, 8) && x + 8 <= length) {
				*(volatile u64 *)(line + x) = word;
				x += 8;
			} else {
				line[x++] = (u8)word;
			}
		}
	}
}

static void draw_row(volatile u8 *at, u8 bits)
{
	if (!fb.bytes)
		*at = bits;
	for (unsigned x = 0; x < FONT_WIDTH && fb.bytes; x++) {
		u32 pixel = bits & (0x80 >> x) ? fb.foreground : fb.background;

		for (unsigned i = 0; i < fb.scale; i++)
			at = put_pixel(at, pixel);
	}
}

void framebuffer_draw(unsigned column, unsigned row, char c)
{
	const u8 *glyph = font[MIN((unsigned)(u8)c - FONT_FIRST, FONT_GLYPHS - 1)];
	volatile u8 *at = fb.memory + (u64)row * FONT_HEIGHT * fb.scale * fb.pitch +
			  (u64)column * (fb.bytes ? FONT_WIDTH * fb.scale * fb.bytes : 1);

	for (unsigned y = 0; y < FONT_HEIGHT * fb.scale; y++, at += fb.pitch) {
		unsigned glyph_row = y / fb.scale - FONT_MARGIN;

		draw_row(at, glyph_row < FONT_ROWS ? glyph[glyph_row] : 0);
	}
}
