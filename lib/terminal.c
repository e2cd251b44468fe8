/* SPDX-License-Identifier: MIT */
/* A grid of characters that scrolls. */
#include "lib/terminal.h"

#include "lib/string.h"

#define TAB 8

/* ECMA-48, "Control sequences": ESC [ parameters final; ESC ] text BEL; ESC x. */
enum { NO_ESCAPE, ESCAPE, CONTROL_SEQUENCE, WITH_PARAMETERS, COMMAND_STRING };

void terminal_init(struct terminal *terminal, unsigned columns, unsigned rows, char *text,
		   char *shown)
{
	*terminal = (struct terminal) {
		.columns = columns, .rows = rows, .text = text, .shown = shown,
		.dirty_from = rows,
	};
	memset(text, ' ', columns * rows);
	memset(shown, ' ', columns * rows);
}

static void touch(struct terminal *t, unsigned from, unsigned to)
{
	t->dirty_from = MIN(t->dirty_from, from);
	t->dirty_to = MAX(t->dirty_to, to);
}

static void new_line(struct terminal *t)
{
	size_t rest = (size_t)t->columns * (t->rows - 1);

	t->column = 0;
	if (t->row + 1 < t->rows) {
		t->row++;
		return;
	}
	memmove(t->text, t->text + t->columns, rest);
	memset(t->text + rest, ' ', t->columns);
	touch(t, 0, t->rows);
}

/* Wrap before a character that has no room, so that a full line with a \n takes only one row. */
static void put(struct terminal *t, char c)
{
	unsigned row, column;

	if (t->column >= t->columns)
		new_line(t);
	row = MIN(t->row, t->rows - 1);
	column = MIN(t->column, t->columns - 1);
	t->text[row * t->columns + column] = c;
	t->column = column + 1;
	touch(t, row, row + 1);
}

static void control(struct terminal *t, char c)
{
	switch (c) {
	case '\n':
		new_line(t);
		t->escape = NO_ESCAPE;
		break;
	case '\r':
		t->column = 0;
		break;
	case '\b':
		t->column -= t->column > 0;
		break;
	case '\t':
		t->column = MIN(ALIGN_UP(t->column + 1, TAB), t->columns - 1);
		break;
	case 0x1b:
		t->escape = ESCAPE;
		break;
	}
}

/* ECMA-48, "EL - Erase in line", to its end. */
static void erase_rest(struct terminal *t)
{
	unsigned row = MIN(t->row, t->rows - 1), column = MIN(t->column, t->columns);

	memset(t->text + (size_t)row * t->columns + column, ' ', t->columns - column);
	touch(t, row, row + 1);
}

/*
 * A character of an escape sequence. Control characters do not get here: they take effect even within
 * a sequence. ESC starts a new one, and \n ends it: a guest's unfinished sequence must not swallow the
 * following lines.
 */
static void escaped(struct terminal *t, char c)
{
	switch (t->escape) {
	case ESCAPE:
		t->escape = c == '[' ? CONTROL_SEQUENCE : c == ']' ? COMMAND_STRING : NO_ESCAPE;
		break;
	case CONTROL_SEQUENCE:
		if (c == 'K')
			erase_rest(t);
		t->escape = c >= '@' ? NO_ESCAPE : WITH_PARAMETERS;
		break;
	case WITH_PARAMETERS:
		if (c >= '@')
			t->escape = NO_ESCAPE;
		break;
	}
}

static void take(struct terminal *t, char c)
{
	u8 byte = (u8)c;

	if (t->escape == COMMAND_STRING && c == '\a')
		t->escape = NO_ESCAPE;
	if (byte < ' ')
		control(t, c);
	else if (t->escape)
		escaped(t, c);
	else if (byte < 0x7f)
		put(t, c);
	else if (byte >= 0xc0)	/* the first byte of a character in UTF-8 */
		put(t, '?');
}

static void refresh(struct terminal *t)
{
	unsigned from = t->dirty_from, to = MIN(t->dirty_to, t->rows);

	if (!t->draw)
		return;
	t->dirty_from = t->rows;
	t->dirty_to = 0;
	for (unsigned row = from; row < to; row++) {
		for (unsigned column = 0; column < t->columns; column++) {
			size_t cell = (size_t)row * t->columns + column;

			if (t->text[cell] == t->shown[cell])
				continue;
			t->shown[cell] = t->text[cell];
			t->draw(column, row, t->text[cell]);
		}
	}
}

void terminal_write(struct terminal *terminal, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		take(terminal, text[i]);
	refresh(terminal);
}

void terminal_redraw(struct terminal *terminal)
{
	memset(terminal->shown, ' ', (size_t)terminal->columns * terminal->rows);
	touch(terminal, 0, terminal->rows);
	refresh(terminal);
}
