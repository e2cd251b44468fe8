/* SPDX-License-Identifier: MIT */
/*
 * Editing of a line that is typed at a terminal: backspace, Ctrl-U, the arrows up and down for earlier lines.
 * Pure: the caller shows the line.
 */
#pragma once

#include "lib/types.h"

#define LINE_SIZE    128u
#define LINE_HISTORY 8u

struct line_editor {
	char text[LINE_SIZE];		/* terminated */
	size_t length;
	u8 escape;			/* within an escape sequence */
	char history[LINE_HISTORY][LINE_SIZE];
	u32 lines;			/* ever put into it */
	u32 back;			/* how many lines ago is the shown one; 0: the new one */
};

enum line_event {
	LINE_CHANGED,	/* or nothing happened */
	LINE_DONE,	/* Enter: the line is complete. Call line_editor_clear() when it has been used */
	LINE_LEFT,	/* Ctrl-C, Ctrl-D in an empty line, or Escape and then no sequence */
	LINE_TAB,
};

enum line_event line_editor_type(struct line_editor *editor, char c);
/* Escape was typed, and nothing that follows it: after a few milliseconds it was the key by itself. */
bool line_editor_escape_waits(const struct line_editor *editor);
/* Append, as far as there is room. */
void line_editor_append(struct line_editor *editor, const char *text);
/* Start with an empty line; `remember` the one that was there, unless it is empty or the same as the last. */
void line_editor_clear(struct line_editor *editor, bool remember);
