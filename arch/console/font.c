/* SPDX-License-Identifier: MIT */
/* The font, made at build time from the drawings in arch/console/font.txt. */
#include "arch/console/framebuffer.h"

const u8 font[FONT_GLYPHS][FONT_ROWS] = {
#include "arch/console/font.inc"
};
