/* SPDX-License-Identifier: MIT */
/* Characters in a framebuffer of the boot loader's. Multiboot2 Specification, "Framebuffer info". */
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
 * Take over the layout; nothing is drawn. NULL, or in words why it cannot be used. Afterwards *columns
 * and *rows are at least 1. Wide and high modes get characters of two, three ... times the size.
 */
const char *framebuffer_init(const struct boot_framebuffer *fb, unsigned *columns, unsigned *rows);

/* What framebuffer_init() took over: bytes to map, and an integer by which glyphs are enlarged. */
u64 framebuffer_size(void);
unsigned framebuffer_scale(void);

/* From here on drawn to this mapping. */
void framebuffer_set_memory(void *memory);
void framebuffer_clear(void);
void framebuffer_draw(unsigned column, unsigned row, char c);
