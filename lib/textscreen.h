/* SPDX-License-Identifier: MIT */
/* A text screen as lines of ASCII, made from a VGA's text page, and which of its lines are new. */
#pragma once

#include "lib/types.h"

#define TEXTSCREEN_ROWS	   60u
#define TEXTSCREEN_COLUMNS 132u

struct textscreen {
	unsigned columns, rows;
	bool cursor;		/* it is shown */
	unsigned cursor_column, cursor_row;
	char lines[TEXTSCREEN_ROWS][TEXTSCREEN_COLUMNS + 1];	/* without blanks at the end */
};

/*
 * One line from `columns` cells, character in the low byte, of a page of `cells`, a power of two, from `start` on; the
 * page's first cell follows its last. Frames of code page 437 become - | +, what ASCII does not have a question mark.
 * `line` has room for columns + 1.
 */
void textscreen_line(const u16 *page, u32 cells, u32 start, unsigned columns, char *line);

/*
 * Which lines of `now` were not on the screen before, where that may have scrolled up since: set fresh[row] for rows of
 * `now`. Blank lines are never new. Returns how many are.
 */
unsigned textscreen_new_lines(const struct textscreen *before, const struct textscreen *now, bool fresh[TEXTSCREEN_ROWS]);
