/* SPDX-License-Identifier: MIT */
/*
 * An output-only terminal: a scrolling grid of characters, kept in memory, of which a cell is drawn only
 * when it changes. It obeys \n \r \b \t and ESC [ K, ignores other escape sequences, and shows a question
 * mark for each character outside ASCII. ECMA-48, "Control sequences".
 */
#pragma once

#include "lib/types.h"

struct terminal {
	unsigned columns, rows;
	char *text, *shown;	/* columns * rows each; owned by the caller */
	/* Draw one character, ' ' to '~'. NULL: nothing is drawn; set it, then call terminal_redraw(). */
	void (*draw)(unsigned column, unsigned row, char c);

	unsigned column, row;	/* where the next character goes */
	unsigned dirty_from, dirty_to;	/* rows, `to` exclusive, that may differ from the screen */
	u8 escape;
};

/* Start with an empty grid of at least one cell. The screen must be empty. */
void terminal_init(struct terminal *terminal, unsigned columns, unsigned rows, char *text,
		   char *shown);

/*
 * An NMI may call it while another call runs: that one may then draw wrong characters, but never writes
 * outside of the grid.
 */
void terminal_write(struct terminal *terminal, const char *text, size_t length);

/* Draw all cells that are not blank. The screen must be empty. */
void terminal_redraw(struct terminal *terminal);
