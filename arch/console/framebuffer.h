/* SPDX-License-Identifier: MIT */
/* Draws characters in the boot loader's framebuffer. Multiboot2 Specification, "Framebuffer info". */
#pragma once

#include "arch/bootinfo/bootinfo.h"

#define FONT_WIDTH  8u
#define FONT_HEIGHT 16u
#define FONT_FIRST  ' '
#define FONT_GLYPHS 95u

#define FONT_MARGIN 2u	/* blank rows above and below */
#define FONT_ROWS   (FONT_HEIGHT - 2 * FONT_MARGIN)

/* A row is a byte; its highest bit is the leftmost pixel. From arch/console/font.txt. */
extern const u8 font[FONT_GLYPHS][FONT_ROWS];

/*
 * Is it VGA's mode of 16 colours, in four planes at the same addresses? GRUB describes it as one bit for a pixel. Bytes
 * are drawn for 8 pixels each: the adapter has to write them to all planes.
 */
bool framebuffer_is_planar(const struct boot_framebuffer *fb);

/*
 * Take over the layout, without drawing. NULL, or a text why it cannot be used. Sets *columns and *rows,
 * in characters, at least 1 each. Large modes get characters of two, three ... times the size.
 */
const char *framebuffer_init(const struct boot_framebuffer *fb, unsigned *columns, unsigned *rows);

/* After framebuffer_init(): the bytes to map, and the factor by which glyphs are enlarged. */
u64 framebuffer_size(void);
unsigned framebuffer_scale(void);

/* Draw to this mapping from now on. It must be set before the two functions below. */
void framebuffer_set_memory(void *memory);
void framebuffer_clear(void);
/* Column and row below those of framebuffer_init(); a character without a glyph is drawn as the last one. */
void framebuffer_draw(unsigned column, unsigned row, char c);
