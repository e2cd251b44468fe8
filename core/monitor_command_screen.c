/* SPDX-License-Identifier: MIT */
/* The monitor's command screen. */
#include "core/monitor_command.h"
#include "lib/errno.h"

int monitor_screen(const struct monitor_ops *ops, unsigned vm, struct monitor_reply *reply)
{
	static struct textscreen screen;
	unsigned rows = 0;

	if (ops->screen(vm, &screen))
		return -EINVAL;
	for (unsigned row = 0; row < screen.rows; row++)
		rows = screen.lines[row][0] ? row + 1 : rows;
	for (unsigned row = 0; row < rows; row++)
		reply_printf(reply, "%s\n", screen.lines[row]);
	reply_printf(reply, "[screen: %u columns, %u rows, ", screen.columns, screen.rows);
	if (screen.cursor)
		reply_printf(reply, "cursor at column %u, row %u]\n", screen.cursor_column + 1, screen.cursor_row + 1);
	else
		reply_printf(reply, "no cursor]\n");
	return 0;
}

/* In JSON each of its characters, which are ASCII, may need a backslash. */
_Static_assert(TEXTSCREEN_ROWS * (2 * TEXTSCREEN_COLUMNS + sizeof("\"\",") - 1) + 100 <= MONITOR_REPLY_SIZE,
	       "the reply to screen -j");

void command_screen(struct command_line *line)
{
	static struct textscreen screen;
	int error = line->json ? line->ops->screen(line->vm, &screen) :
				 monitor_screen(line->ops, line->vm, line->reply);

	line->error = error ? command_words_of(error) : NULL;
	if (error || !line->json)
		return;
	reply_printf(line->reply, ",\"columns\":%u,\"rows\":%u,\"cursor\":", screen.columns, screen.rows);
	if (screen.cursor)
		reply_printf(line->reply, "[%u,%u],\"lines\":[", screen.cursor_column + 1, screen.cursor_row + 1);
	else
		reply_printf(line->reply, "null,\"lines\":[");
	for (unsigned row = 0; row < screen.rows; row++) {
		reply_printf(line->reply, row ? "," : "");
		reply_string(line->reply, screen.lines[row]);
	}
	reply_printf(line->reply, "]");
}
