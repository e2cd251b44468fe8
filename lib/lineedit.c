/* SPDX-License-Identifier: MIT */
/* Editing of a typed line. */
#include "lib/lineedit.h"

#include "lib/string.h"

#define CTRL_C	  0x03
#define CTRL_D	  0x04
#define BACKSPACE 0x08
#define CTRL_U	  0x15
#define ESC	  0x1b
#define DELETE	  0x7f

enum { TEXT, AFTER_ESCAPE, SEQUENCE };

static void set(struct line_editor *editor, const char *text)
{
	str_copy(editor->text, text, sizeof(editor->text));
	editor->length = strlen(editor->text);
}

static void show_history(struct line_editor *editor, bool older)
{
	u32 kept = MIN(editor->lines, LINE_HISTORY);

	if (older && editor->back < kept)
		editor->back++;
	else if (!older && editor->back)
		editor->back--;
	else
		return;
	set(editor, editor->back ? editor->history[(editor->lines - editor->back) % LINE_HISTORY] : "");
}

/* ECMA-48: ESC [ parameters final. The arrows are ESC [ A and ESC [ B. */
static enum line_event escaped(struct line_editor *editor, char c)
{
	if (editor->escape == AFTER_ESCAPE) {
		editor->escape = c == '[' || c == 'O' ? SEQUENCE : TEXT;
		return editor->escape ? LINE_CHANGED : LINE_LEFT;
	}
	if (c < '@' || c > '~')
		return LINE_CHANGED;
	editor->escape = TEXT;
	if (c == 'A' || c == 'B')
		show_history(editor, c == 'A');
	return LINE_CHANGED;
}

static void append(struct line_editor *editor, char c)
{
	if (editor->length + 1 >= sizeof(editor->text))
		return;
	editor->text[editor->length++] = c;
	editor->text[editor->length] = '\0';
}

static void cut(struct line_editor *editor, size_t length)
{
	editor->length = length;
	editor->text[length] = '\0';
}

enum line_event line_editor_type(struct line_editor *editor, char c)
{
	if (editor->escape)
		return escaped(editor, c);
	switch (c) {
	case '\r':
	case '\n':
		return LINE_DONE;
	case '\t':
		return LINE_TAB;
	case CTRL_C:
		return LINE_LEFT;
	case CTRL_D:
		return editor->length ? LINE_CHANGED : LINE_LEFT;
	case ESC:
		editor->escape = AFTER_ESCAPE;
		return LINE_CHANGED;
	case CTRL_U:
		cut(editor, 0);
		return LINE_CHANGED;
	case BACKSPACE:
	case DELETE:
		cut(editor, editor->length - (editor->length > 0));
		return LINE_CHANGED;
	}
	if ((u8)c >= ' ' && (u8)c < DELETE)
		append(editor, c);
	return LINE_CHANGED;
}

bool line_editor_escape_waits(const struct line_editor *editor)
{
	return editor->escape == AFTER_ESCAPE;
}

void line_editor_append(struct line_editor *editor, const char *text)
{
	while (*text)
		append(editor, *text++);
}

void line_editor_clear(struct line_editor *editor, bool remember)
{
	const char *last = editor->history[(editor->lines - 1) % LINE_HISTORY];

	if (remember && editor->length && (!editor->lines || strcmp(last, editor->text)))
		str_copy(editor->history[editor->lines++ % LINE_HISTORY], editor->text, LINE_SIZE);
	editor->back = 0;
	editor->escape = TEXT;
	cut(editor, 0);
}
