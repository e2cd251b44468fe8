/* SPDX-License-Identifier: MIT */
/*
 * A terminal that can only be written on: a grid of characters that scrolls, kept in memory and
 * drawn cell by cell, each only when it changes. Of a terminal's control characters it knows \n \r \b
 * \t; escape sequences are swallowed, and what is not ASCII shows as a question mark.
 */
#pragma once

#include "lib/types.h"

struct terminal {
	unsigned columns, rows;
	char *text, *shown;	/* columns * rows each; owned by the caller */
	/* NULL: nothing is drawn, until terminal_redraw(). Bytes from ' ' to '~'. */
	void (*draw)(unsigned column, unsigned row, char c);

	unsigned column, row;	/* where the next character goes */
	unsigned dirty_from, dirty_to;	/* rows that may not be shown as they are */
	u8 escape;
};

/* An empty grid, in which at least one cell must fit. Assumes an empty screen. */
void terminal_init(struct terminal *terminal, unsigned columns, unsigned rows, char *text,
		   char *shown);

/* Every index is checked where it is used: a call may interrupt another, which then may misdraw. */
void terminal_write(struct terminal *terminal, const char *text, size_t length);

/* Draw all cells that are not empty on a screen that is. */
void terminal_redraw(struct terminal *terminal);
