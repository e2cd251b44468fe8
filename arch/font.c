/* SPDX-License-Identifier: MIT */
/* The font, made at build time from the drawings in arch/font.txt. */
#include "arch/framebuffer.h"

const u8 font[FONT_GLYPHS][FONT_ROWS] = {
#include "arch/font.inc"
};
