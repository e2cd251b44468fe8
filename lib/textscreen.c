/* SPDX-License-Identifier: MIT */
/* A text screen as lines of ASCII: see textscreen.h. */
#include "lib/textscreen.h"

#include "lib/string.h"

/* Code page 437, 0xb0 to 0xdf: shades, frames, blocks. */
static const char frames[] = "###|++++++|+++++++++-++++++++-+++++++++++++#_||#";

_Static_assert(sizeof(frames) == 0xe0 - 0xb0 + 1, "one for each");

static char ascii(u8 c)
{
	if (c >= ' ' && c <= '~')
		return (char)c;
	if (c == 0 || c == 0xff)
		return ' ';
	return c >= 0xb0 && c <= 0xdf ? frames[c - 0xb0] : '?';
}

void textscreen_line(const u16 *page, u32 cells, u32 start, unsigned columns, char *line)
{
	unsigned length = 0;

	for (unsigned i = 0; i < columns; i++) {
		line[i] = ascii((u8)page[(start + i) % cells]);
		if (line[i] != ' ')
			length = i + 1;
	}
	line[length] = '\0';
}

/* How many lines with text are the same if the screen has scrolled up by so many lines. */
static unsigned same_lines(const struct textscreen *before, const struct textscreen *now, unsigned scrolled)
{
	unsigned same = 0;

	for (unsigned row = scrolled; row < before->rows && row - scrolled < now->rows; row++)
		same += before->lines[row][0] && !strcmp(before->lines[row], now->lines[row - scrolled]);
	return same;
}

unsigned textscreen_new_lines(const struct textscreen *before, const struct textscreen *now, bool fresh[TEXTSCREEN_ROWS])
{
	unsigned scrolled = 0, best = same_lines(before, now, 0), count = 0;

	for (unsigned by = 1; by < before->rows; by++) {
		unsigned same = same_lines(before, now, by);

		if (same <= best)
			continue;
		best = same;
		scrolled = by;
	}
	for (unsigned row = 0; row < now->rows; row++) {
		bool old = row + scrolled < before->rows && !strcmp(before->lines[row + scrolled], now->lines[row]);

		fresh[row] = now->lines[row][0] && !old;
		count += fresh[row];
	}
	return count;
}
