/* SPDX-License-Identifier: MIT */
/*
 * The text screen of a VGA: the page at GUEST_TEXT_PAGE is RAM, which costs the guest no exit, and the CRT controller
 * says which part of it is shown and where the cursor is. Nothing is drawn: the monitor shows it on request, and vga=lines
 * its lines. The graphics modes' memory at 0xa0000 and the other registers are not there.
 * IBM, "VGA Hardware Interface Technical Reference", "CRT Controller Registers", "General Registers".
 */
#pragma once

#include "lib/types.h"

struct vm;

#define VVGA_MAX_COLUMNS 132u
#define VVGA_MAX_ROWS	 60u

/* What is shown, in cells of two bytes, character and attribute. */
struct vvga_view {
	unsigned columns, rows;			/* at least 1 */
	u32 start;				/* the first cell of the text page; the next one after the last is 0 */
	bool cursor;				/* it is on, and on the screen */
	unsigned cursor_column, cursor_row;
};

struct vvga;

struct vvga *vvga_create(struct vm *vm);
/* With the VM lock. */
void vvga_view(const struct vvga *vvga, struct vvga_view *view);
